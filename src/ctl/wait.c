/*
 * nodecryptorctl wait: until the kernel, read back, holds the policy. For what must not start
 * before, such as a kubelet; it works before D-Bus does and without the health endpoint.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "basics/log.h"
#include "ctl/daemon_state.h"
#include "ctl/verbs.h"

#define DEFAULT_TIMEOUT_SEC 60

static const struct option long_options[] = {
        {"enforcing", no_argument, NULL, 'e'},
        {"timeout", required_argument, NULL, 't'},
        {"runtime-directory", required_argument, NULL, 'r'},
        {},
};

/* In observe mode it never comes to that by itself: no use waiting. */
static bool is_decided(const struct daemon_watch *watch)
{
        return watch->code >= 0 && (watch->view.in_sync || watch->view.observe_only);
}

static int parse_arguments(struct daemon_watch *watch, int argc, char **argv)
{
        const char *folder = NULL;
        bool enforcing = false;
        int option;

        optind = 1;
        while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
                switch (option) {
                case 'e': enforcing = true; break;
                case 't':
                        if (parse_timeout(optarg, &watch->seconds) < 0)
                                return -EINVAL;
                        break;
                case 'r': folder = optarg; break;
                default: return -EINVAL;
                }
        if (optind != argc || !enforcing) {
                log_error("wait needs --enforcing, and takes no other argument");
                return -EINVAL;
        }
        watch->folder = daemon_folder(folder);
        return 0;
}

int verb_wait(int argc, char **argv)
{
        struct daemon_watch watch = {.seconds = DEFAULT_TIMEOUT_SEC, .done = is_decided};
        char text[512];
        int r;

        if (parse_arguments(&watch, argc, argv) < 0)
                return EXIT_USAGE;
        r = daemon_watch_run(&watch);
        if (r > 0 && !watch.view.observe_only) {
                printf("in force: %s\n", daemon_watch_describe(&watch, text));
                return EXIT_SUCCESS;
        }
        if (r > 0)
                log_error("%s", daemon_watch_describe(&watch, text));
        else
                log_error("the policy is not in force after %" PRIu64 " s: %s", watch.seconds,
                        daemon_watch_describe(&watch, text));
        return EXIT_FAILURE;
}
