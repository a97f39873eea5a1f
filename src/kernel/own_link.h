/*
 * Links that we make ourselves: known as ours by name, kind and alias, and never touched when they
 * are somebody else's.
 */
#pragma once

#include "basics/error.h"
#include "kernel/link.h"

struct netlink;

/* The alias of all of them (`ip link show`): with name and kind it says that a link is ours. */
#define OWN_LINK_ALIAS "nodecryptor"

struct own_link {
        const char *name;
        const char *const *kinds; /* in order of preference, NULL at the end */
        bool silent;              /* no ARP, and no IPv6 address by itself */
};

/*
 * Makes the link be there and up, of the first kind that the kernel has, and reads it into *ret.
 * Writes only what differs. 1: something was written; 0: all stood. −EEXIST: a link of that name is
 * not ours. −EOPNOTSUPP: the kernel has none of the kinds. Otherwise the kernel's negative errno.
 */
int own_link_ensure(
        struct netlink *nl, const struct own_link *own, struct link *ret, struct error *error);

/* 1: it is there, is ours, and was read into *ret; 0: there is none of ours. Negative errno. */
int own_link_read(
        struct netlink *nl, const struct own_link *own, struct link *ret, struct error *error);

/* Deletes the link if it is ours, its routes with it. 1: deleted; 0: there is none of ours. */
int own_link_remove(struct netlink *nl, const struct own_link *own, struct error *error);
