/*
 * The flows that stand for all that go to one other node: from this host and from a pod of ours, to
 * its addresses and its pods, at ports that are exempt and that are not.
 */
#pragma once

#include "policy/verdict.h"

struct audit_source {
        /* From which the host's flows leave, and one of our own pods; family 0: not known. */
        struct address host[FAMILY_MAX];
        struct address pod[FAMILY_MAX];
        uint16_t endpoint_port; /* the API endpoint's; 0: there is none */
};

/* Called for each; `kind` says which in a few words. A negative return ends the telling. */
typedef int (*audit_flow_handler)(const char *kind, const struct flow *flow, void *userdata);

int audit_flows_tell(const struct audit_source *source, const struct settings *settings,
        const struct node *peer, audit_flow_handler handler, void *userdata);
