/*
 * Another network namespace, a pod's say, for questions that are asked inside.
 */
#pragma once

#include <stdbool.h>

#include "basics/error.h"

struct network_namespace {
        int theirs; /* both −1 while it is not open */
        int ours;
};

#define NETWORK_NAMESPACE_NONE           \
        {                                \
                .theirs = -1, .ours = -1 \
        }

/*
 * `name` is a path, or a name in /run/netns as ip-netns(8) has them; NULL: that of the process
 * `pid`, a number. Needs CAP_SYS_ADMIN to be entered. Negative errno with words.
 */
int network_namespace_open(
        const char *name, const char *pid, struct network_namespace *ret, struct error *error);
void network_namespace_close(struct network_namespace *namespace);

/* True when it is the one that we are in. */
bool network_namespace_is_ours(const struct network_namespace *namespace);
/* Moves this program into it, or back. */
int network_namespace_enter(const struct network_namespace *namespace, struct error *error);
int network_namespace_leave(const struct network_namespace *namespace, struct error *error);
