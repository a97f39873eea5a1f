#include "model/node_tally.h"

void node_tally_count(struct node_tally *tally, const struct node *node, int sign)
{
        enum node_role role;

        if (!node)
                return;
        role = node_is_control_plane(node) ? ROLE_CONTROL_PLANE : ROLE_WORKER;
        for (int i = 0; i < FAMILY_MAX; i++)
                if (node->addresses[i].family != 0)
                        tally->addresses[role][i] += (size_t)sign;
        for (size_t i = 0; i < node->n_pod_prefixes; i++)
                tally->pod_prefixes[role][family_index(node->pod_prefixes[i].address.family)] +=
                        (size_t)sign;
}
