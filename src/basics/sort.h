/*
 * Sorting what comes nearly sorted: a natural merge sort, which needs one pass over what is sorted
 * and a few over a few sorted runs one after the other, as tables come from the kernel.
 */
#pragma once

#include <stddef.h>

/*
 * As qsort(3), but stable: what compares equal keeps its order. Without memory for a copy of the
 * items qsort(3) itself does it, and stability is lost.
 */
void sort_runs(void *items, size_t n, size_t size, int (*compare)(const void *a, const void *b));
