/*
 * The API client as the daemon sees it: finds and follows the credential, lists and watches
 * CiliumNodes (cilium.io/v2) with it, and hands nodes over. Everything happens on the caller's
 * event loop, and nothing in here blocks it; name resolution has a thread of its own.
 *
 * Handlers are called from the event loop, never from within a function of this header except
 * where that is said. A handler may call any function of this header but kube_client_free().
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "basics/error.h"
#include "kube/credential_watch.h"
#include "kube/reflector.h"
#include "model/cluster.h"
#include "model/endpoint.h"

struct kube_client;

/* Each may be NULL. What is marked "taken" belongs to the handler from then on. */
struct kube_client_handlers {
        void *userdata;
        /*
         * The credential in force (borrowed until the next call; NULL: none usable) and what is
         * wrong (NULL: nothing). A credential together with an error: the files cannot be used
         * just now, and the credential read before stays in force. Once per distinct text.
         */
        void (*credential)(
                void *userdata, const struct credential *credential, const struct error *error);
        /* The API endpoint's port and addresses changed (borrowed). */
        void (*endpoint)(void *userdata, const struct endpoint *endpoint);
        /* A list: this is the whole set now (taken; its version is set). */
        void (*replaced)(void *userdata, struct cluster *cluster);
        /* A node was added or modified (taken). */
        void (*changed)(void *userdata, struct node *node, const char *version);
        void (*removed)(void *userdata, const char *name, const char *version);
        /* Nothing changed up to this version. */
        void (*bookmark)(void *userdata, const char *version);
        /*
         * An object that cannot be used; `name` is NULL when not even that can be read. If an older
         * good version of it is held, that one stays in force: replaced() carries it.
         */
        void (*bad_object)(void *userdata, const char *name, const struct error *error);
        /* What the client is doing now, and what is wrong (NULL: nothing). On every change of
         * either. */
        void (*state)(void *userdata, enum reflector_state state, const struct error *error);
};

/* How far things are; all of it may be asked at any time. */
struct kube_client_status {
        enum reflector_state state;
        /* CLOCK_BOOTTIME in µs of the last answer, event or bookmark of the server; 0: never. */
        uint64_t last_contact;
        /*
         * CLOCK_BOOTTIME in µs of the last list, event or bookmark, or of the server's taking on a
         * watch, which brings whatever is missing: what was handed over is as of then. 0: never.
         */
        uint64_t last_data;
        /* Requests that ended, by the first digit of their status code; [0]: without any answer. */
        uint64_t requests[6];
        uint64_t watch_restarts[WATCH_RESTART_MAX];
        uint64_t lists, streamed_lists /* of them */, checks, watches, events, bookmarks,
                bad_objects;
};

/*
 * `kubeconfig` NULL: the first of the known distributions' places (kube/discovery.h), looked for
 * again and again until there is one. The event loop is referenced; `handlers` is copied.
 * −ENOMEM, or what the event loop or libcurl said.
 */
int kube_client_new(sd_event *event, const char *kubeconfig,
        const struct kube_client_handlers *handlers, struct kube_client **ret);
/* Frees everything and ends every connection; returns NULL. Not from within a handler. */
struct kube_client *kube_client_free(struct kube_client *client);
DEFINE_CLEANUP(struct kube_client *, kube_client_free)

/* Before kube_client_start(): other timings than the defaults; `root` as in kube/discovery.h. */
void kube_client_set_timings(struct kube_client *client, const struct reflector_timings *timings);
void kube_client_set_credential_timings(
        struct kube_client *client, const struct credential_watch_timings *timings);
int kube_client_set_root(struct kube_client *client, const char *root);
/*
 * Before kube_client_start(): the nodes that are in force already (copied), where they come from
 * and how old they are. Lists are measured against them (kube_client_set_doubt()), an object that
 * comes malformed does not push its older good version out, and if they have a version and come
 * from exactly the cluster that the credential is for, the watch goes on from it without a list:
 * replaced() is not called then. −ENOMEM.
 */
int kube_client_set_snapshot(struct kube_client *client, const struct cluster *cluster,
        const struct reflector_origin *origin);
/* What is in force is of another cluster: no list is measured against it. At any time. −ENOMEM. */
int kube_client_forget(struct kube_client *client);

/*
 * What a whole list is taken for that has no node at all, or lacks our own, although what is in
 * force has them: DOUBTFUL_LIST_KEEP (the default) tells it by state(), and lists again after a
 * delay. `node_name` NULL: as the credential has it. At any time. −ENOMEM.
 */
int kube_client_set_doubt(
        struct kube_client *client, const char *node_name, enum doubtful_list on_doubtful_list);

/* Begins: looks for the credential at once, calls handlers from the loop. */
int kube_client_start(struct kube_client *client);
/* A full list, soon, on a fresh connection, whatever is going on. */
void kube_client_resync(struct kube_client *client);
/* Looks at the credential's files now rather than when they change. */
void kube_client_reload(struct kube_client *client);

struct kube_client_status kube_client_status(const struct kube_client *client);
/* The credential in force, borrowed until the next handler call; NULL: none. */
const struct credential *kube_client_credential(const struct kube_client *client);
