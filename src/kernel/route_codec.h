/*
 * Routes as netlink messages (linux/rtnetlink.h).
 */
#pragma once

#include <stdint.h>

#include "policy/fib.h"

struct nlmsghdr;

/*
 * Writes RTM_NEWROUTE or RTM_DELROUTE (`type`) with everything that the route has into
 * NETLINK_MESSAGE_MAX bytes at `buffer`; the flags of the header are the caller's. Returns the
 * message. A foreign route can only be deleted: what struct route does not hold of it is left out,
 * and matches anything (fib_table_delete() and ip6_route_del() in the kernel).
 */
struct nlmsghdr *route_encode(void *buffer, uint16_t type, const struct route *route);

/*
 * The request that dumps one table of one family; 0: every table. The kernel filters only with
 * strict checking: look at the table again when decoding.
 */
struct nlmsghdr *route_encode_dump(void *buffer, uint8_t family, uint32_t table);

/*
 * A route from a dump, a notification or an answer to RTM_GETROUTE. What struct route cannot
 * express makes it foreign; the fields that it can are filled in all the same. What the kernel adds
 * by itself is taken away (IPv6 puts `unreachable` and `throw` on lo; next-hop states), so that a
 * route that we wrote decodes to what was encoded.
 * −EBADMSG: not a well-formed route. −EAFNOSUPPORT: of another family than IPv4 and IPv6.
 */
int route_decode(const struct nlmsghdr *message, struct route *ret);
