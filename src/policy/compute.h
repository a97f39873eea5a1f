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
