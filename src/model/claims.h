/*
 * How many nodes of a cluster list each address and each pod prefix, kept up to date node by node:
 * whether the last one went is answered without looking at the others.
 */
#pragma once

#include "basics/prefix_counts.h"
#include "model/cluster.h"

struct claims {
        struct prefix_counts pods;
        struct prefix_counts addresses; /* A(R), as host prefixes */
        bool complete;                  /* they are those of the whole cluster */
};

/* With no claims, and not complete. */
void claims_init(struct claims *claims, uint64_t seed);
void claims_deinit(struct claims *claims);

/* Counts every node anew. −ENOMEM, −EOVERFLOW: not complete. */
int claims_count(struct claims *claims, const struct cluster *cluster);
/*
 * A node came (`before` NULL), changed or went (`after` NULL). What is not complete stays so; what
 * cannot be counted makes it so.
 */
void claims_change(struct claims *claims, const struct node *before, const struct node *after);
