/*
 * The bench's cluster by numbers, the same as ciliumnodes.py has it, and what a measurement of
 * paths sends to: one destination after the other out of many.
 *
 *   node i (0, 1 …)  172.16.0.0 + i, fd00:10::(i + 1); pods 10.(i / 256).(i % 256).0/24 and
 *                    fd00:244:i::/64; the first three are control planes
 *   ourselves        the node behind the last of the others: number N of N
 */
#pragma once

#include <stdint.h>

#include "basics/prefix.h"

#define BENCH_DEVICE  "cilium_wg0" /* what stands in for WireGuard */
#define BENCH_UPLINK  "eth0"
#define BENCH_PODS    "pods0" /* where forwarded packets come in */
#define BENCH_MAXIMUM 50000u

/* Destinations: one 32-bit word of the address is base + ((0 … count − 1) << shift). */
struct course {
        const char *name; /* "node", "pod": the last one; "nodes", "pods", "internet": any */
        uint8_t family;
        unsigned word;       /* 0 … 3 */
        uint32_t address[4]; /* in host order; the varying word is not looked at */
        uint32_t base;
        uint32_t count;
        unsigned shift;
};

/* The course of that name; false: no such name. */
bool course_find(const char *name, int family, uint32_t nodes, struct course *ret);
/* Destination `number` (taken modulo count). */
struct address course_address(const struct course *course, uint32_t number);

struct address bench_node_address(int family, uint32_t number);
struct prefix bench_pod_prefix(int family, uint32_t number);
/* Address `host` (1 … 255) in the node's pod prefix. */
struct address bench_pod_address(int family, uint32_t number, uint8_t host);
