/*
 * Asks the kernel which way a flow goes (RTM_GETROUTE, rtnetlink(7)). The kernel does not say which
 * rule decided; the table and the error tell it together with the rules (an unreachable route:
 * −EHOSTUNREACH; an unreachable rule: −ENETUNREACH).
 */
#pragma once

#include <net/if.h>
#include <stdint.h>

#include "basics/error.h"
#include "policy/verdict.h"

struct netlink;

struct route_answer {
        int result;   /* 0, or the negative errno that a sender would get; the rest is unset then */
        uint8_t type; /* RTN_UNICAST, RTN_LOCAL … */
        uint32_t table;
        uint32_t oif;
        char interface[IF_NAMESIZE];
        struct address gateway; /* family 0: on the link */
        struct address source;  /* preferred source; family 0: the kernel named none */
};

/*
 * `iif`: the index of the link by which a forwarded flow comes in (its source is needed then); of
 * no meaning for one that this host sends. A port of 0 is in no rule's range. The kernel takes TCP,
 * UDP and ICMP for a question; another protocol is asked about as "none".
 * A flow that this host sends must have a source of this host: for another one older kernels say
 * −EINVAL, and newer ones give −ENETUNREACH as the result.
 * Negative errno: the question could not be asked (−EINVAL: families that differ, or a forwarded
 * flow without a source).
 */
int route_query(struct netlink *nl, const struct flow *flow, uint32_t iif, struct route_answer *ret,
        struct error *error);
/* The same, and `interface` stays empty: its name costs more than the answer. */
int route_query_unnamed(struct netlink *nl, const struct flow *flow, uint32_t iif,
        struct route_answer *ret, struct error *error);
