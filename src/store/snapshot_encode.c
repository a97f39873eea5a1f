#include "store/snapshot_json.h"

#include <string.h>

#include "store/json.h"

/*
 * Takes the value over in every case; a value of NULL is out of memory. Keys are literals, so they
 * need no copies.
 */
static int add(json_object *object, const char *key, json_object *value)
{
        if (!value)
                return -ENOMEM;
        if (json_object_object_add_ex(object, key, value,
                    JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

static int add_text(json_object *object, const char *key, const char *text)
{
        return text ? add(object, key, json_object_new_string(text)) : 0;
}

static int append_text(json_object *array, const char *text)
{
        json_object *value = json_object_new_string(text);

        if (!value)
                return -ENOMEM;
        if (json_object_array_add(array, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

/* The addresses that are there (family 0: none), as an array of texts. */
static int add_addresses(
        json_object *object, const char *key, const struct address *addresses, size_t n)
{
        json_object *array = json_object_new_array();
        char text[ADDRESS_TEXT_MAX];
        int r = add(object, key, array);

        for (size_t i = 0; i < n && r >= 0; i++)
                if (addresses[i].family != 0)
                        r = append_text(array, address_format(&addresses[i], text));
        return r;
}

static int add_prefixes(
        json_object *object, const char *key, const struct prefix *prefixes, size_t n)
{
        json_object *array = json_object_new_array();
        char text[PREFIX_TEXT_MAX];
        int r = add(object, key, array);

        for (size_t i = 0; i < n && r >= 0; i++)
                r = append_text(array, prefix_format(&prefixes[i], text));
        return r;
}

static int add_labels(json_object *object, const struct node *node)
{
        json_object *labels = json_object_new_object();
        int r = add(object, "labels", labels);

        for (size_t i = 0; i < node->n_labels && r >= 0; i++) {
                json_object *value = json_object_new_string(node->labels[i].value);

                if (!value || json_object_object_add(labels, node->labels[i].key, value) < 0) {
                        json_object_put(value);
                        r = -ENOMEM;
                }
        }
        return r;
}

static int encode_node(const struct node *node, json_object *array)
{
        json_object *object = json_object_new_object();
        int r;

        if (!object)
                return -ENOMEM;
        if (json_object_array_add(array, object) < 0) {
                json_object_put(object);
                return -ENOMEM;
        }
        r = add_text(object, "name", node->name);
        if (r >= 0)
                r = add_labels(object, node);
        if (r >= 0)
                r = add_addresses(object, "addresses", node->addresses, FAMILY_MAX);
        if (r >= 0 && node->n_other_addresses > 0)
                r = add_addresses(
                        object, "other_addresses", node->other_addresses, node->n_other_addresses);
        if (r >= 0)
                r = add_prefixes(object, "pod_prefixes", node->pod_prefixes, node->n_pod_prefixes);
        if (r >= 0)
                r = add_text(object, "public_key", node->public_key);
        return r;
}

static int encode_cluster(const struct cluster *cluster, json_object *object)
{
        json_object *array = json_object_new_array();
        int r = add(object, "nodes", array);

        if (r >= 0)
                r = add_text(object, "version", cluster->version);
        for (size_t i = 0; i < cluster->n_nodes && r >= 0; i++)
                r = encode_node(cluster->nodes[i], array);
        return r;
}

static int encode_endpoint(const struct endpoint *endpoint, json_object *object)
{
        json_object *value = json_object_new_object();
        int r = add(object, "endpoint", value);

        if (r >= 0)
                r = add(value, "port", json_object_new_int(endpoint->port));
        if (r >= 0)
                r = add_addresses(value, "addresses", endpoint->addresses, endpoint->n_addresses);
        return r;
}

static int encode(const struct snapshot *snapshot, json_object *root)
{
        int r = add_text(root, "server", snapshot->identity.server);

        if (r >= 0)
                r = add_text(root, "ca_sha256", snapshot->identity.ca_sha256);
        if (r >= 0)
                r = add_text(root, "node_name", snapshot->node_name);
        if (r >= 0)
                r = add(root, "saved_at", json_object_new_int64((int64_t)snapshot->saved_at));
        if (r >= 0 && snapshot->endpoint.port != 0)
                r = encode_endpoint(&snapshot->endpoint, root);
        if (r >= 0)
                r = encode_cluster(snapshot->cluster, root);
        return r;
}

int snapshot_encode(const struct snapshot *snapshot, char **ret, size_t *ret_size)
{
        _cleanup_(json_putp) json_object *root = json_object_new_object();
        const char *text;
        size_t size;
        char *copy;
        int r;

        if (!root)
                return -ENOMEM;
        r = encode(snapshot, root);
        if (r < 0)
                return r;
        text = json_object_to_json_string_length(
                root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
        copy = text ? strndup(text, size) : NULL;
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        *ret_size = size;
        return 0;
}
