#include "model/node.h"

#include <string.h>

#include "basics/array.h"
#include "basics/text.h"
#include "model/exemption.h"
#include "model/shared_text.h"

struct node *node_new(const char *name)
{
        struct node *node = calloc(1, sizeof(*node));

        if (!node)
                return NULL;
        node->references = 1;
        node->name = shared_text_get(name);
        return node->name ? node : node_free(node);
}

struct node *node_ref(struct node *node)
{
        node->references++;
        return node;
}

struct node *node_free(struct node *node)
{
        if (!node || --node->references > 0)
                return NULL;
        for (size_t i = 0; i < node->n_labels; i++) {
                shared_text_put(node->labels[i].key);
                shared_text_put(node->labels[i].value);
        }
        free(node->labels);
        free(node->other_addresses);
        free(node->pod_prefixes);
        free(node->public_key);
        shared_text_put(node->name);
        free(node);
        return NULL;
}

/* The index of the key, or of where it belongs. */
static size_t label_position(const struct node *node, const char *key, bool *ret_found)
{
        size_t low = 0, high = node->n_labels;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(node->labels[middle].key, key);

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

int node_add_label(struct node *node, const char *key, const char *value)
{
        const char *new_key, *new_value = shared_text_get(value);
        struct label *grown;
        bool found;
        size_t i = label_position(node, key, &found);

        if (!new_value)
                return -ENOMEM;
        if (found) {
                shared_text_put(node->labels[i].value);
                node->labels[i].value = new_value;
                return 0;
        }
        new_key = shared_text_get(key);
        grown = reallocarray(node->labels, node->n_labels + 1, sizeof(*grown));
        if (grown)
                node->labels = grown;
        if (!new_key || !grown) {
                shared_text_put(new_key);
                shared_text_put(new_value);
                return -ENOMEM;
        }
        memmove(&grown[i + 1], &grown[i], (node->n_labels - i) * sizeof(*grown));
        grown[i] = (struct label){.key = new_key, .value = new_value};
        node->n_labels++;
        return 0;
}

const char *node_label(const struct node *node, const char *key)
{
        bool found;
        size_t i = label_position(node, key, &found);

        return found ? node->labels[i].value : NULL;
}

int node_add_other_address(struct node *node, const struct address *address)
{
        struct address *grown =
                reallocarray(node->other_addresses, node->n_other_addresses + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        grown[node->n_other_addresses++] = *address;
        node->other_addresses = grown;
        return 0;
}

int node_add_pod_prefix(struct node *node, const struct prefix *prefix)
{
        struct prefix *grown;
        size_t i = node->n_pod_prefixes;

        while (i > 0 && prefix_compare(&node->pod_prefixes[i - 1], prefix) > 0)
                i--;
        if (i > 0 && prefix_equal(&node->pod_prefixes[i - 1], prefix))
                return 0;
        grown = reallocarray(node->pod_prefixes, node->n_pod_prefixes + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        memmove(&grown[i + 1], &grown[i], (node->n_pod_prefixes - i) * sizeof(*grown));
        grown[i] = *prefix;
        node->pod_prefixes = grown;
        node->n_pod_prefixes++;
        return 0;
}

bool node_is_control_plane(const struct node *node)
{
        return node_label(node, CONTROL_PLANE_LABEL) != NULL;
}

bool node_has_address(const struct node *node, const struct address *address)
{
        int i = family_index(address->family);

        return i >= 0 && address_equal(&node->addresses[i], address);
}

static bool labels_equal(const struct node *a, const struct node *b)
{
        if (a->n_labels != b->n_labels)
                return false;
        for (size_t i = 0; i < a->n_labels; i++)
                if (strcmp(a->labels[i].key, b->labels[i].key) != 0 ||
                        strcmp(a->labels[i].value, b->labels[i].value) != 0)
                        return false;
        return true;
}

static bool addresses_equal(const struct node *a, const struct node *b)
{
        for (int i = 0; i < FAMILY_MAX; i++)
                if (!address_equal(&a->addresses[i], &b->addresses[i]))
                        return false;
        if (a->n_other_addresses != b->n_other_addresses)
                return false;
        for (size_t i = 0; i < a->n_other_addresses; i++)
                if (!address_equal(&a->other_addresses[i], &b->other_addresses[i]))
                        return false;
        return true;
}

static bool pod_prefixes_equal(const struct node *a, const struct node *b)
{
        if (a->n_pod_prefixes != b->n_pod_prefixes)
                return false;
        for (size_t i = 0; i < a->n_pod_prefixes; i++)
                if (!prefix_equal(&a->pod_prefixes[i], &b->pod_prefixes[i]))
                        return false;
        return true;
}

bool node_equal(const struct node *a, const struct node *b)
{
        return strcmp(a->name, b->name) == 0 && text_equal(a->public_key, b->public_key) &&
               labels_equal(a, b) && addresses_equal(a, b) && pod_prefixes_equal(a, b);
}
