/*
 * The manager: the only wiring and the only timers. It hands what happens (nodes, the kernel's
 * announcements, signals) on to a reconcile, and its outcome to the status.
 */
#pragma once

#include "basics/error.h"
#include "config/options.h"
#include "model/settings.h"

struct manager;

/*
 * Takes the settings in. Sets everything up, applies the snapshot, and is ready to be run.
 * Negative errno with words in *error.
 */
int manager_new(const struct options *options, struct settings *settings, struct manager **ret,
        struct error *error);
/* The policy in the kernel stays. Returns NULL. */
struct manager *manager_free(struct manager *manager);
DEFINE_CLEANUP(struct manager *, manager_free)

/* Until SIGTERM or SIGINT (0), or until the event loop fails (negative errno). */
int manager_run(struct manager *manager);
