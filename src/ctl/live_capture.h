/*
 * Every packet that goes in and out of some links, by packet sockets (packet(7)). The kernel tells
 * WireGuard's from the rest and each kind has its socket, so that a flood of encrypted packets does
 * not crowd out a clear one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/error.h"

struct live_capture;

/* `data` begins with the network header, and may be cut behind the transport's. */
struct live_frame {
        const uint8_t *data;
        size_t size;
        uint16_t ethertype; /* linux/if_ether.h, host order */
        bool outgoing;
};

/* What it returns below zero ends the reading with that code. */
typedef int (*live_frame_handler)(const struct live_frame *frame, void *userdata);

/*
 * Begins to capture on the links of these indexes; `port`: WireGuard's. −EPERM: it needs
 * CAP_NET_RAW. Other negative errnos of socket(2), bind(2) …; the error has the words.
 */
int live_capture_new(const uint32_t *links, size_t n, uint16_t port, struct live_capture **ret,
        struct error *error);
struct live_capture *live_capture_free(struct live_capture *capture);
DEFINE_CLEANUP(struct live_capture *, live_capture_free)

/*
 * Waits up to `timeout` ms for packets and hands over those that are there. −EINTR: a signal came.
 * Negative errno: poll(2), recvmmsg(2), the handler. A link that goes down or away is no error.
 */
int live_capture_read(
        struct live_capture *capture, int timeout, live_frame_handler handler, void *userdata);
/* How many packets found no room so far: WireGuard's, others. */
void live_capture_lost(struct live_capture *capture, uint64_t *ret_wireguard, uint64_t *ret_other);
