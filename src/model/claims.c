#include "model/claims.h"

void claims_init(struct claims *claims, uint64_t seed)
{
        *claims = (struct claims){.pods.seed = seed, .addresses.seed = seed};
}

void claims_deinit(struct claims *claims)
{
        prefix_counts_deinit(&claims->pods);
        prefix_counts_deinit(&claims->addresses);
        claims->complete = false;
}

static int put_node(struct claims *claims, const struct node *node)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < node->n_pod_prefixes; i++)
                r = prefix_counts_put(&claims->pods, &node->pod_prefixes[i]);
        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++) {
                struct prefix host = prefix_from_address(&node->addresses[i]);

                if (host.address.family != 0)
                        r = prefix_counts_put(&claims->addresses, &host);
        }
        return r;
}

static void take_node(struct claims *claims, const struct node *node)
{
        for (size_t i = 0; i < node->n_pod_prefixes; i++)
                prefix_counts_take(&claims->pods, &node->pod_prefixes[i]);
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct prefix host = prefix_from_address(&node->addresses[i]);

                if (host.address.family != 0)
                        prefix_counts_take(&claims->addresses, &host);
        }
}

int claims_count(struct claims *claims, const struct cluster *cluster)
{
        claims_deinit(claims);
        for (size_t i = 0; i < cluster->n_nodes; i++) {
                int r = put_node(claims, cluster->nodes[i]);

                if (r < 0) {
                        claims_deinit(claims);
                        return r;
                }
        }
        claims->complete = true;
        return 0;
}

void claims_change(struct claims *claims, const struct node *before, const struct node *after)
{
        if (!claims->complete)
                return;
        if (before)
                take_node(claims, before);
        if (after && put_node(claims, after) < 0)
                claims_deinit(claims);
}
