#include "ctl/flow_arguments.h"

#include <netinet/in.h>
#include <string.h>

#include "basics/text.h"
#include "model/exemption.h"

static int parse_port(const char *text, uint16_t *ret)
{
        uint64_t port;

        if (text_to_uint(text, UINT16_MAX, &port) < 0 || port == 0)
                return -EINVAL;
        *ret = (uint16_t)port;
        return 0;
}

int host_port_parse(const char *text, char **ret_host, uint16_t *ret_port)
{
        const char *colon = strrchr(text, ':'), *end = text + strlen(text), *begin = text;
        uint16_t port = 0;

        if (text[0] == '[') {
                begin = text + 1;
                end = strchr(text, ']');
                if (!end || (end[1] && end[1] != ':'))
                        return -EINVAL;
                colon = end[1] ? end + 1 : NULL;
        } else if (colon && strchr(text, ':') == colon) {
                end = colon;
        } else {
                colon = NULL; /* none, or an IPv6 address as it is */
        }
        if (colon && parse_port(colon + 1, &port) < 0)
                return -EINVAL;
        if (end == begin)
                return -EINVAL;
        *ret_host = strndup(begin, (size_t)(end - begin));
        if (!*ret_host)
                return -ENOMEM;
        *ret_port = port;
        return 0;
}

int address_port_parse(const char *text, struct address *ret, uint16_t *ret_port)
{
        _cleanup_free_ char *host = NULL;
        int r = host_port_parse(text, &host, ret_port);

        return r < 0 ? r : address_parse(host, ret);
}

int any_protocol_parse(const char *text, int family, uint8_t *ret)
{
        uint64_t number;

        if (protocol_parse(text, ret) >= 0)
                return 0;
        if (strcasecmp(text, "icmp") == 0) {
                *ret = family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
                return 0;
        }
        if (text_to_uint(text, UINT8_MAX, &number) < 0 || number == 0)
                return -EINVAL;
        *ret = (uint8_t)number;
        return 0;
}

int mark_parse(const char *text, uint32_t *ret)
{
        char *end;
        unsigned long long number;

        errno = 0;
        number = strtoull(text, &end, 0);
        if (errno != 0 || *end || end == text || number > UINT32_MAX || *text == '-')
                return -EINVAL;
        *ret = (uint32_t)number;
        return 0;
}
