/*
 * nodecryptorctl reload: SIGHUP, and its outcome. What the unit's ExecReload= runs, as systemd
 * before 253 has no Type=notify-reload and takes a reload for done when the command is.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "basics/log.h"
#include "ctl/daemon_state.h"
#include "ctl/verbs.h"

/* Within the unit's TimeoutStartSec=, so that it is us who say what is wrong. */
#define DEFAULT_TIMEOUT_SEC 25

static const struct option long_options[] = {
        {"timeout", required_argument, NULL, 't'},
        {"runtime-directory", required_argument, NULL, 'r'},
        {},
};

/* Another daemon, or none, cannot tell of our signal any more. */
static bool is_over(const struct daemon_watch *watch)
{
        const struct runtime_view *before = watch->userdata;

        return watch->code == -ESRCH ||
               (watch->code >= 0 &&
                       (watch->view.pid != before->pid || watch->view.reloads != before->reloads));
}

static int parse_arguments(struct daemon_watch *watch, int argc, char **argv)
{
        const char *folder = NULL;
        int option;

        optind = 1;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
                switch (option) {
                case 't':
                        if (parse_timeout(optarg, &watch->seconds) < 0)
                                return -EINVAL;
                        break;
                case 'r': folder = optarg; break;
                default: return -EINVAL;
                }
        if (optind != argc) {
                log_error("reload takes no argument");
                return -EINVAL;
        }
        watch->folder = daemon_folder(folder);
        return 0;
}

static int send_signal(struct daemon_watch *watch, struct runtime_view *before)
{
        char text[512];

        watch->code = runtime_state_read(watch->folder, before);
        if (watch->code < 0) {
                log_error("%s", daemon_watch_describe(watch, text));
                return watch->code;
        }
        if (kill(before->pid, SIGHUP) < 0) {
                int r = -errno;

                log_error("signalling process %d: %s", (int)before->pid, strerror(-r));
                return r;
        }
        return 0;
}

static int tell(const struct daemon_watch *watch, const struct runtime_view *before)
{
        char text[512];

        if (watch->code < 0 || watch->view.pid != before->pid) {
                log_error("nodecryptor ended instead");
                return EXIT_FAILURE;
        }
        if (watch->view.reload_error[0]) {
                log_error(
                        "refused, the configuration in force stays: %s", watch->view.reload_error);
                return EXIT_FAILURE;
        }
        printf("reloaded, %s\n", daemon_watch_describe(watch, text));
        return EXIT_SUCCESS;
}

int verb_reload(int argc, char **argv)
{
        struct runtime_view before = {};
        struct daemon_watch watch = {
                .seconds = DEFAULT_TIMEOUT_SEC, .done = is_over, .userdata = &before};
        char text[512];

        if (parse_arguments(&watch, argc, argv) < 0)
                return EXIT_USAGE;
        if (send_signal(&watch, &before) < 0)
                return EXIT_FAILURE;
        if (daemon_watch_run(&watch) > 0)
                return tell(&watch, &before);
        log_error("no outcome after %" PRIu64 " s: %s", watch.seconds,
                daemon_watch_describe(&watch, text));
        return EXIT_FAILURE;
}
