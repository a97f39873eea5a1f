#include "kube/exec_credential.h"

#include <openssl/evp.h>
#include <string.h>
#include <time.h>

#include "basics/text.h"
#include "kube/json.h"

#define MEMBER_MAX ((size_t)256 * 1024)

/* RFC 3339, in UTC as Kubernetes writes it, or with an offset. */
static int parse_time(const char *text, int64_t *ret)
{
        struct tm broken = {};
        const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &broken);
        long offset;

        if (!rest)
                return -EINVAL;
        if (*rest == '.')
                rest += 1 + strspn(rest + 1, "0123456789");
        rest = strptime(rest, "%z", &broken); /* "Z", "+hh:mm" */
        if (!rest || *rest)
                return -EINVAL;
        offset = broken.tm_gmtoff; /* timegm() sets it anew */
        *ret = (int64_t)timegm(&broken) - offset;
        return 0;
}

static int copy_text(const char *text, struct blob *ret)
{
        return text && *text ? blob_copy(text, strlen(text), ret) : 0;
}

static int take_status(
        struct json_object *status, struct exec_credential *credential, struct error *error)
{
        const char *token, *certificate, *key, *expires;

        if (kube_json_get_text(status, "token", MEMBER_MAX, &token, NULL) < 0 ||
                kube_json_get_text(
                        status, "clientCertificateData", MEMBER_MAX, &certificate, NULL) < 0 ||
                kube_json_get_text(status, "clientKeyData", MEMBER_MAX, &key, NULL) < 0 ||
                kube_json_get_text(status, "expirationTimestamp", 64, &expires, NULL) < 0)
                return error_set(
                        error, -EINVAL, "a member of its status is not the text it should be");
        if (!(token && *token) && !(certificate && *certificate && key && *key))
                return error_set(
                        error, -EINVAL, "its status has neither token nor certificate and key");
        if (expires && parse_time(expires, &credential->expires) < 0)
                return error_set(error, -EINVAL, "its expirationTimestamp is no time of RFC 3339");
        if (text_replace(&credential->token, token && *token ? token : NULL) < 0 ||
                copy_text(certificate, &credential->certificate) < 0 ||
                copy_text(key, &credential->key) < 0)
                return error_set(error, -ENOMEM, "out of memory");
        return 0;
}

int exec_credential_parse(const char *text, size_t size, const char *api_version,
        struct exec_credential *ret, struct error *error)
{
        _cleanup_(exec_credential_deinit) struct exec_credential credential = {};
        _cleanup_(kube_json_putp) struct json_object *object = NULL;
        struct json_object *status = NULL;
        const char *kind = NULL, *version = NULL;
        int r;

        if (kube_json_parse(text, size, &object) < 0 ||
                !json_object_is_type(object, json_type_object))
                return error_set(error, -EINVAL, "it did not print a JSON object");
        (void)kube_json_get_text(object, "kind", 256, &kind, NULL);
        (void)kube_json_get_text(object, "apiVersion", 256, &version, NULL);
        (void)kube_json_get(object, "status", json_type_object, &status, NULL);
        if (!text_equal(kind, "ExecCredential") || !text_equal(version, api_version))
                return error_set(
                        error, -EINVAL, "it did not print an ExecCredential of %s", api_version);
        if (!status)
                return error_set(error, -EINVAL, "it printed an ExecCredential without a status");
        r = take_status(status, &credential, error);
        if (r < 0)
                return r;
        *ret = credential;
        credential = (struct exec_credential){};
        return 0;
}

void exec_credential_deinit(struct exec_credential *credential)
{
        secret_free(credential->token);
        blob_deinit(&credential->certificate);
        blob_deinit(&credential->key);
        *credential = (struct exec_credential){};
}

static void add_text(struct json_object *object, const char *key, const char *text)
{
        if (text)
                json_object_object_add(object, key, json_object_new_string(text));
}

static int add_cluster(
        struct json_object *spec, const struct kubeconfig *config, const struct blob *ca)
{
        struct json_object *cluster = json_object_new_object();
        _cleanup_free_ char *encoded = calloc(1, ca->size * 4 / 3 + 8);

        if (!encoded || !cluster) {
                json_object_put(cluster);
                return -ENOMEM;
        }
        if (ca->size > 0)
                EVP_EncodeBlock(
                        (unsigned char *)encoded, (const unsigned char *)ca->data, (int)ca->size);
        add_text(cluster, "server", config->server.text);
        add_text(cluster, "tls-server-name", config->tls_server_name);
        add_text(cluster, "proxy-url", config->proxy_url);
        add_text(cluster, "certificate-authority-data", *encoded ? encoded : NULL);
        if (config->insecure_skip_tls_verify)
                json_object_object_add(
                        cluster, "insecure-skip-tls-verify", json_object_new_boolean(true));
        return json_object_object_add(spec, "cluster", cluster) < 0 ? -ENOMEM : 0;
}

int exec_credential_info(const struct kubeconfig *config, const struct blob *ca, char **ret)
{
        _cleanup_(kube_json_putp) struct json_object *object = json_object_new_object();
        struct json_object *spec = json_object_new_object();
        const char *text;
        int r;

        if (!object || !spec || json_object_object_add(object, "spec", spec) < 0) {
                json_object_put(spec);
                return -ENOMEM;
        }
        add_text(object, "apiVersion", config->exec->api_version);
        add_text(object, "kind", "ExecCredential");
        json_object_object_add(spec, "interactive", json_object_new_boolean(false));
        r = config->exec->provide_cluster_info ? add_cluster(spec, config, ca) : 0;
        if (r < 0)
                return r;
        text = json_object_to_json_string_ext(
                object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}
