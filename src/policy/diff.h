/*
 * From what the kernel holds to what it should hold: the steps, in the order that keeps the
 * invariants at every moment (argued in diff.c).
 */
#pragma once

#include "policy/fib.h"
#include "policy/layout.h"

enum step_kind {
        STEP_ADD_RULE,
        STEP_DELETE_RULE,
        STEP_REPLACE_ROUTE, /* creates, or replaces what has the same key */
        STEP_DELETE_ROUTE,
};

struct step {
        enum step_kind kind;
        /* Steps of one phase may go to the kernel together; a phase begins when the one before is
         * done. */
        uint8_t phase;
        /* When it fails, what follows in later phases must not be done: it would open a hole. */
        bool vital;
        union {
                struct rule rule;
                struct route route;
        };
};

struct steps {
        struct step *items;
        size_t n;
        size_t allocated;
};

/*
 * Compares what of `family` is in `actual` and `wanted` (both sorted) and fills *ret (zeroed by the
 * caller) with the steps from one to the other. The families are apart: one that the kernel refuses
 * does not hold up the other. `layouts` are the bands and tables that are ours, the wanted one
 * first, then those of earlier configurations: only there, and only what has our shape, is
 * anything deleted; a foreign route in a table of ours only where it lies in what we steer.
 * −ENOMEM.
 */
int policy_diff(const struct layout *layouts, size_t n_layouts, int family,
        const struct fib *actual, const struct fib *wanted, struct steps *ret);
/*
 * Drops every step that deletes what is ours, or takes something out of what is steered: for a
 * wanted policy that was computed without the nodes, or with those of a snapshot, which may be
 * older than what stands. What an earlier run left in the kernel stays then, until the first list
 * is there to hold it against; what is wanted already is added.
 */
void steps_keep_what_stands(struct steps *steps);
void steps_deinit(struct steps *steps);
