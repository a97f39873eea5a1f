/*
 * The "no-op route": a dummy link with one route to a private address outside the cluster. Cilium
 * up to 1.18 with BPF host routing and exactly one selected device skips the kernel's routing
 * lookup, and with it every rule of ours; a second device with a global unicast route turns that
 * off.
 */
#pragma once

#include "basics/error.h"
#include "basics/prefix.h"
#include "kernel/own_link.h"

struct netlink;

#define NOOP_LINK_NAME "nodecryptor0"

extern const struct own_link noop_link;

/*
 * Makes the link be there and up, with `PREFIX dev nodecryptor0 scope link protocol kernel` in the
 * main table and no other route of that protocol but the kernel's own. Writes only what differs.
 * 1: something was written; 0: all stood. −EEXIST: a link of that name is not ours. −EOPNOTSUPP:
 * the kernel has no dummy links. Otherwise the kernel's negative errno.
 */
int noop_link_ensure(struct netlink *nl, const struct prefix *prefix, struct error *error);

/* Deletes the link, and its route with it, if it is ours. 1: deleted; 0: there is none of ours. */
int noop_link_remove(struct netlink *nl, struct error *error);
