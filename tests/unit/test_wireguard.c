/*
 * The dump of a WireGuard device: as the kernel writes it, over several messages, and broken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <stdlib.h>

#include "basics/text.h"
#include "kernel/netlink.h"
#include "kernel/wireguard_codec.h"
#include "test.h"

#define FAMILY 29

static char buffer[65536] __attribute__((aligned(8)));

/* What was told, one a line. */
static struct {
        struct text_builder text;
        size_t n_peers, n_prefixes;
        struct peer last;
        int refuse; /* what the sink returns */
} told;

static int tell_mark(uint32_t mark, void *userdata)
{
        text_append(userdata, "mark %#x\n", mark);
        return told.refuse;
}

static int tell_own_key(const uint8_t key[PEER_KEY_SIZE], void *userdata)
{
        text_append(userdata, "own key %u\n", key[0]);
        return told.refuse;
}

static int tell_peer(const struct peer *peer, void *userdata)
{
        text_append(userdata, "peer %u\n", peer->key[0]);
        told.n_peers++;
        told.last = *peer;
        return told.refuse;
}

static int tell_allowed_ip(const struct prefix *prefix, void *userdata)
{
        char text[PREFIX_TEXT_MAX];

        text_append(userdata, "%s\n", prefix_format(prefix, text));
        told.n_prefixes++;
        return told.refuse;
}

static struct wireguard_decoder begin(void)
{
        text_deinit(&told.text);
        memset(&told, 0, sizeof(told));
        return (struct wireguard_decoder){.sink = {
                                                  .mark = tell_mark,
                                                  .own_key = tell_own_key,
                                                  .peer = tell_peer,
                                                  .allowed_ip = tell_allowed_ip,
                                                  .userdata = &told.text,
                                          }};
}

static struct nlmsghdr *new_message(void)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct genlmsghdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = FAMILY;
        header->cmd = WG_CMD_GET_DEVICE;
        return message;
}

static void put_key(struct nlmsghdr *message, uint8_t number)
{
        uint8_t key[WG_KEY_LEN] = {number, 2, 3};

        mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, sizeof(key), key);
}

static void put_scalars(struct nlmsghdr *message)
{
        struct sockaddr_in endpoint = {.sin_family = AF_INET, .sin_port = htons(51871)};
        int64_t handshake[2] = {1700000000, 5};

        endpoint.sin_addr.s_addr = htonl(0x0a000003);
        mnl_attr_put(message, WGPEER_A_PRESHARED_KEY, WG_KEY_LEN, (uint8_t[WG_KEY_LEN]){});
        mnl_attr_put(message, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof(handshake), handshake);
        mnl_attr_put_u64(message, WGPEER_A_TX_BYTES, 148);
        mnl_attr_put_u64(message, WGPEER_A_RX_BYTES, 92);
        mnl_attr_put(message, WGPEER_A_ENDPOINT, sizeof(endpoint), &endpoint);
}

static void put_allowed_ip(struct nlmsghdr *message, const char *text)
{
        struct nlattr *nest = mnl_attr_nest_start(message, 0);
        struct prefix prefix;

        CHECK(prefix_parse(text, &prefix) >= 0);
        mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, prefix.length);
        mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, prefix.address.family);
        mnl_attr_put(message, WGALLOWEDIP_A_IPADDR, address_size(prefix.address.family),
                prefix.address.bytes);
        mnl_attr_nest_end(message, nest);
}

/* A peer with its key and two prefixes; the rest only where it begins. */
static void put_peer(struct nlmsghdr *message, uint8_t number, bool begins, const char *first,
        const char *second)
{
        struct nlattr *peer = mnl_attr_nest_start(message, 0), *nest;

        put_key(message, number);
        if (begins)
                put_scalars(message);
        nest = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);
        put_allowed_ip(message, first);
        put_allowed_ip(message, second);
        mnl_attr_nest_end(message, nest);
        mnl_attr_nest_end(message, peer);
}

static void request(void)
{
        struct nlmsghdr *message = wireguard_encode_dump(buffer, FAMILY, 7);
        const struct nlattr *attribute = mnl_nlmsg_get_payload_offset(message, GENL_HDRLEN);

        CHECK_INT(message->nlmsg_type, FAMILY);
        CHECK(message->nlmsg_len < NETLINK_MESSAGE_MAX);
        CHECK_INT(mnl_attr_get_type(attribute), WGDEVICE_A_IFINDEX);
        CHECK_INT(mnl_attr_get_u32(attribute), 7);
}

static void several_messages(void)
{
        struct wireguard_decoder decoder = begin();
        struct nlmsghdr *message = new_message();
        struct nlattr *peers;

        mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, 0xe00);
        mnl_attr_put(message, WGDEVICE_A_PRIVATE_KEY, WG_KEY_LEN, (uint8_t[WG_KEY_LEN]){9});
        mnl_attr_put(message, WGDEVICE_A_PUBLIC_KEY, WG_KEY_LEN, (uint8_t[WG_KEY_LEN]){8});
        /* No key: passed over. */
        mnl_attr_put(message, WGDEVICE_A_PUBLIC_KEY, WG_KEY_LEN - 1, (uint8_t[WG_KEY_LEN]){7});
        peers = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
        put_peer(message, 1, true, "10.0.0.2/32", "fd00::2/128");
        put_peer(message, 2, true, "10.0.0.3/32", "10.244.3.0/24");
        mnl_attr_nest_end(message, peers);
        CHECK_INT(wireguard_decode(&decoder, message), 0);

        message = new_message();
        mnl_attr_put_strz(message, WGDEVICE_A_IFNAME, "cilium_wg0");
        peers = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
        put_peer(message, 2, false, "10.244.3.7/32", "0.0.0.0/0");
        put_peer(message, 3, true, "10.0.0.4/32", "::/0");
        mnl_attr_nest_end(message, peers);
        CHECK_INT(wireguard_decode(&decoder, message), 0);

        CHECK_TEXT(told.text.text, "mark 0xe00\nown key 8\n"
                                   "peer 1\n10.0.0.2/32\nfd00::2/128\n"
                                   "peer 2\n10.0.0.3/32\n10.244.3.0/24\n10.244.3.7/32\n0.0.0.0/0\n"
                                   "peer 3\n10.0.0.4/32\n::/0\n");
        CHECK_INT(decoder.malformed, 0);
        CHECK_INT(told.last.handshake_nsec, INT64_C(1700000000000000005));
        CHECK_INT(told.last.tx_bytes, 148);
        CHECK_INT(told.last.rx_bytes, 92);
        CHECK_INT(told.last.endpoint.family, AF_INET);
        CHECK_INT(told.last.endpoint_port, 51871);
}

static void no_peers(void)
{
        struct wireguard_decoder decoder = begin();
        struct nlmsghdr *message = new_message();

        mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, 0);
        CHECK_INT(wireguard_decode(&decoder, message), 0);
        CHECK_TEXT(told.text.text, "mark 0\n");
        message->nlmsg_len = sizeof(*message); /* without the family's own header */
        CHECK_INT(wireguard_decode(&decoder, message), -EBADMSG);
}

static void put_raw_prefix(
        struct nlmsghdr *message, uint16_t family, uint8_t length, size_t size, bool whole)
{
        struct nlattr *nest = mnl_attr_nest_start(message, 0);

        if (whole)
                mnl_attr_put_u8(message, WGALLOWEDIP_A_CIDR_MASK, length);
        mnl_attr_put_u16(message, WGALLOWEDIP_A_FAMILY, family);
        mnl_attr_put(message, WGALLOWEDIP_A_IPADDR, size, (uint8_t[32]){10, 1});
        mnl_attr_nest_end(message, nest);
}

/* What is malformed is left out alone. */
static void bad_prefixes(void)
{
        struct wireguard_decoder decoder = begin();
        struct nlmsghdr *message = new_message();
        struct nlattr *peers = mnl_attr_nest_start(message, WGDEVICE_A_PEERS), *peer, *nest;

        peer = mnl_attr_nest_start(message, 0);
        put_key(message, 1);
        nest = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);
        put_raw_prefix(message, AF_INET, 33, 4, true);
        put_raw_prefix(message, AF_INET6, 129, 16, true);
        put_raw_prefix(message, AF_INET, 32, 16, true);
        put_raw_prefix(message, AF_INET6, 64, 4, true);
        put_raw_prefix(message, AF_UNIX, 8, 4, true);
        put_raw_prefix(message, 0, 0, 0, true);
        put_raw_prefix(message, AF_INET, 32, 32, true);
        put_raw_prefix(message, AF_INET, 32, 4, false);
        put_raw_prefix(message, AF_INET, 16, 4, true);
        mnl_attr_nest_end(message, nest);
        mnl_attr_nest_end(message, peer);
        mnl_attr_nest_end(message, peers);
        CHECK_INT(wireguard_decode(&decoder, message), 0);
        CHECK_TEXT(told.text.text, "peer 1\n10.1.0.0/16\n");
        CHECK_INT(decoder.malformed, 8);
}

static void bad_peers(void)
{
        struct wireguard_decoder decoder = begin();
        struct nlmsghdr *message = new_message();
        struct nlattr *peers = mnl_attr_nest_start(message, WGDEVICE_A_PEERS), *peer, *nest;
        int64_t negative[2] = {-1, 0};

        /* Without a key: its prefixes belong to nobody. */
        peer = mnl_attr_nest_start(message, 0);
        put_scalars(message);
        nest = mnl_attr_nest_start(message, WGPEER_A_ALLOWEDIPS);
        put_allowed_ip(message, "10.0.0.9/32");
        mnl_attr_nest_end(message, nest);
        mnl_attr_nest_end(message, peer);
        peer = mnl_attr_nest_start(message, 0);
        mnl_attr_put(message, WGPEER_A_PUBLIC_KEY, 31, (uint8_t[31]){});
        mnl_attr_nest_end(message, peer);
        /* With everything else malformed. */
        peer = mnl_attr_nest_start(message, 0);
        put_key(message, 4);
        mnl_attr_put(message, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof(negative), negative);
        mnl_attr_put_u32(message, WGPEER_A_TX_BYTES, 1);
        mnl_attr_put(message, WGPEER_A_ENDPOINT, 16, (uint8_t[16]){AF_INET6});
        mnl_attr_put(message, 999, 4, (uint8_t[4]){});
        mnl_attr_nest_end(message, peer);
        mnl_attr_nest_end(message, peers);
        CHECK_INT(wireguard_decode(&decoder, message), 0);
        CHECK_TEXT(told.text.text, "peer 4\n");
        CHECK_INT(decoder.malformed, 2);
        CHECK_INT(told.last.handshake_nsec, 0);
        CHECK_INT(told.last.tx_bytes, 0);
        CHECK_INT(told.last.endpoint.family, 0);
}

static struct nlmsghdr *sample(void)
{
        struct nlmsghdr *message = new_message();
        struct nlattr *peers;

        mnl_attr_put_u32(message, WGDEVICE_A_FWMARK, 0xe00);
        peers = mnl_attr_nest_start(message, WGDEVICE_A_PEERS);
        put_peer(message, 1, true, "10.0.0.2/32", "fd00::2/128");
        put_peer(message, 2, true, "10.0.0.3/32", "10.244.3.0/24");
        mnl_attr_nest_end(message, peers);
        return message;
}

/* Cut at every byte, in memory of just that size (a message's end is aligned), which the sanitizer
 * watches. */
static void truncated(void)
{
        uint32_t size = sample()->nlmsg_len;

        for (uint32_t cut = sizeof(struct nlmsghdr); cut < size; cut++) {
                struct wireguard_decoder decoder = begin();
                struct nlmsghdr *copy = calloc(1, MNL_ALIGN(cut));

                CHECK(copy);
                memcpy(copy, sample(), cut);
                copy->nlmsg_len = cut;
                (void)wireguard_decode(&decoder, copy);
                free(copy);
                CHECK(MNL_ALIGN(cut) >= size || told.n_peers == 0);
        }
}

/* Any byte another one. */
static void garbled(void)
{
        uint32_t size = sample()->nlmsg_len;

        for (uint32_t at = sizeof(struct nlmsghdr); at < size; at++) {
                struct wireguard_decoder decoder = begin();
                char *copy = malloc(size);

                CHECK(copy);
                memcpy(copy, sample(), size);
                copy[at] = (char)~copy[at];
                (void)wireguard_decode(&decoder, (struct nlmsghdr *)(void *)copy);
                free(copy);
                CHECK(told.n_peers <= 2 && told.n_prefixes <= 4);
        }
}

static void refused(void)
{
        struct wireguard_decoder decoder = begin();

        told.refuse = -ENOMEM;
        CHECK_INT(wireguard_decode(&decoder, sample()), -ENOMEM);
        CHECK_TEXT(told.text.text, "mark 0xe00\n");
        decoder = begin();
        decoder.sink = (struct wireguard_sink){};
        CHECK_INT(wireguard_decode(&decoder, sample()), 0);
}

TEST_MAIN(TEST(request), TEST(several_messages), TEST(no_peers), TEST(bad_prefixes),
        TEST(bad_peers), TEST(truncated), TEST(garbled), TEST(refused))
