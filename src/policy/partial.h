/*
 * The policy's routes as far as a few nodes' changes touch them, so that a node that joins or
 * leaves costs the same however many there are. What is wanted follows from the same code as the
 * whole policy (compute.h), for fewer prefixes.
 */
#pragma once

#include "model/claims.h"
#include "model/node_changes.h"
#include "policy/fib.h"
#include "policy/input.h"

/*
 * Fills *ret_before and *ret_after (zeroed by the caller; deinit with fib_deinit()) with the routes
 * (and the rules that look complement tables up, which do not change) to every destination that the
 * changes touch: those that the whole policy of the cluster before the changes holds, and those of
 * `input`, which has the cluster after them. `claims` are those of that cluster; `actual` of the
 * input has the rules that stand. Everything else of the whole policy is the same before and after.
 * 1: so it is. 0: the changes concern more than that (ourselves, an exemption, what we hold, too
 * many prefixes), or `claims` or `changes` are incomplete: compute all of it. −ENOMEM.
 *
 * `steered` is what policy_count_steered() finds in the whole policy before the changes, and is
 * brought up to date: the first steered route of a family brings rules with it, the last one takes
 * them away, and either is 0.
 */
int policy_partial(const struct policy_input *input, const struct node_changes *changes,
        const struct claims *claims, size_t steered[static FAMILY_MAX], struct fib *ret_before,
        struct fib *ret_after);
/* Adds the number of routes that are no throws, by family. */
void policy_count_steered(const struct fib *fib, size_t steered[static FAMILY_MAX]);
