/*
 * Carries out the steps of a difference (policy/diff.h), phase by phase.
 *
 *   STEP_ADD_RULE       RTM_NEWRULE, CREATE and EXCL; EEXIST is looked into (rule_exact.h).
 *   STEP_DELETE_RULE    RTM_DELRULE with the full selector, of that rule only (rule_exact.h).
 *                       Already gone is done.
 *   STEP_REPLACE_ROUTE  RTM_NEWROUTE, CREATE and REPLACE; never APPEND.
 *   STEP_DELETE_ROUTE   RTM_DELROUTE with everything that the route has. Already gone is done.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "basics/error.h"
#include "policy/diff.h"

struct netlink;

struct apply_result {
        size_t written; /* steps that are done */
        size_t failed;
        size_t skipped; /* steps of later phases, after a vital one failed */
        bool vital_failed;
        struct error first; /* the first failure: what was to be done, to what, and why not */
};

/*
 * 0: all done. Else the code of the first failure, with the rest in *ret (always filled). Failures
 * do not end a phase; a vital one ends the run behind its phase.
 */
int kernel_fib_apply(struct netlink *nl, const struct steps *steps, struct apply_result *ret);
