/*
 * IPv4 and IPv6 addresses and prefixes as plain values: parse, print, compare, contain.
 * Text forms: RFC 4632 (CIDR) and RFC 5952, as inet_pton(3) and inet_ntop(3) have them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* family is AF_INET or AF_INET6, or 0 for "no address"; IPv4 uses the first four bytes. */
struct address {
        uint8_t family;
        uint8_t bytes[16];
};

/* A prefix with family 0 is "no prefix" (in a rule: any address). Host bits are always zero. */
struct prefix {
        struct address address;
        uint8_t length;
};

/* "10.244.0.0/16" or an IPv6 one of 43 characters, and the NUL. */
#define ADDRESS_TEXT_MAX 46
#define PREFIX_TEXT_MAX  50

/* The families as array indices: [FAMILY_INET] and [FAMILY_INET6]. */
enum family_index { FAMILY_INET, FAMILY_INET6, FAMILY_MAX };

/* AF_INET → FAMILY_INET, AF_INET6 → FAMILY_INET6; −1 for anything else. */
int family_index(int family);
/* FAMILY_INET → AF_INET, FAMILY_INET6 → AF_INET6. */
int family_from_index(enum family_index index);
/* Bytes of an address: 4, 16, or 0 for an unknown family. */
size_t address_size(int family);
/* Bits of an address: 32, 128 or 0. */
unsigned address_bits(int family);

/* −EINVAL when the text is not an address. */
int address_parse(const char *text, struct address *ret);
/* Writes the text form; returns buffer. */
const char *address_format(const struct address *address, char buffer[static ADDRESS_TEXT_MAX]);
/* Orders by family, then numerically. */
int address_compare(const struct address *a, const struct address *b);
bool address_equal(const struct address *a, const struct address *b);
/*
 * True for what no node or pod of a cluster can be reached at: unspecified, loopback, link-local,
 * multicast, IPv4 class E and broadcast, IPv4-mapped IPv6.
 */
bool address_is_special(const struct address *address);

/*
 * Parses "ADDRESS/LENGTH"; a bare address is its host prefix.
 * −EINVAL: not a prefix. −EADDRNOTAVAIL: host bits are set.
 */
int prefix_parse(const char *text, struct prefix *ret);
/* Writes "ADDRESS/LENGTH"; returns buffer. */
const char *prefix_format(const struct prefix *prefix, char buffer[static PREFIX_TEXT_MAX]);
/* The host prefix of an address: /32 or /128. */
struct prefix prefix_from_address(const struct address *address);
/* Orders by family, then address, then length (a covering prefix sorts before what it covers). */
int prefix_compare(const struct prefix *a, const struct prefix *b);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
/* True when `inner` lies in `outer` or equals it. */
bool prefix_covers(const struct prefix *outer, const struct prefix *inner);
bool prefix_contains(const struct prefix *prefix, const struct address *address);
/* True when two prefixes share an address: one covers the other. */
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);

/* True when an address of the prefix is special (address_is_special()). */
bool prefix_overlaps_special(const struct prefix *prefix);

/* qsort(3) forms of the two orders. */
int address_compare_void(const void *a, const void *b);
int prefix_compare_void(const void *a, const void *b);
/* Sorts and drops duplicates; returns the new count. */
size_t prefix_sort_unique(struct prefix *prefixes, size_t n);
