#include "policy/reply.h"

#include <stdlib.h>

const struct node *policy_owner(const struct cluster *cluster, const struct address *address)
{
        const struct node *owner = NULL;
        int length = -1;

        for (size_t i = 0; i < cluster->n_nodes; i++) {
                const struct node *node = cluster->nodes[i];

                if (node_has_address(node, address))
                        return node;
                for (size_t k = 0; k < node->n_pod_prefixes; k++) {
                        const struct prefix *prefix = &node->pod_prefixes[k];

                        if (prefix->length > length && prefix_contains(prefix, address)) {
                                owner = node;
                                length = prefix->length;
                        }
                }
        }
        return owner;
}

static size_t addresses_of(const struct node *node, struct address ret[static FAMILY_MAX])
{
        size_t n = 0;

        for (int i = 0; i < FAMILY_MAX; i++)
                if (node->addresses[i].family != 0)
                        ret[n++] = node->addresses[i];
        qsort(ret, n, sizeof(*ret), address_compare_void);
        return n;
}

bool policy_reply(
        const struct policy_input *input, const struct flow *flow, struct policy_reply *ret)
{
        const struct node *peer = policy_owner(input->cluster, &flow->destination);
        struct address local[FAMILY_MAX];
        struct device device = {.usable = true, .mark = input->device->mark, .local = local};
        struct policy_input theirs = *input;

        if (!peer || peer == policy_self(input) || flow->source.family == 0)
                return false;
        device.n_local = addresses_of(peer, local);
        theirs.node_name = peer->name;
        theirs.device = &device;
        theirs.actual = NULL;
        *ret = (struct policy_reply){
                .peer = peer,
                .flow =
                        {
                                .source = flow->destination,
                                .destination = flow->source,
                                .ip_protocol = flow->ip_protocol,
                                .source_port = flow->destination_port,
                                .destination_port = flow->source_port,
                                .forwarded = !node_has_address(peer, &flow->destination),
                        },
        };
        ret->verdict = policy_verdict(&theirs, &ret->flow);
        return true;
}
