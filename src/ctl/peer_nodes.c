#include "ctl/peer_nodes.h"

#include <string.h>

#include "ctl/status_json.h"
#include "store/json.h"

static json_object *list_of(json_object *peer, const char *name)
{
        return json_member(peer, name, json_type_array);
}

static int add_addresses(struct node *node, json_object *list)
{
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                const char *text = json_object_get_string(json_object_array_get_idx(list, i));
                struct address address;

                if (!text || address_parse(text, &address) < 0)
                        return -EBADMSG;
                node->addresses[family_index(address.family)] = address;
        }
        return 0;
}

static int add_prefixes(struct node *node, json_object *list)
{
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                const char *text = json_object_get_string(json_object_array_get_idx(list, i));
                struct prefix prefix;

                if (!text || prefix_parse(text, &prefix) < 0)
                        return -EBADMSG;
                if (node_add_pod_prefix(node, &prefix) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static bool list_has(json_object *list, const char *text)
{
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                const char *item = json_object_get_string(json_object_array_get_idx(list, i));

                if (item && strcmp(item, text) == 0)
                        return true;
        }
        return false;
}

/* Those that ask for a value last: a key has one, which serves the others as well. */
static int add_labels(struct node *node, json_object *names, const struct settings *settings)
{
        for (int with_value = 0; with_value <= 1; with_value++)
                for (size_t i = 0; i < settings->n_exemptions; i++) {
                        const struct selector *selector = &settings->exemptions[i].selector;

                        if ((selector->value != NULL) != with_value ||
                                !list_has(names, settings->exemptions[i].name))
                                continue;
                        if (node_add_label(node, selector->key,
                                    selector->value ? selector->value : "") < 0)
                                return -ENOMEM;
                }
        return 0;
}

static int read_peer(json_object *peer, const struct settings *settings, struct node **ret)
{
        json_object *addresses = list_of(peer, "Addresses"),
                    *prefixes = list_of(peer, "PodPrefixes"),
                    *exemptions = list_of(peer, "Exemptions");
        const char *name = status_text(peer, "Name");
        _cleanup_(node_freep) struct node *node = NULL;
        int r;

        if (!*name || !addresses || !prefixes || !exemptions)
                return -EBADMSG;
        node = node_new(name);
        if (!node)
                return -ENOMEM;
        if (status_is(peer, "ControlPlane") && node_add_label(node, CONTROL_PLANE_LABEL, "") < 0)
                return -ENOMEM;
        r = add_addresses(node, addresses);
        if (r >= 0)
                r = add_prefixes(node, prefixes);
        if (r >= 0)
                r = add_labels(node, exemptions, settings);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(node);
        return 0;
}

int peer_nodes_add(json_object *peers, const struct settings *settings, struct cluster *cluster,
        struct error *error)
{
        if (!json_object_is_type(peers, json_type_array))
                return error_set(error, -EBADMSG, "the daemon's peers are no list");
        for (size_t i = 0; i < json_object_array_length(peers); i++) {
                json_object *peer = json_object_array_get_idx(peers, i);
                struct node *node;
                int r = json_object_is_type(peer, json_type_object)
                                ? read_peer(peer, settings, &node)
                                : -EBADMSG;

                if (r >= 0)
                        r = cluster_put(cluster, node);
                if (r == -ENOMEM)
                        return error_set(error, r, "out of memory");
                if (r < 0)
                        return error_set(
                                error, r, "the daemon's peer number %zu cannot be read", i);
        }
        return 0;
}
