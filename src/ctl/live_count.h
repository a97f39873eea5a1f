/*
 * Packets between this node and the others, counted by what they are; those in clear that have no
 * business to be are kept flow by flow.
 */
#pragma once

#include "ctl/live_packet.h"
#include "ctl/quick_verdict.h"

/* Flows in clear that are kept; more are counted only. */
#define LIVE_OFFENDERS_MAX  3072
#define LIVE_OFFENDERS_ROOM 4096

enum live_class {
        LIVE_WIREGUARD,
        LIVE_PLAIN,
        LIVE_FRAGMENT, /* a later fragment, in clear or WireGuard's: its ports cannot be seen */
        LIVE_NOT_OURS, /* left alone by the policy: `exclude` */
        LIVE_ENDPOINT, /* exempt: the API endpoint of the kubeconfig */
        LIVE_EXEMPT,   /* the first exemption of the settings, the others follow */
};

enum live_direction { LIVE_OUT, LIVE_IN, LIVE_DIRECTION_MAX };

struct live_offender {
        struct live_packet packet; /* the first of the flow, as it was on the wire */
        enum live_direction direction;
        const struct node *peer;
        uint64_t packets;
        uint64_t bytes;
        uint64_t first_seen; /* unix time, s */
};

struct live_counts {
        const struct policy_input *input; /* borrowed */
        struct quick_verdict *quick;
        uint16_t port; /* WireGuard's */
        size_t n_classes;
        uint64_t *peers;    /* by the node's place in the cluster, direction, class */
        uint64_t *totals;   /* by direction, class */
        uint64_t control;   /* ARP, neighbour discovery, link-local, multicast */
        uint64_t elsewhere; /* to and from others than the nodes and their pods */
        uint64_t unreadable;
        uint64_t left_out;               /* packets in clear whose flow found no room */
        struct live_offender *offenders; /* LIVE_OFFENDERS_ROOM places, found by hash */
        size_t n_offenders;
};

/* Fills *ret (zeroed by the caller); `port`: WireGuard's. −ENOMEM. */
int live_counts_init(struct live_counts *ret, const struct policy_input *input, uint16_t port);
void live_counts_deinit(struct live_counts *counts);

/* One IP packet, `data` from its network header on. `now`: unix time, s. −ENOMEM. */
int live_count(struct live_counts *counts, const uint8_t *data, size_t size,
        enum live_direction direction, uint64_t now);
/* Of all nodes (`node` SIZE_MAX) or one. */
uint64_t live_counted(
        const struct live_counts *counts, size_t node, enum live_direction direction, size_t class);
/* The offenders to the front, the most packets first. No packet can be counted after that. */
void live_counts_sort(struct live_counts *counts);
/* "WireGuard", "PLAIN", "exempt (etcd)" … */
const char *live_class_name(const struct live_counts *counts, size_t class);
