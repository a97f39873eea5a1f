/*
 * The whole set, gathered apart object by object, and put in the place of what is known only when
 * it is complete and can be believed.
 */
#include <stdio.h>
#include <string.h>

#include "basics/text.h"
#include "kube/cilium_node.h"
#include "kube/reflector_internal.h"

/* An object that is known in an older version keeps it. */
static int keep_older(struct reflector *reflector, const char *name)
{
        struct node *older = cluster_find(reflector->known, name);
        int r;

        if (!older || cluster_find(reflector->gathered, name))
                return 0;
        r = cluster_put(reflector->gathered, node_ref(older));
        return r < 0 ? r : 0;
}

int reflector_gather_begin(struct reflector *reflector)
{
        if (!reflector->gathered)
                reflector->gathered = cluster_new();
        return reflector->gathered ? 0 : -ENOMEM;
}

void reflector_gather_reset(struct reflector *reflector)
{
        reflector->gathered = cluster_free(reflector->gathered);
        reflector->nameless = 0;
}

int reflector_gather(
        struct reflector *reflector, struct json_object *object, const struct error *problem)
{
        const char *name = cilium_node_name(object);
        struct error error = {};
        struct node *node = NULL;
        int r;

        if (problem)
                error = *problem;
        r = problem ? problem->code : cilium_node_decode(object, &node, &error);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                reflector_bad_object(reflector, name, &error);
                if (name)
                        return keep_older(reflector, name);
                reflector->nameless++;
                return 0;
        }
        if (reflector->gathered->n_nodes >= CLUSTER_NODES_MAX) {
                node_free(node);
                return -EFBIG;
        }
        r = cluster_put(reflector->gathered, node);
        return r < 0 ? r : 0;
}

const char *reflector_own_name(const struct reflector *reflector)
{
        if (reflector->node_name)
                return reflector->node_name;
        return reflector->credential ? reflector->credential->node_name : NULL;
}

/* Every node gone at once, or we ourselves, is a broken server's answer, not a fact to act on. */
static int doubt(const struct reflector *reflector, struct error *error)
{
        const char *name = reflector_own_name(reflector);
        size_t n_known = reflector->known->n_nodes;

        if (reflector->on_doubtful_list == DOUBTFUL_LIST_BELIEVE || n_known == 0)
                return 0;
        if (reflector->gathered->n_nodes == 0)
                return error_set(error, -ENODATA,
                        "the API server listed no nodes at all: not believed, the %zu known ones "
                        "stay (see on_doubtful_list)",
                        n_known);
        if (name && cluster_find(reflector->known, name) &&
                !cluster_find(reflector->gathered, name))
                return error_set(error, -ENODATA,
                        "the API server listed %zu nodes without our own, %s: not believed, the "
                        "%zu known ones stay (see on_doubtful_list)",
                        reflector->gathered->n_nodes, name, n_known);
        return 0;
}

int reflector_take_set(struct reflector *reflector, struct error *error)
{
        _cleanup_(cluster_freep) struct cluster *known = NULL;
        int r;

        /* Any of those we miss may be one that could not be named. */
        for (size_t i = 0; reflector->nameless > 0 && i < reflector->known->n_nodes; i++) {
                r = keep_older(reflector, reflector->known->nodes[i]->name);
                if (r < 0)
                        return error_set(error, r, "out of memory");
        }
        r = doubt(reflector, error);
        if (r < 0) {
                /* Not from the server's cache again. */
                reflector->from = LIST_LATEST;
                return r;
        }
        known = cluster_copy(reflector->gathered);
        if (!known || text_replace(&reflector->version, reflector->gathered->version) < 0)
                return error_set(error, -ENOMEM, "out of memory");
        cluster_free(reflector->known);
        reflector->known = TAKE_PTR(known);
        reflector->from = LIST_KNOWN;
        reflector->unpaged = false;
        reflector->list_failures = 0;
        reflector->silent_watches = 0;
        reflector->status.lists++;
        reflector_contact(reflector, true);
        reflector->handlers.replaced(reflector->handlers.userdata, TAKE_PTR(reflector->gathered));
        return 0;
}
