/*
 * The exemptions cut into disjoint segments: each port of a protocol lies in one of them at most,
 * so that one rule for a segment says all there is to say of its flows.
 *
 * Segments for which the same selectors stand are a group: they select the same nodes.
 */
#pragma once

#include "policy/input.h"
#include "policy/prefixes.h"

struct segment {
        uint8_t protocol;
        struct port_range ports;
        size_t group; /* index into groups */
};

struct segment_group {
        bool *exemptions; /* by index: a flow of this group is one of this exemption's */
        bool selects_self;
        /* The A(R) that it selects, as host prefixes, sorted; none of our own addresses. */
        struct prefixes addresses;
        size_t n_addresses[FAMILY_MAX];
        /* The complement table that serves it (policy/complement.h); 0: a rule for each address. */
        uint32_t tables[FAMILY_MAX];
};

/* Zero it to begin. */
struct segments {
        struct segment *items; /* by protocol and port */
        size_t n;
        size_t allocated;
        struct segment_group *groups;
        size_t n_groups;
        size_t allocated_groups;
};

/* Cuts the exemptions of the settings; the groups have no addresses yet. −ENOMEM. */
int segments_cut(const struct settings *settings, struct segments *ret);
/* Fills in what the groups select of the cluster. −ENOMEM. */
int segments_select(struct segments *segments, const struct policy_input *input);
void segments_deinit(struct segments *segments);
