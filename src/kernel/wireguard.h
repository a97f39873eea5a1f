/*
 * The kernel's WireGuard device, by generic netlink (linux/wireguard.h): its mark, at once; its
 * peers, in steps on an sd-event loop. Nobody announces a change of either.
 *
 * −ENOENT: the kernel has no WireGuard. −EOPNOTSUPP: the link is none of the kernel's WireGuard
 * devices (wireguard-go's is a tun). −ENODEV: no such link. The private key that the kernel sends
 * along is wiped from memory.
 */
#pragma once

#include <stdint.h>

#include "basics/error.h"
#include "kernel/wireguard_codec.h"

typedef struct sd_event sd_event;

struct wireguard {
        /* The mark on the device's own packets; 0: none is set, as before Cilium has configured it.
         */
        uint32_t fwmark;
};

/* Reads the device of that index, and of what the kernel has to say only the first message. */
int wireguard_read(uint32_t ifindex, struct wireguard *ret, struct error *error);

/* A reading of the whole device. */
struct wireguard_reader;

/*
 * Called once, when all has been told to the sink (0), or when that is worth nothing (the rest):
 * −EAGAIN: somebody configured the device meanwhile; what the sink returned; as above. May free the
 * reader.
 */
typedef void (*wireguard_done)(int code, const struct error *error, void *userdata);

/*
 * Begins to read. With 5,000 peers of 100 prefixes each, 15 MB are to come: they are taken some
 * 32 kB at a time, behind whatever else the loop has to do. Negative: nothing has begun.
 */
int wireguard_reader_new(sd_event *event, uint32_t ifindex, const struct wireguard_sink *sink,
        wireguard_done done, struct wireguard_reader **ret, struct error *error);
/* Ends it where it is. Returns NULL. */
struct wireguard_reader *wireguard_reader_free(struct wireguard_reader *reader);
DEFINE_CLEANUP(struct wireguard_reader *, wireguard_reader_free)
