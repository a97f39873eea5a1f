/*
 * A multiset of prefixes: how many times each was put in. A hash table with linear probing, so that
 * putting in, taking out and asking cost the same however many there are.
 */
#pragma once

#include "basics/prefix.h"

struct prefix_count {
        struct prefix prefix;
        uint16_t count; /* 0: the place is free */
};

/* Zero it to begin; free with prefix_counts_deinit(). */
struct prefix_counts {
        struct prefix_count *places;
        size_t n_places; /* a power of two, or 0 */
        size_t n;        /* of different prefixes */
        uint64_t seed;   /* kept secret, nobody can choose prefixes that meet in one place */
};

/* −ENOMEM; −EOVERFLOW: it is in there 65,535 times already. Nothing is changed then. */
int prefix_counts_put(struct prefix_counts *counts, const struct prefix *prefix);
/* Once less; nothing when it is not in there. */
void prefix_counts_take(struct prefix_counts *counts, const struct prefix *prefix);
/* How many times it is in there. */
unsigned prefix_counts_get(const struct prefix_counts *counts, const struct prefix *prefix);
/* Frees what it holds; the seed stays. */
void prefix_counts_deinit(struct prefix_counts *counts);
