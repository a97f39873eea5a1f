#include "ctl/live_packet.h"

#include <netinet/in.h>
#include <string.h>

#include "basics/util.h"

#define IPV4_HEADER    20
#define IPV6_HEADER    40
#define UDP_HEADER     8
/* More extension headers than that nobody sends. */
#define EXTENSIONS_MAX 8

static uint16_t get16(const uint8_t *data)
{
        return (uint16_t)(data[0] << 8 | data[1]);
}

/* Type, three zero bytes, and a length that fits the type. */
static bool is_wireguard(const uint8_t *content, size_t captured, size_t length)
{
        static const size_t lengths[] = {[1] = 148, [2] = 92, [3] = 64};

        if (captured < 4 || content[1] || content[2] || content[3])
                return false;
        if (content[0] == 4)
                return length >= 32;
        return content[0] >= 1 && content[0] <= 3 && length == lengths[content[0]];
}

static int parse_transport(const uint8_t *data, size_t size, struct live_packet *packet)
{
        bool has_ports = packet->ip_protocol == IPPROTO_TCP || packet->ip_protocol == IPPROTO_UDP ||
                         packet->ip_protocol == IPPROTO_SCTP;

        if (packet->later_fragment)
                return 0;
        if (packet->ip_protocol == IPPROTO_ICMP || packet->ip_protocol == IPPROTO_ICMPV6) {
                if (size < 1)
                        return -EBADMSG;
                packet->type = data[0];
        }
        if (!has_ports)
                return 0;
        if (size < 4)
                return -EBADMSG;
        packet->source_port = get16(data);
        packet->destination_port = get16(data + 2);
        if (packet->ip_protocol == IPPROTO_UDP && size >= UDP_HEADER &&
                get16(data + 4) >= UDP_HEADER)
                packet->wireguard_message = is_wireguard(
                        data + UDP_HEADER, size - UDP_HEADER, (size_t)get16(data + 4) - UDP_HEADER);
        return 0;
}

static int parse_ipv4(const uint8_t *data, size_t size, struct live_packet *packet)
{
        size_t header;

        if (size < IPV4_HEADER)
                return -EBADMSG;
        header = (size_t)(data[0] & 15) * 4;
        if (header < IPV4_HEADER || header > size)
                return -EBADMSG;
        packet->source.family = packet->destination.family = AF_INET;
        memcpy(packet->source.bytes, data + 12, 4);
        memcpy(packet->destination.bytes, data + 16, 4);
        packet->ip_protocol = data[9];
        packet->length = get16(data + 2);
        packet->later_fragment = (get16(data + 6) & 0x1fff) != 0;
        return parse_transport(data + header, size - header, packet);
}

static bool is_extension(uint8_t protocol)
{
        return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
               protocol == IPPROTO_DSTOPTS || protocol == IPPROTO_FRAGMENT;
}

static int parse_ipv6(const uint8_t *data, size_t size, struct live_packet *packet)
{
        size_t at = IPV6_HEADER;

        if (size < IPV6_HEADER)
                return -EBADMSG;
        packet->source.family = packet->destination.family = AF_INET6;
        memcpy(packet->source.bytes, data + 8, 16);
        memcpy(packet->destination.bytes, data + 24, 16);
        packet->length = (uint32_t)get16(data + 4) + IPV6_HEADER;
        packet->ip_protocol = data[6];
        for (unsigned i = 0; is_extension(packet->ip_protocol) && !packet->later_fragment; i++) {
                size_t length = 8;

                if (i == EXTENSIONS_MAX || size < at + 8)
                        return -EBADMSG;
                if (packet->ip_protocol == IPPROTO_FRAGMENT)
                        packet->later_fragment = (get16(data + at + 2) & 0xfff8) != 0;
                else
                        length = ((size_t)data[at + 1] + 1) * 8;
                packet->ip_protocol = data[at];
                at += length;
        }
        if (size < at)
                return -EBADMSG;
        return parse_transport(data + at, size - at, packet);
}

int live_packet_parse(const uint8_t *data, size_t size, struct live_packet *ret)
{
        struct live_packet packet = {};
        int r = -EBADMSG;

        if (size > 0 && data[0] >> 4 == 4)
                r = parse_ipv4(data, size, &packet);
        else if (size > 0 && data[0] >> 4 == 6)
                r = parse_ipv6(data, size, &packet);
        if (r >= 0)
                *ret = packet;
        return r;
}

bool live_packet_is_control(const struct live_packet *packet)
{
        /* RFC 4861: router and neighbour discovery, redirects. */
        if (packet->ip_protocol == IPPROTO_ICMPV6 && packet->type >= 133 && packet->type <= 137)
                return true;
        return address_is_special(&packet->source) || address_is_special(&packet->destination);
}
