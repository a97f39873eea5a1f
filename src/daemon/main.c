/*
 * nodecryptor(8): reads options and configuration, and runs the manager.
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "basics/log.h"
#include "config/config.h"
#include "config/print.h"
#include "daemon/manager.h"

#define LARGE_ARRAY (256 * 1024) /* bytes */

static int print(struct text_builder *builder)
{
        _cleanup_free_ char *text = NULL;

        if (text_take(builder, &text) < 0 || fputs(text, stdout) < 0 || fflush(stdout) != 0)
                return EXIT_FAILURE;
        return EXIT_SUCCESS;
}

static int fail_configuration(const struct error *error)
{
        log_error("%s", error->text);
        return EXIT_CONFIGURATION;
}

static int run(const struct options *options, struct settings *settings)
{
        struct manager *manager = NULL;
        struct error error = {};
        int r;

        /* Key material is in our memory: no core files, no tracing by others of our user. */
        prctl(PR_SET_DUMPABLE, 0);
        /* The arrays of a run are large and short-lived: of their own, they go back when freed. */
        mallopt(M_MMAP_THRESHOLD, LARGE_ARRAY);
        signal(SIGPIPE, SIG_IGN);
        r = manager_new(options, settings, &manager, &error);
        if (r < 0) {
                log_error("cannot start: %s", error.text);
                return EXIT_FAILURE;
        }
        r = manager_run(manager);
        manager_free(manager);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int act(const struct options *options)
{
        _cleanup_(settings_freep) struct settings *settings = NULL;
        struct text_builder text = {};
        struct error error = {};

        switch (options->action) {
        case OPTIONS_HELP: options_help(&text); return print(&text);
        case OPTIONS_VERSION:
                text_append(&text, "nodecryptor %s\n", NODECRYPTOR_VERSION);
                return print(&text);
        default: break;
        }
        if (config_load(options, &settings, &error) < 0)
                return fail_configuration(&error);
        if (options->action == OPTIONS_CHECK_CONFIG) {
                config_print(settings, &text);
                return print(&text);
        }
        if (!config_origin(options))
                log_info("%s is absent: the built-in configuration applies",
                        options->default_config);
        return run(options, TAKE_PTR(settings));
}

int main(int argc, char **argv)
{
        struct options options;
        struct error error = {};
        int status;

        log_init("nodecryptor");
        options_init(&options);
        if (options_parse(&options, argc, argv, &error) < 0)
                status = fail_configuration(&error);
        else
                status = act(&options);
        options_deinit(&options);
        return status;
}
