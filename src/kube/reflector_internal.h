/*
 * What the parts of the reflector share: reflector.c (the state machine, its timers, what follows a
 * failure), reflector_list.c, reflector_check.c and reflector_watch.c (the requests),
 * reflector_initial.c (a list that comes by a watch), reflector_gather.c (the whole set, before it
 * is believed).
 */
#pragma once

#include "basics/backoff.h"
#include "kube/http.h"
#include "kube/list_decoder.h"
#include "kube/outcome.h"
#include "kube/reflector.h"
#include "kube/resolver.h"
#include "kube/watch_decoder.h"

#define REFLECTOR_PATH     "/apis/cilium.io/v2/ciliumnodes"
/*
 * Decompressed bytes of one page. Memory does not grow with it, as elements are decoded one by one:
 * 5,000 ENI nodes of 14 kB are 70 MB.
 */
#define REFLECTOR_LIST_MAX (UINT64_C(256) * 1024 * 1024)

enum next_request { NEXT_LIST, NEXT_CHECK, NEXT_WATCH };

/* Which state of the set a list asks for (Kubernetes API, "Resource versions"). */
enum list_from {
        LIST_ANY,    /* resourceVersion=0: whatever the server's watch cache holds */
        LIST_KNOWN,  /* not older than the version seen last */
        LIST_LATEST, /* no version: a consistent read, in pages */
};

struct reflector {
        sd_event *event;
        struct reflector_timings timings;
        struct reflector_handlers handlers;
        struct reflector_status status;

        const struct credential *credential;
        struct address addresses[RESOLVER_ADDRESSES_MAX];
        size_t n_addresses;
        struct http *http;
        struct http_request *request; /* at most one */
        bool fresh;                   /* the next request takes a new connection */

        enum reflector_state state;
        struct error problem; /* told with the state until something succeeds; code 0: none */
        enum next_request next;
        sd_event_source *timer;    /* the next request is due */
        sd_event_source *watchdog; /* no event for too long */
        struct backoff backoff;
        uint64_t last_failure; /* CLOCK_BOOTTIME in µs; 0: none */
        bool retried_unauthorized;
        bool interrupt; /* the request under way gives way to the next one */

        char *node_name; /* NULL: as the credential has it */
        enum doubtful_list on_doubtful_list;
        struct cluster *known;                /* copies of what is in force */
        char *version;                        /* to watch from; NULL: none */
        char *server;                         /* the cluster that the version is of: URL … */
        char ca_sha256[CREDENTIAL_HASH_TEXT]; /* … and CA */
        uint64_t start_delay;                 /* of the first request, µs */

        enum list_from from;
        bool unpaged;
        unsigned list_failures; /* answers, in a row, that were no list */
        struct list_decoder list;
        struct cluster *gathered; /* of the pages so far; NULL: before the first page */
        char *continue_token;     /* of the next page */
        unsigned pages;           /* so far */
        size_t nameless;          /* objects of the list that cannot even be named */

        bool initial;              /* the watch is a list still: it has not sent all there is */
        uint64_t no_streams_until; /* CLOCK_BOOTTIME in µs: lists in one piece until then */
        struct watch_decoder watch;
        struct outcome watch_error; /* of an ERROR event, say; ANSWER_OK: none */
        bool watch_refused;         /* it is our doubt about the whole set */
        uint64_t watch_begun;
        uint64_t watch_events;
        unsigned silent_watches;  /* in a row */
        unsigned expired_watches; /* in a row, without anything between */
};

uint64_t reflector_now(const struct reflector *reflector);
void reflector_set_state(struct reflector *reflector, enum reflector_state state);
/* Something worked: what was wrong is not any more. */
void reflector_succeeded(struct reflector *reflector);
/* The server said something (data: a list, an event, a bookmark, or that it serves the watch). */
void reflector_contact(struct reflector *reflector, bool data);
/* The next request, from the event loop, after so many µs. */
void reflector_schedule(struct reflector *reflector, enum next_request next, uint64_t delay);
/* Backs off, then the next request. */
void reflector_fail(
        struct reflector *reflector, enum next_request next, const struct outcome *outcome);
/* The same for what is wrong on our own side, or with the body. */
void reflector_fail_with(
        struct reflector *reflector, enum next_request next, int code, const char *text);
/* 401: reload, one retry on a fresh connection, then back off. */
void reflector_unauthorized(
        struct reflector *reflector, enum next_request next, const struct outcome *outcome);
/* Counts the request that has ended, frees it, and says what its answer means. */
struct outcome reflector_take_result(struct reflector *reflector, const struct http_result *result);
/* An object that cannot be used. */
void reflector_bad_object(struct reflector *reflector, const char *name, const struct error *error);

/* Makes room for a whole set unless there is one being gathered. −ENOMEM. */
int reflector_gather_begin(struct reflector *reflector);
/* Drops what was gathered. */
void reflector_gather_reset(struct reflector *reflector);
/* Our node's name, borrowed; NULL: not known. */
const char *reflector_own_name(const struct reflector *reflector);
/*
 * One object of the whole set (or `problem`: why there is none). One that cannot be used is told,
 * and its older version kept. −ENOMEM; −EFBIG: more than CLUSTER_NODES_MAX.
 */
int reflector_gather(
        struct reflector *reflector, struct json_object *object, const struct error *problem);
/*
 * The set is complete and has its version: hands it over in the place of what was known.
 * −ENODATA: it is hard to believe, and was not. −ENOMEM. Both with words.
 */
int reflector_take_set(struct reflector *reflector, struct error *error);

/* Sends the request; the state is set. Negative: nothing is under way. */
int reflector_list_begin(struct reflector *reflector);
/* Forgets a list that is not finished. */
void reflector_list_reset(struct reflector *reflector);
int reflector_watch_begin(struct reflector *reflector);
/* A list by a watch. */
int reflector_stream_begin(struct reflector *reflector);
/* True: a list may be asked for in that way now. */
bool reflector_may_stream(const struct reflector *reflector);
/* An event before the end of the initial ones; a negative return ends the watch. */
int reflector_initial_event(
        struct reflector *reflector, const char *type, struct json_object *object);
/* It has ended (ANSWER_OK: cleanly), or fallen silent, before it was whole. */
void reflector_initial_failed(struct reflector *reflector, const struct outcome *outcome);
void reflector_initial_silent(struct reflector *reflector);
/* What follows when the server would not serve a watch, or a check. */
void reflector_watch_failed(struct reflector *reflector, const struct outcome *outcome);
int reflector_check_begin(struct reflector *reflector);
void reflector_watch_reset(struct reflector *reflector);
/* The server has been silent for too long. */
void reflector_watch_silent(struct reflector *reflector);
