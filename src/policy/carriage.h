/*
 * Carriage: which of the device's peers carries what is steered to each node, and whether it
 * answers. What is steered and not carried is refused by the device; this finds it, so that it can
 * be said, and changes nothing about the policy.
 *
 *     carriage_begin()                     the nodes, as they are now
 *       carriage_add_peer()                for each peer of the device
 *         carriage_add_allowed_ip()        for each prefix that this peer carries
 *     carriage_finish()                    compares; with what the reading before saw, also in time
 *
 * Only A(R) is expected to be carried. Of pods Cilium's peers carry single addresses, as they come
 * to be known, and not P(R): they are counted. Further addresses of a node are not steered, and
 * normally not carried: counted too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "model/cluster.h"
#include "model/settings.h"
#include "policy/peer.h"

/* A node is known to us before Cilium has met it: a problem counts when it has lasted so long. */
#define CARRIAGE_GRACE_SEC 30
/* REJECT_AFTER_TIME of the WireGuard paper (table of constants, §6.1), in seconds. */
#define REJECT_AFTER_SEC   180
/* More peers than that are not believed. */
#define CARRIAGE_PEERS_MAX 200000

enum carriage_state {
        CARRIAGE_GOOD,       /* carried, by the node's own peer, as far as can be told */
        CARRIAGE_MISSING,    /* no peer carries one of the node's steered addresses */
        CARRIAGE_MISMATCHED, /* the peer that does has another key than the CiliumNode names */
        CARRIAGE_STALE,      /* that peer does not answer: see carriage.c */
        CARRIAGE_MAX,
};

/* No peer, no node: in place of an index. */
#define CARRIAGE_NONE UINT32_MAX

/* Times are in s of a clock that does not jump (CLOCK_BOOTTIME). */

struct carriage_node {
        struct node *node;             /* a reference of its own */
        uint32_t carriers[FAMILY_MAX]; /* index of the peer that carries A(R), or CARRIAGE_NONE */
        bool steered[FAMILY_MAX];      /* A(R) is there, and steered */
        uint8_t family;                /* what `seen` is about: index of an A(R) */
        uint8_t seen;                  /* enum carriage_state, at this reading */
        uint8_t state;                 /* the same, once it has lasted */
        uint8_t before;                /* `state` at the reading before */
        uint32_t since;                /* when `seen` was first seen */
        uint32_t pods_carried;         /* of its P(R), those that its peer carries a part of */
        uint32_t other_carried;        /* of its further addresses */
};

struct carriage_peer {
        struct peer peer;
        uint32_t node;          /* whose key or address it has, or CARRIAGE_NONE: unknown to us */
        uint32_t n_allowed;     /* AllowedIPs */
        uint32_t session_since; /* when the handshake it reports was first seen, or before */
        uint32_t unanswered_since; /* 0: nothing that we sent is known to be unanswered */
};

struct carriage {
        struct carriage_node *nodes; /* every node but ours, sorted by name */
        size_t n_nodes;
        struct carriage_peer *peers; /* as the device lists them */
        size_t n_peers;
        size_t allocated;
        uint32_t *by_key; /* their indices, sorted by key; after carriage_finish() */
        uint32_t read_at;
        struct carriage_reading *reading; /* until carriage_finish() */
};

struct carriage_counts {
        size_t nodes[CARRIAGE_MAX]; /* by state; only nodes of which something is steered */
        size_t undecided;           /* nodes with a problem that has not lasted yet */
        size_t peers;
        size_t unknown_peers; /* of no CiliumNode: another cluster's (ClusterMesh), or left over */
        size_t other_addresses; /* further addresses of nodes: not steered … */
        size_t other_carried;   /* … and yet carried */
};

/*
 * Begins a reading of *ret (zeroed by the caller). `self` is our node; NULL: not known. The nodes
 * are referenced, nothing else is kept. −ENOMEM: *ret is empty.
 */
int carriage_begin(struct carriage *ret, const struct settings *settings,
        const struct cluster *cluster, const struct node *self);
void carriage_deinit(struct carriage *carriage);

/* −ENOMEM; −E2BIG: more than CARRIAGE_PEERS_MAX. */
int carriage_add_peer(struct carriage *carriage, const struct peer *peer);
/* A prefix that the peer added last carries. Where prefixes overlap, the longest carries. */
void carriage_add_allowed_ip(struct carriage *carriage, const struct prefix *prefix);

/*
 * The device has been read whole, at `now`. `previous` is the reading before; NULL: none. −ENOMEM.
 */
int carriage_finish(struct carriage *carriage, const struct carriage *previous, uint32_t now);

/* The row of that node, borrowed; NULL: there is none. */
const struct carriage_node *carriage_find(const struct carriage *carriage, const char *name);
void carriage_count(const struct carriage *carriage, struct carriage_counts *ret);
/* "carried", "missing", "mismatched", "stale". */
const char *carriage_state_name(enum carriage_state state);
