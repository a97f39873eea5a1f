/*
 * The reflector's streaming list (Kubernetes API, "Streaming lists"): a watch that begins with an
 * event for every object there is. They are gathered apart, and count only when the server says by
 * an annotated bookmark that they were all; from there on it is a watch like any other.
 */
#include <stdio.h>
#include <string.h>

#include "basics/text.h"
#include "kube/cilium_node.h"
#include "kube/reflector_internal.h"

#define END_ANNOTATION "k8s.io/initial-events-end"

bool reflector_may_stream(const struct reflector *reflector)
{
        /*
         * Not for the very first list: a server that does not know of it is found out by silence,
         * and there is nothing in force yet that could wait for that.
         */
        return reflector->timings.stream_lists && reflector->known->n_nodes > 0 &&
               !reflector->gathered && !reflector->unpaged &&
               reflector_now(reflector) >= reflector->no_streams_until;
}

/* The server does not offer it, or not well: lists in one piece for a while. */
static void no_streams(struct reflector *reflector)
{
        reflector->no_streams_until =
                reflector_now(reflector) + reflector->timings.stream_retry_after;
}

static bool ends_initial_events(struct json_object *bookmark)
{
        struct json_object *metadata = NULL, *annotations = NULL;
        const char *value = NULL;

        (void)kube_json_get(bookmark, "metadata", json_type_object, &metadata, NULL);
        (void)kube_json_get(metadata, "annotations", json_type_object, &annotations, NULL);
        (void)kube_json_get_text(annotations, END_ANNOTATION, sizeof("true"), &value, NULL);
        return value && strcmp(value, "true") == 0;
}

/* All are there: they take the place of what was known, if they can be believed. */
static int take_initial(struct reflector *reflector, struct json_object *bookmark)
{
        struct outcome *outcome = &reflector->watch_error;
        const char *version = cilium_node_version(bookmark);
        struct error error = {};
        int r = -EBADMSG;

        if (!version)
                error_set(&error, r, "the API server ended the initial events without a version");
        else
                r = cluster_set_version(reflector->gathered, version);
        if (r >= 0)
                r = reflector_take_set(reflector, &error);
        if (r < 0) {
                reflector->watch_refused = true;
                *outcome = (struct outcome){
                        .kind = ANSWER_REFUSED, .retry_after = HTTP_NO_RETRY_AFTER};
                error_set(&outcome->error, r, "%s", error.code < 0 ? error.text : "out of memory");
                return -ECANCELED;
        }
        reflector->initial = false;
        reflector->status.streamed_lists++;
        return 0;
}

int reflector_initial_event(
        struct reflector *reflector, const char *type, struct json_object *object)
{
        const char *name = cilium_node_name(object);

        if (reflector_now(reflector) - reflector->watch_begun > reflector->timings.list_timeout)
                return -ETIMEDOUT;
        if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
                return reflector_gather(reflector, object, NULL);
        if (strcmp(type, "DELETED") == 0 && name)
                cluster_remove(reflector->gathered, name);
        else if (strcmp(type, "BOOKMARK") == 0 && ends_initial_events(object))
                return take_initial(reflector, object);
        return 0;
}

void reflector_initial_failed(struct reflector *reflector, const struct outcome *outcome)
{
        switch (outcome->kind) {
        case ANSWER_EXPIRED:
        case ANSWER_TOO_LARGE:
                reflector->from = LIST_LATEST;
                reflector_schedule(reflector, NEXT_LIST,
                        random_between(0, reflector->timings.backoff_initial));
                return;
        case ANSWER_UNAUTHORIZED: reflector_unauthorized(reflector, NEXT_LIST, outcome); return;
        case ANSWER_OK:
                no_streams(reflector);
                reflector_fail_with(reflector, NEXT_LIST, -ENODATA,
                        "the API server: ended a streaming list before its end");
                return;
        case ANSWER_REFUSED:
                /* 422 or 400: the feature is off, or not known. That is no failure. */
                no_streams(reflector);
                reflector_schedule(reflector, NEXT_LIST, 0);
                return;
        case ANSWER_BROKEN: no_streams(reflector); break;
        case ANSWER_ABSENT: reflector->from = LIST_ANY; break;
        default: break;
        }
        reflector_fail(reflector, NEXT_LIST, outcome);
}

void reflector_initial_silent(struct reflector *reflector)
{
        no_streams(reflector);
        reflector_fail_with(reflector, NEXT_LIST, -ETIMEDOUT,
                "the API server: a streaming list stopped before its end");
}
