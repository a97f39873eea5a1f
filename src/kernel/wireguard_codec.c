#include "kernel/wireguard_codec.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <string.h>

#include "kernel/attribute.h"

#define NSEC_PER_SEC UINT64_C(1000000000)

struct nlmsghdr *wireguard_encode_dump(void *buffer, uint16_t family, uint32_t ifindex)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = family;
        header->cmd = WG_CMD_GET_DEVICE;
        header->version = WG_GENL_VERSION;
        mnl_attr_put_u32(message, WGDEVICE_A_IFINDEX, ifindex);
        return message;
}

static int tell_mark(struct wireguard_decoder *decoder, const struct nlattr *attribute)
{
        uint32_t mark;
        int r = attribute_get_u32(attribute, &mark);

        if (r < 0 || !decoder->sink.mark)
                return r;
        return decoder->sink.mark(mark, decoder->sink.userdata);
}

/* struct sockaddr_in or sockaddr_in6, in the machine's own layout. */
static void read_endpoint(const struct nlattr *attribute, struct peer *peer)
{
        const void *payload = mnl_attr_get_payload(attribute);
        size_t size = mnl_attr_get_payload_len(attribute);
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;

        if (size == sizeof(v4)) {
                memcpy(&v4, payload, sizeof(v4));
                if (v4.sin_family != AF_INET)
                        return;
                peer->endpoint.family = AF_INET;
                memcpy(peer->endpoint.bytes, &v4.sin_addr, sizeof(v4.sin_addr));
                peer->endpoint_port = ntohs(v4.sin_port);
        } else if (size == sizeof(v6)) {
                memcpy(&v6, payload, sizeof(v6));
                if (v6.sin6_family != AF_INET6)
                        return;
                peer->endpoint.family = AF_INET6;
                memcpy(peer->endpoint.bytes, &v6.sin6_addr, sizeof(v6.sin6_addr));
                peer->endpoint_port = ntohs(v6.sin6_port);
        }
}

static void read_handshake(const struct nlattr *attribute, struct peer *peer)
{
        struct {
                int64_t sec, nsec; /* struct __kernel_timespec */
        } time;

        if (mnl_attr_get_payload_len(attribute) != sizeof(time))
                return;
        memcpy(&time, mnl_attr_get_payload(attribute), sizeof(time));
        if (time.sec < 0 || time.sec > INT64_MAX / (int64_t)NSEC_PER_SEC || time.nsec < 0 ||
                time.nsec >= (int64_t)NSEC_PER_SEC)
                return;
        peer->handshake_nsec = (uint64_t)time.sec * NSEC_PER_SEC + (uint64_t)time.nsec;
}

static void read_u64(const struct nlattr *attribute, uint64_t *ret)
{
        if (mnl_attr_get_payload_len(attribute) == sizeof(*ret))
                memcpy(ret, mnl_attr_get_payload(attribute), sizeof(*ret));
}

/* Everything but the prefixes, which lie at *ret_allowed_ips (NULL: none). False without a key. */
static bool read_peer(
        const struct nlattr *nest, struct peer *peer, const struct nlattr **ret_allowed_ips)
{
        const struct nlattr *attribute;
        bool has_key = false;

        mnl_attr_for_each_nested(attribute, nest)
        {
                switch (mnl_attr_get_type(attribute)) {
                case WGPEER_A_PUBLIC_KEY:
                        has_key = mnl_attr_get_payload_len(attribute) == sizeof(peer->key);
                        if (has_key)
                                memcpy(peer->key, mnl_attr_get_payload(attribute),
                                        sizeof(peer->key));
                        break;
                case WGPEER_A_ENDPOINT: read_endpoint(attribute, peer); break;
                case WGPEER_A_LAST_HANDSHAKE_TIME: read_handshake(attribute, peer); break;
                case WGPEER_A_RX_BYTES: read_u64(attribute, &peer->rx_bytes); break;
                case WGPEER_A_TX_BYTES: read_u64(attribute, &peer->tx_bytes); break;
                case WGPEER_A_ALLOWEDIPS: *ret_allowed_ips = attribute; break;
                }
        }
        return has_key;
}

/* False: it is none. */
static bool read_allowed_ip(const struct nlattr *nest, struct prefix *ret)
{
        const struct nlattr *attribute, *bytes = NULL;
        struct address address;
        uint16_t family = 0;
        uint8_t length = 0;
        bool has_length = false;

        mnl_attr_for_each_nested(attribute, nest)
        {
                switch (mnl_attr_get_type(attribute)) {
                case WGALLOWEDIP_A_FAMILY: (void)attribute_get_u16(attribute, &family); break;
                case WGALLOWEDIP_A_IPADDR: bytes = attribute; break;
                case WGALLOWEDIP_A_CIDR_MASK:
                        has_length = attribute_get_u8(attribute, &length) >= 0;
                        break;
                }
        }
        return bytes && has_length && attribute_get_address(bytes, family, &address) >= 0 &&
               attribute_prefix(&address, length, ret) >= 0;
}

static int tell_allowed_ips(struct wireguard_decoder *decoder, const struct nlattr *nest)
{
        const struct nlattr *attribute;

        mnl_attr_for_each_nested(attribute, nest)
        {
                struct prefix prefix;
                int r;

                if (!read_allowed_ip(attribute, &prefix)) {
                        decoder->malformed++;
                        continue;
                }
                if (!decoder->sink.allowed_ip)
                        continue;
                r = decoder->sink.allowed_ip(&prefix, decoder->sink.userdata);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int tell_peer(struct wireguard_decoder *decoder, const struct nlattr *nest)
{
        const struct nlattr *allowed_ips = NULL;
        struct peer peer = {};

        if (!read_peer(nest, &peer, &allowed_ips)) {
                decoder->malformed++;
                return 0;
        }
        if (!decoder->has_key || memcmp(decoder->key, peer.key, sizeof(peer.key)) != 0) {
                int r = decoder->sink.peer ? decoder->sink.peer(&peer, decoder->sink.userdata) : 0;

                if (r < 0)
                        return r;
                memcpy(decoder->key, peer.key, sizeof(peer.key));
                decoder->has_key = true;
        }
        return allowed_ips ? tell_allowed_ips(decoder, allowed_ips) : 0;
}

static int tell_peers(struct wireguard_decoder *decoder, const struct nlattr *nest)
{
        const struct nlattr *attribute;

        mnl_attr_for_each_nested(attribute, nest)
        {
                int r = tell_peer(decoder, attribute);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int tell_own_key(struct wireguard_decoder *decoder, const struct nlattr *attribute)
{
        const struct wireguard_sink *sink = &decoder->sink;

        if (!sink->own_key || mnl_attr_get_payload_len(attribute) != PEER_KEY_SIZE)
                return 0;
        return sink->own_key(mnl_attr_get_payload(attribute), sink->userdata);
}

int wireguard_decode(struct wireguard_decoder *decoder, const struct nlmsghdr *message)
{
        const struct nlattr *attribute;
        int r = 0;

        if (mnl_nlmsg_get_payload_len(message) < sizeof(struct genlmsghdr))
                return -EBADMSG;
        mnl_attr_for_each(attribute, message, sizeof(struct genlmsghdr))
        {
                if (mnl_attr_get_type(attribute) == WGDEVICE_A_FWMARK)
                        r = tell_mark(decoder, attribute);
                else if (mnl_attr_get_type(attribute) == WGDEVICE_A_PUBLIC_KEY)
                        r = tell_own_key(decoder, attribute);
                else if (mnl_attr_get_type(attribute) == WGDEVICE_A_PEERS)
                        r = tell_peers(decoder, attribute);
                if (r < 0)
                        return r;
        }
        return 0;
}
