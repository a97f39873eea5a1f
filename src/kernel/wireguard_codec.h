/*
 * The messages of WireGuard's generic netlink family (linux/wireguard.h): the request that dumps a
 * device, and what the kernel answers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "policy/peer.h"

struct nlmsghdr;

/*
 * Who is told what a dump says, in its order: the device's mark and its own key once, then each
 * peer, followed by the prefixes that it carries (AllowedIPs). Each may be NULL; a negative return
 * ends the message.
 */
struct wireguard_sink {
        int (*mark)(uint32_t mark, void *userdata);
        int (*own_key)(const uint8_t key[PEER_KEY_SIZE], void *userdata); /* public; once, if any */
        int (*peer)(const struct peer *peer, void *userdata);
        int (*allowed_ip)(const struct prefix *prefix, void *userdata);
        void *userdata;
};

/* Zero it, but for the sink, before the first message of each dump. */
struct wireguard_decoder {
        struct wireguard_sink sink;
        uint8_t key[PEER_KEY_SIZE]; /* of the peer told last */
        bool has_key;
        uint64_t malformed; /* peers and prefixes that were left out */
};

/* WG_CMD_GET_DEVICE into NETLINK_MESSAGE_MAX bytes at `buffer`; returns the message. */
struct nlmsghdr *wireguard_encode_dump(void *buffer, uint16_t family, uint32_t ifindex);

/*
 * One message of the answer. A peer whose prefixes do not fit into one goes on in the next, where
 * it is recognised by its key. A peer without a well-formed key, and a prefix that is none, are
 * left out and counted; other attributes that are malformed are as good as absent.
 * 0; −EBADMSG: no message of that family; else what the sink returned.
 */
int wireguard_decode(struct wireguard_decoder *decoder, const struct nlmsghdr *message);
