/*
 * The policies that are compared, as rules and routes.
 */
#pragma once

#include <stdint.h>

#include "basics/error.h"
#include "kernel/netlink.h"
#include "model/cluster.h"
#include "model/endpoint.h"
#include "model/settings.h"
#include "policy/fib.h"

enum contender {
        CONTENDER_NONE,
        CONTENDER_RULE,     /* one rule of somebody's: Cilium alone has that much */
        CONTENDER_ORIGINAL, /* the script's: a rule for every destination */
        CONTENDER_OURS,
        CONTENDER_MANY, /* ours, with an exemption that selects every second node */
        CONTENDER_MAX,
};

/* "none", "rule", "original", "nodecryptor", "many". */
const char *contender_name(enum contender contender);
/* CONTENDER_MAX: none of that name. */
enum contender contender_find(const char *name);

/* What the policy is computed from. Zero to begin. */
struct bench_cluster {
        struct cluster *cluster;
        struct settings *settings;
        struct endpoint endpoint; /* a virtual address of the control planes */
        uint32_t nodes;           /* others than ourselves */
        char self[32];
};

/* −ENOMEM. */
int bench_cluster_init(struct bench_cluster *bench, enum contender contender, uint32_t nodes);
void bench_cluster_deinit(struct bench_cluster *bench);
/* The node of that number as it is in the cluster; NULL: out of memory. */
struct node *bench_node_new(uint32_t number);

/*
 * The rules and routes of the policy with the namespace's BENCH_DEVICE and addresses, in the order
 * in which they can be written. *ret is zeroed by the caller. Negative errno.
 */
int contender_fill(enum contender contender, const struct bench_cluster *bench, struct netlink *nl,
        struct fib *ret, struct error *error);
