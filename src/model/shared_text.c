#include "model/shared_text.h"

#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct shared_text {
        size_t references;
        char text[];
};

/* A red-black tree of the texts: who chooses them cannot make a search slow. */
static void *texts;

static int compare(const void *a, const void *b)
{
        return strcmp(a, b);
}

static struct shared_text *holder_of(const char *text)
{
        return (void *)(text - offsetof(struct shared_text, text));
}

const char *shared_text_get(const char *text)
{
        char *const *found = tfind(text, &texts, compare);
        struct shared_text *shared;
        size_t size;

        if (found) {
                holder_of(*found)->references++;
                return *found;
        }
        size = strlen(text) + 1;
        shared = malloc(sizeof(*shared) + size);
        if (!shared)
                return NULL;
        shared->references = 1;
        memcpy(shared->text, text, size);
        if (!tsearch(shared->text, &texts, compare)) {
                free(shared);
                return NULL;
        }
        return shared->text;
}

void shared_text_put(const char *kept)
{
        struct shared_text *shared;

        if (!kept)
                return;
        shared = holder_of(kept);
        if (--shared->references > 0)
                return;
        tdelete(kept, &texts, compare);
        free(shared);
}
