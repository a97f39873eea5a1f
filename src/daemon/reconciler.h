/*
 * Brings the kernel to the wanted policy: read, compute, compare, apply, read back.
 * Level-triggered: a whole run looks at everything, whatever it was that called for it. Between two
 * of them a partial run may put a few nodes' changes on top of what the last run found in order.
 */
#pragma once

#include "basics/error.h"
#include "daemon/reverse_path.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "model/claims.h"
#include "model/cluster.h"
#include "model/endpoint.h"
#include "model/node_changes.h"
#include "model/node_tally.h"
#include "model/settings.h"
#include "policy/device.h"
#include "policy/findings.h"
#include "policy/preview.h"
#include "policy/steering.h"
#include "store/layout_record.h"

/* What a run is to bring about; all borrowed. */
struct reconcile_input {
        const struct settings *settings;
        const struct cluster *cluster;
        const char *node_name;
        const struct endpoint *endpoint;
        bool complete;  /* the nodes are known as of now: what is not wanted may go */
        bool unchanged; /* they are those of the last run, every one */
};

/* What it found and did. */
struct reconcile_result {
        struct link link; /* ifindex 0: there is none */
        uint32_t mark;
        bool mark_known; /* read from the device */
        bool device_usable;
        bool partial;   /* a few nodes' routes were looked at: findings are not known */
        bool in_sync;   /* read back: the kernel holds all that is wanted, and nothing stale */
        bool untouched; /* it did before, too */
        struct preview preview; /* of observe mode: what the policy would do */
        size_t pending;         /* steps that observe mode did not take, or that are left */
        size_t written;
        size_t failed;
        uint64_t written_at; /* CLOCK_MONOTONIC in µs, of the last step taken; 0: there was none */
        size_t rules, routes;      /* wanted */
        size_t aliens;             /* in our band or tables, not ours, left alone */
        size_t pods, nodes;        /* steered prefixes and addresses */
        struct node_tally steered; /* of the other nodes, the same in detail */
        size_t control_planes;
        bool is_control_plane;
        bool endpoint_local;          /* this host holds an address of the API endpoint */
        bool is_known;                /* our node is in the cluster */
        const struct node *self;      /* it, borrowed; of a whole run only */
        struct text_builder findings; /* one a line */
        size_t n_findings;
        size_t strict_links; /* towards other nodes, with rp_filter 1 */
        char problem[400];   /* why the policy does no good although it stands; "": it does */
        char first_alien[160];
        struct error error;        /* the first thing that failed, code 0: nothing */
        struct error record_error; /* the record of layouts could not be written */
};

/* What the last run found or made, and a partial one builds on. */
struct standing {
        bool valid; /* the kernel held the whole policy, of nodes known as of now */
        struct device device;
        struct address *local;           /* the device's, owned */
        size_t steered[FAMILY_MAX];      /* routes but for throws */
        struct fib rules;                /* without routes */
        struct reconcile_result result;  /* without findings */
        const struct settings *settings; /* borrowed; may be gone: to be compared only */
        const struct node *self;         /* the same */
        /* While the device is away, and no partial run has gone by: for when it is back. */
        struct steering steering;
};

struct reconciler {
        struct netlink *route; /* NETLINK_ROUTE */
        uint32_t marked;       /* index of the device whose mark was read last; 0: none */
        uint32_t mark;
        struct layout_record record;
        char *record_path;
        struct reverse_path reverse_path;
        struct device device; /* as the last whole run saw it; without the host's addresses */
        struct standing standing;
};

/* Opens the sockets and reads the record of earlier layouts. An unreadable record is told in
 * *error. */
int reconciler_init(
        struct reconciler *reconciler, const char *state_directory, struct error *error);
void reconciler_deinit(struct reconciler *reconciler);

/*
 * One run. *ret is zeroed by the caller and to be freed with reconcile_result_deinit(). Returns 0
 * when the kernel holds the policy (or in observe mode, when it could be compared), else the
 * negative errno of ret->error: what stood before stands, as far as it was not improved.
 */
int reconciler_run(struct reconciler *reconciler, const struct reconcile_input *input,
        struct reconcile_result *ret);
/*
 * A run for the nodes that changed since the last one and nothing else: the steps of a whole run,
 * of which the kernel's acknowledgements are proof enough until the next whole one.
 * True: done, *ret (as above) says what. False: a whole run has to do it, because there is more to
 * it than that or because something failed; ret->written may count what was done nevertheless.
 */
bool reconciler_run_partial(struct reconciler *reconciler, const struct reconcile_input *input,
        const struct node_changes *changes, const struct claims *claims,
        struct reconcile_result *ret);
/* True when rp_filter of the host's links is not what the last run found. */
bool reconciler_rp_filter_changed(const struct reconciler *reconciler);
void reconcile_result_deinit(struct reconcile_result *result);

/* The layouts that are ours now: that of the settings first, then the earlier ones. */
size_t reconciler_layouts(const struct reconciler *reconciler, const struct settings *settings,
        struct layout ret[static LAYOUT_RECORD_MAX + 1]);
