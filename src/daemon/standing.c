/*
 * The partial run: on top of what stands.
 */
#include "daemon/standing.h"

#include <stdlib.h>

#include "kernel/fib_apply.h"
#include "policy/diff.h"
#include "policy/partial.h"

void standing_set(struct standing *standing, const struct device *device, struct address *local,
        const struct fib *wanted, const struct reconcile_result *result)
{
        standing_deinit(standing);
        *standing = (struct standing){
                .valid = true,
                .device = *device,
                .local = local,
                .result = *result,
        };
        standing->result.findings = (struct text_builder){};
        standing->result.written = 0;
        standing->result.self = NULL; /* borrowed */
        standing->result.written_at = 0;
        policy_count_steered(wanted, standing->steered);
        for (size_t i = 0; standing->valid && i < wanted->n_rules; i++)
                standing->valid = fib_add_rule(&standing->rules, &wanted->rules[i]) >= 0;
}

void standing_deinit(struct standing *standing)
{
        free(standing->local);
        fib_deinit(&standing->rules);
        *standing = (struct standing){};
}

static void count_node(struct reconcile_result *result, const struct node *node, int sign)
{
        size_t addresses = 0;

        if (!node)
                return;
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
        const struct policy_input policy = {
                .settings = input->settings,
                .cluster = input->cluster,
                .node_name = input->node_name,
                .device = &standing->device,
                .endpoint = input->endpoint,
                .actual = &standing->rules,
        };
        struct reconcile_result *told = &standing->result;
        uint64_t written_at;
        size_t written;

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
