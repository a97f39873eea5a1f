/*
 * Random small clusters crowded into sixteen addresses, so that node addresses, pod prefixes, own
 * pods, exclusions and protections overlap in every way; and every flow there is among them.
 */
#pragma once

#include "policy/compute.h"
#include "policy/verdict.h"

#define NODES_MAX 6

/* Everything one side of a change needs, owned. */
struct world {
        struct settings *settings;
        struct cluster *cluster;
        struct device device;
        struct endpoint endpoint;
        struct address local[3];
        size_t threshold;
        bool crowded; /* with pods where the nodes are */
        uint32_t settings_seed, node_seeds[NODES_MAX], label_seeds[NODES_MAX];
        struct fib wanted;
};

/* A number below the bound; the same in every run. */
uint32_t draw(uint32_t bound);
/* One of the sixteen, or beyond. */
struct address address_at(int family, uint8_t last);
/* `actual` may be NULL. */
struct policy_input input_of(const struct world *world, const struct fib *actual);
/* Now and then with the settings of `previous` (NULL: none), or with most of its nodes, or both. */
void draw_world(struct world *world, const struct world *previous, int family);
void world_deinit(struct world *world);

/* Numbers below FLOWS: every flow there is. */
struct flow flow_number(int family, unsigned number);
#define FLOWS (16u * 4 * 2 * 2 * 2 * 2)
