/*
 * From one random cluster (random_world.h) to another, on a model of the kernel, in which each flow
 * is looked up after every single step.
 */
#pragma once

#include "fib_model.h"
#include "random_world.h"

/* How often each was met: what never happens is not tested. */
struct met {
        unsigned to_complement, to_rules, stayed, moved, short_of_tables;
};

extern struct met met;
extern unsigned long ways_back; /* looked at, through a sink */
extern bool refuses;            /* in the next change there is a step that the kernel will not do */
extern bool damaged; /* somebody deleted rules, or the kernel refused a step, since the last change
                        that was whole */

bool is_steered(struct model_result result);
/* By the policy of that world. */
bool is_exempt(const struct world *world, const struct flow *flow);
/* Own pods and exclusions differ and hold the destination: diff.c (5) promises no more than no
 * leak. */
bool under_changing_throw(
        const struct world *before, const struct world *after, const struct address *destination);
/* Looks each of the FLOWS up. */
void answer_all(const struct fib *fib, int family, struct model_result *ret);

/*
 * Takes the kernel from where it is to `after`, looking at every moment; stops after `limit` steps.
 * Without complete knowledge, what stands is kept. Returns how many steps there were to do.
 */
size_t change(struct fib *kernel, int family, const struct world *before, struct world *after,
        size_t limit, bool complete);

/* Somebody deletes one or two rules; END is the one that counts most. */
void lose_rules(struct fib *kernel);
/* What a change cut short may have left in tables that nothing looks up. */
void leave_litter(struct fib *kernel, const struct world *world, int family);
