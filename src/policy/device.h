/*
 * The WireGuard device and the host's addresses, as far as the policy depends on them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/prefix.h"

/* Cilium's mark since 1.18, and while the device cannot be asked. */
#define DEFAULT_MARK 0x0e00u

struct device {
        bool usable;      /* there, of a kind that encrypts, and up */
        uint32_t ifindex; /* 0: there is none */
        uint32_t mark;    /* the mark on its own packets; never 0 */
        /*
         * The index of a link that drops all that is sent into it, where the kernel takes in IPv4
         * packets only from where some route leads (rp_filter 2): steered node addresses get a sink
         * then, so that their ARP is answered while the device is away. 0: none.
         */
        uint32_t sink;
        bool no_ipv6; /* the kernel has no IPv6 at all; one that is switched off it still has */
        /* Every local address of the host, sorted by address_compare(); borrowed. */
        const struct address *local;
        size_t n_local;
};

/* True when `address` is configured on this host. */
bool device_has_local(const struct device *device, const struct address *address);
