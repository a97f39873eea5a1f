#include "kube/node_copy.h"

#include <string.h>

#include "basics/text.h"

struct node *node_copy(const struct node *node)
{
        _cleanup_(node_freep) struct node *copy = node_new(node->name);

        if (!copy)
                return NULL;
        memcpy(copy->addresses, node->addresses, sizeof(copy->addresses));
        for (size_t i = 0; i < node->n_labels; i++)
                if (node_add_label(copy, node->labels[i].key, node->labels[i].value) < 0)
                        return NULL;
        for (size_t i = 0; i < node->n_other_addresses; i++)
                if (node_add_other_address(copy, &node->other_addresses[i]) < 0)
                        return NULL;
        for (size_t i = 0; i < node->n_pod_prefixes; i++)
                if (node_add_pod_prefix(copy, &node->pod_prefixes[i]) < 0)
                        return NULL;
        if (text_replace(&copy->public_key, node->public_key) < 0)
                return NULL;
        return TAKE_PTR(copy);
}

struct cluster *cluster_copy(const struct cluster *cluster)
{
        _cleanup_(cluster_freep) struct cluster *copy = cluster_new();

        if (!copy || (cluster->version && cluster_set_version(copy, cluster->version) < 0))
                return NULL;
        for (size_t i = 0; i < cluster->n_nodes; i++) {
                struct node *node = node_copy(cluster->nodes[i]);

                if (!node || cluster_put(copy, node) < 0)
                        return NULL;
        }
        return TAKE_PTR(copy);
}
