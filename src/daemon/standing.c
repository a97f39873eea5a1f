/*
 * The partial run, and the device's return: on top of what stands.
 */
#include "daemon/standing.h"

#include <stdlib.h>

#include "kernel/fib_apply.h"
#include "policy/compute.h"
#include "policy/diff.h"
#include "policy/partial.h"

static struct policy_input policy_input(
        const struct reconcile_input *input, const struct device *device)
{
        return (struct policy_input){
                .settings = input->settings,
                .cluster = input->cluster,
                .node_name = input->node_name,
                .device = device,
                .endpoint = input->endpoint,
        };
}

/* Out of memory: the device's return then takes a little longer. */
static void keep_steering(struct standing *standing, const struct reconcile_input *input)
{
        const struct policy_input policy = policy_input(input, &standing->device);

        if (input->settings->on_tunnel_down == TUNNEL_DOWN_BLOCK)
                (void)steering_compute(&policy, &standing->steering);
}

void standing_set(struct standing *standing, const struct reconcile_input *input,
        const struct device *device, struct address *local, const struct fib *wanted,
        const struct reconcile_result *result)
{
        standing_deinit(standing);
        *standing = (struct standing){
                .valid = true,
                .device = *device,
                .local = local,
                .result = *result,
                .settings = input->settings,
                .self = result->self,
        };
        standing->result.findings = (struct text_builder){};
        standing->result.written = 0;
        standing->result.self = NULL; /* borrowed */
        standing->result.written_at = 0;
        policy_count_steered(wanted, standing->steered);
        for (size_t i = 0; standing->valid && i < wanted->n_rules; i++)
                standing->valid = fib_add_rule(&standing->rules, &wanted->rules[i]) >= 0;
        if (!device->usable)
                keep_steering(standing, input);
}

void standing_deinit(struct standing *standing)
{
        free(standing->local);
        fib_deinit(&standing->rules);
        steering_deinit(&standing->steering);
        *standing = (struct standing){};
}

/* The same in everything but the device, as far as it can be seen without looking at everything. */
static bool is_reopened(const struct standing *before, const struct policy_input *policy,
        const struct reconcile_input *input)
{
        return before->valid && !before->device.usable && policy->device->usable &&
               before->device.mark == policy->device->mark && input->unchanged &&
               input->settings == before->settings && policy_self(policy) == before->self;
}

static int reopen_steps(
        const struct policy_input *policy, const struct steering *steering, struct steps *ret)
{
        _cleanup_(fib_deinit) struct fib fib = {};
        int r = policy_compute_device_routes(policy, steering, &fib);

        for (size_t i = 0; r >= 0 && i < fib.n_routes; i++) {
                const struct step step = {.kind = STEP_REPLACE_ROUTE, .route = fib.routes[i]};

                r = steps_add(ret, &step);
        }
        return r;
}

void standing_reopen(const struct standing *before, struct netlink *nl,
        const struct reconcile_input *input, const struct device *device,
        struct reconcile_result *result)
{
        _cleanup_(steps_deinit) struct steps steps = {};
        const struct policy_input policy = policy_input(input, device);
        struct apply_result applied = {};

        if (!is_reopened(before, &policy, input) ||
                reopen_steps(&policy, &before->steering, &steps) < 0 || steps.n == 0)
                return;
        (void)kernel_fib_apply(
                nl, &steps, &applied); /* what failed is tried again, and told then */
        result->written += applied.written;
        result->written_at = reconciler_clock();
}

static void count_node(struct reconcile_result *result, const struct node *node, int sign)
{
        size_t addresses = 0;

        if (!node)
                return;
        node_tally_count(&result->steered, node, sign);
        for (int i = 0; i < FAMILY_MAX; i++)
                addresses += node->addresses[i].family != 0;
        result->pods += (size_t)sign * node->n_pod_prefixes;
        result->nodes += (size_t)sign * addresses;
        result->control_planes += (size_t)sign * node_is_control_plane(node);
}

static bool step_family(struct reconciler *reconciler, const struct layout *layout, int family,
        const struct fib *before, const struct fib *after, struct reconcile_result *result)
{
        _cleanup_(steps_deinit) struct steps steps = {};
        struct apply_result applied = {};

        if (policy_diff(layout, 1, family, before, after, &steps) < 0)
                return false;
        if (steps.n > 0 && kernel_fib_apply(reconciler->route, &steps, &applied) < 0)
                applied.failed = 1;
        if (steps.n > 0)
                result->written_at = reconciler_clock();
        result->written += applied.written;
        return applied.failed == 0 && applied.skipped == 0;
}

static bool apply(struct reconciler *reconciler, const struct reconcile_input *input,
        const struct fib *before, const struct fib *after, struct reconcile_result *ret)
{
        struct layout layout = policy_layout(input->settings);

        for (int i = 0; i < FAMILY_MAX; i++)
                if (!step_family(reconciler, &layout, family_from_index((enum family_index)i),
                            before, after, ret))
                        return false;
        return true;
}

bool reconciler_run_partial(struct reconciler *reconciler, const struct reconcile_input *input,
        const struct node_changes *changes, const struct claims *claims,
        struct reconcile_result *ret)
{
        _cleanup_(fib_deinit) struct fib before = {}, after = {};
        struct standing *standing = &reconciler->standing;
        struct policy_input policy = policy_input(input, &standing->device);
        struct reconcile_result *told = &standing->result;
        uint64_t written_at;
        size_t written;

        policy.actual = &standing->rules;
        steering_deinit(&standing->steering); /* it would not have what changes now */
        if (!standing->valid || !input->complete ||
                policy_partial(&policy, changes, claims, standing->steered, &before, &after) <= 0 ||
                !apply(reconciler, input, &before, &after, ret)) {
                standing_deinit(standing);
                return false;
        }
        for (size_t i = 0; i < changes->n; i++) {
                count_node(told, changes->items[i].before, -1);
                count_node(told, changes->items[i].after, 1);
        }
        told->routes += after.n_routes - before.n_routes;
        written = ret->written;
        written_at = ret->written_at;
        *ret = *told;
        ret->partial = true;
        ret->written = written;
        ret->written_at = written_at;
        ret->untouched = written == 0;
        return true;
}
