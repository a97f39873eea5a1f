/*
 * From what the kernel holds to what it should hold: the steps, in the order that keeps the
 * invariants at every moment (argued in diff.c).
 */
#pragma once

#include "policy/layout.h"
#include "policy/steps.h"

/*
 * Compares what of `family` is in `actual` and `wanted` (both sorted) and fills *ret (zeroed by the
 * caller) with the steps from one to the other. The families are apart: one that the kernel refuses
 * does not hold up the other. `layouts` are the bands and tables that are ours, the wanted one
 * first, then those of earlier configurations: only there, and only what has our shape, is
 * anything deleted; a foreign route in a table of ours only where it lies in what we steer.
 * `wanted` was computed with `actual` as policy_input.actual, or with a kernel that holds nothing.
 * −ENOMEM.
 */
int policy_diff(const struct layout *layouts, size_t n_layouts, int family,
        const struct fib *actual, const struct fib *wanted, struct steps *ret);
