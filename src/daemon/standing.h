/*
 * What stood after the last run, inside the reconciler: reconciler.h has the struct.
 */
#pragma once

#include "daemon/reconciler.h"
#include "policy/fib.h"

/*
 * After a whole run that left the kernel as wanted. `local` is taken; it is what `device` borrows.
 */
void standing_set(struct standing *standing, const struct reconcile_input *input,
        const struct device *device, struct address *local, const struct fib *wanted,
        const struct reconcile_result *result);
/* CLOCK_MONOTONIC in µs. */
uint64_t reconciler_clock(void);
/*
 * The device was away in the run before (`before`) and is back, and nothing else has changed as far
 * as anybody knows: its routes are written before anything is read, so that they are there as soon
 * as can be. Whether there was more to it, the run that goes on finds out.
 */
void standing_reopen(const struct standing *before, struct netlink *nl,
        const struct reconcile_input *input, const struct device *device,
        struct reconcile_result *result);
/* Not valid any more. */
void standing_deinit(struct standing *standing);
