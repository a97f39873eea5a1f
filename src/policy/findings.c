#include "policy/findings.h"

#include <stdlib.h>
#include <string.h>

#include "basics/array.h"
#include "policy/complement.h"

/* A prefix and the node that lists it. */
struct claim {
        struct prefix prefix;
        const struct node *node;
};

struct claims {
        struct claim *items;
        size_t n;
        size_t allocated;
};

struct search {
        const struct policy_input *input;
        const struct node *self;
        struct findings *findings;
        struct claims pods;
        struct claims addresses;
};

static int add(struct search *s, enum finding_kind kind, const struct node *node,
        const struct node *other, const struct prefix *prefix)
{
        struct findings *findings = s->findings;

        if (!ARRAY_RESERVE(findings->items, findings->allocated, findings->n + 1))
                return -ENOMEM;
        findings->items[findings->n++] = (struct finding){
                .kind = kind,
                .node = node,
                .other = other,
                .prefix = prefix ? *prefix : (struct prefix){},
        };
        return 0;
}

static int claim(struct claims *claims, const struct prefix *prefix, const struct node *node)
{
        if (!ARRAY_RESERVE(claims->items, claims->allocated, claims->n + 1))
                return -ENOMEM;
        claims->items[claims->n++] = (struct claim){.prefix = *prefix, .node = node};
        return 0;
}

static int claim_compare(const void *a, const void *b)
{
        const struct claim *x = a, *y = b;
        int r = prefix_compare(&x->prefix, &y->prefix);

        return r != 0 ? r : (x->node > y->node) - (x->node < y->node);
}

static int collect_node(struct search *s, const struct node *node)
{
        bool addressed = false;
        int r;

        for (size_t i = 0; i < node->n_pod_prefixes; i++) {
                r = claim(&s->pods, &node->pod_prefixes[i], node);
                if (r < 0)
                        return r;
        }
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct prefix host = prefix_from_address(&node->addresses[i]);

                if (host.address.family == 0)
                        continue;
                addressed = true;
                r = claim(&s->addresses, &host, node);
                if (r < 0)
                        return r;
        }
        return addressed ? 0 : add(s, FINDING_NO_ADDRESS, node, NULL, NULL);
}

static int collect(struct search *s)
{
        const struct cluster *cluster = s->input->cluster;

        for (size_t i = 0; i < cluster->n_nodes; i++) {
                int r = collect_node(s, cluster->nodes[i]);

                if (r < 0)
                        return r;
        }
        if (s->pods.n > 0)
                qsort(s->pods.items, s->pods.n, sizeof(s->pods.items[0]), claim_compare);
        if (s->addresses.n > 0)
                qsort(s->addresses.items, s->addresses.n, sizeof(s->addresses.items[0]),
                        claim_compare);
        return 0;
}

/* Neighbours in the sorted claims that are equal: two nodes list the same. */
static int find_shared(struct search *s, const struct claims *claims, enum finding_kind shared,
        enum finding_kind own)
{
        for (size_t i = 1; i < claims->n; i++) {
                const struct claim *a = &claims->items[i - 1], *b = &claims->items[i];
                int r;

                if (!prefix_equal(&a->prefix, &b->prefix) || a->node == b->node)
                        continue;
                if (a->node == s->self || b->node == s->self)
                        r = add(s, own, a->node == s->self ? b->node : a->node, s->self,
                                &a->prefix);
                else
                        r = add(s, shared, a->node, b->node, &a->prefix);
                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * The claimed pod prefixes around each address, by a walk over the sorted claims that keeps the
 * chain of enclosing prefixes (they nest, as prefixes do).
 */
static int find_addresses_in_prefixes(struct search *s)
{
        const struct claim *chain[129];
        size_t depth = 0, next = 0;

        for (size_t i = 0; i < s->addresses.n; i++) {
                const struct claim *address = &s->addresses.items[i];

                for (; next < s->pods.n &&
                        prefix_compare(&s->pods.items[next].prefix, &address->prefix) <= 0;
                        next++) {
                        const struct claim *pods = &s->pods.items[next];

                        while (depth > 0 &&
                                !prefix_covers(&chain[depth - 1]->prefix, &pods->prefix))
                                depth--;
                        if (depth == 0 || !prefix_equal(&chain[depth - 1]->prefix, &pods->prefix))
                                chain[depth++] = pods;
                }
                while (depth > 0 && !prefix_covers(&chain[depth - 1]->prefix, &address->prefix))
                        depth--;
                if (depth > 0 && chain[depth - 1]->node != s->self && address->node != s->self) {
                        int r = add(s, FINDING_ADDRESS_IN_PREFIX, address->node,
                                chain[depth - 1]->node, &chain[depth - 1]->prefix);

                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/* Prefixes of other nodes that lie around one of ours (equal ones are found as shared). */
static int find_around_own(struct search *s)
{
        const struct node *self = s->self;

        for (size_t i = 0; self && i < self->n_pod_prefixes; i++) {
                for (size_t j = 0; j < s->pods.n; j++) {
                        const struct claim *other = &s->pods.items[j];
                        int r;

                        if (other->node == self ||
                                !prefix_covers(&other->prefix, &self->pod_prefixes[i]) ||
                                prefix_equal(&other->prefix, &self->pod_prefixes[i]))
                                continue;
                        r = add(s, FINDING_OWN_PREFIX, other->node, self, &other->prefix);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static int find_self(struct search *s)
{
        const char *name = s->input->node_name;
        const struct node *self = s->self;

        if (!self)
                return s->input->cluster->n_nodes > 0 ? add(s, FINDING_NO_SELF, NULL, NULL, NULL)
                                                      : 0;
        if (!name || strcmp(name, self->name) != 0) {
                int r = add(s, FINDING_SELF_BY_ADDRESS, self, NULL, NULL);

                if (r < 0)
                        return r;
        }
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct prefix host = prefix_from_address(&self->addresses[i]);
                int r;

                if (host.address.family == 0 || device_has_local(s->input->device, &host.address))
                        continue;
                r = add(s, FINDING_SELF_NOT_LOCAL, self, NULL, &host);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_no_table(struct search *s, const struct segment_group *group, size_t n_addresses)
{
        const struct settings *settings = s->input->settings;
        size_t e = 0;
        int r = add(s, FINDING_NO_TABLE, NULL, NULL, NULL);

        if (r < 0)
                return r;
        while (!group->exemptions[e])
                e++;
        s->findings->items[s->findings->n - 1].exemption = &settings->exemptions[e];
        s->findings->items[s->findings->n - 1].n_addresses = n_addresses;
        return 0;
}

/* Groups of many nodes that complement_choose() found no table for. */
static int find_without_table(struct search *s)
{
        struct segments segments = {};
        int r = segments_cut(s->input->settings, &segments);

        if (r < 0)
                return r;
        if (complement_may_be_short(&segments, s->input))
                r = segments_select(&segments, s->input);
        complement_choose(&segments, s->input);
        for (size_t i = 0; r >= 0 && i < segments.n_groups; i++) {
                const struct segment_group *group = &segments.groups[i];

                for (int f = 0; r >= 0 && f < FAMILY_MAX; f++)
                        if (group->tables[f] == 0 &&
                                group->n_addresses[f] > complement_threshold(s->input))
                                r = add_no_table(s, group, group->n_addresses[f]);
        }
        segments_deinit(&segments);
        return r;
}

int policy_findings(const struct policy_input *input, struct findings *ret)
{
        struct search s = {.input = input, .self = policy_self(input), .findings = ret};
        int r = find_self(&s);

        if (r >= 0)
                r = collect(&s);
        if (r >= 0)
                r = find_shared(&s, &s.addresses, FINDING_SHARED_ADDRESS, FINDING_OWN_ADDRESS);
        if (r >= 0)
                r = find_shared(&s, &s.pods, FINDING_SHARED_PREFIX, FINDING_OWN_PREFIX);
        if (r >= 0)
                r = find_addresses_in_prefixes(&s);
        if (r >= 0)
                r = find_around_own(&s);
        if (r >= 0)
                r = find_without_table(&s);
        free(s.pods.items);
        free(s.addresses.items);
        if (r < 0)
                findings_deinit(ret);
        return r;
}

void findings_deinit(struct findings *findings)
{
        free(findings->items);
        *findings = (struct findings){};
}

void finding_format(const struct finding *finding, struct text_builder *builder)
{
        const char *node = finding->node ? finding->node->name : "?";
        const char *other = finding->other ? finding->other->name : "?";
        char prefix[PREFIX_TEXT_MAX], address[ADDRESS_TEXT_MAX];

        prefix_format(&finding->prefix, prefix);
        address_format(&finding->prefix.address, address);
        switch (finding->kind) {
        case FINDING_NO_SELF:
                text_append(builder,
                        "this node is not among the CiliumNodes: all of them are steered, "
                        "and no reply of ours is exempt");
                break;
        case FINDING_SELF_BY_ADDRESS:
                text_append(builder, "no CiliumNode has our name: taken for node %s by its address",
                        node);
                break;
        case FINDING_SELF_NOT_LOCAL:
                text_append(builder,
                        "%s, the address of our node %s, is not configured on this host: "
                        "steered traffic of that family is held back until it is",
                        address, node);
                break;
        case FINDING_SHARED_ADDRESS:
                text_append(
                        builder, "nodes %s and %s both list the address %s", node, other, address);
                break;
        case FINDING_SHARED_PREFIX:
                text_append(builder, "nodes %s and %s both list the pod prefix %s", node, other,
                        prefix);
                break;
        case FINDING_OWN_ADDRESS:
                text_append(builder, "node %s lists our address %s: it stays ours", node, address);
                break;
        case FINDING_OWN_PREFIX:
                text_append(builder,
                        "node %s lists the pod prefix %s, which holds our own pods: "
                        "they stay local",
                        node, prefix);
                break;
        case FINDING_ADDRESS_IN_PREFIX:
                text_append(builder,
                        "an address of node %s lies in the pod prefix %s of node %s: it is "
                        "steered as a pod, exemptions do not reach it",
                        node, prefix, other);
                break;
        case FINDING_NO_ADDRESS:
                text_append(
                        builder, "node %s has no usable address: only its pods are steered", node);
                break;
        case FINDING_NO_TABLE:
                text_append(builder,
                        "exemption \"%s\" selects %zu addresses, and no table is free for it: a "
                        "rule for each of them and for each port range, until one is",
                        finding->exemption->name, finding->n_addresses);
                break;
        case FINDING_MAX: break;
        }
}
