#include "service/notify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "basics/text.h"

/* Fed so often in its period: one or two late turns are no reason to be killed. */
#define FEEDS      3
/* When the service manager does not read, what it has not heard is sent again after so long. */
#define RETRY_USEC 100000

/*
 * What the service manager has not been told yet. sd_notify(3) waits until there is room in the
 * receiver's queue, which holds ten messages: a service manager that is busy or being re-executed
 * would stop the loop, and with it every repair. So we send without waiting, and keep what could
 * not be sent; of the status the last one counts.
 */
struct unsaid {
        bool ready, reloading, stopping, status;
};

struct notify {
        int fd; /* −1: nobody listens */
        struct sockaddr_un address;
        socklen_t address_size;
        struct unsaid unsaid;
        bool ready; /* READY=1 is what was said last, or waits to be */
        char *status;
        sd_event_source *retry;
        sd_event_source *watchdog;
        uint64_t interval; /* µs */
        bool (*making_progress)(void *userdata);
        void *userdata;
};

static int send_text(struct notify *notify, const char *text)
{
        if (notify->fd < 0)
                return 0;
        if (sendto(notify->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                    (const struct sockaddr *)&notify->address, notify->address_size) < 0)
                return -errno;
        return 1;
}

static void append_reloading(struct text_builder *builder)
{
        struct timespec now = {};

        clock_gettime(CLOCK_MONOTONIC, &now);
        text_append(builder, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
                (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

/* Says all that is unsaid in one message. What it returns is what the functions of the header do.
 */
static int say(struct notify *notify)
{
        const struct unsaid *unsaid = &notify->unsaid;
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;
        int r;

        if (unsaid->reloading)
                append_reloading(&builder);
        if (unsaid->ready)
                text_append(&builder, "READY=1\n");
        if (unsaid->stopping)
                text_append(&builder, "STOPPING=1\n");
        if (unsaid->status)
                text_append(&builder, "STATUS=%s\n", notify->status);
        r = text_take(&builder, &text);
        if (r < 0)
                return r;
        if (*text)
                text[strlen(text) - 1] = '\0'; /* the last line feed */
        r = *text ? send_text(notify, text) : 0;
        if (r == -EAGAIN || r == -ENOBUFS) {
                sd_event_source_set_time_relative(notify->retry, RETRY_USEC);
                sd_event_source_set_enabled(notify->retry, SD_EVENT_ONESHOT);
                return 0;
        }
        notify->unsaid = (struct unsaid){};
        return r;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
        (void)say(userdata);
        return 0;
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
        struct notify *notify = userdata;
        int r;

        if (notify->making_progress(notify->userdata))
                (void)send_text(notify, "WATCHDOG=1"); /* lost: the next one comes in time */
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

/* sd_notify(3): $NOTIFY_SOCKET is an absolute path, or "@" and an abstract name. */
static int open_socket(struct notify *notify)
{
        const char *path = getenv("NOTIFY_SOCKET");
        size_t length = path ? strlen(path) : 0;

        notify->fd = -1;
        if (length < 2 || (path[0] != '/' && path[0] != '@'))
                return 0;
        if (length >= sizeof(notify->address.sun_path))
                return -ENAMETOOLONG;
        notify->address.sun_family = AF_UNIX;
        memcpy(notify->address.sun_path, path, length);
        if (path[0] == '@')
                notify->address.sun_path[0] = '\0';
        notify->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
                                           (path[0] == '/' ? 1 : 0));
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        return notify->fd < 0 ? -errno : 0;
}

static int add_retry(struct notify *notify, sd_event *event)
{
        int r = sd_event_add_time_relative(
                event, &notify->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry, notify);

        return r < 0 ? r : sd_event_source_set_enabled(notify->retry, SD_EVENT_OFF);
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
        r = open_socket(notify);
        if (r >= 0)
                r = add_retry(notify, event);
        if (r >= 0)
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
        sd_event_source_disable_unref(notify->retry);
        if (notify->fd >= 0)
                close(notify->fd);
        free(notify->status);
        free(notify);
        return NULL;
}

int notify_ready(struct notify *notify)
{
        if (notify->ready)
                return 0;
        notify->ready = true;
        notify->unsaid.ready = true;
        notify->unsaid.reloading = false;
        return say(notify);
}

int notify_status(struct notify *notify, const char *text)
{
        if (text_equal(notify->status, text))
                return 0;
        if (text_replace(&notify->status, text) < 0)
                return -ENOMEM;
        notify->unsaid.status = true;
        return say(notify);
}

int notify_reloading(struct notify *notify)
{
        notify->ready = false;
        notify->unsaid.ready = false;
        notify->unsaid.reloading = true;
        return say(notify);
}

int notify_stopping(struct notify *notify)
{
        notify->unsaid.stopping = true;
        return say(notify);
}
