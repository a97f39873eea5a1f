/*
 * The daemon's command line: nodecryptor(8). It keeps the values as they were given, so that a
 * reload applies them over the file again (config/config.h).
 *
 * getopt_long_only(3): "--noop-route X", "--noop-route=X", and with a single dash too, as the
 * original program has it. Of an option given twice the last one counts.
 */
#pragma once

#include "basics/error.h"
#include "basics/text.h"

#define DEFAULT_CONFIG_FILE "/etc/nodecryptor.conf"

/* Exit status of both programs for an error in configuration file or command line. */
#define EXIT_CONFIGURATION 2

enum options_action { OPTIONS_RUN, OPTIONS_CHECK_CONFIG, OPTIONS_VERSION, OPTIONS_HELP };

/* Each text is NULL when the option was not given. */
struct options {
        enum options_action action;
        char *config;               /* --config */
        const char *default_config; /* read when `config` is NULL, and may be absent then */
        char *control_plane_exempt_ports;
        char *health_probe_bind_address;
        char *kubeconfig;
        char *metrics_server_bind_address;
        char *node_name;
        char *noop_route;
        char *state_directory;
};

/* No option given; the default configuration file is DEFAULT_CONFIG_FILE. */
void options_init(struct options *options);
void options_deinit(struct options *options);

/*
 * Reads the command line into *options, which options_init() has begun. −EINVAL: unknown or
 * ambiguous option, missing or superfluous value, or an argument that is no option; −ENOMEM.
 * Values are checked by config_load(). --help and --version end the parsing.
 */
int options_parse(struct options *options, int argc, char **argv, struct error *error);

/* The text of --help. */
void options_help(struct text_builder *builder);

/* The names without dashes; NULL behind the last. */
const char *options_name(size_t index);
