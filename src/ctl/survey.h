/*
 * What verbs that judge the whole host read first: the configuration, the nodes as the daemon knows
 * them (its snapshot while it is away), and the host's links and addresses.
 */
#pragma once

#include "config/options.h"
#include "kernel/link.h"
#include "kernel/route_query.h"
#include "store/snapshot.h"

struct netlink;

struct survey {
        struct settings *settings;
        struct snapshot snapshot;
        struct cluster *cluster;
        char *node_name;  /* NULL: not known */
        bool from_daemon; /* the nodes are those of the daemon, not the snapshot's */
        struct netlink *nl;
        struct link link; /* the WireGuard device; ifindex 0: there is none */
        struct link sink; /* ifindex 0: there is none of ours */
        struct address *local;
        struct device device;
        /* One of our own pods of each family, and by which link it comes in; family 0: none. */
        struct address pods[FAMILY_MAX];
        uint32_t pod_links[FAMILY_MAX];
};

/*
 * Fills *ret (zeroed by the caller; deinit with survey_deinit(), also after a failure). −EINVAL:
 * the configuration was refused. −ENODATA: nothing is known of any node. Anything else: something
 * could not be read. The error has the words.
 */
int survey_read(const struct options *options, struct survey *ret, struct error *error);
void survey_deinit(struct survey *survey);

/* What the policy is asked with; borrows from the survey. */
struct policy_input survey_input(const struct survey *survey);
/* Which way the kernel's answer is. */
enum verdict_way survey_way(const struct survey *survey, const struct route_answer *answer);
