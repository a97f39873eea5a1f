#include "kube/reflector.h"

#include <stdio.h>
#include <string.h>

#include "basics/text.h"
#include "kube/reflector_internal.h"

/* µs; sd-event's default of 250 ms would come between any two requests. */
#define TIMER_ACCURACY 1000

const char *reflector_state_name(enum reflector_state state)
{
        static const char *const names[REFLECTOR_STATE_MAX] = {
                [REFLECTOR_WAITING] = "waiting",
                [REFLECTOR_LISTING] = "listing",
                [REFLECTOR_CHECKING] = "checking the version",
                [REFLECTOR_CONNECTING] = "connecting",
                [REFLECTOR_WATCHING] = "watching",
                [REFLECTOR_BACKOFF] = "backing off",
        };

        return state < REFLECTOR_STATE_MAX ? names[state] : "?";
}

struct reflector_timings reflector_timings_default(void)
{
        return (struct reflector_timings){
                .backoff_initial = 800 * USEC_PER_MSEC,
                .backoff_maximum = 30 * USEC_PER_SEC,
                .backoff_reset_after = 120 * USEC_PER_SEC,
                .retry_after_maximum = 300 * USEC_PER_SEC,
                .watch_timeout_min = 300,
                .watch_timeout_max = 600,
                .watch_grace = 30 * USEC_PER_SEC,
                .watchdog = 180 * USEC_PER_SEC,
                .short_watch = USEC_PER_SEC,
                .list_timeout = 60 * USEC_PER_SEC,
                .page_limit = 500,
                .silent_check = 2,
                .silent_watches = 10,
                .stream_lists = true,
                .stream_idle = 10 * USEC_PER_SEC,
                .stream_retry_after = 3600 * USEC_PER_SEC,
                .start_fresh = 300 * USEC_PER_SEC,
                .start_per_node = 12 * USEC_PER_MSEC,
                .start_maximum = 60 * USEC_PER_SEC,
        };
}

uint64_t reflector_now(const struct reflector *reflector)
{
        uint64_t now = 0;

        (void)sd_event_now(reflector->event, CLOCK_BOOTTIME, &now);
        return now;
}

static void tell_state(struct reflector *reflector)
{
        reflector->handlers.state(reflector->handlers.userdata, reflector->state,
                reflector->problem.code < 0 ? &reflector->problem : NULL);
}

/* The one place that changes the state. */
void reflector_set_state(struct reflector *reflector, enum reflector_state state)
{
        if (reflector->state == state)
                return;
        reflector->state = state;
        tell_state(reflector);
}

void reflector_succeeded(struct reflector *reflector)
{
        reflector->retried_unauthorized = false;
        if (reflector->problem.code == 0)
                return;
        reflector->problem = (struct error){};
        tell_state(reflector);
}

void reflector_contact(struct reflector *reflector, bool data)
{
        reflector->status.last_contact = reflector_now(reflector);
        if (data)
                reflector->status.last_data = reflector->status.last_contact;
}

static void arm(sd_event_source *timer, uint64_t delay)
{
        if (sd_event_source_set_time_relative(timer, delay) >= 0)
                (void)sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static void disarm(sd_event_source *timer)
{
        (void)sd_event_source_set_enabled(timer, SD_EVENT_OFF);
}

void reflector_schedule(struct reflector *reflector, enum next_request next, uint64_t delay)
{
        /* A resync that was asked for meanwhile comes first. */
        reflector->next = reflector->interrupt ? NEXT_LIST : next;
        arm(reflector->timer, delay);
}

static uint64_t next_delay(struct reflector *reflector, uint64_t retry_after)
{
        uint64_t now = reflector_now(reflector), delay;

        if (now - reflector->last_failure > reflector->timings.backoff_reset_after)
                backoff_reset(&reflector->backoff);
        reflector->last_failure = now;
        delay = backoff_next(&reflector->backoff);
        if (retry_after == HTTP_NO_RETRY_AFTER)
                return delay;
        if (retry_after > reflector->timings.retry_after_maximum)
                retry_after = reflector->timings.retry_after_maximum;
        /* Not before it was asked for, and not all clients at the same moment. */
        return retry_after + delay;
}

void reflector_fail(
        struct reflector *reflector, enum next_request next, const struct outcome *outcome)
{
        bool known = reflector->problem.code < 0 &&
                     strcmp(reflector->problem.text, outcome->error.text) == 0;

        reflector->problem = outcome->error;
        if (reflector->state == REFLECTOR_BACKOFF && !known)
                tell_state(reflector);
        reflector_set_state(reflector, REFLECTOR_BACKOFF);
        reflector_schedule(reflector, next, next_delay(reflector, outcome->retry_after));
        if (outcome->unreachable)
                reflector->handlers.unreachable(reflector->handlers.userdata);
}

void reflector_fail_with(
        struct reflector *reflector, enum next_request next, int code, const char *text)
{
        struct outcome outcome = {.kind = ANSWER_BROKEN, .retry_after = HTTP_NO_RETRY_AFTER};

        error_set(&outcome.error, code, "%s", text);
        reflector_fail(reflector, next, &outcome);
}

void reflector_unauthorized(
        struct reflector *reflector, enum next_request next, const struct outcome *outcome)
{
        bool retry = !reflector->retried_unauthorized;

        reflector->retried_unauthorized = true;
        reflector->fresh = true;
        reflector->handlers.reload(reflector->handlers.userdata);
        if (retry)
                reflector_schedule(reflector, next, 0);
        else
                reflector_fail(reflector, next, outcome);
}

struct outcome reflector_take_result(struct reflector *reflector, const struct http_result *result)
{
        struct outcome outcome = outcome_from_result(result);
        long class = result->status / 100;

        reflector->status.requests[class >= 1 && class <= 5 ? class : 0]++;
        if (result->status > 0)
                reflector_contact(reflector, false);
        disarm(reflector->watchdog);
        reflector->request = http_request_free(reflector->request);
        return outcome;
}

void reflector_bad_object(struct reflector *reflector, const char *name, const struct error *error)
{
        reflector->status.bad_objects++;
        reflector->handlers.bad_object(reflector->handlers.userdata, name, error);
}

/* Ends what is under way, without a word to the server. */
static void cancel(struct reflector *reflector)
{
        reflector->request = http_request_free(reflector->request);
        disarm(reflector->timer);
        disarm(reflector->watchdog);
        reflector_list_reset(reflector);
        reflector_watch_reset(reflector);
        reflector->interrupt = false;
}

static bool is_ready(const struct reflector *reflector)
{
        return reflector->credential &&
               (reflector->n_addresses > 0 || reflector->credential->proxy_url);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct reflector *reflector = userdata;
        int r;

        if (reflector->interrupt)
                cancel(reflector);
        if (reflector->request)
                return 0;
        if (!is_ready(reflector)) {
                reflector_set_state(reflector, REFLECTOR_WAITING);
                return 0;
        }
        if (reflector->next == NEXT_LIST || !reflector->version)
                r = reflector_may_stream(reflector) ? reflector_stream_begin(reflector)
                                                    : reflector_list_begin(reflector);
        else if (reflector->next == NEXT_CHECK)
                r = reflector_check_begin(reflector);
        else
                r = reflector_watch_begin(reflector);
        reflector->fresh = false;
        if (r < 0)
                reflector_fail_with(reflector, reflector->next, r, "a request cannot be begun");
        return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct reflector *reflector = userdata;

        reflector->request = http_request_free(reflector->request);
        reflector->fresh = true;
        reflector_watch_silent(reflector);
        return 0;
}

static int add_timer(
        struct reflector *reflector, sd_event_time_handler_t handler, sd_event_source **ret)
{
        int r = sd_event_add_time_relative(
                reflector->event, ret, CLOCK_BOOTTIME, 0, TIMER_ACCURACY, handler, reflector);

        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

int reflector_new(sd_event *event, const struct reflector_timings *timings,
        const struct reflector_handlers *handlers, struct reflector **ret)
{
        _cleanup_(reflector_freep) struct reflector *reflector = calloc(1, sizeof(*reflector));
        int r;

        if (!reflector)
                return -ENOMEM;
        reflector->event = sd_event_ref(event);
        reflector->timings = *timings;
        reflector->handlers = *handlers;
        reflector->backoff = BACKOFF_INIT(timings->backoff_initial, timings->backoff_maximum);
        reflector->known = cluster_new();
        if (!reflector->known)
                return -ENOMEM;
        r = http_new(event, &reflector->http);
        if (r >= 0)
                r = add_timer(reflector, on_timer, &reflector->timer);
        if (r >= 0)
                r = add_timer(reflector, on_watchdog, &reflector->watchdog);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reflector);
        return 0;
}

struct reflector *reflector_free(struct reflector *reflector)
{
        if (!reflector)
                return NULL;
        http_request_free(reflector->request);
        http_free(reflector->http);
        reflector_list_reset(reflector);
        reflector_watch_reset(reflector);
        sd_event_source_disable_unref(reflector->timer);
        sd_event_source_disable_unref(reflector->watchdog);
        sd_event_unref(reflector->event);
        credential_unref(reflector->credential);
        cluster_free(reflector->known);
        free(reflector->node_name);
        free(reflector->server);
        free(reflector->version);
        free(reflector);
        return NULL;
}

int reflector_set_known(struct reflector *reflector, const struct cluster *cluster,
        const struct reflector_origin *origin)
{
        const struct reflector_timings *timings = &reflector->timings;
        uint64_t window = cluster->n_nodes * timings->start_per_node;
        struct cluster *copy = cluster_copy(cluster);

        if (!copy)
                return -ENOMEM;
        cluster_free(reflector->known);
        reflector->known = copy;
        if (!cluster->version || !origin->server)
                return 0;
        if (text_replace(&reflector->version, cluster->version) < 0 ||
                text_replace(&reflector->server, origin->server) < 0)
                return -ENOMEM;
        snprintf(reflector->ca_sha256, sizeof(reflector->ca_sha256), "%s",
                origin->ca_sha256 ? origin->ca_sha256 : "");
        if (origin->age < timings->start_fresh)
                reflector->start_delay = random_between(
                        0, window < timings->start_maximum ? window : timings->start_maximum);
        return 0;
}

int reflector_forget(struct reflector *reflector)
{
        struct cluster *none = cluster_new();

        if (!none)
                return -ENOMEM;
        cluster_free(reflector->known);
        reflector->known = none;
        free(reflector->version);
        reflector->version = NULL;
        return 0;
}

int reflector_set_doubt(
        struct reflector *reflector, const char *node_name, enum doubtful_list on_doubtful_list)
{
        reflector->on_doubtful_list = on_doubtful_list;
        return text_replace(&reflector->node_name, node_name);
}

static bool is_scheduled(const struct reflector *reflector)
{
        int enabled = SD_EVENT_OFF;

        return sd_event_source_get_enabled(reflector->timer, &enabled) >= 0 &&
               enabled != SD_EVENT_OFF;
}

/* The next request as soon as there is a way to the server; the very first one a little later. */
static void begin(struct reflector *reflector)
{
        if (!is_ready(reflector)) {
                reflector_set_state(reflector, REFLECTOR_WAITING);
                return;
        }
        reflector_schedule(reflector, reflector->next, reflector->start_delay);
        reflector->start_delay = 0;
}

/* The version is of exactly the cluster that the credential is for. */
static bool is_same_cluster(const struct reflector *reflector)
{
        const struct credential *credential = reflector->credential;

        return text_equal(reflector->server, credential->server.text) &&
               strcmp(reflector->ca_sha256, credential->ca_sha256) == 0;
}

/* The first cluster, or another one: nothing of the version is worth anything. */
static int begin_anew(struct reflector *reflector)
{
        cancel(reflector);
        free(reflector->version);
        reflector->version = NULL;
        reflector->from = LIST_ANY;
        reflector->next = NEXT_LIST;
        reflector->no_streams_until = 0;
        memcpy(reflector->ca_sha256, reflector->credential->ca_sha256,
                sizeof(reflector->ca_sha256));
        backoff_reset(&reflector->backoff);
        begin(reflector);
        return text_replace(&reflector->server, reflector->credential->server.text);
}

/* The same cluster as before: on from the version, if there is one. */
static void begin_again(struct reflector *reflector)
{
        cancel(reflector);
        reflector->from = reflector->version ? LIST_KNOWN : LIST_ANY;
        reflector->next = reflector->version ? NEXT_CHECK : NEXT_LIST;
        backoff_reset(&reflector->backoff);
        begin(reflector);
}

void reflector_set_credential(struct reflector *reflector, const struct credential *credential)
{
        const struct credential *old = reflector->credential;

        reflector->credential = credential_ref(credential);
        http_forget_connections(reflector->http);
        if (!credential) {
                cancel(reflector);
                reflector_set_state(reflector, REFLECTOR_WAITING);
        } else if (!is_same_cluster(reflector)) {
                /* Out of memory: the cluster is not remembered, and not taken for the same. */
                if (begin_anew(reflector) < 0)
                        *reflector->ca_sha256 = '?';
        } else if (!old) {
                begin_again(reflector);
        } else if (reflector->state == REFLECTOR_BACKOFF) {
                /* What failed may have failed for the old one. */
                backoff_reset(&reflector->backoff);
                reflector_schedule(reflector, reflector->next, 0);
        }
        credential_unref(old);
}

int reflector_set_addresses(
        struct reflector *reflector, const struct address *addresses, size_t n_addresses)
{
        if (n_addresses > RESOLVER_ADDRESSES_MAX)
                return -E2BIG;
        if (n_addresses > 0)
                memcpy(reflector->addresses, addresses, n_addresses * sizeof(*addresses));
        reflector->n_addresses = n_addresses;
        if (!is_ready(reflector)) {
                cancel(reflector);
                reflector_set_state(reflector, REFLECTOR_WAITING);
        } else if (reflector->state == REFLECTOR_WAITING && !is_scheduled(reflector)) {
                begin(reflector);
        }
        return 0;
}

void reflector_resync(struct reflector *reflector)
{
        reflector->next = NEXT_LIST;
        reflector->fresh = true;
        if (reflector->state == REFLECTOR_BACKOFF || reflector->state == REFLECTOR_LISTING)
                return;
        reflector->interrupt = true;
        reflector->status.watch_restarts[WATCH_RESYNC] += reflector->state == REFLECTOR_WATCHING;
        reflector_schedule(reflector, NEXT_LIST, 0);
}

enum reflector_state reflector_state(const struct reflector *reflector)
{
        return reflector->state;
}

const struct reflector_status *reflector_status(const struct reflector *reflector)
{
        return &reflector->status;
}
