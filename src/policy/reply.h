/*
 * The other direction of a flow: what the peer's policy, which is the same with the peer as "us",
 * says of what it sends back.
 */
#pragma once

#include "policy/verdict.h"

struct policy_reply {
        const struct node *peer; /* whose address or pod the flow goes to; borrowed */
        struct flow flow;        /* what the peer sends, or forwards for its pod */
        struct verdict verdict;
};

/*
 * The peer is taken to have the same settings and nodes, its addresses, and its device up. The
 * flow's source must be known. False: the destination is of no other node, and *ret is not written.
 */
bool policy_reply(
        const struct policy_input *input, const struct flow *flow, struct policy_reply *ret);
/*
 * The node that has the address, else the one with the longest pod prefix around it; NULL: none.
 */
const struct node *policy_owner(const struct cluster *cluster, const struct address *address);
