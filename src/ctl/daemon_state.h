/*
 * The daemon as seen through its state in /run (service/runtime_state.h): for verbs that wait for
 * it, and work without D-Bus.
 */
#pragma once

#include "service/runtime_state.h"

/* Where the state is: the option's value, else $RUNTIME_DIRECTORY, else RUNTIME_FOLDER. */
const char *daemon_folder(const char *option);

/* A whole number of seconds from 1 to a day. −EINVAL, and it was said. */
int parse_timeout(const char *text, uint64_t *ret_seconds);

/*
 * Reads the state again and again until *done says true (then 1) or the time is over (then 0).
 * `code` and `view` are what runtime_state_read() gave last, also when this returns. −ENOMEM.
 */
struct daemon_watch {
        const char *folder;
        uint64_t seconds;
        bool (*done)(const struct daemon_watch *watch);
        void *userdata;
        int code;
        struct runtime_view view;
};
int daemon_watch_run(struct daemon_watch *watch);

/* "degraded: …", or why nothing is known; of what the watch saw last. Borrowed until the next. */
const char *daemon_watch_describe(const struct daemon_watch *watch, char buffer[static 512]);
