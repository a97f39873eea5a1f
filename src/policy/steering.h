/*
 * What is steered, as sets of prefixes: the step between the cluster and the tables.
 */
#pragma once

#include "policy/input.h"
#include "policy/prefixes.h"

struct steering {
        struct prefixes pods;  /* P(R) of the other nodes: sent into the device */
        struct prefixes nodes; /* A(R) of the other nodes, as host prefixes: sent into the device */
        struct prefixes local; /* our own pods, and `exclude`: taken out of what covers them */
        struct prefixes guard; /* `protect`, and our own A(L): never in plaintext */
};

/* Fills *ret (zeroed by the caller). −ENOMEM. */
int steering_compute(const struct policy_input *input, struct steering *ret);
/*
 * Parts of it, appended unsorted, for a steering of some nodes only: what one other node adds to
 * `pods` and `nodes`, and the whole `guard`. −ENOMEM.
 */
int steering_add_node(struct steering *steering, const struct policy_input *input,
        const struct node *self, const struct node *node);
int steering_add_guard(
        struct steering *steering, const struct policy_input *input, const struct node *self);
void steering_deinit(struct steering *steering);
/*
 * True when the A(R) of another node is steered: it is not ours, and not excluded. Of the input
 * only the settings count; `self` may be NULL.
 */
bool steering_takes_address(
        const struct policy_input *input, const struct node *self, const struct address *address);
/* True when anything is steered or protected in that family. */
bool steering_has_family(const struct steering *steering, int family);
