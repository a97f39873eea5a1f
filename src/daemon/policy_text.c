#include "daemon/policy_text.h"

#include "kernel/policy_commands.h"

int policy_text(const struct reconciler *reconciler, const struct reconcile_input *input,
        struct text_builder *builder, struct error *error)
{
        struct device device = reconciler->device;
        const struct policy_input of_policy = {
                .settings = input->settings,
                .cluster = input->cluster,
                .node_name = input->node_name,
                .device = &device,
                .endpoint = input->endpoint,
        };
        _cleanup_free_ struct address *local = NULL;
        int r = addresses_read(reconciler->route, &local, &device.n_local, error);

        if (r < 0)
                return r;
        device.local = local;
        r = policy_commands(&of_policy, builder);
        return r < 0 ? error_set(error, r, "out of memory") : 0;
}
