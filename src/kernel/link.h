/*
 * Links and addresses of this host, read by rtnetlink.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/error.h"
#include "basics/prefix.h"

/* In every network namespace. */
#define LOOPBACK_IFINDEX 1u

struct netlink;
struct nlmsghdr;

struct link {
        char name[IF_NAMESIZE];
        char kind[32];   /* IFLA_INFO_KIND: "wireguard", "tun", "dummy"; "" for a real device */
        char alias[256]; /* IFLA_IFALIAS, "" when there is none */
        uint32_t ifindex;
        uint32_t peer; /* IFLA_LINK: of a veth or netkit its other end, there; 0: none */
        uint32_t mtu;  /* bytes */
        bool up;       /* IFF_UP: what decides whether its routes stand */
};

/*
 * True for a device that encrypts whatever is sent into it: WireGuard of the kernel, or a tun, as
 * which WireGuard in user space appears.
 */
bool link_encrypts(const struct link *link);

/* Reads the link of that name. −ENODEV: there is none. */
int link_read(struct netlink *nl, const char *name, struct link *ret, struct error *error);

/* The same of the link with that index. */
int link_read_index(struct netlink *nl, uint32_t ifindex, struct link *ret, struct error *error);

/* From RTM_NEWLINK or RTM_DELLINK. −EBADMSG: not a well-formed one. */
int link_decode(const struct nlmsghdr *message, struct link *ret);

/*
 * Every address of this host that packets can be sent from, of both families, sorted by
 * address_compare(), each once; IPv6 addresses whose uniqueness is not established (tentative, but
 * not optimistic) or refuted are left out. The caller frees *ret (NULL when there is none).
 */
int addresses_read(struct netlink *nl, struct address **ret, size_t *ret_n, struct error *error);

/*
 * The link that holds that address of this host; of several, one that is not loopback.
 * *ret_ifindex is 0 when there is none.
 */
int address_link_read(struct netlink *nl, const struct address *address, uint32_t *ret_ifindex,
        struct error *error);
