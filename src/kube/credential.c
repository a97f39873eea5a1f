#include "kube/credential.h"

#include <ctype.h>
#include <string.h>

#include "basics/text.h"
#include "kube/pem.h"

#define NODE_USER_PREFIX "system:node:"
#define TOKEN_MAX        (64 * 1024)

static int read_file(const char *path, const char *what, struct blob *ret, struct error *error)
{
        int r = blob_read_file(path, ret);

        if (r < 0)
                return error_set(
                        error, r, "%s: the %s cannot be read: %s", path, what, strerror(-r));
        return 0;
}

/* The data that stood in the kubeconfig, else the file's. */
static int load_blob(const struct blob *data, const char *path, const char *what, struct blob *ret,
        struct error *error)
{
        if (data->data)
                return blob_copy(data->data, data->size, ret);
        return path ? read_file(path, what, ret, error) : 0;
}

static const char *origin(const struct kubeconfig *config, const char *path)
{
        return path ? path : config->path;
}

static int load_authorities(
        const struct kubeconfig *config, struct credential *credential, struct error *error)
{
        size_t n;
        int r;

        r = load_blob(
                &config->ca, config->ca_path, "certificate authority", &credential->ca, error);
        if (r < 0 || !credential->ca.data)
                return r;
        r = pem_check_authorities(&credential->ca, &n);
        if (r < 0)
                return error_set(error, r,
                        "%s: the certificate authority is not a PEM of certificates",
                        origin(config, config->ca_path));
        r = pem_sha256(&credential->ca, credential->ca_sha256);
        return r < 0 ? error_set(error, r, "SHA-256 failed") : 0;
}

static int pair_error(const struct kubeconfig *config, int r, struct error *error)
{
        const char *certificate = origin(config, config->certificate_path);
        const char *key = origin(config, config->key_path);

        switch (r) {
        case -EBADMSG:
                return error_set(
                        error, -EINVAL, "%s: no client certificate in PEM form in it", certificate);
        case -ENODATA:
                return error_set(
                        error, -EINVAL, "%s: no unencrypted private key in PEM form in it", key);
        case -EKEYREJECTED:
                return error_set(error, r,
                        "%s: the client key does not belong to the certificate (%s)", key,
                        certificate);
        default: return error_set(error, r, "%s: %s", certificate, strerror(-r));
        }
}

static int load_pair(const struct kubeconfig *config, const struct exec_credential *plugin,
        struct credential *credential, struct error *error)
{
        bool given = plugin && plugin->certificate.data;
        struct pem_identity identity;
        int r;

        r = load_blob(given ? &plugin->certificate : &config->certificate, config->certificate_path,
                "client certificate", &credential->certificate, error);
        if (r >= 0)
                r = load_blob(given ? &plugin->key : &config->key, config->key_path, "client key",
                        &credential->key, error);
        if (r < 0)
                return r;
        if (!credential->certificate.data && !credential->key.data)
                return 0;
        if (!credential->certificate.data || !credential->key.data)
                return error_set(error, -EINVAL, "%s: a client %s without its %s", config->path,
                        credential->key.data ? "key" : "certificate",
                        credential->key.data ? "certificate" : "key");
        r = pem_check_pair(&credential->certificate, &credential->key, &identity);
        if (r < 0)
                return pair_error(config, r, error);
        credential->expires = identity.expires;
        if (strncmp(identity.common_name, NODE_USER_PREFIX, strlen(NODE_USER_PREFIX)) == 0 &&
                text_is_object_name(identity.common_name + strlen(NODE_USER_PREFIX)))
                return text_replace(
                        &credential->node_name, identity.common_name + strlen(NODE_USER_PREFIX));
        return 0;
}

/* Blanks at the ends go, as client-go does it; what could break out of the header is refused. */
static int take_token(
        const char *text, size_t length, const char *path, char **ret, struct error *error)
{
        while (length > 0 && isspace((unsigned char)text[0])) {
                text++;
                length--;
        }
        while (length > 0 && isspace((unsigned char)text[length - 1]))
                length--;
        if (length == 0)
                return error_set(error, -EINVAL, "%s: the token is empty", path);
        if (length > TOKEN_MAX)
                return error_set(
                        error, -EFBIG, "%s: the token is longer than %d bytes", path, TOKEN_MAX);
        for (size_t i = 0; i < length; i++)
                if (text[i] <= ' ' || text[i] > '~')
                        return error_set(error, -EINVAL,
                                "%s: the token holds what is no printable character", path);
        *ret = strndup(text, length);
        return *ret ? 0 : -ENOMEM;
}

static int load_token(const struct kubeconfig *config, const struct exec_credential *plugin,
        struct credential *credential, struct error *error)
{
        _cleanup_(blob_deinit) struct blob file = {};
        int r;

        if (plugin && plugin->token)
                return take_token(plugin->token, strlen(plugin->token), config->exec->arguments[0],
                        &credential->token, error);
        if (!config->token_path) {
                if (!config->token)
                        return 0;
                return take_token(config->token, strlen(config->token), config->path,
                        &credential->token, error);
        }
        r = read_file(config->token_path, "token", &file, error);
        if (r < 0)
                return r;
        return take_token(file.data, file.size, config->token_path, &credential->token, error);
}

void credential_paths(const struct kubeconfig *config, const char *ret[static 6])
{
        const char *paths[] = {config->path, config->ca_path, config->certificate_path,
                config->key_path, config->token_path};
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                if (paths[i])
                        ret[n++] = paths[i];
        ret[n] = NULL;
}

static int take_paths(const struct kubeconfig *config, struct credential *credential)
{
        const char *paths[6];

        credential_paths(config, paths);
        credential->paths = calloc(ARRAY_SIZE(paths), sizeof(char *));
        if (!credential->paths)
                return -ENOMEM;
        for (size_t i = 0; paths[i]; i++) {
                if (text_replace(&credential->paths[i], paths[i]) < 0)
                        return -ENOMEM;
                credential->n_paths++;
        }
        return 0;
}

static int take_cluster(const struct kubeconfig *config, struct credential *credential)
{
        credential->insecure_skip_tls_verify = config->insecure_skip_tls_verify;
        credential->disable_compression = config->disable_compression;
        if (text_replace(&credential->kubeconfig_path, config->path) < 0 ||
                text_replace(&credential->tls_server_name, config->tls_server_name) < 0 ||
                text_replace(&credential->proxy_url, config->proxy_url) < 0)
                return -ENOMEM;
        return server_url_copy(&config->server, &credential->server);
}

int credential_load(const struct kubeconfig *config, const struct exec_credential *plugin,
        struct credential **ret, struct error *error)
{
        _cleanup_(credential_unrefp) struct credential *credential = calloc(1, sizeof(*credential));
        int r;

        if (!credential)
                return error_set(error, -ENOMEM, "out of memory");
        credential->references = 1;
        if (config->exec && !plugin)
                return error_set(error, -EAGAIN, "%s: the credential plugin has not answered yet",
                        config->path);
        /* An answer to a plugin that the kubeconfig does not name any more. */
        if (!config->exec)
                plugin = NULL;
        r = take_cluster(config, credential);
        if (r >= 0)
                r = take_paths(config, credential);
        if (r >= 0)
                r = load_authorities(config, credential, error);
        if (r >= 0)
                r = load_pair(config, plugin, credential, error);
        if (r >= 0)
                r = load_token(config, plugin, credential, error);
        if (r == -ENOMEM)
                return error_set(error, r, "out of memory");
        if (r < 0)
                return r;
        if (!credential->certificate.data && !credential->token && credential->server.tls)
                return error_set(error, -ENOKEY,
                        "%s: users: neither a client certificate nor a token", config->path);
        *ret = TAKE_PTR(credential);
        return 0;
}

const struct credential *credential_ref(const struct credential *credential)
{
        if (credential)
                ((struct credential *)credential)->references++;
        return credential;
}

static void credential_free(struct credential *credential)
{
        free(credential->kubeconfig_path);
        server_url_deinit(&credential->server);
        blob_deinit(&credential->ca);
        free(credential->tls_server_name);
        secret_free(credential->proxy_url);
        blob_deinit(&credential->certificate);
        blob_deinit(&credential->key);
        free(credential->node_name);
        secret_free(credential->token);
        for (size_t i = 0; i < credential->n_paths; i++)
                free(credential->paths[i]);
        free(credential->paths);
        free(credential);
}

const struct credential *credential_unref(const struct credential *credential)
{
        if (credential && --((struct credential *)credential)->references == 0)
                credential_free((struct credential *)credential);
        return NULL;
}

bool credential_same_cluster(const struct credential *a, const struct credential *b)
{
        return text_equal(a->server.text, b->server.text) &&
               strcmp(a->ca_sha256, b->ca_sha256) == 0;
}

bool credential_equal(const struct credential *a, const struct credential *b)
{
        return credential_same_cluster(a, b) && blob_equal(&a->ca, &b->ca) &&
               a->insecure_skip_tls_verify == b->insecure_skip_tls_verify &&
               a->disable_compression == b->disable_compression &&
               text_equal(a->kubeconfig_path, b->kubeconfig_path) &&
               text_equal(a->tls_server_name, b->tls_server_name) &&
               text_equal(a->proxy_url, b->proxy_url) &&
               blob_equal(&a->certificate, &b->certificate) && blob_equal(&a->key, &b->key) &&
               text_equal(a->token, b->token);
}
