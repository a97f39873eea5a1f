/*
 * A peer of the WireGuard device, as the device tells of it; what it carries (AllowedIPs) is told
 * beside it, prefix by prefix, and not kept (carriage.h).
 */
#pragma once

#include <stdint.h>

#include "basics/prefix.h"

#define PEER_KEY_SIZE     32
/* Base64 as `wg show` and the annotation of a CiliumNode have it, and the NUL. */
#define PEER_KEY_TEXT_MAX 45

struct peer {
        uint8_t key[PEER_KEY_SIZE]; /* public */
        uint16_t endpoint_port;     /* 0 without an endpoint */
        struct address endpoint;    /* where its packets are sent; family 0: nowhere yet */
        uint64_t handshake_nsec;    /* unix time in ns of the last one completed; 0: never */
        /* Of the outer packets, handshake messages included. */
        uint64_t rx_bytes;
        uint64_t tx_bytes;
};

/* Writes the key in base64 (RFC 4648 §4); returns buffer. */
const char *peer_key_format(
        const uint8_t key[static PEER_KEY_SIZE], char buffer[static PEER_KEY_TEXT_MAX]);
