/*
 * The policy: from what the operator asks for, what the cluster is and what the device is, to the
 * rules and routes the kernel should hold. Pure: no I/O, no clock, no logging.
 */
#pragma once

#include "policy/fib.h"
#include "policy/input.h"
#include "policy/steering.h"

/*
 * Fills *ret (zeroed by the caller; deinit with fib_deinit()) with the wanted rules and routes,
 * sorted. −ENOMEM.
 */
int policy_compute(const struct policy_input *input, struct fib *ret);
/*
 * The same for the routes alone, of what *steering says and nothing else: partial.h. `cluster` of
 * the input is asked for our own node only, and `actual` for the complement tables that its rules
 * look up: *steering has no address that an exemption selects. −ENOMEM.
 */
int policy_compute_routes(
        const struct policy_input *input, const struct steering *steering, struct fib *ret);
/*
 * Of those, what a device that was away and is back needs first: its own routes in the pod and the
 * node table, none of them in a complement. Where the twins stand, and nothing but the device has
 * changed, they may be written in any order and without a look at the kernel: each lies over its
 * own twin, so that what is steered and what is not stays the same at every moment. −ENOMEM.
 */
int policy_compute_device_routes(
        const struct policy_input *input, const struct steering *steering, struct fib *ret);
