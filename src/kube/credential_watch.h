/*
 * Follows the credential: asks a credential plugin, keeps what it says until three quarters of its
 * time are over or the server refuses it; and the credential's files: reads them at the start,
 * whenever something changes in their folders, and by age for file systems without inotify. A good
 * credential stays in force until there is another good one.
 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "kube/credential.h"

struct credential_watch;

struct credential_watch_timings {
        uint64_t gather;  /* changes within so many µs are one */
        uint64_t retry;   /* after a first failure while a good credential is in force */
        uint64_t recheck; /* by age */
        uint64_t plugin;  /* a credential plugin's time limit */
};

/* 200 ms, 1 s, 60 s, 60 s. */
struct credential_watch_timings credential_watch_timings_default(void);

struct credential_watch_options {
        const char *kubeconfig; /* NULL: kube/discovery.h */
        const char *root;       /* in front of the known places; may be NULL */
        struct credential_watch_timings timings;
        /*
         * The credential in force (borrowed; NULL: none) and what is wrong (NULL: nothing): on
         * every change of the credential, and of the error's text. A file that is absent for a
         * moment during a rotation is no error: only the second failure in a row is told.
         * Never called from within credential_watch_new().
         */
        void (*changed)(
                void *userdata, const struct credential *credential, const struct error *error);
        void *userdata;
};

/* Copies the options; begins with the event loop's next turn. */
int credential_watch_new(sd_event *event, const struct credential_watch_options *options,
        struct credential_watch **ret);
struct credential_watch *credential_watch_free(struct credential_watch *watch);
DEFINE_CLEANUP(struct credential_watch *, credential_watch_free)

/* The server has refused the credential: a plugin is asked again, the files are looked at. */
void credential_watch_refused(struct credential_watch *watch);
/* Looks at the files now; may call the handler. */
void credential_watch_check(struct credential_watch *watch);
/* What is in force; NULL: none. */
const struct credential *credential_watch_get(const struct credential_watch *watch);
