#include "model/exemption.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "basics/array.h"

#define PORT_MAX 65535

static int parse_port(const char *text, uint16_t *ret)
{
        uint64_t port;
        int r = text_to_uint(text, PORT_MAX, &port);

        if (r < 0)
                return r;
        if (port == 0)
                return -ERANGE;
        *ret = (uint16_t)port;
        return 0;
}

static char *trim(char *text)
{
        size_t n;

        while (isspace((unsigned char)*text))
                text++;
        n = strlen(text);
        while (n > 0 && isspace((unsigned char)text[n - 1]))
                text[--n] = '\0';
        return text;
}

/* One item, blanks cut off: "6443" or "2379-2380". It is changed while it is read. */
static int parse_item(char *item, struct port_range *ret)
{
        struct port_range range;
        char *dash = strchr(item, '-');
        int r;

        if (dash)
                *dash = '\0';
        r = parse_port(trim(item), &range.first);
        if (r >= 0)
                r = dash ? parse_port(trim(dash + 1), &range.last) : 0;
        if (r < 0)
                return r;
        if (!dash)
                range.last = range.first;
        if (range.first > range.last)
                return -EDOM;
        *ret = range;
        return 0;
}

static int range_compare(const void *a, const void *b)
{
        const struct port_range *x = a, *y = b;

        return x->first != y->first ? (int)x->first - (int)y->first : (int)x->last - (int)y->last;
}

/* Sorts, and joins ranges that overlap or touch. */
static size_t merge_ranges(struct port_range *ports, size_t n)
{
        size_t kept = 0;

        if (n == 0)
                return 0;
        qsort(ports, n, sizeof(*ports), range_compare);
        for (size_t i = 1; i < n; i++) {
                if ((uint32_t)ports[i].first <= (uint32_t)ports[kept].last + 1) {
                        if (ports[i].last > ports[kept].last)
                                ports[kept].last = ports[i].last;
                } else {
                        ports[++kept] = ports[i];
                }
        }
        return kept + 1;
}

int port_ranges_parse(const char *text, struct port_range **ret, size_t *ret_n, char **ret_bad)
{
        _cleanup_free_ char *copy = strdup(text);
        _cleanup_free_ struct port_range *ports = NULL;
        size_t n = 0, allocated = 0;
        char *rest = copy, *item;

        if (!copy)
                return -ENOMEM;
        while ((item = strsep(&rest, ","))) {
                _cleanup_free_ char *shown = strdup(trim(item));
                int r;

                if (!shown || !ARRAY_RESERVE(ports, allocated, n + 1))
                        return -ENOMEM;
                r = parse_item(item, &ports[n]);
                if (r < 0) {
                        if (ret_bad)
                                *ret_bad = TAKE_PTR(shown);
                        return r;
                }
                n++;
        }
        *ret_n = merge_ranges(ports, n);
        *ret = TAKE_PTR(ports);
        return 0;
}

void port_ranges_format(const struct port_range *ports, size_t n, struct text_builder *builder)
{
        for (size_t i = 0; i < n; i++) {
                text_append(builder, "%s%u", i > 0 ? "," : "", ports[i].first);
                if (ports[i].last != ports[i].first)
                        text_append(builder, "-%u", ports[i].last);
        }
}

bool port_range_contains(const struct port_range *range, uint16_t port)
{
        return port >= range->first && port <= range->last;
}

/* The characters of a label key ([prefix/]name) and of a label value. */
static bool is_label_text(const char *text, size_t length, bool key)
{
        for (size_t i = 0; i < length; i++)
                if (!isalnum((unsigned char)text[i]) && !strchr(key ? "-_./" : "-_.", text[i]))
                        return false;
        return true;
}

int selector_parse(const char *text, struct selector *ret)
{
        const char *equals = strchr(text, '=');
        size_t length = equals ? (size_t)(equals - text) : strlen(text);
        _cleanup_free_ char *key = NULL, *value = NULL;

        if (length == 0 || length > 253 + 1 + 63 || !is_label_text(text, length, true))
                return -EINVAL;
        if (equals &&
                (strlen(equals + 1) > 63 || !is_label_text(equals + 1, strlen(equals + 1), false)))
                return -EINVAL;
        key = strndup(text, length);
        if (!key)
                return -ENOMEM;
        if (equals) {
                value = strdup(equals + 1);
                if (!value)
                        return -ENOMEM;
        }
        ret->key = TAKE_PTR(key);
        ret->value = TAKE_PTR(value);
        return 0;
}

bool selector_matches(const struct selector *selector, const struct node *node)
{
        const char *value = node_label(node, selector->key);

        return value && (!selector->value || strcmp(value, selector->value) == 0);
}

bool exemption_names(const struct exemption *exemption, uint8_t protocol, uint16_t port)
{
        if (exemption->protocol != protocol)
                return false;
        for (size_t i = 0; i < exemption->n_ports; i++)
                if (port_range_contains(&exemption->ports[i], port))
                        return true;
        return false;
}

int exemption_copy(const struct exemption *exemption, struct exemption *ret)
{
        struct exemption copy = {.protocol = exemption->protocol};

        if (text_replace(&copy.name, exemption->name) < 0 ||
                text_replace(&copy.selector.key, exemption->selector.key) < 0 ||
                text_replace(&copy.selector.value, exemption->selector.value) < 0)
                goto fail;
        if (exemption->n_ports > 0) {
                copy.ports = calloc(exemption->n_ports, sizeof(*copy.ports));
                if (!copy.ports)
                        goto fail;
                memcpy(copy.ports, exemption->ports, exemption->n_ports * sizeof(*copy.ports));
                copy.n_ports = exemption->n_ports;
        }
        *ret = copy;
        return 0;

fail:
        exemption_deinit(&copy);
        return -ENOMEM;
}

void exemption_deinit(struct exemption *exemption)
{
        free(exemption->name);
        free(exemption->selector.key);
        free(exemption->selector.value);
        free(exemption->ports);
        *exemption = (struct exemption){};
}

int protocol_parse(const char *text, uint8_t *ret)
{
        if (strcasecmp(text, "tcp") == 0)
                *ret = IPPROTO_TCP;
        else if (strcasecmp(text, "udp") == 0)
                *ret = IPPROTO_UDP;
        else
                return -EINVAL;
        return 0;
}

const char *protocol_name(uint8_t protocol)
{
        switch (protocol) {
        case IPPROTO_TCP: return "tcp";
        case IPPROTO_UDP: return "udp";
        case IPPROTO_ICMP: return "icmp";
        case IPPROTO_ICMPV6: return "ipv6-icmp";
        default: return "?";
        }
}
