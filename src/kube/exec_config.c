#include "kube/exec_config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "basics/text.h"

#define GROUP "client.authentication.k8s.io/"
#define TEXT_MAX_SIZE                                                              \
        ((size_t)128 * 1024) /* the kernel's own limit for one string of execve(2) \
                              */

static int append(char ***texts, size_t *n, const char *text)
{
        char **grown = reallocarray(*texts, *n + 2, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        *texts = grown;
        grown[*n] = strdup(text);
        grown[*n + 1] = NULL;
        if (!grown[*n])
                return -ENOMEM;
        (*n)++;
        return 0;
}

static int read_command(struct yaml_tree *tree, yaml_node_t *exec, const char *folder,
        struct exec_config *config, struct error *error)
{
        _cleanup_free_ char *path = NULL;
        const char *text;
        int r;

        r = yaml_tree_get_text(tree, exec, "command", PATH_MAX, &text, error);
        if (r < 0)
                return r;
        if (!text)
                return error_set(error, -EINVAL, "exec: command: not given");
        if (strchr(text, '/') && text[0] != '/') {
                if (asprintf(&path, "%s/%s", folder, text) < 0)
                        return -ENOMEM;
                text = path;
        }
        return append(&config->arguments, &config->n_arguments, text);
}

static int read_arguments(
        struct yaml_tree *tree, yaml_node_t *exec, struct exec_config *config, struct error *error)
{
        yaml_node_t *list = NULL, *item;
        int r;

        r = yaml_tree_get(tree, exec, "args", &list, error);
        for (size_t i = 0; r >= 0 && (item = yaml_tree_item(tree, list, i)); i++) {
                const char *text = (const char *)item->data.scalar.value;

                if (item->type != YAML_SCALAR_NODE || i >= EXEC_LIST_MAX ||
                        strlen(text) != item->data.scalar.length || strlen(text) > TEXT_MAX_SIZE)
                        return error_set(error, -EINVAL, "exec: args: no list of up to %d texts",
                                EXEC_LIST_MAX);
                r = append(&config->arguments, &config->n_arguments, text);
        }
        return r;
}

static int read_environment(
        struct yaml_tree *tree, yaml_node_t *exec, struct exec_config *config, struct error *error)
{
        yaml_node_t *list = NULL, *item;
        int r;

        r = yaml_tree_get(tree, exec, "env", &list, error);
        for (size_t i = 0; r >= 0 && (item = yaml_tree_item(tree, list, i)); i++) {
                const char *name, *value;
                char *text = NULL;

                r = yaml_tree_get_text(tree, item, "name", TEXT_MAX_SIZE, &name, error);
                if (r >= 0)
                        r = yaml_tree_get_text(tree, item, "value", TEXT_MAX_SIZE, &value, error);
                if (r < 0)
                        return r;
                if (!name || strchr(name, '=') || i >= EXEC_LIST_MAX)
                        return error_set(error, -EINVAL,
                                "exec: env: no list of up to %d names and values", EXEC_LIST_MAX);
                if (asprintf(&text, "%s=%s", name, value ? value : "") < 0)
                        return -ENOMEM;
                r = append(&config->environment, &config->n_environment, text);
                secret_free(text);
        }
        return r;
}

static int read_kind(
        struct yaml_tree *tree, yaml_node_t *exec, struct exec_config *config, struct error *error)
{
        const char *version, *mode;
        int r;

        r = yaml_tree_get_text(tree, exec, "apiVersion", 256, &version, error);
        if (r >= 0)
                r = yaml_tree_get_text(tree, exec, "interactiveMode", 256, &mode, error);
        if (r >= 0)
                r = yaml_tree_get_bool(
                        tree, exec, "provideClusterInfo", &config->provide_cluster_info, error);
        if (r < 0)
                return r;
        if (!version || (strcmp(version, GROUP "v1") != 0 && strcmp(version, GROUP "v1beta1") != 0))
                return error_set(error, -EINVAL,
                        "exec: apiVersion: neither " GROUP "v1 nor " GROUP "v1beta1");
        if (mode && strcmp(mode, "Always") == 0)
                return error_set(error, -EINVAL,
                        "exec: interactiveMode: the plugin wants a terminal, and there is none");
        return text_replace(&config->api_version, version);
}

int exec_config_read(struct yaml_tree *tree, yaml_node_t *exec, const char *folder,
        struct exec_config **ret, struct error *error)
{
        _cleanup_(exec_config_freep) struct exec_config *config = calloc(1, sizeof(*config));
        int r;

        if (!config)
                return -ENOMEM;
        r = read_kind(tree, exec, config, error);
        if (r >= 0)
                r = read_command(tree, exec, folder, config, error);
        if (r >= 0)
                r = read_arguments(tree, exec, config, error);
        if (r >= 0)
                r = read_environment(tree, exec, config, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(config);
        return 0;
}

struct exec_config *exec_config_free(struct exec_config *config)
{
        if (!config)
                return NULL;
        for (size_t i = 0; i < config->n_arguments; i++)
                secret_free(config->arguments[i]);
        for (size_t i = 0; i < config->n_environment; i++)
                secret_free(config->environment[i]);
        free(config->arguments);
        free(config->environment);
        free(config->api_version);
        free(config);
        return NULL;
}

static bool texts_equal(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
        if (n_a != n_b)
                return false;
        for (size_t i = 0; i < n_a; i++)
                if (strcmp(a[i], b[i]) != 0)
                        return false;
        return true;
}

bool exec_config_equal(const struct exec_config *a, const struct exec_config *b)
{
        return strcmp(a->api_version, b->api_version) == 0 &&
               a->provide_cluster_info == b->provide_cluster_info &&
               texts_equal(a->arguments, a->n_arguments, b->arguments, b->n_arguments) &&
               texts_equal(a->environment, a->n_environment, b->environment, b->n_environment);
}

struct exec_config *exec_config_copy(const struct exec_config *config)
{
        _cleanup_(exec_config_freep) struct exec_config *copy = calloc(1, sizeof(*copy));

        if (!copy || text_replace(&copy->api_version, config->api_version) < 0)
                return NULL;
        copy->provide_cluster_info = config->provide_cluster_info;
        for (size_t i = 0; i < config->n_arguments; i++)
                if (append(&copy->arguments, &copy->n_arguments, config->arguments[i]) < 0)
                        return NULL;
        for (size_t i = 0; i < config->n_environment; i++)
                if (append(&copy->environment, &copy->n_environment, config->environment[i]) < 0)
                        return NULL;
        return TAKE_PTR(copy);
}
