/*
 * A set of prefixes.
 */
#pragma once

#include <stddef.h>

#include "basics/prefix.h"

/* Zero it to begin. */
struct prefixes {
        struct prefix *items; /* sorted and unique after prefixes_sort() */
        size_t n;
        size_t allocated;
};

/* Appends one. −ENOMEM. */
int prefixes_add(struct prefixes *set, const struct prefix *prefix);
void prefixes_sort(struct prefixes *set);
/* True when this very prefix is in the sorted set. */
bool prefixes_have(const struct prefixes *set, const struct prefix *prefix);
void prefixes_deinit(struct prefixes *set);
