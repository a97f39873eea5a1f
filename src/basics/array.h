/*
 * Growable arrays: a pointer, a count and an allocated size kept by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Makes room for `wanted` elements of `size` bytes in *items, doubling as it grows; new memory is
 * zeroed. False when out of memory; the old contents stand then.
 */
bool array_reserve(void *items, size_t *allocated, size_t wanted, size_t size);

/* The typed form: ARRAY_RESERVE(items, allocated, count). */
#define ARRAY_RESERVE(items, allocated, wanted) \
        array_reserve(&(items), &(allocated), (wanted), sizeof(*(items)))
