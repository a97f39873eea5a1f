#include "basics/prefix_counts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MIN 64u

/* Step of splitmix64 (Steele, Lea, Flood 2014): spreads every bit of its argument over all. */
static uint64_t mix(uint64_t x)
{
        x += 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return x ^ (x >> 31);
}

static size_t first_place(const struct prefix_counts *counts, const struct prefix *prefix)
{
        uint64_t halves[2] = {}, hash;

        memcpy(halves, prefix->address.bytes, address_size(prefix->address.family));
        hash = mix(counts->seed ^ ((uint64_t)prefix->address.family << 8 | prefix->length));
        hash = mix(hash ^ halves[0]);
        hash = mix(hash ^ halves[1]);
        return hash & (counts->n_places - 1);
}

static size_t next_place(const struct prefix_counts *counts, size_t place)
{
        return (place + 1) & (counts->n_places - 1);
}

/* Where the prefix is, or where it would be put; the table has a free place always. */
static struct prefix_count *find(const struct prefix_counts *counts, const struct prefix *prefix)
{
        size_t place = first_place(counts, prefix);

        while (counts->places[place].count > 0 &&
                !prefix_equal(&counts->places[place].prefix, prefix))
                place = next_place(counts, place);
        return &counts->places[place];
}

/* At most three quarters full. */
static int make_room(struct prefix_counts *counts)
{
        struct prefix_counts grown = {.n = counts->n, .seed = counts->seed};

        if (counts->n + 1 <= counts->n_places / 4 * 3)
                return 0;
        grown.n_places = counts->n_places > 0 ? counts->n_places * 2 : PLACES_MIN;
        grown.places = calloc(grown.n_places, sizeof(*grown.places));
        if (!grown.places)
                return -ENOMEM;
        for (size_t i = 0; i < counts->n_places; i++)
                if (counts->places[i].count > 0)
                        *find(&grown, &counts->places[i].prefix) = counts->places[i];
        free(counts->places);
        *counts = grown;
        return 0;
}

int prefix_counts_put(struct prefix_counts *counts, const struct prefix *prefix)
{
        struct prefix_count *place;
        int r = make_room(counts);

        if (r < 0)
                return r;
        place = find(counts, prefix);
        if (place->count == UINT16_MAX)
                return -EOVERFLOW;
        if (place->count == 0) {
                place->prefix = *prefix;
                counts->n++;
        }
        place->count++;
        return 0;
}

/* Closes the gap: what stands behind it moves up unless it would come before its first place. */
static void close_gap(struct prefix_counts *counts, size_t gap)
{
        size_t mask = counts->n_places - 1;

        for (size_t i = next_place(counts, gap); counts->places[i].count > 0;
                i = next_place(counts, i)) {
                size_t first = first_place(counts, &counts->places[i].prefix);

                if (((i - first) & mask) < ((i - gap) & mask))
                        continue;
                counts->places[gap] = counts->places[i];
                gap = i;
        }
        counts->places[gap] = (struct prefix_count){};
}

void prefix_counts_take(struct prefix_counts *counts, const struct prefix *prefix)
{
        struct prefix_count *place;

        if (counts->n == 0)
                return;
        place = find(counts, prefix);
        if (place->count == 0 || --place->count > 0)
                return;
        counts->n--;
        close_gap(counts, (size_t)(place - counts->places));
}

unsigned prefix_counts_get(const struct prefix_counts *counts, const struct prefix *prefix)
{
        return counts->n > 0 ? find(counts, prefix)->count : 0;
}

void prefix_counts_deinit(struct prefix_counts *counts)
{
        free(counts->places);
        *counts = (struct prefix_counts){.seed = counts->seed};
}
