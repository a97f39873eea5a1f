/*
 * Rules and routes of the kernel as values: what is wanted, and what was read back.
 * Field names and numbers are the kernel's (linux/fib_rules.h, linux/rtnetlink.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "basics/prefix.h"
#include "model/exemption.h"

/*
 * A policy rule. Zero in a selector means that it matches anything; `mark` always comes with the
 * full mask.
 */
struct rule {
        uint8_t family;   /* AF_INET, AF_INET6 */
        uint8_t action;   /* FR_ACT_TO_TBL, FR_ACT_UNREACHABLE, FR_ACT_GOTO, FR_ACT_NOP */
        uint8_t protocol; /* who made it: RTPROT_KERNEL for ours */
        bool foreign; /* holds something that ours never do; then nothing but family and priority
                         count */
        uint32_t priority;
        uint32_t table;  /* FR_ACT_TO_TBL, else 0 */
        uint32_t target; /* FR_ACT_GOTO: the priority it leads to, else 0 */
        uint32_t mark;   /* mask 0xffffffff; 0: no mark selector */
        bool iif_lo;     /* sent by this host itself */
        uint8_t ip_protocol;
        struct prefix from;
        struct prefix to;
        struct port_range sport;
        struct port_range dport;
};

/*
 * A route. The key that replaces in the kernel is (family, table, destination, metric, tos). `tos`
 * and `nexthop` are zero in ours; others' routes are deleted by them.
 */
struct route {
        uint8_t family;
        uint8_t type; /* RTN_UNICAST, RTN_UNREACHABLE, RTN_THROW */
        uint8_t protocol;
        uint8_t scope; /* RT_SCOPE_LINK for IPv4 device routes, else RT_SCOPE_UNIVERSE */
        bool foreign;  /* has a shape that ours never have: a gateway, several next hops … */
        uint32_t table;
        struct prefix destination; /* length 0: the default route */
        uint32_t metric;
        uint32_t oif;          /* 0: none */
        uint32_t nexthop;      /* id of a nexthop object (ip-nexthop(8)); 0: none */
        uint8_t tos;           /* IPv4: matches packets of that type of service only, first */
        struct address source; /* preferred source; family 0: none */
};

/* The `unreachable` twin under every steered route: the worst metric there is. */
#define TWIN_METRIC          4294967294u
/*
 * The route into the sink (struct device), one better: nothing gets out by it either, but the
 * kernel's reverse-path check finds a way back.
 */
#define SINK_METRIC          (TWIN_METRIC - 1)
/* What the kernel makes of "no metric" in IPv6; IPv4 keeps 0. */
#define ROUTE_METRIC(family) ((family) == AF_INET6 ? 1024u : 0u)

/* A set of rules and routes; zero it to begin. */
struct fib {
        struct rule *rules;
        size_t n_rules;
        size_t allocated_rules;
        struct route *routes;
        size_t n_routes;
        size_t allocated_routes;
};

/* Room for so many routes more, where their number is known. −ENOMEM. */
int fib_reserve_routes(struct fib *fib, size_t n);
/* Append a copy. −ENOMEM. */
int fib_add_rule(struct fib *fib, const struct rule *rule);
int fib_add_route(struct fib *fib, const struct route *route);
/* Sorts both by the orders below. */
void fib_sort(struct fib *fib);
/* Frees what it holds and zeroes it. */
void fib_deinit(struct fib *fib);

/* Total orders over every field: family, priority …; 0 means the same rule in the kernel. */
int rule_compare(const struct rule *a, const struct rule *b);
/* By key (family, table, destination, metric, tos) first, then by the rest. */
int route_compare(const struct route *a, const struct route *b);
/* By the key only. */
int route_key_compare(const struct route *a, const struct route *b);
bool route_is_twin(const struct route *route);
bool route_is_sink(const struct route *route);
