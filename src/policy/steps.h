/*
 * The steps from what the kernel holds to what it should hold, in order. diff.h makes them.
 */
#pragma once

#include "policy/fib.h"

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
        /* When it fails, what follows in later phases must not be done: it would open a hole, or
         * lock an exempt node out. */
        bool vital;
        /* It takes something out of what is steered, or of what is exempt. */
        bool weakens;
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

/* Appends a copy. −ENOMEM. */
int steps_add(struct steps *steps, const struct step *step);
/*
 * By phase; in a phase, of the routes to be set the longest first, of those to be deleted the
 * shortest first; diff.c (1) says why.
 */
void steps_sort(struct steps *steps);
/*
 * Drops every step that weakens (what others put into what we steer is none of that): for a wanted
 * policy that was computed without the nodes, or with those of a snapshot, which may be older than
 * what stands. What an earlier run left in the kernel stays then, until the first list is there to
 * hold it against; what is wanted already is added.
 */
void steps_keep_what_stands(struct steps *steps);
void steps_deinit(struct steps *steps);
