/*
 * The one view of the daemon: the manager fills it, everything that tells the outside about us
 * (service manager, health and metrics endpoints) reads it and nothing else. A plain value without
 * memory of its own. Zero it to begin.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "basics/prefix.h"
#include "basics/text.h"

enum state {
        STATE_STARTING,  /* the kernel has not been read and written yet */
        STATE_OBSERVING, /* mode "observe": computed and reported, nothing changed */
        STATE_ENFORCING, /* the kernel holds the wanted policy */
        STATE_DEGRADED,  /* it does not, or what it holds does not do what it should: see reason */
        STATE_MAX,
};

/* Where the nodes that the policy was computed from came from. */
enum knowledge_source {
        KNOWLEDGE_NONE,     /* nothing yet: the configured floor only */
        KNOWLEDGE_SNAPSHOT, /* the last-known-good nodes on disk */
        KNOWLEDGE_API,      /* the API server */
        KNOWLEDGE_MAX,
};

/* Node names have at most 253 characters (RFC 1123, as Kubernetes applies it). */
#define STATUS_NAME_MAX 254
#define STATUS_TEXT_MAX 384

/* Why a reconcile found something to write although nobody had asked for another policy. */
enum repair_cause {
        REPAIR_FOREIGN, /* somebody else touched what is ours */
        REPAIR_DEVICE,  /* the device, or a link of ours, came, went or changed */
        REPAIR_HOST,    /* addresses of this host, or its rp_filter */
        REPAIR_LOST,    /* the kernel announced more than could be heard */
        REPAIR_RETRY,   /* what had failed before */
        REPAIR_RESCAN,  /* nothing was announced: found by looking */
        REPAIR_MAX,
};

/* Why a watch of the API server ended and another one began; as enum watch_restart of kube/. */
#define STATUS_WATCH_RESTARTS 6

/* Upper bounds of the classes of durations, in µs; there is one class more, without a bound. */
#define STATUS_DURATIONS 9
extern const uint64_t status_durations[STATUS_DURATIONS];

struct status_histogram {
        uint64_t classes[STATUS_DURATIONS + 1]; /* how many in each */
        uint64_t sum_usec;
};

/* How much of a thing there is now. */
struct status_counts {
        uint64_t nodes; /* all nodes of the cluster, this one included */
        uint64_t control_planes;
        uint64_t pod_prefixes;   /* of other nodes */
        uint64_t node_addresses; /* of other nodes */
        uint64_t exemptions;
        uint64_t rules;        /* of ours in the kernel */
        uint64_t routes;       /* of ours in the kernel */
        uint64_t findings;     /* contradictions, unknown things: policy/findings.h */
        uint64_t strict_links; /* towards other nodes, with rp_filter 1 */
        uint64_t bad_objects;  /* objects of the API that could not be used, since the start */
        /* Of other nodes, by role (0: worker, 1: control plane) and enum family_index. */
        uint64_t addresses[2][FAMILY_MAX];
        uint64_t prefixes[2][FAMILY_MAX];
};

/* Observe mode: destinations whose flows would go another way if the policy were in force. */
struct status_preview {
        uint64_t moved; /* into the device */
        uint64_t blocked;
        uint64_t released;          /* steered now, and left alone then */
        char text[STATUS_TEXT_MAX]; /* how many, and the first few by name; "": nothing */
};

/* What passed between us and the API server since the client was started. */
struct status_api {
        /* Requests that ended, by the first digit of their status code; [0]: without any answer. */
        uint64_t requests[6];
        uint64_t watch_restarts[STATUS_WATCH_RESTARTS];
};

struct status_device {
        char name[16]; /* IFNAMSIZ */
        bool present;
        bool up;
        uint32_t mtu; /* bytes; 0: not present */
        uint32_t mark;
        bool mark_known; /* read from the device, not assumed */
        char key[48];    /* its public key in base64; "": not known */
};

/* What the device's peers carry of what is steered; policy/carriage.h has the words. */
struct status_peers {
        bool known; /* the rest is: the device could be asked */
        /* Nodes, by state. */
        uint64_t carried;
        uint64_t missing;
        uint64_t mismatched;
        uint64_t stale;
        uint64_t undecided;     /* among them, those with a problem that has not lasted yet */
        uint64_t peers;         /* of the device */
        uint64_t unknown_peers; /* of them, those of no CiliumNode */
        char problems[STATUS_TEXT_MAX]; /* "1 missing (worker-2), 1 stale (cp-1)"; "": none */
};

/* Counters since the start. */
struct status_totals {
        uint64_t reconciles_ok;
        uint64_t reconciles_failed;
        uint64_t reconciles_partial; /* of those that went well: for single nodes' changes alone */
        uint64_t objects_written;    /* rules, routes, links added, replaced or deleted */
        uint64_t foreign_changes;    /* of ours, by somebody else, repaired */
        uint64_t fights;             /* begun: the same of ours taken away again and again */
        uint64_t repairs[REPAIR_MAX];
        struct status_histogram durations; /* of reconciles */
};

struct status {
        enum state state;
        char reason[STATUS_TEXT_MAX]; /* why; empty while there is nothing to explain */
        uint64_t since;               /* unix time, s: when the state was entered */
        uint64_t generation;          /* policy changes applied */
        bool in_sync;                 /* the kernel, read back, holds all that is wanted */
        bool observe_only;            /* mode "observe" */
        bool mode_overridden;         /* not the configured mode: until the daemon ends */
        uint64_t last_sync;           /* unix time, s: when the kernel was last seen to hold it */
        char node_name[STATUS_NAME_MAX];
        bool node_known; /* there is an object for this node: the role below is known */
        bool control_plane;
        struct status_counts counts;
        struct status_device device;
        struct status_peers peers;
        struct status_preview preview;
        struct status_api requests;
        char api[STATUS_TEXT_MAX]; /* a word or two: "watching", "no credential yet" */
        uint64_t last_contact;     /* unix time, s, of the last answer of the API; 0: never */
        enum knowledge_source knowledge;
        uint64_t knowledge_at;   /* unix time, s: the nodes are as they were then; 0: never */
        uint64_t snapshot_saved; /* unix time, s, of the snapshot on disk; 0: none */
        char snapshot_error[STATUS_TEXT_MAX]; /* why it cannot be written; "": it can */
        uint64_t last_reconcile_usec;         /* how long the last one took */
        uint64_t last_delay_usec;             /* from the first reason for one to its last write */
        struct status_totals totals;
        char last_foreign_change[STATUS_TEXT_MAX]; /* what, and by whom; repaired */
        uint64_t last_foreign_change_at;           /* unix time, s; 0: never */
        char fight[STATUS_TEXT_MAX];         /* who takes ours away again and again; "": nobody */
        char health_error[STATUS_TEXT_MAX];  /* why the health endpoint does not listen */
        char metrics_error[STATUS_TEXT_MAX]; /* why the metrics endpoint does not listen */
};

/* "starting", "observing", "enforcing", "degraded"; "none", "snapshot", "api". */
const char *state_name(enum state state);
const char *knowledge_name(enum knowledge_source knowledge);
/* "foreign_change", "device", "host", "lost_events", "retry", "rescan". */
const char *repair_name(enum repair_cause cause);

void status_count_duration(struct status_histogram *histogram, uint64_t usec);

/*
 * Enters the state, with the reason printed ("" for none). True when state or reason changed, which
 * is when it is to be logged; `since` (unix time, s) counts only when the state did.
 */
bool status_set_state(struct status *status, enum state state, uint64_t now, const char *format,
        ...) _printf_(4, 5);

/* Prints into one of the texts above, cut at its end when it does not fit. */
#define STATUS_PRINT(field, ...) status_print((field), sizeof(field), __VA_ARGS__)
void status_print(char *text, size_t size, const char *format, ...) _printf_(3, 4);

/* Beyond so many seconds the nodes in force are old enough to be told. */
#define STATUS_AGE_MAX 300
/*
 * How old what we know of the nodes is, in seconds; UINT64_MAX: nothing is known. Of a watch that
 * says nothing it grows until the next sign of life, up to three minutes.
 */
uint64_t status_knowledge_age(const struct status *status, uint64_t now);

/*
 * Appends what holds now in one line without a line feed, for STATUS= of sd_notify(3): "Enforcing 5
 * nodes (3 control planes) as of 4 s ago, device cilium_wg0 up, API watching, generation 12". `now`
 * is unix time.
 */
void status_line(const struct status *status, uint64_t now, struct text_builder *builder);
