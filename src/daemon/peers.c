/*
 * The device's mark and its peers: nobody announces a change of either, so they are looked at from
 * time to time. One timer for both. The mark every 10 s; the peers, and the mark with them, every
 * 30 s, a little after each look at everything else, and more often while something about them is
 * undecided. Only a device of the kernel can be asked: of another one nothing is known or told.
 */
#include <string.h>
#include <time.h>

#include "basics/log.h"
#include "daemon/manager_private.h"

#define TICK_SEC     10u
#define PERIOD_SEC   30u
/* After a run of the reconciler, so that what made it run is over. */
#define SOON_SEC     1u
/* Two readings are so far apart, however often the reconciler runs. */
#define APART_SEC    10u
/* A device that is configured while it is read: so often in a row. */
#define ATTEMPTS_MAX 5u
/* What was read last is not known any more. */
#define TOO_OLD_SEC  120u

static uint32_t now_sec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_BOOTTIME, &now);
        return (uint32_t)now.tv_sec;
}

static void stop_reading(struct peers *peers)
{
        peers->reader = wireguard_reader_free(peers->reader);
        carriage_deinit(&peers->reading);
}

static void forget(struct manager *m)
{
        struct peers *peers = &m->peers;

        stop_reading(peers);
        carriage_deinit(&peers->table);
        peers->attempts = 0;
        if (peers->known)
                story_peers(&m->story, NULL);
        m->story.status.device.key[0] = '\0';
        peers->known = false;
}

/* The next look: at the peers when that is due, at the mark before. */
static void arm_tick(struct peers *peers)
{
        uint32_t now = now_sec(), delay = TICK_SEC;

        if (peers->due <= now)
                delay = 0;
        else if (peers->due - now < TICK_SEC)
                delay = peers->due - now;
        sd_event_source_set_time_relative(peers->tick, delay * USEC_PER_SEC);
        sd_event_source_set_enabled(peers->tick, SD_EVENT_ONESHOT);
}

static int take_mark(uint32_t mark, void *userdata)
{
        struct manager *m = userdata;

        m->peers.mark = mark;
        return 0;
}

static int take_own_key(const uint8_t key[PEER_KEY_SIZE], void *userdata)
{
        struct manager *m = userdata;

        peer_key_format(key, m->peers.own_key);
        return 0;
}

static int take_peer(const struct peer *peer, void *userdata)
{
        struct manager *m = userdata;

        return carriage_add_peer(&m->peers.reading, peer);
}

static int take_allowed_ip(const struct prefix *prefix, void *userdata)
{
        struct manager *m = userdata;

        carriage_add_allowed_ip(&m->peers.reading, prefix);
        return 0;
}

/* The reading is whole: it takes the place of the one before. */
static int take_table(struct manager *m)
{
        struct peers *peers = &m->peers;
        uint32_t now = now_sec();
        struct carriage_counts counts;
        int r = carriage_finish(&peers->reading, peers->known ? &peers->table : NULL, now);

        if (r < 0)
                return r;
        carriage_deinit(&peers->table);
        peers->table = peers->reading;
        peers->reading = (struct carriage){};
        peers->known = true;
        peers->attempts = 0;
        carriage_count(&peers->table, &counts);
        peers->due = now + (counts.undecided > 0 ? TICK_SEC : PERIOD_SEC);
        story_peers(&m->story, &peers->table);
        STATUS_PRINT(m->story.status.device.key, "%s", peers->own_key);
        publish_status(m);
        return 0;
}

static void failed(struct manager *m, int code, const struct error *error)
{
        struct peers *peers = &m->peers;
        uint32_t now = now_sec();

        stop_reading(peers);
        if (code == -EAGAIN && ++peers->attempts < ATTEMPTS_MAX) {
                peers->due = now + SOON_SEC;
        } else {
                log_debug("the device's peers cannot be read: %s", error->text);
                peers->attempts = 0;
                peers->due = now + PERIOD_SEC;
        }
        if (peers->known && now - peers->table.read_at > TOO_OLD_SEC)
                forget(m);
}

static void on_done(int code, const struct error *error, void *userdata)
{
        struct manager *m = userdata;
        struct peers *peers = &m->peers;
        struct error out_of_memory = {.text = "out of memory"};

        peers->reader = wireguard_reader_free(peers->reader);
        if (code < 0)
                failed(m, code, error);
        else if (take_table(m) < 0)
                failed(m, -ENOMEM, &out_of_memory);
        if (peers->again)
                peers->due = peers->begun + APART_SEC;
        if (code >= 0 && peers->mark != m->story.mark) {
                note_cause(m, REPAIR_DEVICE);
                reconcile_now(m);
        }
        arm_tick(peers);
}

static void start_reading(struct manager *m)
{
        struct peers *peers = &m->peers;
        const struct node *self =
                peers->self ? cluster_find(m->knowledge.cluster, peers->self) : NULL;
        const struct wireguard_sink sink = {
                .mark = take_mark,
                .own_key = take_own_key,
                .peer = take_peer,
                .allowed_ip = take_allowed_ip,
                .userdata = m,
        };
        struct error error = {.text = "out of memory"};
        int r;

        peers->again = false;
        peers->begun = now_sec();
        peers->due = peers->begun + TICK_SEC; /* it must be over by then */
        peers->mark = m->story.mark;
        peers->own_key[0] = '\0';
        r = carriage_begin(&peers->reading, m->settings, m->knowledge.cluster, self);
        if (r >= 0)
                r = wireguard_reader_new(
                        m->event, peers->ifindex, &sink, on_done, &peers->reader, &error);
        if (r < 0)
                failed(m, r, &error);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct manager *m = userdata;
        struct peers *peers = &m->peers;
        struct wireguard wireguard;
        struct error error = {.text = "it takes too long"};

        (void)source;
        (void)usec;
        if (peers->reader)
                failed(m, -ETIMEDOUT, &error);
        if (peers->due <= now_sec()) {
                start_reading(m);
        } else if (wireguard_read(peers->ifindex, &wireguard, NULL) >= 0 &&
                   wireguard.fwmark != m->story.mark) {
                note_cause(m, REPAIR_DEVICE);
                reconcile_now(m);
        }
        arm_tick(peers);
        return 0;
}

void peers_follow(struct manager *m, const struct reconcile_result *result)
{
        struct peers *peers = &m->peers;
        uint32_t due = now_sec() + SOON_SEC;

        if (!result->device_usable || !result->mark_known) {
                forget(m);
                peers->ifindex = 0;
                sd_event_source_set_enabled(peers->tick, SD_EVENT_OFF);
                return;
        }
        if (peers->ifindex != result->link.ifindex) {
                forget(m);
                peers->due = UINT32_MAX;
        }
        peers->ifindex = result->link.ifindex;
        /* Out of memory: ours is taken for another node until the next run. */
        (void)text_replace(&peers->self, result->self ? result->self->name : NULL);
        if (peers->reader) {
                peers->again = true;
                return;
        }
        /* Without nodes there is nothing to compare with; the run that brings them comes here. */
        if (m->knowledge.source == KNOWLEDGE_NONE)
                due = UINT32_MAX;
        /* Never later than it was due anyway: runs that come thick and fast must not put it off. */
        if (peers->begun != 0 && due < peers->begun + APART_SEC)
                due = peers->begun + APART_SEC;
        if (due < peers->due)
                peers->due = due;
        arm_tick(peers);
}

int peers_init(struct manager *m)
{
        int r = sd_event_add_time_relative(m->event, &m->peers.tick, CLOCK_BOOTTIME, UINT64_MAX / 2,
                USEC_PER_SEC / 2, on_tick, m);

        return r < 0 ? r : sd_event_source_set_enabled(m->peers.tick, SD_EVENT_OFF);
}

void peers_deinit(struct manager *m)
{
        stop_reading(&m->peers);
        carriage_deinit(&m->peers.table);
        free(m->peers.self);
        sd_event_source_disable_unref(m->peers.tick);
}
