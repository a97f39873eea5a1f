/*
 * The reflector's watch: events from the version of the list on, and what its end means.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "basics/text.h"
#include "kube/cilium_node.h"
#include "kube/reflector_internal.h"

#define EVENT_TYPE_MAX 32

void reflector_watch_reset(struct reflector *reflector)
{
        watch_decoder_deinit(&reflector->watch);
        reflector->watch = (struct watch_decoder){};
        reflector->watch_error = (struct outcome){};
        if (reflector->initial)
                reflector_gather_reset(reflector);
        reflector->initial = false;
}

static void feed_watchdog(struct reflector *reflector)
{
        const struct reflector_timings *timings = &reflector->timings;
        uint64_t limit = reflector->initial ? timings->stream_idle : timings->watchdog;

        /* What was cut in one moment for many clients does not come back in one. */
        if (sd_event_source_set_time_relative(
                    reflector->watchdog, random_between(limit - limit / 8, limit)) >= 0)
                (void)sd_event_source_set_enabled(reflector->watchdog, SD_EVENT_ONESHOT);
}

static void in_step(struct reflector *reflector)
{
        if (reflector->initial)
                return;
        reflector_set_state(reflector, REFLECTOR_WATCHING);
        reflector_succeeded(reflector);
}

static void on_head(void *userdata, long status)
{
        struct reflector *reflector = userdata;

        reflector_contact(reflector, status == 200 && !reflector->initial);
        if (status == 200)
                in_step(reflector);
}

static int node_changed(struct reflector *reflector, struct json_object *object)
{
        _cleanup_(node_freep) struct node *node = NULL;
        struct error error = {};
        int r;

        r = cilium_node_decode(object, &node, &error);
        if (r == -ENOMEM)
                return r;
        if (r >= 0 && reflector->known->n_nodes >= CLUSTER_NODES_MAX &&
                !cluster_find(reflector->known, node->name))
                r = error_set(&error, -EFBIG, "CiliumNode %s: more than %d nodes", node->name,
                        CLUSTER_NODES_MAX);
        if (r < 0) {
                /* The older version, if there is one, stays in force: nobody is told to drop it. */
                reflector_bad_object(reflector, cilium_node_name(object), &error);
                return 0;
        }
        r = cluster_put(reflector->known, node_ref(node));
        if (r < 0)
                return r;
        reflector->handlers.changed(
                reflector->handlers.userdata, TAKE_PTR(node), reflector->version);
        return 0;
}

static int node_deleted(struct reflector *reflector, struct json_object *object)
{
        const char *name = cilium_node_name(object);
        struct error error = {};

        if (!name) {
                error_set(&error, -EINVAL, "a DELETED event that names no object");
                reflector_bad_object(reflector, NULL, &error);
                return 0;
        }
        cluster_remove(reflector->known, name);
        reflector->handlers.removed(reflector->handlers.userdata, name, reflector->version);
        return 0;
}

/* The version moves on with every event, also with one whose object cannot be used. */
static int take_version(struct reflector *reflector, struct json_object *object)
{
        const char *version = cilium_node_version(object);

        return version ? text_replace(&reflector->version, version) : 0;
}

static int dispatch_event(struct reflector *reflector, const char *type, struct json_object *object)
{
        struct error error = {};
        int r;

        if (strcmp(type, "ERROR") == 0) {
                reflector->watch_error = outcome_from_status(object);
                return -ECANCELED;
        }
        if (reflector->initial)
                return reflector_initial_event(reflector, type, object);
        r = take_version(reflector, object);
        if (r < 0)
                return r;
        if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
                return node_changed(reflector, object);
        if (strcmp(type, "DELETED") == 0)
                return node_deleted(reflector, object);
        if (strcmp(type, "BOOKMARK") == 0) {
                reflector->status.bookmarks++;
                reflector->handlers.bookmark(reflector->handlers.userdata, reflector->version);
                return 0;
        }
        error_set(&error, -EINVAL, "a watch event of an unknown type");
        reflector_bad_object(reflector, NULL, &error);
        return 0;
}

static int on_event(void *userdata, struct json_object *event, const struct error *problem)
{
        struct reflector *reflector = userdata;
        struct json_object *object = NULL;
        const char *type = NULL;
        struct error error = {};

        reflector->watch_events++;
        reflector->status.events++;
        reflector->silent_watches = 0;
        reflector_contact(reflector, !reflector->initial);
        feed_watchdog(reflector);

        if (problem && reflector->initial)
                return reflector_gather(reflector, NULL, problem);
        if (problem) {
                reflector_bad_object(reflector, NULL, problem);
                return 0;
        }
        if (kube_json_get_text(event, "type", EVENT_TYPE_MAX, &type, &error) < 0 ||
                kube_json_get(event, "object", json_type_object, &object, &error) < 0 || !type ||
                !object) {
                if (error.code == 0)
                        error_set(&error, -EINVAL, "a watch event without type or object");
                reflector_bad_object(reflector, NULL, &error);
                return 0;
        }
        return dispatch_event(reflector, type, object);
}

static int on_data(void *userdata, const char *data, size_t size)
{
        struct reflector *reflector = userdata;
        int r = watch_decoder_feed(&reflector->watch, data, size);

        /* Also behind the event that ends a streaming list. */
        in_step(reflector);
        return r;
}

/*
 * Too old: a list; the second time in a row not so soon, or server and client would chase each
 * other. Never at once: an edit of the CRD expires the watches of every client in the same moment.
 */
static void watch_expired(struct reflector *reflector, const struct outcome *outcome)
{
        if (reflector->expired_watches++ > 0)
                reflector_fail(reflector, NEXT_LIST, outcome);
        else
                reflector_schedule(reflector, NEXT_LIST,
                        random_between(0, reflector->timings.backoff_initial));
}

void reflector_watch_failed(struct reflector *reflector, const struct outcome *outcome)
{
        switch (outcome->kind) {
        case ANSWER_EXPIRED:
        case ANSWER_TOO_LARGE: watch_expired(reflector, outcome); return;
        case ANSWER_UNAUTHORIZED: reflector_unauthorized(reflector, NEXT_WATCH, outcome); return;
        case ANSWER_BUSY: reflector_fail(reflector, NEXT_CHECK, outcome); return;
        case ANSWER_BROKEN:
                /* A stream that cannot be cut into events would come again just so. */
                if (outcome->error.code == -EBADMSG || outcome->error.code == -E2BIG)
                        break;
                /* A server that was away may come back with the data of a backup. */
                reflector_fail(reflector, outcome->unreachable ? NEXT_CHECK : NEXT_WATCH, outcome);
                return;
        case ANSWER_ABSENT: reflector->from = LIST_ANY; break;
        default: break;
        }
        reflector_fail(reflector, NEXT_LIST, outcome);
}

/* The next watch, from where this one has come to. */
static void watch_again(struct reflector *reflector)
{
        const struct reflector_timings *timings = &reflector->timings;
        enum next_request next = NEXT_WATCH;

        reflector->expired_watches = 0;
        if (reflector->watch_events == 0) {
                reflector->silent_watches++;
                /* A version from the future (a restored etcd) is answered by silence. */
                if (reflector->silent_watches % timings->silent_check == 0)
                        next = NEXT_CHECK;
                if (reflector->silent_watches >= timings->silent_watches) {
                        reflector->silent_watches = 0;
                        next = NEXT_LIST;
                }
        }
        reflector_schedule(reflector, next, 0);
}

static void watch_ended(struct reflector *reflector)
{
        uint64_t lasted = reflector_now(reflector) - reflector->watch_begun;

        if (reflector->watch_events == 0 && lasted < reflector->timings.short_watch)
                reflector_fail_with(reflector, NEXT_WATCH, -ECONNRESET,
                        "the API server: ended the watch at once");
        else
                watch_again(reflector);
}

void reflector_watch_silent(struct reflector *reflector)
{
        bool answered = reflector->state == REFLECTOR_WATCHING, initial = reflector->initial;

        reflector->status.requests[0]++;
        reflector->status.watch_restarts[WATCH_SILENT] += answered && !initial;
        reflector_watch_reset(reflector);
        if (initial) {
                reflector_initial_silent(reflector);
        } else if (answered) {
                watch_again(reflector);
        } else {
                struct outcome outcome = {
                        .kind = ANSWER_BROKEN,
                        .retry_after = HTTP_NO_RETRY_AFTER,
                        .unreachable = true,
                };

                error_set(&outcome.error, -ETIMEDOUT, "the API server: no answer to a watch");
                reflector_fail(reflector, NEXT_CHECK, &outcome);
        }
}

static enum watch_restart restart_of(const struct outcome *outcome)
{
        switch (outcome->kind) {
        case ANSWER_OK: return WATCH_CLOSED;
        case ANSWER_EXPIRED:
        case ANSWER_TOO_LARGE: return WATCH_EXPIRED;
        case ANSWER_BROKEN: return WATCH_BROKEN;
        default: return WATCH_REFUSED;
        }
}

static void on_done(void *userdata, const struct http_result *result)
{
        struct reflector *reflector = userdata;
        struct outcome outcome = reflector_take_result(reflector, result);
        bool initial, watching = reflector->state == REFLECTOR_WATCHING;

        /* An ERROR event counts as one itself. */
        if (reflector->watch_events > (reflector->watch_error.kind != ANSWER_OK))
                reflector->expired_watches = 0;
        if (reflector->watch_error.kind != ANSWER_OK)
                outcome = reflector->watch_error;
        /* A whole list that is not believed is a list's failure, not the stream's. */
        initial = reflector->initial && !reflector->watch_refused;
        reflector_watch_reset(reflector);
        reflector->status.watch_restarts[restart_of(&outcome)] += watching;
        if (initial)
                reflector_initial_failed(reflector, &outcome);
        else if (outcome.kind == ANSWER_OK)
                watch_ended(reflector);
        else
                reflector_watch_failed(reflector, &outcome);
}

static int watch_query(const struct reflector *reflector, unsigned timeout, char **ret)
{
        char *escaped = curl_easy_escape(NULL, reflector->version, 0);
        int n;

        if (!escaped)
                return -ENOMEM;
        n = asprintf(ret,
                REFLECTOR_PATH
                "?allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u&watch=true",
                escaped, timeout);
        curl_free(escaped);
        return n < 0 ? -ENOMEM : 0;
}

/* By version as a list is asked for; "" is a consistent read. */
static int stream_query(const struct reflector *reflector, unsigned timeout, char **ret)
{
        const char *version = "0";
        char *escaped;
        int n;

        if (reflector->from == LIST_KNOWN && reflector->version)
                version = reflector->version;
        else if (reflector->from == LIST_LATEST)
                version = "";
        escaped = curl_easy_escape(NULL, version, 0);
        if (!escaped)
                return -ENOMEM;
        n = asprintf(ret,
                REFLECTOR_PATH "?allowWatchBookmarks=true&resourceVersion=%s"
                               "&resourceVersionMatch=NotOlderThan&sendInitialEvents=true"
                               "&timeoutSeconds=%u&watch=true",
                escaped, timeout);
        curl_free(escaped);
        return n < 0 ? -ENOMEM : 0;
}

static int begin(struct reflector *reflector, bool initial)
{
        const struct reflector_timings *timings = &reflector->timings;
        struct http_options options = {
                .credential = reflector->credential,
                .addresses = reflector->addresses,
                .n_addresses = reflector->n_addresses,
                .fresh = reflector->fresh,
                .head = on_head,
                .data = on_data,
                .done = on_done,
                .userdata = reflector,
        };
        _cleanup_free_ char *query = NULL;
        unsigned timeout;
        int r;

        timeout = (unsigned)random_between(timings->watch_timeout_min, timings->watch_timeout_max);
        r = initial ? stream_query(reflector, timeout, &query)
                    : watch_query(reflector, timeout, &query);
        if (r < 0)
                return r;
        watch_decoder_deinit(&reflector->watch);
        watch_decoder_init(&reflector->watch, 0, on_event, reflector);
        reflector->watch_error = (struct outcome){};
        reflector->watch_refused = false;
        reflector->initial = initial;
        reflector->watch_events = 0;
        reflector->watch_begun = reflector_now(reflector);
        options.path = query;
        options.timeout = timeout * USEC_PER_SEC + timings->watch_grace;
        r = http_get(reflector->http, &options, &reflector->request);
        if (r < 0)
                return r;
        reflector->status.watches++;
        feed_watchdog(reflector);
        reflector_set_state(reflector, initial ? REFLECTOR_LISTING : REFLECTOR_CONNECTING);
        return 0;
}

int reflector_watch_begin(struct reflector *reflector)
{
        return begin(reflector, false);
}

int reflector_stream_begin(struct reflector *reflector)
{
        int r = reflector_gather_begin(reflector);

        return r < 0 ? r : begin(reflector, true);
}
