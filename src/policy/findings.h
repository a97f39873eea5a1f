/*
 * What the cluster's objects say that contradicts itself, or us: found, so that it can be said.
 * None of it changes what compute.h does; how each is handled stands beside its name.
 */
#pragma once

#include "basics/text.h"
#include "policy/input.h"

enum finding_kind {
        FINDING_NO_SELF,         /* our node is not in the cluster: every node is steered */
        FINDING_SELF_BY_ADDRESS, /* no node has our name: taken by address */
        FINDING_SELF_NOT_LOCAL,  /* this host does not hold our node's address: that family is
                                    blocked */
        FINDING_SHARED_ADDRESS,  /* two nodes, one address: steered; exempt if either is selected */
        FINDING_SHARED_PREFIX,   /* two nodes, one pod prefix: steered once */
        FINDING_OWN_ADDRESS,     /* another node lists our address: never steered */
        FINDING_OWN_PREFIX, /* another node lists our pod prefix, or one around it: ours stays local
                             */
        FINDING_ADDRESS_IN_PREFIX, /* a node's address in another's pod prefix: steered as a pod, no
                                      exemption */
        FINDING_NO_ADDRESS,        /* a node without a usable address: only its pods are steered */
        FINDING_NO_TABLE, /* no complement table is free for an exemption of many nodes: a rule for
                             each of them, until one is */
        FINDING_MAX,
};

struct finding {
        enum finding_kind kind;
        const struct node *node;  /* borrowed; NULL where it is about us */
        const struct node *other; /* borrowed; NULL: none */
        struct prefix prefix;
        const struct exemption *exemption; /* borrowed; FINDING_NO_TABLE only */
        size_t n_addresses;                /* that it selects */
};

struct findings {
        struct finding *items;
        size_t n;
        size_t allocated;
};

/* Fills *ret (zeroed by the caller). −ENOMEM. */
int policy_findings(const struct policy_input *input, struct findings *ret);
void findings_deinit(struct findings *findings);
/* Appends one sentence. */
void finding_format(const struct finding *finding, struct text_builder *builder);
