#include "config/print.h"

static void print_string(const char *text, struct text_builder *builder)
{
        text_append(builder, "\"");
        for (; text && *text; text++)
                text_append(builder, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
        text_append(builder, "\"");
}

static void print_key(const char *key, const char *text, struct text_builder *builder)
{
        text_append(builder, "%s = ", key);
        print_string(text, builder);
        text_append(builder, ";\n");
}

static void print_prefixes(
        const char *key, const struct prefix *prefixes, size_t n, struct text_builder *builder)
{
        char text[PREFIX_TEXT_MAX];

        text_append(builder, "%s = (", key);
        for (size_t i = 0; i < n; i++)
                text_append(
                        builder, "%s \"%s\"", i > 0 ? "," : "", prefix_format(&prefixes[i], text));
        text_append(builder, " );\n");
}

static void print_exemption(const struct exemption *exemption, struct text_builder *builder)
{
        text_append(builder, "  { name = ");
        print_string(exemption->name, builder);
        text_append(builder, "; nodes = \"%s%s%s\"; protocol = \"%s\"; ports = \"",
                exemption->selector.key, exemption->selector.value ? "=" : "",
                exemption->selector.value ? exemption->selector.value : "",
                protocol_name(exemption->protocol));
        port_ranges_format(exemption->ports, exemption->n_ports, builder);
        text_append(builder, "\"; }");
}

static void print_exemptions(const struct settings *settings, struct text_builder *builder)
{
        text_append(builder, "exemptions = (\n");
        for (size_t i = 0; i < settings->n_exemptions; i++) {
                print_exemption(&settings->exemptions[i], builder);
                text_append(builder, "%s\n", i + 1 < settings->n_exemptions ? "," : "");
        }
        text_append(builder, ");\n");
}

static void print_listen(const char *key, const struct listen *listen, struct text_builder *builder)
{
        text_append(builder, "%s = \"", key);
        listen_format(listen, builder);
        text_append(builder, "\";\n");
}

void config_print(const struct settings *settings, struct text_builder *builder)
{
        char noop_route[PREFIX_TEXT_MAX] = "";

        if (settings->noop_route.address.family != 0)
                prefix_format(&settings->noop_route, noop_route);
        print_key("node_name", settings->node_name, builder);
        print_key("kubeconfig", settings->kubeconfig, builder);
        print_key("interface", settings->interface, builder);
        print_key("mode", settings->mode == MODE_OBSERVE ? "observe" : "enforce", builder);
        print_key("on_tunnel_down",
                settings->on_tunnel_down == TUNNEL_DOWN_BYPASS ? "bypass" : "block", builder);
        print_key("on_doubtful_list",
                settings->on_doubtful_list == DOUBTFUL_LIST_BELIEVE ? "believe" : "keep", builder);
        print_prefixes("protect", settings->protect, settings->n_protect, builder);
        print_prefixes("exclude", settings->exclude, settings->n_exclude, builder);
        print_exemptions(settings, builder);
        print_key("noop_route", noop_route, builder);
        /* libconfig takes an integer above 2^31 only with the suffix. */
        text_append(builder, "table_base = %u%s;\n", settings->table_base,
                settings->table_base > INT32_MAX ? "L" : "");
        text_append(builder, "priority_base = %u;\n", settings->priority_base);
        print_listen("health_listen", &settings->health_listen, builder);
        print_listen("metrics_listen", &settings->metrics_listen, builder);
        text_append(builder, "# state directory: %s\n", settings->state_directory);
}
