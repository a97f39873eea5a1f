/*
 * A YAML (or JSON) document to be asked by key, with bounds and with errors that name the line.
 * libyaml composes aliases as references to one node, so nothing is ever expanded; a look-up
 * descends only as far as its caller asks, so a cycle of aliases is harmless too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "basics/error.h"
#include "kube/blob.h"

#define YAML_DEPTH_MAX  64
#define YAML_EVENTS_MAX 100000

/* Its text is wiped when it is closed: a kubeconfig holds keys and tokens. */
struct yaml_tree {
        yaml_document_t document;
        bool loaded;
};

/* Loads the first document. −EINVAL with words: not YAML, too deep, too many nodes, empty. */
int yaml_tree_load(const char *text, size_t size, struct yaml_tree *ret, struct error *error);
void yaml_tree_deinit(struct yaml_tree *tree);

/* The root, or NULL. Nodes are borrowed from the tree. */
yaml_node_t *yaml_tree_root(struct yaml_tree *tree);
/*
 * The value of a mapping's key; *ret is NULL when the node is NULL or no mapping, or lacks the
 * key. −EINVAL with words: the key is there twice.
 */
int yaml_tree_get(struct yaml_tree *tree, yaml_node_t *mapping, const char *key, yaml_node_t **ret,
        struct error *error);
/* The element of a sequence; NULL past its end, or when the node is NULL or no sequence. */
yaml_node_t *yaml_tree_item(struct yaml_tree *tree, yaml_node_t *sequence, size_t index);
/*
 * The text of a key, borrowed; *ret is NULL when it is absent, null or "".
 * −EINVAL with words: no scalar, longer than `maximum`, or a NUL inside.
 */
int yaml_tree_get_text(struct yaml_tree *tree, yaml_node_t *mapping, const char *key,
        size_t maximum, const char **ret, struct error *error);
/* "true" or "false"; absent: false. −EINVAL with words. */
int yaml_tree_get_bool(struct yaml_tree *tree, yaml_node_t *mapping, const char *key, bool *ret,
        struct error *error);
