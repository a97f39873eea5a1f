/*
 * When to reconcile, and the run itself: the manager's timers.
 */
#include <malloc.h>
#include <string.h>
#include <time.h>

#include "daemon/manager_private.h"

_Static_assert(WATCH_RESTART_MAX == STATUS_WATCH_RESTARTS, "the status has them all");

/*
 * Node changes are gathered for so long before they are applied together: addresses that go from
 * one node to another come as two changes, and between them they must not be let go.
 */
#define GATHER_USEC        (100 * USEC_PER_MSEC)
#define RESCAN_USEC        (60 * USEC_PER_SEC)
/* After the first partial run: what it left out is looked at, whatever comes meanwhile. */
#define FOLLOW_USEC        (10 * USEC_PER_SEC)
#define RETRY_INITIAL_USEC (1 * USEC_PER_SEC)
#define RETRY_MAXIMUM_USEC (30 * USEC_PER_SEC)
/* A device that is up but has no mark yet: its configuration is announced by nobody. */
#define UNMARKED_USEC      (1 * USEC_PER_SEC)
/* A watch that goes on from a snapshot first brings what was missed: quiet for so long, it has. */
#define SETTLE_USEC        (2 * USEC_PER_SEC)
#define SAVE_USEC          (2 * USEC_PER_SEC)
#define SAVE_VERSION_USEC  (60 * USEC_PER_SEC)
/* A reconcile that is due and has not run for so long: no progress. */
#define STALLED_USEC       (20 * USEC_PER_SEC)
/* Somebody who deletes as fast as we repair: beyond so many a second, repairs are gathered. */
#define REPAIRS_PER_SECOND 20u
/* … or when they cost so much of a second. */
#define REPAIRS_COST_USEC  (250 * USEC_PER_MSEC)
/* While there is a fight: when to ask whether it is over. */
#define PEACE_USEC         (5 * USEC_PER_SEC)

uint64_t monotonic_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void mark_due(struct manager *m)
{
        /* What is wanted has changed, or what is there: until it is looked at, nobody can say. */
        m->story.status.in_sync = false;
        if (m->due_since == 0)
                m->due_since = monotonic_usec();
}

void note_cause(struct manager *m, enum repair_cause cause)
{
        m->causes |= 1u << cause;
}

void reconcile_now(struct manager *m)
{
        m->whole = true;
        mark_due(m);
        sd_event_source_set_enabled(m->reconcile, SD_EVENT_ONESHOT);
}

/* Arms a timer unless it runs already: what came first decides when it ends. */
static void arm(sd_event_source *timer, uint64_t delay)
{
        int enabled = SD_EVENT_OFF;

        sd_event_source_get_enabled(timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        sd_event_source_set_time_relative(timer, delay);
        sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

void reconcile_soon(struct manager *m)
{
        m->whole = true;
        mark_due(m);
        arm(m->gather, GATHER_USEC);
}

void reconcile_node(struct manager *m, bool joined)
{
        int gathering = SD_EVENT_OFF;

        mark_due(m);
        sd_event_source_get_enabled(m->gather, &gathering);
        if (joined && gathering == SD_EVENT_OFF && monotonic_usec() - m->ran_at >= GATHER_USEC)
                sd_event_source_set_enabled(m->reconcile, SD_EVENT_ONESHOT);
        else
                arm(m->gather, GATHER_USEC);
}

void reconcile_repair(struct manager *m)
{
        uint64_t now = monotonic_usec();
        int due = SD_EVENT_OFF;

        if (now - m->repairs_from >= USEC_PER_SEC) {
                m->repairs_from = now;
                m->repairs = 0;
        }
        /* A table that is flushed is one repair, however many routes it had. */
        sd_event_source_get_enabled(m->reconcile, &due);
        m->repairs += due == SD_EVENT_OFF;
        if (m->repairs <= REPAIRS_PER_SECOND &&
                m->repairs * m->story.status.last_reconcile_usec <= REPAIRS_COST_USEC)
                reconcile_now(m);
        else
                reconcile_soon(m);
}

/* CLOCK_BOOTTIME in µs as unix time in s. */
static uint64_t unix_time(uint64_t boottime)
{
        struct timespec boot;

        clock_gettime(CLOCK_BOOTTIME, &boot);
        return (uint64_t)time(NULL) - (uint64_t)boot.tv_sec + boottime / USEC_PER_SEC;
}

void note_contact(struct manager *m)
{
        struct kube_client_status client = {};
        struct status *status = &m->story.status;

        if (m->kube)
                client = kube_client_status(m->kube);
        for (size_t i = 0; i < ARRAY_SIZE(client.requests); i++)
                status->requests.requests[i] = client.requests[i];
        for (size_t i = 0; i < WATCH_RESTART_MAX; i++)
                status->requests.watch_restarts[i] = client.watch_restarts[i];
        if (client.last_contact != 0)
                status->last_contact = unix_time(client.last_contact);
        if (client.last_data != 0)
                status->knowledge_at = unix_time(client.last_data);
        else if (status->knowledge_at == 0)
                status->knowledge_at = m->knowledge.saved_at;
        story_knowledge_age(&m->story, (uint64_t)time(NULL));
}

void publish_status(struct manager *m)
{
        struct text_builder line = {};
        _cleanup_free_ char *text = NULL;

        note_contact(m);
        status_line(&m->story.status, (uint64_t)time(NULL), &line);
        if (text_take(&line, &text) >= 0)
                notify_status(m->notify, text);
        story_runtime_state(&m->story, runtime_state_write(m->runtime, &m->story.status));
        bus_changed(m->bus);
}

void schedule_save(struct manager *m)
{
        if (m->knowledge.unsaved && m->knowledge.saved_at == 0 &&
                m->knowledge.source == KNOWLEDGE_API) {
                /* The first one at once, right after it is applied. */
                sd_event_source_set_time_relative(m->save, 0);
                sd_event_source_set_enabled(m->save, SD_EVENT_ONESHOT);
        } else if (m->knowledge.unsaved) {
                /* A change does not wait for a timer that was armed for a bookmark. */
                sd_event_source_set_enabled(m->save, SD_EVENT_OFF);
                arm(m->save, SAVE_USEC);
        } else if (m->knowledge.unsaved_version) {
                arm(m->save, SAVE_VERSION_USEC);
        }
}

void save_now(struct manager *m)
{
        struct error error = {};
        int r;

        /* Only what the API has said is worth keeping; what the snapshot said is there already. */
        if (m->knowledge.source != KNOWLEDGE_API ||
                (!m->knowledge.unsaved && !m->knowledge.unsaved_version))
                return;
        r = knowledge_save(
                &m->knowledge, knowledge_node_name(&m->knowledge, m->settings->node_name), &error);
        story_snapshot_saved(&m->story, &m->knowledge, r, &error);
        /* What was built for it was as large as all that is known; after a list, so was that. */
        malloc_trim(0);
        if (r < 0)
                arm(m->save, SAVE_VERSION_USEC);
}

void watch_layouts(struct manager *m)
{
        struct layout layouts[LAYOUT_RECORD_MAX + 1];
        size_t n = reconciler_layouts(&m->reconciler, m->settings, layouts);

        /* Out of memory: the old ones are watched, and the rescan finds the rest. */
        (void)monitor_set_layouts(m->monitor, layouts, n);
}

/*
 * A virtual address of the API endpoint came to this host, or left it: a connection to it leads to
 * ourselves, or to nobody, and only keep-alives would find out.
 */
static void follow_endpoint(struct manager *m, bool endpoint_local)
{
        if (endpoint_local == m->endpoint_local)
                return;
        m->endpoint_local = endpoint_local;
        if (m->kube)
                kube_client_resync(m->kube);
}

struct reconcile_input reconcile_input_now(const struct manager *m)
{
        return (struct reconcile_input){
                .settings = m->settings,
                .cluster = m->knowledge.cluster,
                .node_name = knowledge_node_name(&m->knowledge, m->settings->node_name),
                .endpoint = &m->knowledge.endpoint,
                .complete = m->knowledge.complete,
                .unchanged = m->knowledge.changes.n == 0 && !m->knowledge.changes.incomplete,
        };
}

/* Of several causes the most telling one, as they are ordered. */
static void count_repair(struct manager *m, const struct reconcile_result *result)
{
        unsigned cause = 0;

        while (cause < REPAIR_MAX && !(m->causes & 1u << cause))
                cause++;
        if (result->written > 0 && cause < REPAIR_MAX)
                m->story.status.totals.repairs[cause]++;
        m->causes = 0;
}

/* The changes that were due are in the kernel, or a retry is to bring them there. */
static void ran(struct manager *m, struct reconcile_result *result, int code, uint64_t begin)
{
        uint64_t end = monotonic_usec();

        if (result->written_at > 0 && m->due_since > 0)
                m->story.status.last_delay_usec = result->written_at - m->due_since;
        sd_event_source_set_enabled(m->gather, SD_EVENT_OFF);
        knowledge_applied(&m->knowledge);
        count_repair(m, result);
        m->due_since = 0;
        m->whole = false;
        m->ran_at = end;
        story_reconciled(&m->story, m->settings, &m->knowledge, result, code, end - begin);
}

static bool run_partial(struct manager *m, struct reconcile_result *result)
{
        const struct reconcile_input input = reconcile_input_now(m);
        uint64_t begin = monotonic_usec();

        if (!reconciler_run_partial(
                    &m->reconciler, &input, &m->knowledge.changes, &m->knowledge.claims, result))
                return false;
        ran(m, result, 0, begin);
        if (!m->followed)
                sd_event_source_set_time_relative(m->rescan, FOLLOW_USEC);
        m->followed = true;
        publish_status(m);
        return true;
}

static void run_whole(struct manager *m, struct reconcile_result *result)
{
        const struct reconcile_input input = reconcile_input_now(m);
        uint64_t begin = monotonic_usec();
        int r;

        watch_layouts(m);
        r = reconciler_run(&m->reconciler, &input, result);
        ran(m, result, r, begin);

        foreign_story_account(&m->foreign, &m->story.status);
        sd_event_source_set_enabled(m->retry, SD_EVENT_OFF);
        if (r < 0) {
                arm(m->retry, backoff_next(&m->backoff));
        } else {
                backoff_reset(&m->backoff);
                if (result->link.up && !result->device_usable)
                        arm(m->retry, UNMARKED_USEC);
        }
        sd_event_source_set_time_relative(m->rescan, RESCAN_USEC);
        sd_event_source_set_enabled(m->rescan, SD_EVENT_ONESHOT);
        m->followed = false;
        follow_endpoint(m, result->endpoint_local);
        peers_follow(m, result);
        publish_status(m);
        if (r >= 0 && !m->ready) {
                m->ready = true;
                notify_ready(m->notify);
        }
        if (m->reconciler.standing.valid)
                knowledge_count(&m->knowledge);
        malloc_trim(0); /* rules and routes are many times what is kept of them */
}

void reconcile_run(struct manager *m)
{
        struct reconcile_result result = {};

        run_whole(m, &result);
        reconcile_result_deinit(&result);
}

static int on_reconcile(sd_event_source *source, void *userdata)
{
        struct manager *m = userdata;
        struct reconcile_result result = {};

        if (m->whole || !run_partial(m, &result))
                run_whole(m, &result);
        reconcile_result_deinit(&result);
        return 0;
}

/* What was gathered, and no more than that unless it asks for more. */
static int on_gathered(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *m = userdata;

        mark_due(m);
        sd_event_source_set_enabled(m->reconcile, SD_EVENT_ONESHOT);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *m = userdata;

        note_cause(m, source == m->retry ? REPAIR_RETRY : REPAIR_RESCAN);
        reconcile_now(m);
        return 0;
}

static int on_peace(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *m = userdata;

        if (foreign_story_peace(&m->foreign, &m->story.status, monotonic_usec()))
                publish_status(m);
        else
                arm(m->peace, PEACE_USEC);
        return 0;
}

void watch_for_peace(struct manager *m)
{
        if (m->foreign.fight.going_on)
                arm(m->peace, PEACE_USEC);
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *m = userdata;

        m->knowledge.complete = true;
        reconcile_now(m);
        return 0;
}

void settle(struct manager *m, bool watching)
{
        sd_event_source_set_enabled(m->settled, SD_EVENT_OFF);
        if (watching && !m->knowledge.complete)
                arm(m->settled, SETTLE_USEC);
}

static int on_save(sd_event_source *source, uint64_t usec, void *userdata)
{
        save_now(userdata);
        publish_status(userdata);
        return 0;
}

bool making_progress(void *userdata)
{
        struct manager *m = userdata;

        return m->due_since == 0 || monotonic_usec() - m->due_since < STALLED_USEC;
}

static int add_timer(struct manager *m, sd_event_time_handler_t handler, uint64_t accuracy,
        sd_event_source **ret)
{
        int r = sd_event_add_time_relative(
                m->event, ret, CLOCK_BOOTTIME, UINT64_MAX / 2, accuracy, handler, m);

        if (r >= 0)
                r = sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
        return r;
}

int schedule_init(struct manager *m)
{
        int r = sd_event_add_defer(m->event, &m->reconcile, on_reconcile, m);

        if (r >= 0)
                r = sd_event_source_set_priority(m->reconcile, PRIORITY_RECONCILE);
        if (r >= 0)
                r = sd_event_source_set_enabled(m->reconcile, SD_EVENT_OFF);
        if (r >= 0)
                r = add_timer(m, on_gathered, USEC_PER_MSEC, &m->gather);
        if (r >= 0)
                r = add_timer(m, on_timer, USEC_PER_SEC, &m->rescan);
        if (r >= 0)
                r = add_timer(m, on_timer, 10 * USEC_PER_MSEC, &m->retry);
        if (r >= 0)
                r = peers_init(m);
        if (r >= 0)
                r = add_timer(m, on_peace, USEC_PER_SEC, &m->peace);
        if (r >= 0)
                r = add_timer(m, on_settled, 100 * USEC_PER_MSEC, &m->settled);
        if (r >= 0)
                r = add_timer(m, on_save, USEC_PER_SEC, &m->save);
        m->backoff = BACKOFF_INIT(RETRY_INITIAL_USEC, RETRY_MAXIMUM_USEC);
        return r;
}

void schedule_deinit(struct manager *m)
{
        sd_event_source *sources[] = {
                m->reconcile, m->gather, m->rescan, m->retry, m->peace, m->settled, m->save};

        peers_deinit(m);

        for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
                sd_event_source_disable_unref(sources[i]);
}
