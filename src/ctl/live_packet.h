/*
 * What a packet on the wire is, from its headers: RFC 791, RFC 8200, and for WireGuard's messages
 * its protocol page (wireguard.com/protocol).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/prefix.h"

struct live_packet {
        struct address source;
        struct address destination;
        uint8_t ip_protocol;
        uint16_t source_port; /* 0: the protocol has none, or they are in another fragment */
        uint16_t destination_port;
        uint8_t type;           /* of ICMP and ICMPv6 */
        bool later_fragment;    /* not the first: the ports cannot be seen */
        bool wireguard_message; /* UDP, and its content has the form of a WireGuard message */
        uint32_t length;        /* of the IP packet, as its header has it */
};

/*
 * `data` begins with the network header; `size` bytes of it were captured. −EBADMSG: not IP, or cut
 * short in its headers.
 */
int live_packet_parse(const uint8_t *data, size_t size, struct live_packet *ret);
/*
 * True for what keeps the link itself going and is for no policy: neighbour and router discovery,
 * link-local addresses, multicast.
 */
bool live_packet_is_control(const struct live_packet *packet);
