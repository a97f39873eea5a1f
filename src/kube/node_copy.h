/*
 * Deep copies of nodes: the reflector keeps one of each for the rule that a malformed object does
 * not push its older good version out.
 */
#pragma once

#include "model/cluster.h"
#include "model/node.h"

/* NULL when out of memory. */
struct node *node_copy(const struct node *node);
/* The version too. NULL when out of memory. */
struct cluster *cluster_copy(const struct cluster *cluster);
