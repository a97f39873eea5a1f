#include "policy/prefixes.h"

#include <errno.h>
#include <stdlib.h>

#include "basics/array.h"

int prefixes_add(struct prefixes *set, const struct prefix *prefix)
{
        if (!ARRAY_RESERVE(set->items, set->allocated, set->n + 1))
                return -ENOMEM;
        set->items[set->n++] = *prefix;
        return 0;
}

void prefixes_sort(struct prefixes *set)
{
        set->n = prefix_sort_unique(set->items, set->n);
}

bool prefixes_have(const struct prefixes *set, const struct prefix *prefix)
{
        return set->n > 0 &&
               bsearch(prefix, set->items, set->n, sizeof(*prefix), prefix_compare_void);
}

void prefixes_deinit(struct prefixes *set)
{
        free(set->items);
        *set = (struct prefixes){};
}
