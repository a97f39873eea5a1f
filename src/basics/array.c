#include "basics/array.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

bool array_reserve(void *items, size_t *allocated, size_t wanted, size_t size)
{
        void *old, *grown;
        size_t target;

        if (wanted <= *allocated)
                return true;
        target = *allocated < 8 ? 8 : *allocated;
        while (target < wanted) {
                if (target > SIZE_MAX / 2)
                        return false;
                target *= 2;
        }

        memcpy(&old, items, sizeof(old));
        grown = reallocarray(old, target, size);
        if (!grown)
                return false;
        memset((char *)grown + *allocated * size, 0, (target - *allocated) * size);
        memcpy(items, &grown, sizeof(grown));
        *allocated = target;
        return true;
}
