#include "config/options.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

#include "basics/util.h"

/* An option with a value has an offset into struct options, one without has an action. */
static const struct entry {
        const char *name;
        const char *argument; /* NULL: takes no value */
        size_t offset;
        enum options_action action;
        const char *help;
} entries[] = {
        {"config", "FILE", offsetof(struct options, config), 0,
                "the configuration file (default: " DEFAULT_CONFIG_FILE ")"},
        {"node-name", "NAME", offsetof(struct options, node_name), 0,
                "this node's name (default: NODE_NAME, then the credential's)"},
        {"kubeconfig", "FILE", offsetof(struct options, kubeconfig), 0,
                "the kubeconfig (default: the kubelet's)"},
        {"control-plane-exempt-ports", "PORTS",
                offsetof(struct options, control_plane_exempt_ports), 0,
                "TCP ports and ranges of control-plane nodes that stay reachable in clear"},
        {"noop-route", "PREFIX", offsetof(struct options, noop_route), 0,
                "route this unused prefix over a dummy link (Cilium up to 1.18)"},
        {"health-probe-bind-address", "ADDRESS:PORT",
                offsetof(struct options, health_probe_bind_address), 0,
                "where /healthz and /readyz listen (\"0\": nowhere)"},
        {"metrics-server-bind-address", "ADDRESS:PORT",
                offsetof(struct options, metrics_server_bind_address), 0,
                "where /metrics listens (\"0\": nowhere)"},
        {"state-directory", "FOLDER", offsetof(struct options, state_directory), 0,
                "where the last known nodes are kept (default: /var/lib/nodecryptor)"},
        {"check-config", NULL, 0, OPTIONS_CHECK_CONFIG,
                "print the configuration that results, and exit"},
        {"version", NULL, 0, OPTIONS_VERSION, "print the version, and exit"},
        {"help", NULL, 0, OPTIONS_HELP, "print this, and exit"},
};

void options_init(struct options *options)
{
        *options = (struct options){.default_config = DEFAULT_CONFIG_FILE};
}

static char **value_of(struct options *options, const struct entry *entry)
{
        return (char **)(void *)((char *)options + entry->offset);
}

void options_deinit(struct options *options)
{
        for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
                if (entries[i].argument)
                        free(*value_of(options, &entries[i]));
        options_init(options);
}

const char *options_name(size_t index)
{
        return index < ARRAY_SIZE(entries) ? entries[index].name : NULL;
}

/* What getopt has found wrong with the argument that it looked at last. */
static int refuse(int result, char **argv, struct error *error)
{
        const char *argument = argv[optind - 1];
        const char *name = argument + strspn(argument, "-");

        if (result == ':')
                return error_set(error, -EINVAL, "%s: a value is missing", argument);
        for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
                size_t length = strlen(entries[i].name);

                if (!entries[i].argument && strncmp(name, entries[i].name, length) == 0 &&
                        name[length] == '=')
                        return error_set(error, -EINVAL, "%s: takes no value", argument);
        }
        return error_set(error, -EINVAL, "%s: no such option (or several begin so)", argument);
}

static int parse(struct options *options, int argc, char **argv, const struct option *table,
        struct error *error)
{
        for (;;) {
                int index = 0, result;

                result = getopt_long_only(argc, argv, "+:", table, &index);
                if (result == -1)
                        break;
                if (result != 0)
                        return refuse(result, argv, error);
                if (!entries[index].argument) {
                        options->action = entries[index].action;
                        if (options->action == OPTIONS_HELP || options->action == OPTIONS_VERSION)
                                return 0;
                        continue;
                }
                if (text_replace(value_of(options, &entries[index]), optarg) < 0)
                        return error_set(error, -ENOMEM, "out of memory");
        }
        if (optind < argc)
                return error_set(error, -EINVAL, "%s: an argument that is no option", argv[optind]);
        return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct error *error)
{
        struct option table[ARRAY_SIZE(entries) + 1] = {};

        for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
                table[i] = (struct option){
                        .name = entries[i].name,
                        .has_arg = entries[i].argument ? required_argument : no_argument,
                };
        optind = 0; /* glibc: begin afresh */
        opterr = 0;
        return parse(options, argc, argv, table, error);
}

void options_help(struct text_builder *builder)
{
        text_append(builder, "nodecryptor [OPTION…]\n\n"
                             "Sends all traffic to other nodes and their pods through Cilium's "
                             "WireGuard device.\n\n");
        for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
                text_append(builder, "  --%s%s%s\n        %s\n", entries[i].name,
                        entries[i].argument ? " " : "",
                        entries[i].argument ? entries[i].argument : "", entries[i].help);
        text_append(builder, "\nAn option wins over the configuration file. See nodecryptor(8).\n");
}
