#include "model/settings.h"

#include <stdio.h>
#include <string.h>

/* One of the default exemptions: TCP ports of the control-plane nodes. */
static int add_default_exemption(
        struct settings *settings, const char *name, struct port_range ports)
{
        char label[] = CONTROL_PLANE_LABEL, text[32];
        struct exemption exemption = {
                .name = text,
                .selector.key = label,
                .protocol = IPPROTO_TCP,
                .ports = &ports,
                .n_ports = 1,
        };

        snprintf(text, sizeof(text), "%s", name);
        return settings_add_exemption(settings, &exemption);
}

static int set_defaults(struct settings *settings)
{
        const struct address loopback = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
        int r;

        settings->table_base = DEFAULT_TABLE_BASE;
        settings->priority_base = DEFAULT_PRIORITY_BASE;
        settings->health_listen = (struct listen){.address = loopback, .port = 8083};
        settings->metrics_listen = (struct listen){.address = loopback, .port = 8084};
        r = text_replace(&settings->interface, DEFAULT_INTERFACE);
        if (r >= 0)
                r = text_replace(&settings->state_directory, DEFAULT_STATE_DIRECTORY);
        if (r >= 0)
                r = add_default_exemption(settings, "etcd", (struct port_range){2379, 2380});
        if (r >= 0)
                r = add_default_exemption(
                        settings, "kube-apiserver", (struct port_range){6443, 6443});
        return r;
}

struct settings *settings_new(void)
{
        struct settings *settings = calloc(1, sizeof(*settings));

        if (settings && set_defaults(settings) < 0)
                return settings_free(settings);
        return settings;
}

struct settings *settings_free(struct settings *settings)
{
        if (!settings)
                return NULL;
        settings_clear_exemptions(settings);
        free(settings->node_name);
        free(settings->kubeconfig);
        free(settings->interface);
        free(settings->protect);
        free(settings->exclude);
        free(settings->state_directory);
        free(settings);
        return NULL;
}

int settings_add_exemption(struct settings *settings, const struct exemption *exemption)
{
        struct exemption *grown =
                reallocarray(settings->exemptions, settings->n_exemptions + 1, sizeof(*grown));
        int r;

        if (!grown)
                return -ENOMEM;
        settings->exemptions = grown;
        r = exemption_copy(exemption, &grown[settings->n_exemptions]);
        if (r < 0)
                return r;
        settings->n_exemptions++;
        return 0;
}

void settings_clear_exemptions(struct settings *settings)
{
        for (size_t i = 0; i < settings->n_exemptions; i++)
                exemption_deinit(&settings->exemptions[i]);
        free(settings->exemptions);
        settings->exemptions = NULL;
        settings->n_exemptions = 0;
}

/* Splits "HOST:PORT" or "[HOST]:PORT" at its last colon; `host` may come out empty. */
static int split_host(const char *text, char host[static ADDRESS_TEXT_MAX], const char **ret_port)
{
        const char *colon = strrchr(text, ':');
        size_t length;

        if (!colon)
                return -EINVAL;
        length = (size_t)(colon - text);
        if (length >= 2 && text[0] == '[' && colon[-1] == ']') {
                text++;
                length -= 2;
        } else if (memchr(text, ':', length)) {
                return -EINVAL;
        }
        if (length >= ADDRESS_TEXT_MAX)
                return -EINVAL;
        memcpy(host, text, length);
        host[length] = '\0';
        *ret_port = colon + 1;
        return 0;
}

int listen_parse(const char *text, struct listen *ret)
{
        char host[ADDRESS_TEXT_MAX];
        struct listen parsed = {};
        const char *port_text;
        uint64_t port;
        int r;

        if (!*text || strcmp(text, "0") == 0) {
                *ret = (struct listen){};
                return 0;
        }
        r = split_host(text, host, &port_text);
        if (r < 0)
                return r;
        if (*host && address_parse(host, &parsed.address) < 0)
                return -EINVAL;
        r = text_to_uint(port_text, UINT16_MAX, &port);
        if (r < 0)
                return r;
        if (port == 0)
                return -ERANGE;
        parsed.port = (uint16_t)port;
        *ret = parsed;
        return 0;
}

void listen_format(const struct listen *listen, struct text_builder *builder)
{
        char text[ADDRESS_TEXT_MAX];

        if (listen->port == 0)
                return;
        if (listen->address.family == 0)
                text_append(builder, ":%u", listen->port);
        else
                text_append(builder, listen->address.family == AF_INET6 ? "[%s]:%u" : "%s:%u",
                        address_format(&listen->address, text), listen->port);
}
