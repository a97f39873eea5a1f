/*
 * The story the journal tells, and the status: what happened is compared with what was last told,
 * and only what is new is logged.
 */
#pragma once

#include "daemon/knowledge.h"
#include "daemon/reconciler.h"
#include "kernel/monitor.h"
#include "kube/client.h"
#include "policy/carriage.h"
#include "service/runtime_state.h"
#include "service/status.h"

struct story {
        struct status status;
        char *findings;    /* as last told */
        char *bad_objects; /* one a line, as told since the last list */
        size_t n_bad_objects;
        struct link link; /* the device, as last told; with it: */
        uint32_t mark;
        bool device_usable;
        bool device_told;
        uint64_t begun;     /* unix time, s */
        bool stale;         /* the nodes in force are old, and it was said */
        bool endpoint_lost; /* the API was lost, and it was said */
        char credential[640];
        char api[STATUS_TEXT_MAX];
        char record_error[512];
        char snapshot_error[512];
        char alien[160];
        size_t other_addresses; /* further addresses of nodes, as last told */
        int runtime_error;      /* as last told */
};

void story_init(struct story *story, const struct settings *settings);
void story_deinit(struct story *story);

/* The settings changed: at start and after each reload. */
void story_settings(struct story *story, const struct settings *settings);
/* A run of the reconciler; `code` is what it returned. The findings are taken out of *result. */
void story_reconciled(struct story *story, const struct settings *settings,
        const struct knowledge *knowledge, struct reconcile_result *result, int code,
        uint64_t duration_usec);
void story_snapshot_loaded(struct story *story, const struct knowledge *knowledge, int code,
        const struct error *error);
void story_snapshot_saved(struct story *story, const struct knowledge *knowledge, int code,
        const struct error *error);
void story_credential(
        struct story *story, const struct credential *credential, const struct error *error);
void story_other_cluster(struct story *story, const struct credential *credential);
void story_endpoint(struct story *story, const struct endpoint *endpoint);
/* The first list, or one with another set of nodes. */
void story_nodes(struct story *story, const struct knowledge *knowledge);
/* Has what is known of the nodes become too old, or fresh again? To be asked every minute. */
void story_knowledge_age(struct story *story, uint64_t now);
void story_bad_object(struct story *story, const char *name, const struct error *error);
/* peer_story.c: the device's peers were read; NULL: nothing is known of them (any more). */
void story_peers(struct story *story, const struct carriage *table);
/* The state in /run was written (1), stood (0) or could not be written. */
void story_runtime_state(struct story *story, int code);
void story_api(struct story *story, enum reflector_state state, const struct error *error);
