/*
 * Adding and deleting exactly one rule, in spite of the kernel's loose comparison.
 *
 * RTM_DELRULE takes the first rule in the list that has what the message names; selectors that it
 * does not name match anything. NLM_F_EXCL on RTM_NEWRULE compares source and destination in the
 * same way (rule_find(), rule_exists(), fib4_rule_compare(), fib6_rule_compare() in the kernel). So
 * with "iif lo ipproto tcp sport 6443" and "from VIP iif lo ipproto tcp sport 6443" at one
 * priority, the first cannot be added beside the second, and deleting the first deletes the second.
 */
#pragma once

#include "basics/error.h"
#include "policy/fib.h"

struct netlink;

/*
 * To be asked when adding with EXCL gave EEXIST: 0 when the very rule is in `actual` (the kernel's
 * rules) or could be added; else the kernel's negative errno. −EEXIST: what the kernel compared it
 * with is a rule that is not understood; one more is not added then, nor at each further try.
 */
int rule_add_beside(
        struct netlink *nl, const struct fib *actual, const struct rule *rule, struct error *error);

/*
 * Deletes the rule and no other. `actual` is every rule of the kernel in its order
 * (kernel_rules_read()) and is kept up to date. A rule of ours that a delete would hit first is
 * moved behind it: its copy is appended before the old one is deleted, so that it never is missing.
 * 0: it is gone, or was not there. −ENOTUNIQ: a foreign rule would be hit; nothing was deleted.
 */
int rule_delete_exact(
        struct netlink *nl, struct fib *actual, const struct rule *rule, struct error *error);
