#include "policy/compute.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "policy/complement.h"
#include "policy/exemption_rules.h"
#include "policy/shape.h"
#include "policy/steering.h"

/* What one computation works on. */
struct computation {
        const struct policy_input *input;
        struct layout layout;
        const struct steering *steering;
        const struct segments *segments; /* NULL: routes only, in the complements that stand */
        bool device_only;                /* the device's routes in the pod and node tables */
        struct fib *fib;
};

/*
 * Where IPv6 is only switched off (disable_ipv6) rules and twins are taken by the kernel all the
 * same, and stand when it is switched on again, before anybody can react.
 */
static bool host_has_family(const struct device *device, int family)
{
        return family == AF_INET || !device->no_ipv6;
}

static int add_lookup(
        struct computation *c, int family, enum layout_priority priority, enum layout_table table)
{
        struct rule rule = rule_begin(&c->layout, family, priority);

        rule.table = layout_table(&c->layout, table);
        return fib_add_rule(c->fib, &rule);
}

static int add_mark_rules(struct computation *c, int family)
{
        struct rule rule = rule_begin(&c->layout, family, LAYOUT_MARK);
        int r;

        rule.mark = c->input->device->mark;
        r = fib_add_rule(c->fib, &rule);
        if (r < 0)
                return r;
        rule.priority = layout_priority(&c->layout, LAYOUT_MARK_GUARD);
        rule.action = FR_ACT_UNREACHABLE;
        rule.table = 0;
        return fib_add_rule(c->fib, &rule);
}

static int add_rules(struct computation *c, int family)
{
        int r = add_mark_rules(c, family);

        if (r >= 0)
                r = add_lookup(c, family, LAYOUT_PODS, LAYOUT_TABLE_PODS);
        if (r >= 0)
                r = exemption_rules_add(c->input, c->segments, family, c->fib);
        if (r >= 0)
                r = add_lookup(c, family, LAYOUT_NODES, LAYOUT_TABLE_NODES);
        return r;
}

static struct route route_begin(
        const struct computation *c, uint32_t table, const struct prefix *destination)
{
        int family = destination->address.family;

        return (struct route){
                .family = (uint8_t)family,
                .protocol = RTPROT_KERNEL,
                .scope = RT_SCOPE_UNIVERSE,
                .table = table,
                .destination = *destination,
                .metric = ROUTE_METRIC(family),
        };
}

static int add_twin(struct computation *c, uint32_t table, const struct prefix *prefix)
{
        struct route route = route_begin(c, table, prefix);

        route.type = RTN_UNREACHABLE;
        route.metric = TWIN_METRIC;
        return fib_add_route(c->fib, &route);
}

/*
 * Between twin and device route, for what other nodes' packets come from; IPv6 has no such check.
 * With our own address as the source: a connection that is begun into the sink goes on through the
 * device when that is back, and its peer takes no other source.
 */
static int add_sink(struct computation *c, uint32_t table, const struct prefix *prefix)
{
        struct route route = route_begin(c, table, prefix);

        if (c->input->device->sink == 0 || route.family != AF_INET)
                return 0;
        route.type = RTN_UNICAST;
        route.scope = RT_SCOPE_LINK;
        route.metric = SINK_METRIC;
        route.oif = c->input->device->sink;
        (void)policy_source(c->input, AF_INET, &route.source);
        return fib_add_route(c->fib, &route);
}

/*
 * What stands under a device route, or alone, and lets nothing out. Complements need no sink: what
 * is looked up there has ports, and ARP has none.
 */
static int add_block(struct computation *c, uint32_t table, const struct prefix *prefix)
{
        int r = 0;

        if (table == layout_table(&c->layout, LAYOUT_TABLE_NODES))
                r = add_sink(c, table, prefix);
        return r < 0 ? r : add_twin(c, table, prefix);
}

/* Into the device: all of the set, but for those that are in `except` (NULL: none is). */
static int add_steered(struct computation *c, uint32_t table, const struct prefixes *set,
        const struct prefixes *except, int family)
{
        struct address source = {};
        bool usable = policy_device_usable(c->input, family, &source);
        bool twins = !c->device_only && c->input->settings->on_tunnel_down == TUNNEL_DOWN_BLOCK;

        for (size_t i = 0; i < set->n; i++) {
                struct route route = route_begin(c, table, &set->items[i]);
                int r = 0;

                if (route.family != family || (except && prefixes_have(except, &set->items[i])))
                        continue;
                if (usable) {
                        route.type = RTN_UNICAST;
                        route.scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
                        route.oif = c->input->device->ifindex;
                        route.source = source;
                        r = fib_add_route(c->fib, &route);
                }
                if (r >= 0 && twins)
                        r = add_block(c, table, &set->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Taken out of what covers them. */
static int add_throws(struct computation *c, uint32_t table, const struct prefixes *set, int family)
{
        for (size_t i = 0; i < set->n; i++) {
                struct route route = route_begin(c, table, &set->items[i]);
                int r;

                if (route.family != family)
                        continue;
                route.type = RTN_THROW;
                r = fib_add_route(c->fib, &route);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A sink is for ARP of others; our own address has the local table, or nothing. */
static bool is_own_address(const struct computation *c, const struct prefix *prefix)
{
        const struct node *self = policy_self(c->input);

        return self && prefix->length == address_bits(prefix->address.family) &&
               node_has_address(self, &prefix->address);
}

static int add_guards(struct computation *c, uint32_t table, int family)
{
        const struct prefixes *set = &c->steering->guard;

        for (size_t i = 0; i < set->n; i++) {
                int r;

                if (set->items[i].address.family != family)
                        continue;
                r = is_own_address(c, &set->items[i]) ? add_twin(c, table, &set->items[i])
                                                      : add_block(c, table, &set->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The node table, or a complement table: the same, with the addresses in `except` taken out. */
static int add_node_table(
        struct computation *c, uint32_t table, const struct prefixes *except, int family)
{
        int r = add_steered(c, table, &c->steering->nodes, except, family);

        if (r >= 0)
                r = add_throws(c, table, &c->steering->local, family);
        if (r >= 0 && except)
                r = add_throws(c, table, except, family);
        if (r >= 0)
                r = add_guards(c, table, family);
        return r;
}

static int add_complements(struct computation *c, int family)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < c->segments->n_groups; i++) {
                const struct segment_group *group = &c->segments->groups[i];
                uint32_t table = group->tables[family_index(family)];

                if (table != 0)
                        r = add_node_table(c, table, &group->addresses, family);
        }
        return r;
}

static int add_standing_complements(struct computation *c, int family)
{
        int r = 0;

        for (unsigned slot = LAYOUT_TABLE_COMPLEMENT; r >= 0 && slot < LAYOUT_TABLES; slot++) {
                uint32_t table = layout_table(&c->layout, slot);

                if (complement_stands(c->input, family, table))
                        r = add_node_table(c, table, NULL, family);
        }
        return r;
}

static int add_device_routes(struct computation *c, int family)
{
        int r = add_steered(
                c, layout_table(&c->layout, LAYOUT_TABLE_PODS), &c->steering->pods, NULL, family);

        if (r >= 0)
                r = add_steered(c, layout_table(&c->layout, LAYOUT_TABLE_NODES),
                        &c->steering->nodes, NULL, family);
        return r;
}

static int add_routes(struct computation *c, int family)
{
        uint32_t pods = layout_table(&c->layout, LAYOUT_TABLE_PODS);
        int r = add_steered(c, pods, &c->steering->pods, NULL, family);

        if (r >= 0)
                r = add_throws(c, pods, &c->steering->local, family);
        if (r >= 0)
                r = add_node_table(c, layout_table(&c->layout, LAYOUT_TABLE_NODES), NULL, family);
        if (r >= 0)
                r = c->segments ? add_complements(c, family) : add_standing_complements(c, family);
        return r;
}

/* The endpoint and an exemption may say the same; the kernel is to hear it once. */
static void drop_duplicates(struct fib *fib)
{
        size_t kept = 0;

        for (size_t i = 0; i < fib->n_rules; i++)
                if (kept == 0 || rule_compare(&fib->rules[kept - 1], &fib->rules[i]) != 0)
                        fib->rules[kept++] = fib->rules[i];
        fib->n_rules = kept;

        kept = 0;
        for (size_t i = 0; i < fib->n_routes; i++)
                if (kept == 0 || route_compare(&fib->routes[kept - 1], &fib->routes[i]) != 0)
                        fib->routes[kept++] = fib->routes[i];
        fib->n_routes = kept;
}

static int compute(struct computation *c)
{
        const struct steering *steering = c->steering;
        /* At most two for each pod prefix, three for each address; complements are rare. */
        int r = fib_reserve_routes(c->fib, 2 * steering->pods.n + 3 * steering->nodes.n +
                                                   2 * (steering->local.n + steering->guard.n));

        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++) {
                int family = family_from_index((enum family_index)i);

                if (!steering_has_family(steering, family) ||
                        !host_has_family(c->input->device, family))
                        continue;
                if (c->segments)
                        r = add_rules(c, family);
                if (r >= 0)
                        r = c->device_only ? add_device_routes(c, family) : add_routes(c, family);
        }
        if (r < 0) {
                fib_deinit(c->fib);
                return r;
        }
        fib_sort(c->fib);
        drop_duplicates(c->fib);
        return 0;
}

static struct computation computation_begin(
        const struct policy_input *input, const struct steering *steering, struct fib *ret)
{
        return (struct computation){
                .input = input,
                .layout = policy_layout(input->settings),
                .steering = steering,
                .fib = ret,
        };
}

int policy_compute(const struct policy_input *input, struct fib *ret)
{
        _cleanup_(steering_deinit) struct steering steering = {};
        _cleanup_(segments_deinit) struct segments segments = {};
        struct computation c = computation_begin(input, &steering, ret);
        int r = steering_compute(input, &steering);

        if (r >= 0)
                r = segments_cut(input->settings, &segments);
        if (r >= 0)
                r = segments_select(&segments, input);
        if (r < 0)
                return r;
        complement_choose(&segments, input);
        c.segments = &segments;
        return compute(&c);
}

int policy_compute_routes(
        const struct policy_input *input, const struct steering *steering, struct fib *ret)
{
        struct computation c = computation_begin(input, steering, ret);

        return compute(&c);
}

int policy_compute_device_routes(
        const struct policy_input *input, const struct steering *steering, struct fib *ret)
{
        struct computation c = computation_begin(input, steering, ret);

        c.device_only = true;
        return compute(&c);
}
