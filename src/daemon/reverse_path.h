/*
 * What rp_filter (kernel/rp_filter.h) means for the policy: with 2 (loose) the sink link is needed
 * (kernel/sink_link.h), with 1 (strict) on a link that leads to other nodes nothing works, and the
 * operator is told the remedy.
 */
#pragma once

#include "basics/error.h"
#include "kernel/rp_filter.h"

struct netlink;
struct policy_input;
struct reconcile_input;
struct reconcile_result;

struct reverse_path {
        struct rp_filter seen; /* as it was read last */
        uint32_t except[3];    /* the links that did not count then */
};

void reverse_path_deinit(struct reverse_path *path);

/*
 * Reads rp_filter, and makes the sink link where it is needed; when observing nothing is made, and
 * an index that no link has stands for it. Returns the link's index, 0: no sink. What stands in the
 * way is told in the findings of *result; result->link must have been read.
 */
uint32_t reverse_path_prepare(struct reverse_path *path, struct netlink *nl,
        const struct reconcile_input *input, struct reconcile_result *result);

/* Looks for links towards other nodes where 1 is in effect: result->problem, and the findings. */
void reverse_path_judge(const struct reverse_path *path, struct netlink *nl,
        const struct policy_input *input, struct reconcile_result *result);

/* Removes a sink link of ours, for when no route leads there any more. Negative errno. */
int reverse_path_clean(struct netlink *nl, struct reconcile_result *result);

/* True when rp_filter is not what was read last, as far as it matters. */
bool reverse_path_changed(const struct reverse_path *path, struct netlink *nl);
