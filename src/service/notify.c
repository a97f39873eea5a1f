#include "service/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "basics/text.h"

/* The watchdog is fed this often in its period: one or two late turns are no reason to be killed.
 */
#define FEEDS 3

struct notify {
        bool ready; /* READY=1 is what was said last */
        char *status;
        sd_event_source *watchdog;
        uint64_t interval; /* µs */
        bool (*making_progress)(void *userdata);
        void *userdata;
};

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct notify *notify = userdata;
        int r;

        if (notify->making_progress(notify->userdata))
                (void)sd_notify(false, "WATCHDOG=1"); /* lost: the next one comes in time */
        r = sd_event_source_set_time_relative(source, notify->interval);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int add_watchdog(struct notify *notify, sd_event *event)
{
        uint64_t period;
        int r = sd_watchdog_enabled(false, &period);

        if (r <= 0)
                return r;
        notify->interval = period / FEEDS;
        /* The first one at once: the start may have taken a while. */
        r = sd_event_add_time_relative(
                event, &notify->watchdog, CLOCK_MONOTONIC, 0, 0, on_watchdog, notify);
        if (r < 0)
                return r;
        return sd_event_source_set_exit_on_failure(notify->watchdog, true);
}

int notify_new(sd_event *event, bool (*making_progress)(void *userdata), void *userdata,
        struct notify **ret)
{
        _cleanup_(notify_freep) struct notify *notify = calloc(1, sizeof(*notify));
        int r;

        if (!notify)
                return -ENOMEM;
        notify->making_progress = making_progress;
        notify->userdata = userdata;
        r = add_watchdog(notify, event);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(notify);
        return 0;
}

struct notify *notify_free(struct notify *notify)
{
        if (!notify)
                return NULL;
        sd_event_source_disable_unref(notify->watchdog);
        free(notify->status);
        free(notify);
        return NULL;
}

int notify_ready(struct notify *notify)
{
        int r;

        if (notify->ready)
                return 0;
        r = sd_notify(false, "READY=1");
        if (r >= 0)
                notify->ready = true;
        return r;
}

int notify_status(struct notify *notify, const char *text)
{
        if (text_equal(notify->status, text))
                return 0;
        if (text_replace(&notify->status, text) < 0)
                return -ENOMEM;
        return sd_notifyf(false, "STATUS=%s", text);
}

int notify_reloading(struct notify *notify)
{
        struct timespec now;

        if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                return -errno;
        notify->ready = false;
        return sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

int notify_stopping(struct notify *notify)
{
        return sd_notify(false, "STOPPING=1");
}
