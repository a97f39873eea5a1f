#include "ctl/daemon_state.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "basics/log.h"

#define TIMEOUT_MAX (24 * 60 * 60)
/* The file is tiny and in memory; nothing to watch is there before the daemon's first start. */
#define POLL_USEC   50000

const char *daemon_folder(const char *option)
{
        const char *folder = option ? option : runtime_folder_from_environment();

        return folder ? folder : RUNTIME_FOLDER;
}

int parse_timeout(const char *text, uint64_t *ret_seconds)
{
        uint64_t seconds;

        if (text_to_uint(text, TIMEOUT_MAX, &seconds) < 0 || seconds == 0) {
                log_error("--timeout %s: not a number of seconds from 1 to %d", text, TIMEOUT_MAX);
                return -EINVAL;
        }
        *ret_seconds = seconds;
        return 0;
}

static uint64_t monotonic_usec(void)
{
        struct timespec now = {};

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int daemon_watch_run(struct daemon_watch *watch)
{
        uint64_t end = monotonic_usec() + watch->seconds * 1000000;

        for (;;) {
                watch->code = runtime_state_read(watch->folder, &watch->view);
                if (watch->code == -ENOMEM)
                        return -ENOMEM;
                if (watch->done(watch))
                        return 1;
                if (monotonic_usec() >= end)
                        return 0;
                usleep(POLL_USEC);
        }
}

const char *daemon_watch_describe(const struct daemon_watch *watch, char buffer[static 512])
{
        const struct runtime_view *view = &watch->view;

        if (watch->code == -ESRCH)
                snprintf(buffer, 512, "nodecryptor is not running");
        else if (watch->code == -EAGAIN)
                snprintf(buffer, 512, "nodecryptor is starting");
        else if (watch->code < 0)
                snprintf(buffer, 512, "%s/state: %s", watch->folder, strerror(-watch->code));
        else if (view->observe_only)
                snprintf(buffer, 512, "mode is \"observe\": nothing is enforced");
        else
                snprintf(buffer, 512, "%s%s%s", view->state, view->reason[0] ? ": " : "",
                        view->reason);
        return buffer;
}
