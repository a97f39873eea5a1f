/*
 * What the policy says of one flow: the normative text, decided from the cluster and the settings
 * and not from rules and routes, so that it can be held against the kernel's own answer.
 *
 * For a packet that this node (L) sends or forwards, the first that holds:
 *   1. it carries the device's mark                    → MARKED: main
 *   2. destination in a pod prefix of another node     → PODS: the device
 *   3. a flow of an exemption                          → EXEMPT: main
 *   4. destination is another node's address           → NODES: the device
 *   5. destination in a `protect` prefix, or our own   → PROTECTED: blocked
 *      address while it is not configured here
 *   6. anything else                                   → UNTOUCHED
 * Own pod prefixes and `exclude` win over 2 and 4 unless a longer prefix is steered there.
 */
#pragma once

#include "policy/input.h"

struct flow {
        struct address source; /* family 0: the kernel is to choose */
        struct address destination;
        uint8_t ip_protocol;
        uint16_t source_port; /* 0: some port that no exemption names */
        uint16_t destination_port;
        uint32_t mark;
        bool forwarded; /* not sent by this host itself */
};

enum verdict_reason {
        VERDICT_MARKED,
        VERDICT_PODS,
        VERDICT_EXEMPT,
        VERDICT_NODES,
        VERDICT_PROTECTED,
        VERDICT_UNTOUCHED,
};

enum verdict_way {
        WAY_MAIN,    /* as the host's other routing has it */
        WAY_DEVICE,  /* encrypted */
        WAY_BLOCKED, /* unreachable */
};

struct verdict {
        enum verdict_reason reason;
        enum verdict_way way;
        const struct node *node;           /* PODS, NODES, EXEMPT by a node: whose; borrowed */
        const struct exemption *exemption; /* EXEMPT; NULL there: the API endpoint */
        bool reply;                        /* EXEMPT as the server's side */
        struct prefix prefix;              /* what the destination matched; family 0: nothing */
};

struct verdict policy_verdict(const struct policy_input *input, const struct flow *flow);
/* "ENCRYPTED", "PLAIN (exempt)", "BLOCKED", "not ours" … */
const char *verdict_word(const struct verdict *verdict);
