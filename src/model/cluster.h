/*
 * The cluster: the nodes by name, and the resourceVersion at which they were so.
 */
#pragma once

#include "model/node.h"

/* More than a real cluster has, little enough to be handled: what is read has no more nodes. */
#define CLUSTER_NODES_MAX 65536

struct cluster {
        struct node **nodes; /* owned; sorted by name */
        size_t n_nodes;
        size_t allocated;
        char *version; /* resourceVersion, opaque; NULL: unknown */
};

struct cluster *cluster_new(void);
struct cluster *cluster_free(struct cluster *cluster);
DEFINE_CLEANUP(struct cluster *, cluster_free)

/* Another one with the same version and the same nodes, which are shared. NULL: out of memory. */
struct cluster *cluster_copy(const struct cluster *cluster);

/* The node of that name, borrowed; NULL: none. */
struct node *cluster_find(const struct cluster *cluster, const char *name);
/*
 * Takes the node, in place of the one of the same name. 1: something changed; 0: it was the same;
 * −ENOMEM. The node is gone in every case.
 */
int cluster_put(struct cluster *cluster, struct node *node);
/* 1: removed; 0: there was none. */
int cluster_remove(struct cluster *cluster, const char *name);
/* −ENOMEM leaves the old version. */
int cluster_set_version(struct cluster *cluster, const char *version);
/* True when both hold equal nodes; the version is not looked at. */
bool cluster_equal(const struct cluster *a, const struct cluster *b);
