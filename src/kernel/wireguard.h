/*
 * The kernel's WireGuard device, by generic netlink (linux/wireguard.h).
 */
#pragma once

#include <stdint.h>

#include "basics/error.h"

struct netlink;

struct wireguard {
        /* The mark on the device's own packets; 0: none is set, as before Cilium has configured it.
         */
        uint32_t fwmark;
};

/*
 * Reads the device of that index through a socket of NETLINK_GENERIC. The private key that the
 * kernel sends along is wiped from memory.
 * −ENOENT: the kernel has no WireGuard. −EOPNOTSUPP: the link is none of the kernel's WireGuard
 * devices (wireguard-go's is a tun). −ENODEV: no such link.
 */
int wireguard_read(
        struct netlink *nl, uint32_t ifindex, struct wireguard *ret, struct error *error);
