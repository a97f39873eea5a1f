/*
 * Which rule gave the kernel's answer. The kernel names the table and not the rule, and of a
 * refusal nothing at all, so the rules are walked as the kernel does, with our own tables at hand.
 */
#pragma once

#include "kernel/route_query.h"
#include "policy/fib.h"
#include "policy/layout.h"
#include "policy/verdict.h"

struct rule_walk {
        const struct rule *deciding; /* NULL: not found */
        const struct rule *leading;  /* the last goto that was followed; NULL: none */
};

/*
 * `rules` in the kernel's order, `ours` with the routes of the layout's tables; the result borrows
 * from `rules`. Rules that struct rule cannot express are taken not to match.
 */
struct rule_walk rule_walk(const struct fib *rules, const struct fib *ours,
        const struct layout *layout, const struct flow *flow, const struct route_answer *answer);
