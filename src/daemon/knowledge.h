/*
 * What the daemon knows of the cluster: its nodes, who we are in it, where its API is; where that
 * knowledge came from, and its copy on disk.
 */
#pragma once

#include "kube/credential.h"
#include "model/claims.h"
#include "model/cluster.h"
#include "model/endpoint.h"
#include "model/node_changes.h"
#include "service/status.h"
#include "store/snapshot.h"

struct knowledge {
        struct cluster *cluster; /* never NULL; its version is of exactly the cluster `identity` */
        struct endpoint endpoint;
        struct identity identity; /* of the credential in force, else of the snapshot */
        char *credential_name;    /* our name as the credential has it; NULL: not known */
        char *snapshot_name;      /* our name as the snapshot has it; NULL: not known */
        enum knowledge_source source;
        bool complete; /* as of now: a list, or a watch that has caught up with what was missed */
        char *path;    /* of the snapshot */
        uint64_t saved_at;           /* unix time, s, of the snapshot on disk; 0: none */
        struct claims claims;        /* of the cluster, once knowledge_count() was asked for them */
        struct node_changes changes; /* of the cluster, since knowledge_applied() */
        bool unsaved;                /* something differs from the snapshot on disk */
        bool unsaved_version;        /* nothing but the version differs */
};

/* With no nodes; the snapshot will be kept in the state directory. −ENOMEM. */
int knowledge_init(struct knowledge *knowledge, const char *state_directory);
void knowledge_deinit(struct knowledge *knowledge);

/* Our node's name: the configured one, the credential's, the snapshot's; NULL: not known. */
const char *knowledge_node_name(const struct knowledge *knowledge, const char *configured);

/*
 * Takes in the snapshot, if it is of the cluster that the credential in force speaks to.
 * 1: applied. 0: there is none. −EBADMSG: damaged, −EPROTONOSUPPORT: of another format, −EXDEV: of
 * another cluster: not applied, and set aside. Otherwise it could not be read.
 */
int knowledge_load(struct knowledge *knowledge, struct error *error);

/*
 * The credential says who we are and which cluster this is. −EXDEV: what we know is of another
 * cluster; it stays until that cluster's API has answered, and is not saved. −ENOMEM.
 */
int knowledge_set_credential(struct knowledge *knowledge, const struct credential *credential);
/* 1: it is another endpoint; 0: the same; −ENOMEM. */
int knowledge_set_endpoint(struct knowledge *knowledge, const struct endpoint *endpoint);

/* The whole set from the API (taken). 1: the nodes differ; 0: the same. */
int knowledge_replace(struct knowledge *knowledge, struct cluster *cluster);
#define KNOWLEDGE_JOINED 2
/* One node from the API (taken). KNOWLEDGE_JOINED: a new one; 1: it differs; 0: the same; −ENOMEM.
 */
int knowledge_put(struct knowledge *knowledge, struct node *node, const char *version);
/* 1: it is gone; 0: there was none. */
int knowledge_remove(struct knowledge *knowledge, const char *name, const char *version);
void knowledge_bookmark(struct knowledge *knowledge, const char *version);
/* The API serves a watch from our version: what we know is what it knows. True: that is news. */
bool knowledge_confirm(struct knowledge *knowledge);
/* µs since the nodes in force were saved; UINT64_MAX: they are no snapshot's. `now`: unix time, s.
 */
uint64_t knowledge_age(const struct knowledge *knowledge, uint64_t now);

/* The cluster as it is now was put into the kernel: its changes are counted from here. */
void knowledge_applied(struct knowledge *knowledge);
/* Counts the claims if need be; without memory for it they stay incomplete. */
void knowledge_count(struct knowledge *knowledge);

/* Writes the snapshot. Negative errno: the old one stands. */
int knowledge_save(struct knowledge *knowledge, const char *node_name, struct error *error);
