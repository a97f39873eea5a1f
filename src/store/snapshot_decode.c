#include "store/snapshot_json.h"

#include <string.h>

#include "basics/text.h"
#include "store/json.h"

/* More than a real cluster has, little enough to be handled. */
#define LABELS_MAX    1024 /* of a node */
#define ADDRESSES_MAX 1024 /* of a node, of the endpoint */
#define PREFIXES_MAX  4096 /* of a node */

#define SERVER_MAX  2048
#define LABEL_MAX   512
#define KEY_MAX     64 /* a WireGuard key is 44 characters of base64 */
#define VERSION_MAX 128

static int bad(struct error *error, const char *what)
{
        return error_set(error, -EBADMSG, "'%s' is missing or not acceptable", what);
}

/* An optional text into *target (NULL when absent). */
static int copy_text(
        json_object *object, const char *key, size_t maximum, char **target, struct error *error)
{
        const char *text;

        if (!json_optional_text(object, key, maximum, &text))
                return bad(error, key);
        return text_replace(target, text) < 0 ? error_set(error, -ENOMEM, "out of memory") : 0;
}

/* The array of that name; an absent one is an empty one, *ret is NULL then. */
static int find_array(json_object *object, const char *key, size_t maximum, json_object **ret,
        size_t *ret_n, struct error *error)
{
        json_object *array = NULL;

        *ret = NULL;
        *ret_n = 0;
        if (!json_object_object_get_ex(object, key, &array))
                return 0;
        if (!json_object_is_type(array, json_type_array) ||
                json_object_array_length(array) > maximum)
                return bad(error, key);
        *ret = array;
        *ret_n = json_object_array_length(array);
        return 0;
}

/* The element as an address; false: it is none. */
static bool read_address(json_object *array, size_t i, struct address *ret)
{
        const char *text = json_text(json_object_array_get_idx(array, i), ADDRESS_TEXT_MAX);

        return text && address_parse(text, ret) >= 0;
}

/* A(R): at most one of each family. */
static int read_addresses(json_object *object, struct node *node, struct error *error)
{
        json_object *array;
        size_t n;
        int r = find_array(object, "addresses", FAMILY_MAX, &array, &n, error);

        for (size_t i = 0; i < n && r >= 0; i++) {
                struct address address;
                int index;

                if (!read_address(array, i, &address) || address_is_special(&address))
                        return bad(error, "addresses");
                index = family_index(address.family);
                if (node->addresses[index].family != 0)
                        return bad(error, "addresses");
                node->addresses[index] = address;
        }
        return r;
}

static int read_other_addresses(json_object *object, struct node *node, struct error *error)
{
        json_object *array;
        size_t n;
        int r = find_array(object, "other_addresses", ADDRESSES_MAX, &array, &n, error);

        for (size_t i = 0; i < n && r >= 0; i++) {
                struct address address;

                if (!read_address(array, i, &address) || address_is_special(&address))
                        return bad(error, "other_addresses");
                r = node_add_other_address(node, &address);
        }
        return r;
}

static int read_pod_prefixes(json_object *object, struct node *node, struct error *error)
{
        json_object *array;
        size_t n;
        int r = find_array(object, "pod_prefixes", PREFIXES_MAX, &array, &n, error);

        for (size_t i = 0; i < n && r >= 0; i++) {
                const char *text = json_text(json_object_array_get_idx(array, i), PREFIX_TEXT_MAX);
                struct prefix prefix;

                if (!text || prefix_parse(text, &prefix) < 0 || prefix.length == 0 ||
                        prefix_overlaps_special(&prefix))
                        return bad(error, "pod_prefixes");
                r = node_add_pod_prefix(node, &prefix);
        }
        return r;
}

static int read_labels(json_object *object, struct node *node, struct error *error)
{
        json_object *labels = NULL;

        if (!json_object_object_get_ex(object, "labels", &labels))
                return 0;
        if (!json_object_is_type(labels, json_type_object) ||
                json_object_object_length(labels) > LABELS_MAX)
                return bad(error, "labels");
        json_object_object_foreach(labels, key, value)
        {
                const char *text = json_text(value, LABEL_MAX);
                int r;

                if (!*key || strlen(key) > LABEL_MAX || !text)
                        return bad(error, "labels");
                r = node_add_label(node, key, text);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_node(json_object *object, struct cluster *cluster, struct error *error)
{
        const char *name = json_text(json_member(object, "name", json_type_string), 253);
        _cleanup_(node_freep) struct node *node = NULL;
        int r;

        if (!name || !text_is_object_name(name) || cluster_find(cluster, name))
                return bad(error, "name");
        node = node_new(name);
        if (!node)
                return -ENOMEM;
        r = read_labels(object, node, error);
        if (r >= 0)
                r = read_addresses(object, node, error);
        if (r >= 0)
                r = read_other_addresses(object, node, error);
        if (r >= 0)
                r = read_pod_prefixes(object, node, error);
        if (r >= 0)
                r = copy_text(object, "public_key", KEY_MAX, &node->public_key, error);
        if (r == -EBADMSG)
                error_prefix(error, "node %s", name);
        if (r < 0)
                return r;
        return cluster_put(cluster, TAKE_PTR(node));
}

static int read_cluster(json_object *root, struct snapshot *snapshot, struct error *error)
{
        json_object *array = json_member(root, "nodes", json_type_array);
        int r;

        if (!array || json_object_array_length(array) > CLUSTER_NODES_MAX)
                return bad(error, "nodes");
        snapshot->cluster = cluster_new();
        if (!snapshot->cluster)
                return -ENOMEM;
        r = copy_text(root, "version", VERSION_MAX, &snapshot->cluster->version, error);
        for (size_t i = 0; i < json_object_array_length(array) && r >= 0; i++)
                r = read_node(json_object_array_get_idx(array, i), snapshot->cluster, error);
        return r < 0 ? r : 0;
}

static int read_endpoint(json_object *root, struct endpoint *endpoint, struct error *error)
{
        json_object *object = NULL, *array;
        int64_t port;
        size_t n;
        int r;

        if (!json_object_object_get_ex(root, "endpoint", &object))
                return 0;
        if (!json_number(object, "port", 1, UINT16_MAX, &port))
                return bad(error, "endpoint");
        r = find_array(object, "addresses", ADDRESSES_MAX, &array, &n, error);
        if (r < 0)
                return r;
        endpoint->port = (uint16_t)port;
        for (size_t i = 0; i < n; i++) {
                struct address address;

                if (!read_address(array, i, &address))
                        return bad(error, "endpoint");
                r = endpoint_add_address(endpoint, &address);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_sha256(const char *text)
{
        return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static int decode(json_object *root, struct snapshot *snapshot, struct error *error)
{
        struct identity *identity = &snapshot->identity;
        int64_t saved_at;
        int r;

        if (!json_number(root, "saved_at", 0, INT64_MAX, &saved_at))
                return bad(error, "saved_at");
        snapshot->saved_at = (uint64_t)saved_at;
        r = copy_text(root, "server", SERVER_MAX, &identity->server, error);
        if (r >= 0)
                r = copy_text(root, "ca_sha256", 64, &identity->ca_sha256, error);
        if (r >= 0 && identity->ca_sha256 && !is_sha256(identity->ca_sha256))
                return bad(error, "ca_sha256");
        if (r >= 0)
                r = copy_text(root, "node_name", 253, &snapshot->node_name, error);
        if (r >= 0 && snapshot->node_name && !text_is_object_name(snapshot->node_name))
                return bad(error, "node_name");
        if (r >= 0)
                r = read_endpoint(root, &snapshot->endpoint, error);
        if (r >= 0)
                r = read_cluster(root, snapshot, error);
        return r;
}

int snapshot_decode(const char *text, size_t size, struct snapshot *ret, struct error *error)
{
        _cleanup_(snapshot_deinit) struct snapshot snapshot = {};
        _cleanup_(json_putp) json_object *root = json_parse(text, size);
        int r;

        if (!root || !json_object_is_type(root, json_type_object))
                return error_set(error, -EBADMSG, "not a JSON object");
        r = decode(root, &snapshot, error);
        if (r == -ENOMEM)
                return error_set(error, r, "out of memory");
        if (r < 0)
                return r;
        *ret = snapshot;
        snapshot = (struct snapshot){};
        return 0;
}
