/*
 * The manager's inside, shared by the files that make it up: schedule.c (when to reconcile, and the
 * run itself), kernel_events.c, api_events.c, bus_events.c, reload.c, and manager.c (setting up,
 * taking down).
 */
#pragma once

#include <systemd/sd-event.h>

#include "basics/backoff.h"
#include "daemon/foreign_story.h"
#include "daemon/knowledge.h"
#include "daemon/manager.h"
#include "daemon/reconciler.h"
#include "daemon/story.h"
#include "kernel/monitor.h"
#include "kernel/wireguard.h"
#include "kube/client.h"
#include "policy/carriage.h"
#include "service/bus.h"
#include "service/endpoints.h"
#include "service/notify.h"
#include "service/runtime_state.h"

/* Lower runs first: the kernel's announcements (−100, monitor.h), then a reconcile, then the rest.
 */
#define PRIORITY_RECONCILE (-50)

/* peers.c: what is known of the device's peers. */
struct peers {
        sd_event_source *tick; /* while the device can be asked */
        struct wireguard_reader *reader;
        struct carriage reading; /* while there is a reader */
        struct carriage table;   /* the last whole one */
        bool known;              /* that there is one */
        uint32_t ifindex;
        uint32_t mark;                   /* as the reading found it */
        char own_key[PEER_KEY_TEXT_MAX]; /* the same; "": it has none */
        char *self;                      /* our node's name; NULL: not in the cluster */
        uint32_t due;                    /* CLOCK_BOOTTIME in s: when to read next */
        uint32_t begun;
        unsigned attempts;
        bool again; /* something happened while it was read */
};

struct manager {
        const struct options *options;
        struct settings *settings;
        sd_event *event;
        struct reconciler reconciler;
        struct knowledge knowledge;
        struct story story;
        struct foreign_story foreign;
        struct peers peers;
        struct monitor *monitor;
        struct kube_client *kube;
        struct notify *notify;
        struct runtime_state *runtime;
        struct endpoints *endpoints;
        struct bus *bus;
        struct backoff backoff;

        sd_event_source *reconcile; /* "now", once */
        sd_event_source *gather;
        sd_event_source *rescan;
        sd_event_source *retry;
        sd_event_source *peace;   /* while there is a fight */
        sd_event_source *settled; /* while a watch from a snapshot catches up */
        sd_event_source *save;
        sd_event_source *signals[3];

        uint64_t due_since;    /* CLOCK_MONOTONIC in µs: a reconcile waits since then; 0: none */
        unsigned causes;       /* bits of enum repair_cause: what called for the next run */
        bool whole;            /* the run that is due must look at everything */
        bool followed;         /* a whole run after partial ones is on its way */
        uint64_t ran_at;       /* CLOCK_MONOTONIC in µs, of the last run */
        uint64_t repairs_from; /* the second in which repairs are counted */
        unsigned repairs;
        enum mode configured_mode; /* settings->mode is another one when it was requested */
        bool mode_requested;
        bool ready;          /* the service manager was told */
        bool endpoint_local; /* this host held an address of the API endpoint when last looked */
};

/* schedule.c */

/* Creates the timers and the "now" source, all off. */
int schedule_init(struct manager *m);
void schedule_deinit(struct manager *m);
/* Why the reconcile that is about to be asked for might find something to repair. */
void note_cause(struct manager *m, enum repair_cause cause);
/* Everything, in this turn of the loop, once, however often it is asked for. */
void reconcile_now(struct manager *m);
/* Everything, gathered with what else comes in the next 100 ms. */
void reconcile_soon(struct manager *m);
/*
 * A node changed and nothing else. What takes something away is gathered, as what comes next may
 * give it to another node; one that only came (`joined`) is put into the kernel in this turn of the
 * loop, unless others are being gathered or have just been.
 */
void reconcile_node(struct manager *m, bool joined);
/* Somebody touched what is ours: at once, unless that has become a fight. */
void reconcile_repair(struct manager *m);
/* While there is a fight: tells when it is over. */
void watch_for_peace(struct manager *m);
/* CLOCK_MONOTONIC in µs. */
uint64_t monotonic_usec(void);
/* Everything, right here. */
void reconcile_run(struct manager *m);
/* What a reconcile works on now; borrowed. */
struct reconcile_input reconcile_input_now(const struct manager *m);
/*
 * At each event of the watch, and when its state changes: one that goes on from a snapshot's
 * version brings what was missed since, and nothing says when that is all. Until it has been quiet
 * for a while nothing is taken away.
 */
void settle(struct manager *m, bool watching);
/* The snapshot, a little later; what is unsaved decides when. */
void schedule_save(struct manager *m);
void save_now(struct manager *m);
/* The API server was heard: in the status from now on, and as old as it is. */
void note_contact(struct manager *m);
/* For the service manager and the bus; at the latest with each rescan, every minute. */
void publish_status(struct manager *m);
/* False: a reconcile is due and has not run for too long. The watchdog and /healthz ask. */
bool making_progress(void *userdata);
/* Tells the monitor which tables and priorities are ours now. */
void watch_layouts(struct manager *m);

/* peers.c */
int peers_init(struct manager *m);
void peers_deinit(struct manager *m);
/* After each run of the reconciler that has looked at the device. */
void peers_follow(struct manager *m, const struct reconcile_result *result);

/* kernel_events.c: the monitor, opened and wired. Negative errno. */
int kernel_events_init(struct manager *m);

/* api_events.c: the API client for the settings in force, started. Negative errno. */
int api_events_init(struct manager *m, struct error *error);
/* The settings changed: what concerns a client that goes on. −ENOMEM. */
int api_events_configure(struct manager *m);

/* reload.c */

/* Listens where the settings say; what does not work is logged and stands in the status. */
void listen_endpoints(struct manager *m);
/*
 * Reads the configuration again and puts it in force; a bad one changes nothing and is said in
 * *error. A mode that was requested stays until the daemon ends. Negative errno.
 */
int reload(struct manager *m, struct error *error);
/* Another mode than the configured one, until the daemon ends; or the configured one again. */
void set_mode(struct manager *m, enum mode mode);

/* bus_events.c: the D-Bus service, wired. Negative errno. */
int bus_events_init(struct manager *m);

/*
 * peer_views.c: each other node as the outside is told of it, with what is known of the device's
 * peers; see struct bus_handlers. Reads settings, knowledge and peers of the manager.
 */
int peer_views_tell(
        void *userdata, int (*take)(void *context, const struct peer_view *peer), void *context);
