#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "config/value.h"

#define EXEMPTION_NAME "control-plane"

const char *config_origin(const struct options *options)
{
        if (options->config)
                return options->config;
        /* Anything but "there is none" is for config_load() to report. */
        if (access(options->default_config, F_OK) < 0 && errno == ENOENT)
                return NULL;
        return options->default_config;
}

static bool is_control_plane(const struct exemption *exemption)
{
        return strcmp(exemption->selector.key, CONTROL_PLANE_LABEL) == 0 &&
               !exemption->selector.value;
}

/* Drops the exemptions of the control-plane label, keeping the order of the others. */
static void drop_control_plane(struct settings *settings)
{
        size_t kept = 0;

        for (size_t i = 0; i < settings->n_exemptions; i++) {
                if (is_control_plane(&settings->exemptions[i]))
                        exemption_deinit(&settings->exemptions[i]);
                else
                        settings->exemptions[kept++] = settings->exemptions[i];
        }
        settings->n_exemptions = kept;
}

static int apply_exempt_ports(const char *text, struct settings *settings, struct error *error)
{
        _cleanup_(exemption_deinit) struct exemption exemption = {.protocol = IPPROTO_TCP};
        int r;

        r = value_exemption_ports(text, &exemption, error);
        if (r >= 0)
                r = value_exemption_name(EXEMPTION_NAME, &exemption, error);
        if (r >= 0)
                r = value_exemption_nodes(CONTROL_PLANE_LABEL, &exemption, error);
        if (r < 0)
                return r;
        drop_control_plane(settings);
        for (size_t i = 0; i < settings->n_exemptions; i++)
                if (strcmp(settings->exemptions[i].name, EXEMPTION_NAME) == 0)
                        return error_set(error, -EINVAL,
                                "the file has an exemption '%s' that selects other nodes",
                                EXEMPTION_NAME);
        if (settings_add_exemption(settings, &exemption) < 0)
                return error_set(error, -ENOMEM, "out of memory");
        return 0;
}

static int apply_options(
        const struct options *options, struct settings *settings, struct error *error)
{
        const struct {
                const char *name;
                const char *text;
                int (*apply)(const char *text, struct settings *settings, struct error *error);
        } overrides[] = {
                {"--node-name", options->node_name, value_node_name},
                {"--kubeconfig", options->kubeconfig, value_kubeconfig},
                {"--control-plane-exempt-ports", options->control_plane_exempt_ports,
                        apply_exempt_ports},
                {"--noop-route", options->noop_route, value_noop_route},
                {"--health-probe-bind-address", options->health_probe_bind_address,
                        value_health_listen},
                {"--metrics-server-bind-address", options->metrics_server_bind_address,
                        value_metrics_listen},
                {"--state-directory", options->state_directory, value_state_directory},
        };

        for (size_t i = 0; i < ARRAY_SIZE(overrides); i++) {
                int r;

                if (!overrides[i].text)
                        continue;
                r = overrides[i].apply(overrides[i].text, settings, error);
                if (r < 0) {
                        error_prefix(error, "%s '%s'", overrides[i].name, overrides[i].text);
                        return r;
                }
        }
        return 0;
}

static int apply_environment(struct settings *settings, struct error *error)
{
        const char *name = getenv("NODE_NAME");
        int r;

        if (settings->node_name || !name || !*name)
                return 0;
        r = value_node_name(name, settings, error);
        if (r < 0)
                error_prefix(error, "environment variable NODE_NAME");
        return r;
}

int config_load(const struct options *options, struct settings **ret, struct error *error)
{
        _cleanup_(settings_freep) struct settings *settings = settings_new();
        const char *path = config_origin(options);
        int r;

        if (!settings)
                return error_set(error, -ENOMEM, "out of memory");
        r = path ? config_file_read(path, settings, error) : 0;
        if (r >= 0)
                r = apply_options(options, settings, error);
        if (r >= 0)
                r = apply_environment(settings, error);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(settings);
        return 0;
}
