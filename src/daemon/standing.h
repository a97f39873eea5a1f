/*
 * What stood after the last run, inside the reconciler: reconciler.h has the struct.
 */
#pragma once

#include "daemon/reconciler.h"
#include "policy/fib.h"

/*
 * After a whole run that left the kernel as wanted. `local` is taken; it is what `device` borrows.
 */
void standing_set(struct standing *standing, const struct device *device, struct address *local,
        const struct fib *wanted, const struct reconcile_result *result);
/* CLOCK_MONOTONIC in µs. */
uint64_t reconciler_clock(void);
/* Not valid any more. */
void standing_deinit(struct standing *standing);
