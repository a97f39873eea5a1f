/*
 * The reflector: keeps a set of CiliumNodes in step with the API server by list and watch, as
 * client-go's tools/cache/reflector.go does. One state machine; one request at a time; on the
 * event loop.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "basics/error.h"
#include "basics/prefix.h"
#include "kube/credential.h"
#include "model/cluster.h"
#include "model/settings.h"

struct reflector;

enum reflector_state {
        REFLECTOR_WAITING,    /* no credential, or the server's name is not resolved yet */
        REFLECTOR_LISTING,    /* a list is under way */
        REFLECTOR_CHECKING,   /* is the version one of the server's? */
        REFLECTOR_CONNECTING, /* a watch was asked for and has not been answered */
        REFLECTOR_WATCHING,   /* in step */
        REFLECTOR_BACKOFF,    /* something failed; the next request comes after a delay */
        REFLECTOR_STATE_MAX,
};

/* Why a watch that the server had taken on ended, and another request followed. */
enum watch_restart {
        WATCH_CLOSED,  /* the server ended it, as it does when its time is over */
        WATCH_EXPIRED, /* the server does not remember the version any more */
        WATCH_SILENT,  /* no event and no bookmark for too long */
        WATCH_REFUSED, /* an error of the server */
        WATCH_BROKEN,  /* the connection, or what came over it */
        WATCH_RESYNC,  /* on request */
        WATCH_RESTART_MAX,
};

/* "waiting", "listing", … */
const char *reflector_state_name(enum reflector_state state);

/* Every delay, in µs unless said otherwise; a test compresses them. */
struct reflector_timings {
        uint64_t backoff_initial;     /* the first ceiling */
        uint64_t backoff_maximum;     /* the last one */
        uint64_t backoff_reset_after; /* without a failure for so long, begin anew */
        uint64_t retry_after_maximum; /* a server may ask for no more than this */
        unsigned watch_timeout_min;   /* timeoutSeconds is drawn between these two, in seconds */
        unsigned watch_timeout_max;
        uint64_t watch_grace;        /* beyond timeoutSeconds, then the watch is cut */
        uint64_t watchdog;           /* without event or bookmark for so long, watch again */
        uint64_t short_watch;        /* one that ends sooner without an event is a failure */
        uint64_t list_timeout;       /* for one page */
        uint64_t page_limit;         /* objects a page, when the server pages */
        unsigned silent_check;       /* after so many in a row without a word, check the version */
        unsigned silent_watches;     /* after so many in a row without a word, list */
        bool stream_lists;           /* lists by a watch, where the server offers it */
        uint64_t stream_idle;        /* a streaming list without an event for so long has failed */
        uint64_t stream_retry_after; /* after it failed, lists in one piece for so long */
        uint64_t start_fresh;    /* what is known and younger can wait a little at the start … */
        uint64_t start_per_node; /* … so long for each node: the herd is as large as the cluster */
        uint64_t start_maximum;  /* … but no longer than this */
};

/*
 * 0.8 s to 30 s, 2 min; 300 s to 600 s and 30 s; 180 s; 1 s; 60 s; 500 objects; 2; 10; yes, 10 s, 1
 * h; 5 min, 12 ms, 60 s.
 */
struct reflector_timings reflector_timings_default(void);

/* None of them may free the reflector. Each must be there. */
struct reflector_handlers {
        void *userdata;
        void (*replaced)(void *userdata, struct cluster *cluster); /* taken, with its version */
        void (*changed)(void *userdata, struct node *node, const char *version); /* node taken */
        void (*removed)(void *userdata, const char *name, const char *version);
        void (*bookmark)(void *userdata, const char *version);
        void (*bad_object)(void *userdata, const char *name, const struct error *error);
        void (*state)(void *userdata, enum reflector_state state, const struct error *error);
        /* 401: look at the credential's files again; reflector_set_credential() may be called. */
        void (*reload)(void *userdata);
        /* The server cannot be reached: resolve its name again. */
        void (*unreachable)(void *userdata);
};

struct reflector_status {
        uint64_t last_contact; /* CLOCK_BOOTTIME in µs; 0: never */
        uint64_t last_data;    /* what was handed over is as of then, see kube/client.h */
        uint64_t requests[6];
        uint64_t watch_restarts[WATCH_RESTART_MAX];
        uint64_t lists, streamed_lists, checks, watches, events, bookmarks, bad_objects;
};

int reflector_new(sd_event *event, const struct reflector_timings *timings,
        const struct reflector_handlers *handlers, struct reflector **ret);
struct reflector *reflector_free(struct reflector *reflector);
DEFINE_CLEANUP(struct reflector *, reflector_free)

/* Where nodes that are known already come from, and how old they are. */
struct reflector_origin {
        const char *server;    /* the URL as the kubeconfig had it; NULL: not known */
        const char *ca_sha256; /* as in struct credential; NULL or "": no CA */
        uint64_t age;          /* µs */
};

/*
 * Before the first credential: the nodes held already (copied). When they have a version and the
 * credential is for exactly the same server and CA, the version is checked and the watch goes on
 * from there, after a random delay if they are fresh; otherwise a list comes first, measured
 * against them. −ENOMEM.
 */
int reflector_set_known(struct reflector *reflector, const struct cluster *cluster,
        const struct reflector_origin *origin);
/* What is known is of another cluster: no list is measured against it. −ENOMEM. */
int reflector_forget(struct reflector *reflector);
/*
 * What a list without any node, or without this node of ours, is taken for when they are known.
 * `node_name` NULL: as the credential has it. At any time. −ENOMEM.
 */
int reflector_set_doubt(
        struct reflector *reflector, const char *node_name, enum doubtful_list on_doubtful_list);
/*
 * The credential for the requests from now on (borrowed until the next call; NULL: none, which
 * stops a request under way). A watch under way goes on with the identity it has begun with; when
 * the cluster is another one, everything begins anew.
 */
void reflector_set_credential(struct reflector *reflector, const struct credential *credential);
/* The addresses to connect to (copied); with none, the reflector waits. */
int reflector_set_addresses(
        struct reflector *reflector, const struct address *addresses, size_t n_addresses);
/* Lists again, soon, on a fresh connection; may be called from a handler. */
void reflector_resync(struct reflector *reflector);

enum reflector_state reflector_state(const struct reflector *reflector);
const struct reflector_status *reflector_status(const struct reflector *reflector);
