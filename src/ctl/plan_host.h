/*
 * The host that `nodecryptorctl plan` plans for, and where the policy comes from: the running
 * daemon, a list of nodes, the snapshot, or a plan that was printed before.
 */
#pragma once

#include "config/options.h"
#include "ctl/plan_lines.h"
#include "policy/input.h"

/* What the arguments say; what they leave open is taken from the daemon when it is asked. */
struct plan_host {
        struct options options;
        struct endpoint endpoint;
        uint32_t mark;       /* 0: open */
        bool without_device; /* else open, and up when nobody knows */
        bool loose;          /* else open, and not when nobody knows */
        bool this_host;      /* the daemon was asked: what is planned then is for its host */
};

void plan_host_init(struct plan_host *host);
void plan_host_deinit(struct plan_host *host);
/* The --api-endpoint argument; it may come again. −EINVAL, logged. */
int plan_host_add_endpoint(struct plan_host *host, const char *text);

/*
 * Fills *ret with the commands. `source`: "daemon"; "snapshot"; or a file: nodes when it begins
 * with a brace ("-": the standard input, which is nodes), else commands. From the daemon, *host
 * learns what it leaves open, so that what is planned after it is for the same host. What is wrong
 * is logged. −EINVAL: the arguments; −EBADMSG: the configuration; −ESRCH: the daemon cannot be
 * asked; other negative errnos.
 */
int plan_host_read(struct plan_host *host, const char *source, struct plan_lines *ret);
