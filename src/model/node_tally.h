/*
 * How many addresses and pod prefixes nodes have, by role and family.
 */
#pragma once

#include "model/node.h"

enum node_role { ROLE_WORKER, ROLE_CONTROL_PLANE, ROLE_MAX };

/* Zero it to begin. By enum node_role, then enum family_index. */
struct node_tally {
        size_t addresses[ROLE_MAX][FAMILY_MAX];
        size_t pod_prefixes[ROLE_MAX][FAMILY_MAX];
};

/* Adds the node's (`sign` 1), or takes them away again (−1); NULL is no node. */
void node_tally_count(struct node_tally *tally, const struct node *node, int sign);
