/*
 * policy_verdict() for very many flows: that one looks at every node for each, this at those only
 * that list the destination. The answers are the same.
 */
#pragma once

#include "policy/verdict.h"

struct quick_verdict;

/* Borrows what the input borrows; NULL: out of memory. */
struct quick_verdict *quick_verdict_new(const struct policy_input *input);
struct quick_verdict *quick_verdict_free(struct quick_verdict *quick);
DEFINE_CLEANUP(struct quick_verdict *, quick_verdict_free)

/* −ENOMEM; *ret borrows from the input. */
int quick_verdict_ask(struct quick_verdict *quick, const struct flow *flow, struct verdict *ret);
/*
 * The other node that lists the address as its own (A(R), or one of its further addresses), or has
 * it in the longest pod prefix; NULL: none, or it is ours. *ret_index is its place in the cluster.
 */
const struct node *quick_verdict_owner(
        struct quick_verdict *quick, const struct address *address, uint32_t *ret_index);
/* Our own node; NULL: not in the cluster. */
const struct node *quick_verdict_self(const struct quick_verdict *quick);
