/*
 * Whether the API server lets the credential list CiliumNodes: asked as the daemon asks.
 */
#include <netdb.h>
#include <string.h>

#include "basics/array.h"
#include "basics/text.h"
#include "ctl/check_read.h"
#include "kube/credential.h"
#include "kube/discovery.h"
#include "kube/http.h"

#define LIST_PATH    "/apis/cilium.io/v2/ciliumnodes?limit=1"
#define TIMEOUT_USEC (10 * UINT64_C(1000000))
/* A server that knows no limit sends them all. */
#define BODY_MAX     (256 * UINT64_C(1024) * 1024)

struct question {
        struct api_facts *facts;
        sd_event *event;
        struct address *addresses;
        size_t n_addresses;
        size_t allocated;
        int failed;
};

static int say(struct api_facts *facts, const char *text)
{
        return text_replace(&facts->error, text);
}

static int resolve(struct question *q, const char *host, struct error *error)
{
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        struct addrinfo *found = NULL;
        int code = getaddrinfo(host, NULL, &hints, &found);

        if (code != 0)
                return error_set(error, -EIO, "%s: %s", host, gai_strerror(code));
        for (struct addrinfo *item = found; item; item = item->ai_next) {
                struct address address = {.family = (uint8_t)item->ai_family};
                const void *bytes =
                        item->ai_family == AF_INET
                                ? (const void *)&(
                                          (const struct sockaddr_in *)(const void *)item->ai_addr)
                                          ->sin_addr
                                : (const void *)&(
                                          (const struct sockaddr_in6 *)(const void *)item->ai_addr)
                                          ->sin6_addr;

                if (address_size(address.family) == 0 ||
                        !ARRAY_RESERVE(q->addresses, q->allocated, q->n_addresses + 1))
                        continue;
                memcpy(address.bytes, bytes, address_size(address.family));
                q->addresses[q->n_addresses++] = address;
        }
        freeaddrinfo(found);
        return q->n_addresses > 0 ? 0 : error_set(error, -EIO, "%s has no address", host);
}

static int on_data(void *userdata, const char *data, size_t size)
{
        return 0;
}

static void on_done(void *userdata, const struct http_result *result)
{
        struct question *q = userdata;

        q->facts->status = result->status;
        if (result->error != 0)
                q->failed = say(q->facts, result->text);
        sd_event_exit(q->event, 0);
}

static int ask(struct question *q, const struct credential *credential)
{
        const struct http_options options = {
                .credential = credential,
                .path = LIST_PATH,
                .addresses = q->addresses,
                .n_addresses = q->n_addresses,
                .timeout = TIMEOUT_USEC,
                .body_maximum = BODY_MAX,
                .data = on_data,
                .done = on_done,
                .userdata = q,
        };
        struct http_request *request = NULL;
        struct http *http = NULL;
        int r = http_new(q->event, &http);

        if (r >= 0)
                r = http_get(http, &options, &request);
        if (r >= 0)
                r = sd_event_loop(q->event);
        http_request_free(request);
        http_free(http);
        return r < 0 ? say(q->facts, strerror(-r)) : q->failed;
}

static int ask_with(struct api_facts *facts, const struct credential *credential)
{
        struct question q = {.facts = facts};
        struct error error = {};
        int r;

        facts->expires = credential->expires;
        facts->skips_verification = credential->insecure_skip_tls_verify;
        r = text_replace(&facts->node_name, credential->node_name);
        if (r < 0)
                return r;
        if (resolve(&q, credential->server.host, &error) < 0) {
                r = say(facts, error.text);
        } else {
                r = sd_event_new(&q.event);
                if (r >= 0)
                        r = ask(&q, credential);
                sd_event_unref(q.event);
        }
        free(q.addresses);
        return r;
}

int check_read_api(struct api_facts *facts, const char *kubeconfig, const char *root)
{
        _cleanup_(kubeconfig_freep) struct kubeconfig *config = NULL;
        _cleanup_(credential_unrefp) struct credential *credential = NULL;
        struct error error = {};
        int r = kubeconfig ? kubeconfig_load(kubeconfig, &config, &error)
                           : discovery_find(root, &config, &error);

        if (r < 0)
                return say(
                        facts, error.text[0] ? error.text : "no kubeconfig of a kubelet was found");
        r = text_replace(&facts->kubeconfig, config->path);
        if (r < 0)
                return r;
        if (config->exec) {
                facts->has_plugin = true;
                return 0;
        }
        r = credential_load(config, NULL, &credential, &error);
        return r < 0 ? say(facts, error.text) : ask_with(facts, credential);
}
