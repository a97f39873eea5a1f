/*
 * Exemptions: which flows may leave in clear. An exemption selects nodes by a label and names a
 * protocol and ports; see policy/verdict.h for what that does to a flow.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "basics/text.h"
#include "model/node.h"

/* Inclusive; 1 ≤ first ≤ last. {0, 0} means "any port" where a rule or flow uses it. */
struct port_range {
        uint16_t first;
        uint16_t last;
};

/* Selects the nodes that carry the label: with any value when `value` is NULL. */
struct selector {
        char *key;
        char *value;
};

struct exemption {
        char *name;
        struct selector selector;
        uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
        struct port_range *ports;
        size_t n_ports;
};

/* The label that kubeadm, k3s, RKE2 and others put on control-plane nodes, whatever its value. */
#define CONTROL_PLANE_LABEL "node-role.kubernetes.io/control-plane"

/*
 * Parses "2379-2382,6443, 443": numbers or ranges, commas between, blanks around. The result is
 * fresh memory, sorted, overlapping ranges merged.
 * −EINVAL: not such a list, or empty. −ERANGE: a port of 0 or above 65535. −EDOM: a range upside
 * down. *ret_bad (may be NULL) is then set to the offending item, in fresh memory.
 */
int port_ranges_parse(const char *text, struct port_range **ret, size_t *ret_n, char **ret_bad);
/* Appends "2379-2380,6443". */
void port_ranges_format(const struct port_range *ports, size_t n, struct text_builder *builder);
bool port_range_contains(const struct port_range *range, uint16_t port);

/* "key" or "key=value" into *ret. −EINVAL: not a label selector of that form. */
int selector_parse(const char *text, struct selector *ret);
bool selector_matches(const struct selector *selector, const struct node *node);

/* True when the exemption names this protocol and port. */
bool exemption_names(const struct exemption *exemption, uint8_t protocol, uint16_t port);
/* A deep copy into *ret; −ENOMEM. */
int exemption_copy(const struct exemption *exemption, struct exemption *ret);
/* Frees what the exemption owns, not the struct. */
void exemption_deinit(struct exemption *exemption);

/* "tcp" or "udp" → IPPROTO_…; −EINVAL. */
int protocol_parse(const char *text, uint8_t *ret);
/* "tcp", "udp", "icmp", "ipv6-icmp", or "?". */
const char *protocol_name(uint8_t protocol);
