/*
 * A node of the cluster, as much of its CiliumNode as the policy needs (cilium.io/v2, CiliumNode:
 * metadata.name, .labels, .annotations; spec.addresses, spec.ipam). Once it is complete it does not
 * change any more, so that those who keep it can share it: node_ref().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "basics/prefix.h"
#include "basics/util.h"

/* Both shared with the other nodes (model/shared_text.h), as most of them say the same. */
struct label {
        const char *key;
        const char *value; /* never NULL */
};

struct node {
        unsigned references;
        const char *name;     /* shared with the label that nearly always repeats it */
        struct label *labels; /* sorted by key */
        size_t n_labels;
        /*
         * A(R): the first InternalIP of each family, else its first ExternalIP; indexed by
         * enum family_index. Family 0: none.
         */
        struct address addresses[FAMILY_MAX];
        /* Further InternalIPs and ExternalIPs: no peer's AllowedIPs carry them, so none is steered.
         */
        struct address *other_addresses;
        size_t n_other_addresses;
        /* P(R): sorted, without duplicates. */
        struct prefix *pod_prefixes;
        size_t n_pod_prefixes;
        char *public_key; /* the annotated WireGuard key (base64), NULL: none */
};

/* A node with a copy of the name and nothing else; NULL when out of memory. */
struct node *node_new(const char *name);
/* One more who keeps the node, and calls node_free() for it; returns the node. */
struct node *node_ref(struct node *node);
/* Gives the reference up; the last one frees the node and all it owns. Returns NULL. */
struct node *node_free(struct node *node);
DEFINE_CLEANUP(struct node *, node_free)

/* Adds copies; a key that is there already is given the new value. −ENOMEM. */
int node_add_label(struct node *node, const char *key, const char *value);
/* The label's value; NULL when the node does not carry the key. */
const char *node_label(const struct node *node, const char *key);
int node_add_other_address(struct node *node, const struct address *address);
/* Keeps the prefixes sorted and unique. −ENOMEM. */
int node_add_pod_prefix(struct node *node, const struct prefix *prefix);

bool node_is_control_plane(const struct node *node);
/* True when the address is one of A(R). */
bool node_has_address(const struct node *node, const struct address *address);
/* True when the two nodes are the same in everything above. */
bool node_equal(const struct node *a, const struct node *b);
