#include "policy/compute.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "policy/steering.h"

/* What one computation works on. */
struct computation {
        const struct policy_input *input;
        const struct node *self;
        struct layout layout;
        const struct steering *steering;
        struct fib *fib;
};

/*
 * A host whose IPv6 is switched off (not even ::1) has no IPv6 traffic to steer, and its kernel
 * refuses IPv6 routes.
 */
static bool host_has_family(const struct device *device, int family)
{
        return family == AF_INET ||
               (device->n_local > 0 && device->local[device->n_local - 1].family == family);
}

static struct rule rule_begin(
        const struct computation *c, int family, enum layout_priority priority)
{
        return (struct rule){
                .family = (uint8_t)family,
                .protocol = RTPROT_KERNEL,
                .priority = layout_priority(&c->layout, priority),
                .action = FR_ACT_TO_TBL,
                .table = RT_TABLE_MAIN,
        };
}

static int add_lookup(
        struct computation *c, int family, enum layout_priority priority, enum layout_table table)
{
        struct rule rule = rule_begin(c, family, priority);

        rule.table = layout_table(&c->layout, table);
        return fib_add_rule(c->fib, &rule);
}

static int add_mark_rules(struct computation *c, int family)
{
        struct rule rule = rule_begin(c, family, LAYOUT_MARK);
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

/* To the port of an exempt address. */
static int add_request_rule(struct computation *c, const struct address *address, uint8_t protocol,
        const struct port_range *ports)
{
        struct rule rule = rule_begin(c, address->family, LAYOUT_EXEMPTION);

        rule.ip_protocol = protocol;
        rule.to = prefix_from_address(address);
        rule.dport = *ports;
        return fib_add_rule(c->fib, &rule);
}

/* From the port, by this host itself; `address` (NULL: any) is what it is sent from. */
static int add_reply_rule(struct computation *c, int family, const struct address *address,
        uint8_t protocol, const struct port_range *ports)
{
        struct rule rule = rule_begin(c, family, LAYOUT_EXEMPTION);

        rule.ip_protocol = protocol;
        rule.iif_lo = true;
        rule.sport = *ports;
        if (address)
                rule.from = prefix_from_address(address);
        return fib_add_rule(c->fib, &rule);
}

static int add_exemption_of_node(struct computation *c, int family,
        const struct exemption *exemption, const struct node *node)
{
        const struct address *address = &node->addresses[family_index(family)];

        if (node != c->self &&
                (address->family == 0 || (c->self && node_has_address(c->self, address))))
                return 0;
        for (size_t i = 0; i < exemption->n_ports; i++) {
                const struct port_range *ports = &exemption->ports[i];
                int r = node == c->self
                                ? add_reply_rule(c, family, NULL, exemption->protocol, ports)
                                : add_request_rule(c, address, exemption->protocol, ports);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_exemptions(struct computation *c, int family)
{
        const struct settings *settings = c->input->settings;
        const struct cluster *cluster = c->input->cluster;

        for (size_t e = 0; e < settings->n_exemptions; e++) {
                for (size_t i = 0; i < cluster->n_nodes; i++) {
                        int r;

                        if (!selector_matches(&settings->exemptions[e].selector, cluster->nodes[i]))
                                continue;
                        r = add_exemption_of_node(
                                c, family, &settings->exemptions[e], cluster->nodes[i]);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

/*
 * Both sides, on every node: the endpoint may be a virtual address that comes to this host at any
 * moment, and its first reply must not wait for us. Without the address the reply side is inert.
 */
static int add_endpoint(struct computation *c, int family)
{
        const struct endpoint *endpoint = c->input->endpoint;
        struct port_range port = {endpoint->port, endpoint->port};

        if (endpoint->port == 0)
                return 0;
        for (size_t i = 0; i < endpoint->n_addresses; i++) {
                const struct address *address = &endpoint->addresses[i];
                int r;

                if (address->family != family)
                        continue;
                r = add_request_rule(c, address, IPPROTO_TCP, &port);
                if (r >= 0)
                        r = add_reply_rule(c, family, address, IPPROTO_TCP, &port);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_rules(struct computation *c, int family)
{
        int r = add_mark_rules(c, family);

        if (r >= 0)
                r = add_lookup(c, family, LAYOUT_PODS, LAYOUT_TABLE_PODS);
        if (r >= 0)
                r = add_exemptions(c, family);
        if (r >= 0)
                r = add_endpoint(c, family);
        if (r >= 0)
                r = add_lookup(c, family, LAYOUT_NODES, LAYOUT_TABLE_NODES);
        return r;
}

static struct route route_begin(
        const struct computation *c, enum layout_table table, const struct prefix *destination)
{
        int family = destination->address.family;

        return (struct route){
                .family = (uint8_t)family,
                .protocol = RTPROT_KERNEL,
                .scope = RT_SCOPE_UNIVERSE,
                .table = layout_table(&c->layout, table),
                .destination = *destination,
                .metric = ROUTE_METRIC(family),
        };
}

static int add_twin(struct computation *c, enum layout_table table, const struct prefix *prefix)
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
static int add_sink(struct computation *c, enum layout_table table, const struct prefix *prefix)
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

/* What stands under a device route, or alone, and lets nothing out. */
static int add_block(struct computation *c, enum layout_table table, const struct prefix *prefix)
{
        int r = table == LAYOUT_TABLE_NODES ? add_sink(c, table, prefix) : 0;

        return r < 0 ? r : add_twin(c, table, prefix);
}

static int add_steered(
        struct computation *c, enum layout_table table, const struct prefixes *set, int family)
{
        struct address source = {};
        bool usable = policy_device_usable(c->input, family, &source);
        bool twins = c->input->settings->on_tunnel_down == TUNNEL_DOWN_BLOCK;

        for (size_t i = 0; i < set->n; i++) {
                struct route route = route_begin(c, table, &set->items[i]);
                int r = 0;

                if (route.family != family)
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

static int add_throws(struct computation *c, enum layout_table table, int family)
{
        const struct prefixes *set = &c->steering->local;

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

static int add_guards(struct computation *c, int family)
{
        const struct prefixes *set = &c->steering->guard;

        for (size_t i = 0; i < set->n; i++) {
                int r;

                if (set->items[i].address.family != family)
                        continue;
                r = add_block(c, LAYOUT_TABLE_NODES, &set->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_routes(struct computation *c, int family)
{
        int r = add_steered(c, LAYOUT_TABLE_PODS, &c->steering->pods, family);

        if (r >= 0)
                r = add_throws(c, LAYOUT_TABLE_PODS, family);
        if (r >= 0)
                r = add_steered(c, LAYOUT_TABLE_NODES, &c->steering->nodes, family);
        if (r >= 0)
                r = add_throws(c, LAYOUT_TABLE_NODES, family);
        if (r >= 0)
                r = add_guards(c, family);
        return r;
}

/* Overlapping exemptions say the same thing twice; the kernel is to hear it once. */
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

static int compute(const struct policy_input *input, const struct steering *steering, bool rules,
        struct fib *ret)
{
        struct computation c = {
                .input = input,
                .self = policy_self(input),
                .layout = policy_layout(input->settings),
                .steering = steering,
                .fib = ret,
        };
        /* At most two for each pod prefix, three for each address. */
        int r = fib_reserve_routes(ret, 2 * steering->pods.n + 3 * steering->nodes.n +
                                                2 * (steering->local.n + steering->guard.n));

        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++) {
                int family = family_from_index((enum family_index)i);

                if (!steering_has_family(steering, family) ||
                        !host_has_family(input->device, family))
                        continue;
                if (rules)
                        r = add_rules(&c, family);
                if (r >= 0)
                        r = add_routes(&c, family);
        }
        if (r < 0) {
                fib_deinit(ret);
                return r;
        }
        fib_sort(ret);
        drop_duplicates(ret);
        return 0;
}

int policy_compute(const struct policy_input *input, struct fib *ret)
{
        _cleanup_(steering_deinit) struct steering steering = {};
        int r = steering_compute(input, &steering);

        return r < 0 ? r : compute(input, &steering, true, ret);
}

int policy_compute_routes(
        const struct policy_input *input, const struct steering *steering, struct fib *ret)
{
        return compute(input, steering, false, ret);
}
