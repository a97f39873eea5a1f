#include "kube/cilium_node.h"

#include <ctype.h>
#include <string.h>
#include <sys/socket.h>

#include "basics/array.h"
#include "basics/text.h"
#include "kube/blob.h"

#define KEY_ANNOTATION     "network.cilium.io/wg-pub-key"
#define KEY_ANNOTATION_OLD "io.cilium.network.wg-pub-key"
#define WIREGUARD_KEY_SIZE 32

/* Kubernetes' own limits: prefix of 253 "/" name of 63; values of 63. */
#define LABEL_KEY_MAX   317
#define LABEL_VALUE_MAX 63
#define VERSION_MAX     128
#define TEXT_MAX        256

static struct json_object *member(struct json_object *object, const char *key)
{
        struct json_object *value = NULL;

        if (object && json_object_is_type(object, json_type_object))
                json_object_object_get_ex(object, key, &value);
        return value;
}

const char *cilium_node_name(struct json_object *object)
{
        struct json_object *name = member(member(object, "metadata"), "name");
        const char *text;

        if (!name || !json_object_is_type(name, json_type_string))
                return NULL;
        text = kube_json_text(name);
        return text && text_is_object_name(text) ? text : NULL;
}

const char *cilium_node_version(struct json_object *object)
{
        struct json_object *version = member(member(object, "metadata"), "resourceVersion");
        const char *text;

        if (!version || !json_object_is_type(version, json_type_string))
                return NULL;
        text = kube_json_text(version);
        if (!text || !*text || strlen(text) > VERSION_MAX)
                return NULL;
        return text;
}

static int check_kind(struct json_object *object, struct error *error)
{
        const char *kind, *version;
        int r;

        r = kube_json_get_text(object, "kind", TEXT_MAX, &kind, error);
        if (r >= 0)
                r = kube_json_get_text(object, "apiVersion", TEXT_MAX, &version, error);
        if (r < 0)
                return r;
        if (kind && strcmp(kind, "CiliumNode") != 0)
                return error_set(error, -EINVAL, "kind: not CiliumNode");
        if (version && strncmp(version, "cilium.io/", strlen("cilium.io/")) != 0)
                return error_set(error, -EINVAL, "apiVersion: not cilium.io");
        return 0;
}

/* The syntax of labels, loosely: what could do harm where a label is shown is not in it. */
static bool is_label_text(const char *text, const char *further)
{
        for (; *text; text++)
                if (!isalnum((unsigned char)*text) && !strchr(further, *text))
                        return false;
        return true;
}

static int decode_labels(struct json_object *metadata, struct node *node, struct error *error)
{
        struct json_object *labels;
        int r;

        r = kube_json_get(metadata, "labels", json_type_object, &labels, error);
        if (r < 0 || !labels)
                return r;
        if (json_object_object_length(labels) > CILIUM_NODE_LABELS_MAX)
                return error_set(error, -EINVAL, "labels: more than %d", CILIUM_NODE_LABELS_MAX);
        json_object_object_foreach(labels, key, value)
        {
                const char *text = value && json_object_is_type(value, json_type_string)
                                           ? kube_json_text(value)
                                           : NULL;

                if (!*key || strlen(key) > LABEL_KEY_MAX || !is_label_text(key, "-_./"))
                        return error_set(error, -EINVAL, "labels: a key that is none");
                if (!text || strlen(text) > LABEL_VALUE_MAX || !is_label_text(text, "-_."))
                        return error_set(error, -EINVAL, "labels: %s: a value that is none", key);
                r = node_add_label(node, key, text);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The annotated key in base64; whatever is no key is as good as none. */
static int decode_public_key(struct json_object *metadata, struct node *node)
{
        struct json_object *annotations = member(metadata, "annotations");
        _cleanup_(blob_deinit) struct blob key = {};
        const char *text = NULL;
        int r;

        (void)kube_json_get_text(annotations, KEY_ANNOTATION, TEXT_MAX, &text, NULL);
        if (!text)
                (void)kube_json_get_text(annotations, KEY_ANNOTATION_OLD, TEXT_MAX, &text, NULL);
        if (!text)
                return 0;
        r = blob_from_base64(text, strlen(text), &key);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || key.size != WIREGUARD_KEY_SIZE)
                return 0;
        return text_replace(&node->public_key, text);
}

struct candidates {
        struct address internal[CILIUM_NODE_ADDRESSES_MAX];
        struct address external[CILIUM_NODE_ADDRESSES_MAX];
        size_t n_internal, n_external;
};

/* One entry of spec.addresses; other types than the two are not read further. */
static int decode_address(struct json_object *entry, struct candidates *into, struct error *error)
{
        char text[ADDRESS_TEXT_MAX];
        const char *type, *ip;
        struct address address;
        int r;

        if (!entry || !json_object_is_type(entry, json_type_object))
                return error_set(error, -EINVAL, "not an object");
        r = kube_json_get_text(entry, "type", TEXT_MAX, &type, error);
        if (r < 0)
                return r;
        if (!type || (strcmp(type, "InternalIP") != 0 && strcmp(type, "ExternalIP") != 0))
                return 0;
        r = kube_json_get_text(entry, "ip", TEXT_MAX, &ip, error);
        if (r < 0)
                return r;
        if (!ip || address_parse(ip, &address) < 0)
                return error_set(error, -EINVAL, "ip: not an address");
        if (address_is_special(&address))
                return error_set(error, -EINVAL, "ip: %s is no node's address",
                        address_format(&address, text));
        if (strcmp(type, "InternalIP") == 0)
                into->internal[into->n_internal++] = address;
        else
                into->external[into->n_external++] = address;
        return 0;
}

/* The first of each family becomes A(R); the others are remembered as such. */
static int take_addresses(struct node *node, const struct address *addresses, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                struct address *chosen = &node->addresses[family_index(addresses[i].family)];
                int r;

                if (chosen->family == 0) {
                        *chosen = addresses[i];
                        continue;
                }
                if (node_has_address(node, &addresses[i]))
                        continue;
                r = node_add_other_address(node, &addresses[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int decode_addresses(struct json_object *spec, struct node *node, struct error *error)
{
        _cleanup_free_ struct candidates *found = NULL;
        struct json_object *addresses;
        int r;

        r = kube_json_get(spec, "addresses", json_type_array, &addresses, error);
        if (r < 0 || !addresses)
                return r;
        if (json_object_array_length(addresses) > CILIUM_NODE_ADDRESSES_MAX)
                return error_set(
                        error, -EINVAL, "addresses: more than %d", CILIUM_NODE_ADDRESSES_MAX);
        found = calloc(1, sizeof(*found));
        if (!found)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(addresses); i++) {
                r = decode_address(json_object_array_get_idx(addresses, i), found, error);
                if (r < 0)
                        return error_prefix(error, "addresses[%zu]", i);
        }
        r = take_addresses(node, found->internal, found->n_internal);
        return r < 0 ? r : take_addresses(node, found->external, found->n_external);
}

static int check_pod_prefix(const char *text, struct prefix *ret, struct error *error)
{
        struct prefix prefix;
        unsigned minimum;
        int r;

        r = prefix_parse(text, &prefix);
        if (r == -EADDRNOTAVAIL)
                return error_set(error, -EINVAL, "host bits are set");
        if (r < 0)
                return error_set(error, -EINVAL, "not a prefix");
        minimum = prefix.address.family == AF_INET ? CILIUM_NODE_PREFIX_MIN_INET
                                                   : CILIUM_NODE_PREFIX_MIN_INET6;
        if (prefix.length < minimum)
                return error_set(error, -EINVAL, "shorter than /%u", minimum);
        if (address_is_special(&prefix.address))
                return error_set(error, -EINVAL, "no prefix that pods can have");
        *ret = prefix;
        return 0;
}

static int add_pod_prefix(struct node *node, const char *text, struct error *error)
{
        struct prefix prefix;
        int r;

        r = check_pod_prefix(text, &prefix, error);
        if (r < 0)
                return r;
        if (node->n_pod_prefixes >= CILIUM_NODE_PREFIXES_MAX)
                return error_set(error, -EINVAL, "more than %d", CILIUM_NODE_PREFIXES_MAX);
        return node_add_pod_prefix(node, &prefix);
}

/* An array of prefixes under `key`. */
static int decode_prefixes(
        struct json_object *object, const char *key, struct node *node, struct error *error)
{
        struct json_object *prefixes;
        int r;

        r = kube_json_get(object, key, json_type_array, &prefixes, error);
        if (r < 0 || !prefixes)
                return r;
        if (json_object_array_length(prefixes) > CILIUM_NODE_PREFIXES_MAX)
                return error_set(error, -EINVAL, "%s: more than %d", key, CILIUM_NODE_PREFIXES_MAX);
        for (size_t i = 0; i < json_object_array_length(prefixes); i++) {
                struct json_object *entry = json_object_array_get_idx(prefixes, i);
                const char *text = entry && json_object_is_type(entry, json_type_string)
                                           ? kube_json_text(entry)
                                           : NULL;

                r = text ? add_pod_prefix(node, text, error)
                         : error_set(error, -EINVAL, "not a text");
                if (r < 0)
                        return r == -EINVAL ? error_prefix(error, "%s[%zu]", key, i) : r;
        }
        return 0;
}

/* Multi-pool IPAM: spec.ipam.pools.allocated[].cidrs. */
static int decode_pools(struct json_object *ipam, struct node *node, struct error *error)
{
        struct json_object *pools, *allocated;
        int r;

        r = kube_json_get(ipam, "pools", json_type_object, &pools, error);
        if (r >= 0)
                r = kube_json_get(pools, "allocated", json_type_array, &allocated, error);
        if (r < 0)
                return error_prefix(error, "pools");
        if (!allocated)
                return 0;
        if (json_object_array_length(allocated) > CILIUM_NODE_PREFIXES_MAX)
                return error_set(
                        error, -EINVAL, "pools.allocated: more than %d", CILIUM_NODE_PREFIXES_MAX);
        for (size_t i = 0; i < json_object_array_length(allocated); i++) {
                struct json_object *pool = json_object_array_get_idx(allocated, i);

                if (!pool || !json_object_is_type(pool, json_type_object))
                        return error_set(error, -EINVAL, "pools.allocated[%zu]: not an object", i);
                r = decode_prefixes(pool, "cidrs", node, error);
                if (r < 0)
                        return r == -EINVAL ? error_prefix(error, "pools.allocated[%zu]", i) : r;
        }
        return 0;
}

/* ENI and the like: the pods' addresses are the keys of spec.ipam.pool. */
static int decode_pool_keys(struct json_object *ipam, struct node *node, struct error *error)
{
        struct json_object *pool;
        int r;

        r = kube_json_get(ipam, "pool", json_type_object, &pool, error);
        if (r < 0 || !pool)
                return r;
        if (json_object_object_length(pool) > CILIUM_NODE_PREFIXES_MAX)
                return error_set(error, -EINVAL, "pool: more than %d", CILIUM_NODE_PREFIXES_MAX);
        json_object_object_foreach(pool, key, value)
        {
                (void)value;
                r = add_pod_prefix(node, key, error);
                if (r < 0)
                        return r == -EINVAL ? error_prefix(error, "pool: a key") : r;
        }
        return 0;
}

static int decode_spec(struct json_object *object, struct node *node, struct error *error)
{
        struct json_object *spec, *ipam;
        int r;

        r = kube_json_get(object, "spec", json_type_object, &spec, error);
        if (r < 0)
                return r;
        r = decode_addresses(spec, node, error);
        if (r < 0)
                return r == -EINVAL ? error_prefix(error, "spec") : r;
        r = kube_json_get(spec, "ipam", json_type_object, &ipam, error);
        if (r >= 0)
                r = decode_prefixes(ipam, "podCIDRs", node, error);
        if (r >= 0)
                r = decode_pools(ipam, node, error);
        if (r >= 0)
                r = decode_pool_keys(ipam, node, error);
        return r == -EINVAL ? error_prefix(error, "spec.ipam") : r;
}

static int decode(struct json_object *object, struct node *node, struct error *error)
{
        struct json_object *metadata;
        int r;

        r = check_kind(object, error);
        if (r < 0)
                return r;
        r = kube_json_get(object, "metadata", json_type_object, &metadata, error);
        if (r < 0)
                return r;
        r = decode_labels(metadata, node, error);
        if (r >= 0)
                r = decode_public_key(metadata, node);
        if (r < 0)
                return r == -EINVAL ? error_prefix(error, "metadata") : r;
        return decode_spec(object, node, error);
}

int cilium_node_decode(struct json_object *object, struct node **ret, struct error *error)
{
        _cleanup_(node_freep) struct node *node = NULL;
        const char *name;
        int r;

        if (!object || !json_object_is_type(object, json_type_object))
                return error_set(error, -EINVAL, "CiliumNode: not an object");
        name = cilium_node_name(object);
        if (!name)
                return error_set(error, -EINVAL, "CiliumNode: metadata.name is not a legal name");
        node = node_new(name);
        if (!node)
                return error_set(error, -ENOMEM, "out of memory");
        r = decode(object, node, error);
        if (r == -ENOMEM)
                return error_set(error, r, "out of memory");
        if (r < 0)
                return error_prefix(error, "CiliumNode %s", name);
        *ret = TAKE_PTR(node);
        return 0;
}
