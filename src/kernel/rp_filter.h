/*
 * rp_filter of this host's links: whether the kernel takes in IPv4 packets whose source is routed
 * elsewhere (1, strict: no), or nowhere (2, loose: no; 0: yes). In effect is the larger of a link's
 * and that of `all` (ip-sysctl.rst of the kernel; read by RTM_GETNETCONF).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/error.h"

struct netlink;
struct nlmsghdr;

struct rp_filter {
        bool loose;       /* 2 is in effect on some link */
        uint32_t *strict; /* the links on which 1 is, sorted */
        size_t n_strict;
        size_t allocated;
};

/*
 * Reads it of every link but loopback and those of the `n` indexes in `except` (0 matches none).
 * Fills *ret (zeroed by the caller; deinit with rp_filter_deinit()), which stays empty on failure.
 * The kernel's negative errno.
 */
int rp_filter_read(struct netlink *nl, const uint32_t *except, size_t n, struct rp_filter *ret,
        struct error *error);
void rp_filter_deinit(struct rp_filter *filter);
bool rp_filter_equal(const struct rp_filter *a, const struct rp_filter *b);

/* True for an announcement (RTM_NEWNETCONF, IPv4) that tells a value of rp_filter. */
bool rp_filter_announced(const struct nlmsghdr *message);
