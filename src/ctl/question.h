/*
 * What `nodecryptorctl explain` is asked, and everything read to answer it.
 */
#pragma once

#include "config/options.h"
#include "ctl/network_namespace.h"
#include "kernel/link.h"
#include "kernel/route_query.h"
#include "policy/verdict.h"
#include "store/snapshot.h"

struct netlink;

struct question {
        const char *destination;
        const char *source;
        const char *protocol;
        const char *mark;
        const char *netns;
        const char *pid;
        struct options options;

        struct settings *settings;
        struct snapshot snapshot;
        struct netlink *nl;
        struct link link;
        struct link sink; /* index 0: there is none of ours */
        struct address *local;
        struct device device;
        struct flow flow;
        uint32_t iif; /* where a forwarded flow comes in */

        struct network_namespace namespace;
        bool inside;               /* the flow begins in that namespace, and not on this host */
        struct route_answer first; /* the way out of it */
        uint32_t first_mtu;        /* bytes; 0: not known */
};

/* Zeroed, but for what must not be. */
void question_init(struct question *q);
void question_deinit(struct question *q);

/*
 * Settings, snapshot, kernel, and the flow that the arguments describe. What is wrong is logged.
 * −EINVAL: the arguments; −EBADMSG: the configuration; other negative errnos: it cannot be
 * answered.
 */
int question_read(struct question *q);

/* The policy's side of it; borrowed from the question. */
struct policy_input question_input(const struct question *q);
