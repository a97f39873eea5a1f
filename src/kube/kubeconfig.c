#include "kube/kubeconfig.h"

#include <string.h>

#include "basics/fileio.h"
#include "basics/text.h"
#include "kube/yaml_tree.h"

#define NAME_MAX_BYTES 4096

/* A kubeconfig being read: the document, and where relative paths begin. */
struct reader {
        struct yaml_tree tree;
        char *folder;
        struct error *error;
};

static void reader_deinit(struct reader *reader)
{
        yaml_tree_deinit(&reader->tree);
        free(reader->folder);
}

static int read_text(struct reader *reader, yaml_node_t *mapping, const char *key, char **ret)
{
        const char *text;
        int r;

        r = yaml_tree_get_text(&reader->tree, mapping, key, NAME_MAX_BYTES, &text, reader->error);
        if (r < 0)
                return r;
        return text_replace(ret, text);
}

static int read_path(struct reader *reader, yaml_node_t *mapping, const char *key, char **ret)
{
        const char *text;
        int r;

        r = yaml_tree_get_text(&reader->tree, mapping, key, NAME_MAX_BYTES, &text, reader->error);
        if (r < 0 || !text)
                return r;
        *ret = path_resolve(reader->folder, text);
        return *ret ? 0 : -ENOMEM;
}

static int read_data(struct reader *reader, yaml_node_t *mapping, const char *key, struct blob *ret)
{
        const char *text;
        int r;

        r = yaml_tree_get_text(&reader->tree, mapping, key, BLOB_MAX, &text, reader->error);
        if (r < 0 || !text)
                return r;
        r = blob_from_base64(text, strlen(text), ret);
        if (r == -EINVAL)
                return error_set(reader->error, r, "%s: not base64", key);
        return r;
}

/* KEY-data beats KEY, as in client-go's getConfigFromFile. */
static int read_data_or_path(struct reader *reader, yaml_node_t *mapping, const char *key,
        const char *data_key, struct blob *ret_data, char **ret_path)
{
        int r = read_data(reader, mapping, data_key, ret_data);

        if (r < 0 || ret_data->data)
                return r;
        return read_path(reader, mapping, key, ret_path);
}

/* The mapping `what` of the element called `name` in the root's sequence `list`. */
static int find_named(struct reader *reader, const char *list, const char *what, const char *name,
        yaml_node_t **ret)
{
        yaml_node_t *sequence = NULL, *item, *found = NULL;
        int r;

        r = yaml_tree_get(
                &reader->tree, yaml_tree_root(&reader->tree), list, &sequence, reader->error);
        if (r < 0)
                return r;
        for (size_t i = 0; !found && (item = yaml_tree_item(&reader->tree, sequence, i)); i++) {
                const char *text;

                r = yaml_tree_get_text(
                        &reader->tree, item, "name", NAME_MAX_BYTES, &text, reader->error);
                if (r < 0)
                        return error_prefix(reader->error, "%s", list);
                if (!text_equal(text, name))
                        continue;
                r = yaml_tree_get(&reader->tree, item, what, &found, reader->error);
                if (r < 0)
                        return error_prefix(reader->error, "%s", list);
                break;
        }
        if (!found || found->type != YAML_MAPPING_NODE)
                return error_set(
                        reader->error, -EINVAL, "%s: no %s called \"%.200s\"", list, what, name);
        *ret = found;
        return 0;
}

static int read_server(struct reader *reader, yaml_node_t *cluster, struct kubeconfig *config)
{
        const char *text;
        int r;

        r = yaml_tree_get_text(
                &reader->tree, cluster, "server", NAME_MAX_BYTES, &text, reader->error);
        if (r < 0)
                return r;
        if (!text)
                return error_set(reader->error, -EINVAL, "server: not given");
        r = server_url_parse(text, &config->server, reader->error);
        return r == -EINVAL ? error_prefix(reader->error, "server") : r;
}

static int read_cluster(struct reader *reader, yaml_node_t *cluster, struct kubeconfig *config)
{
        int r;

        r = read_server(reader, cluster, config);
        if (r >= 0)
                r = read_data_or_path(reader, cluster, "certificate-authority",
                        "certificate-authority-data", &config->ca, &config->ca_path);
        if (r >= 0)
                r = read_text(reader, cluster, "tls-server-name", &config->tls_server_name);
        if (r >= 0)
                r = yaml_tree_get_bool(&reader->tree, cluster, "insecure-skip-tls-verify",
                        &config->insecure_skip_tls_verify, reader->error);
        if (r >= 0)
                r = read_text(reader, cluster, "proxy-url", &config->proxy_url);
        if (r >= 0)
                r = yaml_tree_get_bool(&reader->tree, cluster, "disable-compression",
                        &config->disable_compression, reader->error);
        if (r < 0)
                return r;
        if (config->insecure_skip_tls_verify && (config->ca.data || config->ca_path))
                return error_set(reader->error, -EINVAL,
                        "insecure-skip-tls-verify: not together with a certificate authority");
        return 0;
}

static int read_user(struct reader *reader, yaml_node_t *user, struct kubeconfig *config)
{
        yaml_node_t *exec = NULL;
        int r;

        r = read_data_or_path(reader, user, "client-certificate", "client-certificate-data",
                &config->certificate, &config->certificate_path);
        if (r >= 0)
                r = read_data_or_path(reader, user, "client-key", "client-key-data", &config->key,
                        &config->key_path);
        if (r >= 0)
                r = read_text(reader, user, "token", &config->token);
        if (r >= 0)
                r = read_path(reader, user, "tokenFile", &config->token_path);
        if (r >= 0)
                r = yaml_tree_get(&reader->tree, user, "exec", &exec, reader->error);
        if (r < 0)
                return r;
        if (!exec || exec->type != YAML_MAPPING_NODE)
                return 0;
        return exec_config_read(&reader->tree, exec, reader->folder, &config->exec, reader->error);
}

/* current-context → context → cluster and user. */
static int read_context(struct reader *reader, struct kubeconfig *config)
{
        yaml_node_t *root = yaml_tree_root(&reader->tree), *context = NULL, *cluster = NULL,
                    *user = NULL;
        _cleanup_free_ char *name = NULL, *cluster_name = NULL, *user_name = NULL;
        int r;

        r = read_text(reader, root, "current-context", &name);
        if (r < 0)
                return r;
        if (!name)
                return error_set(reader->error, -EINVAL, "current-context: not given");
        r = find_named(reader, "contexts", "context", name, &context);
        if (r >= 0)
                r = read_text(reader, context, "cluster", &cluster_name);
        if (r >= 0)
                r = read_text(reader, context, "user", &user_name);
        if (r < 0)
                return r;
        if (!cluster_name || !user_name)
                return error_set(reader->error, -EINVAL, "contexts: \"%.200s\" names no %s", name,
                        cluster_name ? "user" : "cluster");

        r = find_named(reader, "clusters", "cluster", cluster_name, &cluster);
        if (r >= 0)
                r = read_cluster(reader, cluster, config);
        if (r >= 0)
                r = find_named(reader, "users", "user", user_name, &user);
        if (r >= 0)
                r = read_user(reader, user, config);
        return r;
}

static int check_kind(struct reader *reader)
{
        const char *kind;
        int r;

        r = yaml_tree_get_text(&reader->tree, yaml_tree_root(&reader->tree), "kind", NAME_MAX_BYTES,
                &kind, reader->error);
        if (r < 0)
                return r;
        if (!kind || strcmp(kind, "Config") != 0)
                return error_set(reader->error, -EMEDIUMTYPE,
                        "kind: \"%.100s\" is not Config, so this is not a kubeconfig",
                        kind ? kind : "");
        return 0;
}

static int parse(const char *path, const char *text, size_t size, struct kubeconfig **ret,
        struct error *error)
{
        _cleanup_(kubeconfig_freep) struct kubeconfig *config = calloc(1, sizeof(*config));
        _cleanup_(reader_deinit) struct reader reader = {.error = error};
        int r;

        reader.folder = path_folder(path);
        if (!config || !reader.folder || text_replace(&config->path, path) < 0)
                return -ENOMEM;
        r = yaml_tree_load(text, size, &reader.tree, error);
        if (r >= 0)
                r = check_kind(&reader);
        if (r >= 0)
                r = read_context(&reader, config);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(config);
        return 0;
}

int kubeconfig_parse(const char *path, const char *text, size_t size, struct kubeconfig **ret,
        struct error *error)
{
        int r = parse(path, text, size, ret, error);

        if (r == -ENOMEM)
                error_set(error, r, "out of memory");
        if (r < 0)
                error_prefix(error, "%s", path);
        return r;
}

int kubeconfig_load(const char *path, struct kubeconfig **ret, struct error *error)
{
        _cleanup_(blob_deinit) struct blob text = {};
        int r;

        r = blob_read_file(path, &text);
        if (r < 0)
                return error_set(error, r, "%s: cannot be read: %s", path, strerror(-r));
        return kubeconfig_parse(path, text.data, text.size, ret, error);
}

struct kubeconfig *kubeconfig_free(struct kubeconfig *config)
{
        if (!config)
                return NULL;
        free(config->path);
        server_url_deinit(&config->server);
        free(config->ca_path);
        blob_deinit(&config->ca);
        free(config->tls_server_name);
        secret_free(config->proxy_url);
        free(config->certificate_path);
        blob_deinit(&config->certificate);
        free(config->key_path);
        blob_deinit(&config->key);
        secret_free(config->token);
        free(config->token_path);
        exec_config_free(config->exec);
        free(config);
        return NULL;
}
