/*
 * The service manager: sd_notify(3) and its watchdog. Without a service manager (NOTIFY_SOCKET or
 * WATCHDOG_USEC not set) everything here does nothing and succeeds.
 */
#pragma once

#include <systemd/sd-event.h>

#include "basics/util.h"

struct notify;

/*
 * Watches out for WATCHDOG_USEC: three times in that period *making_progress is asked, and
 * "WATCHDOG=1" is sent while it says true. A loop that turns but whose work stands still is
 * restarted, too. −ENOMEM, or what sd_event_add_time(3) returns. Holds a reference to the loop.
 */
int notify_new(sd_event *event, bool (*making_progress)(void *userdata), void *userdata,
        struct notify **ret);
struct notify *notify_free(struct notify *notify);
DEFINE_CLEANUP(struct notify *, notify_free)

/*
 * Each returns 1: sent; 0: nothing to send, nobody to send it to, or the receiver's queue is full,
 * in which case it is sent again until it is taken; otherwise a negative errno. None ever waits.
 */

/* READY=1, at the first call and after notify_reloading() only. */
int notify_ready(struct notify *notify);
/* STATUS=, when the text differs from the last one. */
int notify_status(struct notify *notify, const char *text);
/* RELOADING=1 with MONOTONIC_USEC=; notify_ready() ends it, also when the reload failed. */
int notify_reloading(struct notify *notify);
/* STOPPING=1. */
int notify_stopping(struct notify *notify);
