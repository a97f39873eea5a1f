/*
 * Which exemptions are served by a complement table, and by which one.
 *
 * An exemption that selects many nodes would add a rule for each of them, and the kernel walks all
 * rules for every packet. Instead, a complement table holds what the node table holds, but for a
 * `throw` at each selected address, and two rules for each segment of the group say:
 *
 *   ipproto P dport X  lookup TABLE   to a node that is not selected: steered
 *   ipproto P dport X  goto END       to anything else: past the node table
 *
 * A table must not change its meaning while rules look it up: for a moment, a flow of the segment
 * that was would meet what is held for the segment that is to be, and the goto would let it out. So
 * the choice depends on what the kernel holds (input->actual).
 */
#pragma once

#include "policy/segments.h"

/* A group with more addresses of a family than this is served by a table. */
#define COMPLEMENT_THRESHOLD 16u

/*
 * Sets `tables` of each group (segments_select() has been here): where it selects more addresses
 * of the family than the threshold, the table that only rules of this group's segments look up now,
 * or else the first that no rule looks up. A group for which none is left keeps a rule for each
 * address, until the next computation finds one: safe, and slow.
 */
void complement_choose(struct segments *segments, const struct policy_input *input);

/* False: there are tables for all groups, whatever they select. Quick, before segments_select(). */
bool complement_may_be_short(const struct segments *segments, const struct policy_input *input);

/* True when rules of input->actual look that complement table up. */
bool complement_stands(const struct policy_input *input, int family, uint32_t table);
/* Appends the rules that look up any. −ENOMEM. */
int complement_add_standing(const struct policy_input *input, struct fib *fib);

/* The number of addresses from which on a table serves a group. */
size_t complement_threshold(const struct policy_input *input);
