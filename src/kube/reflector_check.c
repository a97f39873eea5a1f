/*
 * The reflector's check: does the server know our version at all? A watch from a version that the
 * server has not reached, as after a restore of etcd, is answered by silence; a list by 504 and a
 * cause. Versions are opaque, so the server is asked, and by a list of one object, which costs it
 * next to nothing (Kubernetes API: "Resource versions", field selectors).
 */
#include <curl/curl.h>
#include <stdio.h>

#include "kube/reflector_internal.h"

/* One object, whatever it may be, in a list; a server that sends more does not select. */
#define CHECK_BODY_MAX (WATCH_EVENT_MAX + 64 * 1024)

static int on_data(void *userdata, const char *data, size_t size)
{
        return 0;
}

static void on_done(void *userdata, const struct http_result *result)
{
        struct reflector *reflector = userdata;
        struct outcome outcome = reflector_take_result(reflector, result);

        if (outcome.kind == ANSWER_OK) {
                reflector_contact(reflector, true);
                reflector_succeeded(reflector);
                reflector_schedule(reflector, NEXT_WATCH, 0);
                return;
        }
        if (outcome.kind == ANSWER_TOO_LARGE)
                reflector->from = LIST_LATEST;
        reflector_watch_failed(reflector, &outcome);
}

/* Our own node, else any: that there is none of the name is an answer, too. */
static const char *any_name(const struct reflector *reflector)
{
        const char *name = reflector_own_name(reflector);

        if (name)
                return name;
        return reflector->known->n_nodes > 0 ? reflector->known->nodes[0]->name : "nodecryptor";
}

static int check_query(const struct reflector *reflector, char **ret)
{
        char *name = curl_easy_escape(NULL, any_name(reflector), 0);
        char *version = curl_easy_escape(NULL, reflector->version, 0);
        int n = -1;

        if (name && version)
                n = asprintf(ret,
                        REFLECTOR_PATH "?fieldSelector=metadata.name%%3D%s&resourceVersion=%s",
                        name, version);
        curl_free(name);
        curl_free(version);
        return n < 0 ? -ENOMEM : 0;
}

int reflector_check_begin(struct reflector *reflector)
{
        struct http_options options = {
                .credential = reflector->credential,
                .addresses = reflector->addresses,
                .n_addresses = reflector->n_addresses,
                .fresh = reflector->fresh,
                .timeout = reflector->timings.list_timeout,
                .body_maximum = CHECK_BODY_MAX,
                .data = on_data,
                .done = on_done,
                .userdata = reflector,
        };
        _cleanup_free_ char *query = NULL;
        int r = check_query(reflector, &query);

        if (r < 0)
                return r;
        options.path = query;
        r = http_get(reflector->http, &options, &reflector->request);
        if (r < 0)
                return r;
        reflector->status.checks++;
        reflector_set_state(reflector, REFLECTOR_CHECKING);
        return 0;
}
