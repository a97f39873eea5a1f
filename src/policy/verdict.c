#include "policy/verdict.h"

#include <netinet/in.h>

/* What one decision works on. */
struct decision {
        const struct policy_input *input;
        const struct flow *flow;
        const struct node *self;
};

/* The longest of `prefixes` that holds the address; NULL: none does. */
static const struct prefix *longest_match(
        const struct prefix *prefixes, size_t n, const struct address *address)
{
        const struct prefix *best = NULL;

        for (size_t i = 0; i < n; i++)
                if (prefix_contains(&prefixes[i], address) &&
                        (!best || prefixes[i].length > best->length))
                        best = &prefixes[i];
        return best;
}

static bool is_excluded(const struct decision *d)
{
        const struct settings *settings = d->input->settings;

        return longest_match(settings->exclude, settings->n_exclude, &d->flow->destination);
}

/* The longest of our own pod prefixes that holds the destination. */
static const struct prefix *own_match(const struct decision *d)
{
        if (!d->self)
                return NULL;
        return longest_match(d->self->pod_prefixes, d->self->n_pod_prefixes, &d->flow->destination);
}

/* The longest pod prefix of another node that holds the destination, where it is longer than ours.
 */
static const struct prefix *pods_match(const struct decision *d, const struct node **ret_node)
{
        const struct cluster *cluster = d->input->cluster;
        const struct prefix *own = own_match(d), *best = NULL;

        for (size_t i = 0; i < cluster->n_nodes; i++) {
                const struct node *node = cluster->nodes[i];
                const struct prefix *match;

                if (node == d->self)
                        continue;
                match = longest_match(
                        node->pod_prefixes, node->n_pod_prefixes, &d->flow->destination);
                if (!match || (own && own->length >= match->length) ||
                        (best && best->length >= match->length))
                        continue;
                best = match;
                *ret_node = node;
        }
        return best;
}

/* True when an exemption selects the node and names the flow's protocol and this port. */
static const struct exemption *exemption_of(
        const struct decision *d, const struct node *node, uint16_t port)
{
        const struct settings *settings = d->input->settings;

        for (size_t i = 0; port != 0 && i < settings->n_exemptions; i++)
                if (exemption_names(&settings->exemptions[i], d->flow->ip_protocol, port) &&
                        selector_matches(&settings->exemptions[i].selector, node))
                        return &settings->exemptions[i];
        return NULL;
}

static bool is_own_address(const struct decision *d)
{
        return d->self && node_has_address(d->self, &d->flow->destination);
}

static bool exempt_as_request(const struct decision *d, struct verdict *ret)
{
        const struct cluster *cluster = d->input->cluster;

        for (size_t i = 0; !is_own_address(d) && i < cluster->n_nodes; i++) {
                const struct node *node = cluster->nodes[i];
                const struct exemption *exemption;

                if (node == d->self || !node_has_address(node, &d->flow->destination))
                        continue;
                exemption = exemption_of(d, node, d->flow->destination_port);
                if (exemption) {
                        ret->node = node;
                        ret->exemption = exemption;
                        return true;
                }
        }
        return false;
}

static bool exempt_as_reply(const struct decision *d, struct verdict *ret)
{
        if (d->flow->forwarded || !d->self)
                return false;
        ret->exemption = exemption_of(d, d->self, d->flow->source_port);
        ret->reply = ret->exemption != NULL;
        ret->node = ret->exemption ? d->self : NULL;
        return ret->reply;
}

static bool exempt_by_endpoint(const struct decision *d, struct verdict *ret)
{
        const struct endpoint *endpoint = d->input->endpoint;
        const struct flow *flow = d->flow;

        if (endpoint->port == 0 || flow->ip_protocol != IPPROTO_TCP)
                return false;
        if (flow->destination_port == endpoint->port &&
                endpoint_has_address(endpoint, &flow->destination))
                return true;
        ret->reply = !flow->forwarded && flow->source_port == endpoint->port &&
                     flow->source.family == flow->destination.family &&
                     endpoint_has_address(endpoint, &flow->source);
        return ret->reply;
}

static const struct node *node_of_destination(const struct decision *d)
{
        const struct cluster *cluster = d->input->cluster;
        const struct prefix *own = own_match(d);

        if (is_own_address(d) || (own && own->length == address_bits(own->address.family)))
                return NULL;
        for (size_t i = 0; i < cluster->n_nodes; i++)
                if (cluster->nodes[i] != d->self &&
                        node_has_address(cluster->nodes[i], &d->flow->destination))
                        return cluster->nodes[i];
        return NULL;
}

static const struct prefix *protect_match(const struct decision *d)
{
        const struct settings *settings = d->input->settings;

        if (is_excluded(d) || own_match(d))
                return NULL;
        return longest_match(settings->protect, settings->n_protect, &d->flow->destination);
}

/* Where a steered flow goes now. */
static enum verdict_way steered_way(const struct decision *d)
{
        struct address source;

        if (policy_device_usable(d->input, d->flow->destination.family, &source))
                return WAY_DEVICE;
        if (d->input->settings->on_tunnel_down == TUNNEL_DOWN_BLOCK)
                return WAY_BLOCKED;
        /* `protect` is stronger than "bypass". */
        return protect_match(d) ? WAY_BLOCKED : WAY_MAIN;
}

/* A(L) itself, while it is not configured on this host. */
static bool is_own_but_not_here(const struct decision *d)
{
        return is_own_address(d) && !is_excluded(d) && !own_match(d) &&
               !device_has_local(d->input->device, &d->flow->destination);
}

struct verdict policy_verdict(const struct policy_input *input, const struct flow *flow)
{
        const struct decision d = {.input = input, .flow = flow, .self = policy_self(input)};
        struct verdict verdict = {.reason = VERDICT_UNTOUCHED, .way = WAY_MAIN};
        const struct prefix *match;

        if (flow->mark != 0 && flow->mark == input->device->mark) {
                verdict.reason = VERDICT_MARKED;
                return verdict;
        }
        match = is_excluded(&d) ? NULL : pods_match(&d, &verdict.node);
        if (match) {
                verdict.reason = VERDICT_PODS;
                verdict.way = steered_way(&d);
                verdict.prefix = *match;
                return verdict;
        }
        if (exempt_as_request(&d, &verdict) || exempt_as_reply(&d, &verdict) ||
                exempt_by_endpoint(&d, &verdict)) {
                verdict.reason = VERDICT_EXEMPT;
                return verdict;
        }
        verdict.node = is_excluded(&d) ? NULL : node_of_destination(&d);
        if (verdict.node) {
                verdict.reason = VERDICT_NODES;
                verdict.way = steered_way(&d);
                verdict.prefix = prefix_from_address(&flow->destination);
                return verdict;
        }
        match = protect_match(&d);
        if (match || is_own_but_not_here(&d)) {
                verdict.reason = VERDICT_PROTECTED;
                verdict.way = WAY_BLOCKED;
                verdict.prefix = match ? *match : prefix_from_address(&flow->destination);
        }
        return verdict;
}

const char *verdict_word(const struct verdict *verdict)
{
        switch (verdict->way) {
        case WAY_DEVICE: return "ENCRYPTED";
        case WAY_BLOCKED: return "BLOCKED";
        default: break;
        }
        switch (verdict->reason) {
        case VERDICT_MARKED: return "PLAIN (the device's own packets)";
        case VERDICT_EXEMPT: return "PLAIN (exempt)";
        case VERDICT_UNTOUCHED: return "NOT OURS";
        default: return "PLAIN (device down, bypass)";
        }
}
