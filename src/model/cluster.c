#include "model/cluster.h"

#include <string.h>

#include "basics/array.h"
#include "basics/text.h"

struct cluster *cluster_new(void)
{
        return calloc(1, sizeof(struct cluster));
}

struct cluster *cluster_free(struct cluster *cluster)
{
        if (!cluster)
                return NULL;
        for (size_t i = 0; i < cluster->n_nodes; i++)
                node_free(cluster->nodes[i]);
        free(cluster->nodes);
        free(cluster->version);
        free(cluster);
        return NULL;
}

/* The index of the name, or of where it belongs. */
static size_t position(const struct cluster *cluster, const char *name, bool *ret_found)
{
        size_t low = 0, high = cluster->n_nodes;

        /* A list comes sorted: the end is the likely place. */
        if (high > 0 && strcmp(cluster->nodes[high - 1]->name, name) < 0)
                low = high;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(cluster->nodes[middle]->name, name);

                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret_found = false;
        return low;
}

struct node *cluster_find(const struct cluster *cluster, const char *name)
{
        bool found;
        size_t i = position(cluster, name, &found);

        return found ? cluster->nodes[i] : NULL;
}

int cluster_put(struct cluster *cluster, struct node *node)
{
        bool found;
        size_t i = position(cluster, node->name, &found);

        if (found) {
                bool same = node_equal(cluster->nodes[i], node);

                node_free(cluster->nodes[i]);
                cluster->nodes[i] = node;
                return same ? 0 : 1;
        }
        if (!ARRAY_RESERVE(cluster->nodes, cluster->allocated, cluster->n_nodes + 1)) {
                node_free(node);
                return -ENOMEM;
        }
        memmove(&cluster->nodes[i + 1], &cluster->nodes[i],
                (cluster->n_nodes - i) * sizeof(cluster->nodes[0]));
        cluster->nodes[i] = node;
        cluster->n_nodes++;
        return 1;
}

int cluster_remove(struct cluster *cluster, const char *name)
{
        bool found;
        size_t i = position(cluster, name, &found);

        if (!found)
                return 0;
        node_free(cluster->nodes[i]);
        cluster->n_nodes--;
        memmove(&cluster->nodes[i], &cluster->nodes[i + 1],
                (cluster->n_nodes - i) * sizeof(cluster->nodes[0]));
        return 1;
}

int cluster_set_version(struct cluster *cluster, const char *version)
{
        return text_replace(&cluster->version, version);
}

bool cluster_equal(const struct cluster *a, const struct cluster *b)
{
        if (a->n_nodes != b->n_nodes)
                return false;
        for (size_t i = 0; i < a->n_nodes; i++)
                if (!node_equal(a->nodes[i], b->nodes[i]))
                        return false;
        return true;
}

struct cluster *cluster_copy(const struct cluster *cluster)
{
        _cleanup_(cluster_freep) struct cluster *copy = cluster_new();

        if (!copy || (cluster->version && cluster_set_version(copy, cluster->version) < 0))
                return NULL;
        for (size_t i = 0; i < cluster->n_nodes; i++)
                if (cluster_put(copy, node_ref(cluster->nodes[i])) < 0)
                        return NULL;
        return TAKE_PTR(copy);
}
