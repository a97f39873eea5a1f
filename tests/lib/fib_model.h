/*
 * A model of the kernel's rule and route lookup, for what the policy uses of it: rules by priority,
 * longest prefix, best metric, throw, goto and nop. It stands in for the kernel where every moment
 * between two steps is to be looked at.
 */
#pragma once

#include "policy/diff.h"
#include "policy/verdict.h"

enum model_way { MODEL_MAIN, MODEL_DEVICE, MODEL_BLOCKED };

struct model_result {
        enum model_way way;
        uint32_t priority; /* of the rule that decided; 0: none, fell through to main */
        uint32_t table;    /* of ours, in which a route decided; 0: none, the rest is unset then */
        struct prefix destination;
        bool sunk; /* MODEL_BLOCKED by a route into the sink */
};

/*
 * True when the kernel, asked for the way back to a packet's source, finds a unicast route: what
 * rp_filter 2 wants to see.
 */
bool model_has_way_back(const struct model_result *result);

/* Main is taken to have a route to everything. */
struct model_result model_lookup(const struct fib *fib, const struct flow *flow);

/* Carries out one step as the kernel would. False when the kernel would refuse it. */
bool model_apply(struct fib *fib, const struct step *step);
