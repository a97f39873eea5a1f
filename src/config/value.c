#include "config/value.h"

#include <ctype.h>
#include <limits.h>
#include <net/if.h>
#include <string.h>

#include "policy/layout.h"

#define EXEMPTION_NAME_MAX 63

static int out_of_memory(struct error *error)
{
        return error_set(error, -ENOMEM, "out of memory");
}

static int replace(char **target, const char *text, struct error *error)
{
        if (text_replace(target, *text ? text : NULL) < 0)
                return out_of_memory(error);
        return 0;
}

int value_node_name(const char *text, struct settings *settings, struct error *error)
{
        if (*text && !text_is_object_name(text))
                return error_set(error, -EINVAL,
                        "'%s' is not a node name (lower case letters, digits, '-' and '.')", text);
        return replace(&settings->node_name, text, error);
}

static int check_path(const char *text, struct error *error)
{
        if (text[0] != '/')
                return error_set(error, -EINVAL, "'%s' is not an absolute path", text);
        if (strlen(text) >= PATH_MAX)
                return error_set(error, -EINVAL, "longer than a path can be (%d)", PATH_MAX - 1);
        for (const char *p = text; *p; p++)
                if (iscntrl((unsigned char)*p))
                        return error_set(error, -EINVAL, "a control character in the path");
        return 0;
}

int value_kubeconfig(const char *text, struct settings *settings, struct error *error)
{
        int r = *text ? check_path(text, error) : 0;

        return r < 0 ? r : replace(&settings->kubeconfig, text, error);
}

int value_state_directory(const char *text, struct settings *settings, struct error *error)
{
        int r = check_path(text, error);

        return r < 0 ? r : replace(&settings->state_directory, text, error);
}

/* Stricter than the kernel's dev_valid_name(): printable ASCII only. */
static bool is_interface_name(const char *text)
{
        if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
                return false;
        for (const char *p = text; *p; p++)
                if (*p <= ' ' || *p > '~' || *p == '/' || *p == ':' || *p == '%')
                        return false;
        return true;
}

int value_interface(const char *text, struct settings *settings, struct error *error)
{
        if (!*text)
                return error_set(error, -EINVAL, "empty: the WireGuard device has to be named");
        if (strlen(text) >= IFNAMSIZ)
                return error_set(
                        error, -EINVAL, "'%s' is longer than %d characters", text, IFNAMSIZ - 1);
        if (!is_interface_name(text))
                return error_set(error, -EINVAL, "'%s' is not a name of a network interface", text);
        return replace(&settings->interface, text, error);
}

int value_mode(const char *text, struct settings *settings, struct error *error)
{
        if (strcmp(text, "enforce") == 0)
                settings->mode = MODE_ENFORCE;
        else if (strcmp(text, "observe") == 0)
                settings->mode = MODE_OBSERVE;
        else
                return error_set(
                        error, -EINVAL, "'%s' is neither \"enforce\" nor \"observe\"", text);
        return 0;
}

int value_on_tunnel_down(const char *text, struct settings *settings, struct error *error)
{
        if (strcmp(text, "block") == 0)
                settings->on_tunnel_down = TUNNEL_DOWN_BLOCK;
        else if (strcmp(text, "bypass") == 0)
                settings->on_tunnel_down = TUNNEL_DOWN_BYPASS;
        else
                return error_set(error, -EINVAL, "'%s' is neither \"block\" nor \"bypass\"", text);
        return 0;
}

int value_on_doubtful_list(const char *text, struct settings *settings, struct error *error)
{
        if (strcmp(text, "keep") == 0)
                settings->on_doubtful_list = DOUBTFUL_LIST_KEEP;
        else if (strcmp(text, "believe") == 0)
                settings->on_doubtful_list = DOUBTFUL_LIST_BELIEVE;
        else
                return error_set(error, -EINVAL, "'%s' is neither \"keep\" nor \"believe\"", text);
        return 0;
}

int value_prefix(const char *text, struct prefix *ret, struct error *error)
{
        struct prefix prefix;
        int r = prefix_parse(text, &prefix);

        if (r == -EADDRNOTAVAIL)
                return error_set(error, -EINVAL, "'%s' has host bits set", text);
        if (r < 0)
                return error_set(error, -EINVAL, "'%s' is not an IPv4 or IPv6 prefix", text);
        if (prefix.length == 0)
                return error_set(error, -EINVAL, "'%s' is every address there is", text);
        if (prefix_overlaps_special(&prefix))
                return error_set(error, -EINVAL,
                        "'%s' holds loopback, link-local, multicast or reserved addresses", text);
        *ret = prefix;
        return 0;
}

int value_noop_route(const char *text, struct settings *settings, struct error *error)
{
        if (!*text) {
                settings->noop_route = (struct prefix){};
                return 0;
        }
        return value_prefix(text, &settings->noop_route, error);
}

static int parse_listen(const char *text, struct listen *ret, struct error *error)
{
        int r = listen_parse(text, ret);

        if (r == -ERANGE)
                return error_set(error, -EINVAL, "'%s': a port is 1 to 65535", text);
        if (r < 0)
                return error_set(error, -EINVAL,
                        "'%s' is not ADDRESS:PORT, [IPV6]:PORT, :PORT, or empty for nowhere", text);
        return 0;
}

int value_health_listen(const char *text, struct settings *settings, struct error *error)
{
        return parse_listen(text, &settings->health_listen, error);
}

int value_metrics_listen(const char *text, struct settings *settings, struct error *error)
{
        return parse_listen(text, &settings->metrics_listen, error);
}

int value_table_base(long long number, struct settings *settings, struct error *error)
{
        if (number < TABLE_BASE_MIN || number > TABLE_BASE_MAX)
                return error_set(error, -EINVAL, "%lld is not from %u to %u", number,
                        TABLE_BASE_MIN, TABLE_BASE_MAX);
        settings->table_base = (uint32_t)number;
        return 0;
}

int value_priority_base(long long number, struct settings *settings, struct error *error)
{
        if (number < PRIORITY_BASE_MIN || number > PRIORITY_BASE_MAX)
                return error_set(error, -EINVAL, "%lld is not from %u to %u", number,
                        PRIORITY_BASE_MIN, PRIORITY_BASE_MAX);
        settings->priority_base = (uint32_t)number;
        return 0;
}

int value_exemption_name(const char *text, struct exemption *exemption, struct error *error)
{
        if (!*text || strlen(text) > EXEMPTION_NAME_MAX)
                return error_set(
                        error, -EINVAL, "a name has 1 to %d characters", EXEMPTION_NAME_MAX);
        for (const char *p = text; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("-_.", *p))
                        return error_set(error, -EINVAL,
                                "'%s': a name has letters, digits, '-', '_' and '.' only", text);
        return replace(&exemption->name, text, error);
}

int value_exemption_nodes(const char *text, struct exemption *exemption, struct error *error)
{
        struct selector selector;
        int r = selector_parse(text, &selector);

        if (r == -ENOMEM)
                return out_of_memory(error);
        if (r < 0)
                return error_set(error, -EINVAL, "'%s' is not a label, KEY or KEY=VALUE", text);
        free(exemption->selector.key);
        free(exemption->selector.value);
        exemption->selector = selector;
        return 0;
}

int value_exemption_protocol(const char *text, struct exemption *exemption, struct error *error)
{
        if (protocol_parse(text, &exemption->protocol) < 0)
                return error_set(error, -EINVAL, "'%s' is neither \"tcp\" nor \"udp\"", text);
        return 0;
}

int value_exemption_ports(const char *text, struct exemption *exemption, struct error *error)
{
        _cleanup_free_ struct port_range *ports = NULL;
        _cleanup_free_ char *bad = NULL;
        size_t n = 0;
        int r = port_ranges_parse(text, &ports, &n, &bad);

        if (r == -ENOMEM)
                return out_of_memory(error);
        if (r == -ERANGE)
                return error_set(error, -EINVAL, "'%s': a port is 1 to 65535", bad);
        if (r == -EDOM)
                return error_set(error, -EINVAL, "'%s' is upside down", bad);
        if (r < 0)
                return error_set(error, -EINVAL,
                        "'%s' is not a port or a range of ports such as 2379-2380", bad);
        if (n > EXEMPTION_PORTS_MAX)
                return error_set(
                        error, -EINVAL, "more than %d ranges of ports", EXEMPTION_PORTS_MAX);
        free(exemption->ports);
        exemption->ports = TAKE_PTR(ports);
        exemption->n_ports = n;
        return 0;
}
