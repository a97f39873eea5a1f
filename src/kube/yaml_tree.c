#include "kube/yaml_tree.h"

#include <openssl/crypto.h>
#include <string.h>

/* What libyaml read and decoded lies in these two buffers. */
static void parser_wipe(yaml_parser_t *parser)
{
        if (parser->raw_buffer.start)
                OPENSSL_cleanse(parser->raw_buffer.start,
                        (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
        if (parser->buffer.start)
                OPENSSL_cleanse(
                        parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
        yaml_parser_delete(parser);
}

static int parser_error(const yaml_parser_t *parser, struct error *error)
{
        if (parser->error == YAML_MEMORY_ERROR)
                return error_set(error, -ENOMEM, "out of memory");
        return error_set(error, -EINVAL, "line %zu: not YAML: %s", parser->problem_mark.line + 1,
                parser->problem ? parser->problem : "cannot be read");
}

/* +1 for what opens a level, −1 for what closes one. */
static int event_depth(yaml_event_type_t type)
{
        switch (type) {
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT: return 1;
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT: return -1;
        default: return 0;
        }
}

/* A first pass that holds nothing: what is too deep or too large never becomes a document. */
static int check_bounds(yaml_parser_t *parser, struct error *error)
{
        int depth = 0;

        for (size_t n = 0; n < YAML_EVENTS_MAX; n++) {
                yaml_event_type_t type;
                yaml_event_t event;
                size_t line;

                if (!yaml_parser_parse(parser, &event))
                        return parser_error(parser, error);
                type = event.type;
                line = event.start_mark.line + 1;
                if (type == YAML_SCALAR_EVENT)
                        OPENSSL_cleanse(event.data.scalar.value, event.data.scalar.length);
                yaml_event_delete(&event);

                depth += event_depth(type);
                if (depth > YAML_DEPTH_MAX)
                        return error_set(error, -EINVAL, "line %zu: nested deeper than %d", line,
                                YAML_DEPTH_MAX);
                if (type == YAML_DOCUMENT_END_EVENT || type == YAML_STREAM_END_EVENT)
                        return 0;
        }
        return error_set(error, -EINVAL, "more than %d elements", YAML_EVENTS_MAX);
}

static int with_parser(
        const char *text, size_t size, yaml_document_t *document, struct error *error)
{
        yaml_parser_t parser;
        int r = 0;

        if (!yaml_parser_initialize(&parser))
                return error_set(error, -ENOMEM, "out of memory");
        yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
        if (!document)
                r = check_bounds(&parser, error);
        else if (!yaml_parser_load(&parser, document))
                r = parser_error(&parser, error);
        parser_wipe(&parser);
        return r;
}

int yaml_tree_load(const char *text, size_t size, struct yaml_tree *ret, struct error *error)
{
        struct yaml_tree tree = {};
        int r;

        r = with_parser(text, size, NULL, error);
        if (r < 0)
                return r;
        r = with_parser(text, size, &tree.document, error);
        if (r < 0)
                return r;
        tree.loaded = true;
        if (!yaml_tree_root(&tree)) {
                yaml_tree_deinit(&tree);
                return error_set(error, -EINVAL, "empty");
        }
        *ret = tree;
        return 0;
}

void yaml_tree_deinit(struct yaml_tree *tree)
{
        yaml_node_t *node;

        if (!tree->loaded)
                return;
        for (node = tree->document.nodes.start; node < tree->document.nodes.top; node++)
                if (node->type == YAML_SCALAR_NODE)
                        OPENSSL_cleanse(node->data.scalar.value, node->data.scalar.length);
        yaml_document_delete(&tree->document);
        *tree = (struct yaml_tree){};
}

yaml_node_t *yaml_tree_root(struct yaml_tree *tree)
{
        return yaml_document_get_root_node(&tree->document);
}

static bool scalar_is(const yaml_node_t *node, const char *text)
{
        return node && node->type == YAML_SCALAR_NODE && node->data.scalar.length == strlen(text) &&
               memcmp(node->data.scalar.value, text, node->data.scalar.length) == 0;
}

int yaml_tree_get(struct yaml_tree *tree, yaml_node_t *mapping, const char *key, yaml_node_t **ret,
        struct error *error)
{
        yaml_node_t *found = NULL;
        yaml_node_pair_t *pair;

        if (!mapping || mapping->type != YAML_MAPPING_NODE) {
                *ret = NULL;
                return 0;
        }
        for (pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
                pair++) {
                yaml_node_t *name = yaml_document_get_node(&tree->document, pair->key);

                if (!scalar_is(name, key))
                        continue;
                if (found)
                        return error_set(error, -EINVAL, "line %zu: %s: given twice",
                                name->start_mark.line + 1, key);
                found = yaml_document_get_node(&tree->document, pair->value);
        }
        *ret = found;
        return 0;
}

yaml_node_t *yaml_tree_item(struct yaml_tree *tree, yaml_node_t *sequence, size_t index)
{
        yaml_node_item_t *items;

        if (!sequence || sequence->type != YAML_SEQUENCE_NODE)
                return NULL;
        items = sequence->data.sequence.items.start;
        if (index >= (size_t)(sequence->data.sequence.items.top - items))
                return NULL;
        return yaml_document_get_node(&tree->document, items[index]);
}

/* Plain null, ~ and nothing are YAML's null; quoted they are text. */
static bool is_null(const yaml_node_t *node)
{
        return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
               (scalar_is(node, "null") || scalar_is(node, "~"));
}

int yaml_tree_get_text(struct yaml_tree *tree, yaml_node_t *mapping, const char *key,
        size_t maximum, const char **ret, struct error *error)
{
        yaml_node_t *node;
        size_t line, length;
        int r;

        r = yaml_tree_get(tree, mapping, key, &node, error);
        if (r < 0)
                return r;
        if (!node) {
                *ret = NULL;
                return 0;
        }
        line = node->start_mark.line + 1;
        if (node->type != YAML_SCALAR_NODE)
                return error_set(error, -EINVAL, "line %zu: %s: not a text", line, key);
        length = node->data.scalar.length;
        if (length > maximum)
                return error_set(
                        error, -EINVAL, "line %zu: %s: longer than %zu bytes", line, key, maximum);
        if (memchr(node->data.scalar.value, '\0', length))
                return error_set(error, -EINVAL, "line %zu: %s: a NUL byte in it", line, key);
        *ret = length == 0 || is_null(node) ? NULL : (const char *)node->data.scalar.value;
        return 0;
}

int yaml_tree_get_bool(struct yaml_tree *tree, yaml_node_t *mapping, const char *key, bool *ret,
        struct error *error)
{
        const char *text;
        int r;

        r = yaml_tree_get_text(tree, mapping, key, 16, &text, error);
        if (r < 0)
                return r;
        if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
                return error_set(error, -EINVAL, "%s: neither true nor false", key);
        *ret = text && strcmp(text, "true") == 0;
        return 0;
}
