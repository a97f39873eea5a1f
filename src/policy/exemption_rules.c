#include "policy/exemption_rules.h"

#include <linux/fib_rules.h>
#include <netinet/in.h>

#include "policy/shape.h"

/* What the rules of one family are added with. */
struct addition {
        const struct policy_input *input;
        struct layout layout;
        int family;
        struct fib *fib;
};

/* To the port of an exempt address. */
static int add_request(const struct addition *a, const struct prefix *host, uint8_t protocol,
        const struct port_range *ports)
{
        struct rule rule = rule_begin(&a->layout, a->family, LAYOUT_EXEMPTION);

        rule.ip_protocol = protocol;
        rule.to = *host;
        rule.dport = *ports;
        return fib_add_rule(a->fib, &rule);
}

/* From the port, by this host itself; `address` (NULL: any) is what it is sent from. */
static int add_reply(const struct addition *a, const struct address *address, uint8_t protocol,
        const struct port_range *ports)
{
        struct rule rule = rule_begin(&a->layout, a->family, LAYOUT_EXEMPTION);

        rule.ip_protocol = protocol;
        rule.iif_lo = true;
        rule.sport = *ports;
        if (address)
                rule.from = prefix_from_address(address);
        return fib_add_rule(a->fib, &rule);
}

static int add_requests(
        const struct addition *a, const struct segment *segment, const struct prefixes *addresses)
{
        for (size_t i = 0; i < addresses->n; i++) {
                int r;

                if (addresses->items[i].address.family != a->family)
                        continue;
                r = add_request(a, &addresses->items[i], segment->protocol, &segment->ports);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Steered where the table says so, else past the node table. */
static int add_complement(const struct addition *a, const struct segment *segment, uint32_t table)
{
        struct rule rule = rule_begin(&a->layout, a->family, LAYOUT_COMPLEMENT);
        int r;

        rule.ip_protocol = segment->protocol;
        rule.dport = segment->ports;
        rule.table = table;
        r = fib_add_rule(a->fib, &rule);
        if (r < 0)
                return r;
        rule.priority = layout_priority(&a->layout, LAYOUT_GOTO);
        rule.action = FR_ACT_GOTO;
        rule.table = 0;
        rule.target = layout_priority(&a->layout, LAYOUT_END);
        return fib_add_rule(a->fib, &rule);
}

/* Where the gotos lead. */
static int add_end(const struct addition *a)
{
        struct rule rule = rule_begin(&a->layout, a->family, LAYOUT_END);

        rule.action = FR_ACT_NOP;
        rule.table = 0;
        return fib_add_rule(a->fib, &rule);
}

static int add_segments(const struct addition *a, const struct segments *segments)
{
        bool complements = false;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < segments->n; i++) {
                const struct segment *segment = &segments->items[i];
                const struct segment_group *group = &segments->groups[segment->group];
                uint32_t table = group->tables[family_index(a->family)];

                if (group->selects_self)
                        r = add_reply(a, NULL, segment->protocol, &segment->ports);
                if (r < 0)
                        return r;
                complements |= table != 0;
                r = table != 0 ? add_complement(a, segment, table)
                               : add_requests(a, segment, &group->addresses);
        }
        return r >= 0 && complements ? add_end(a) : r;
}

/*
 * Both sides, on every node: the endpoint may be a virtual address that comes to this host at any
 * moment, and its first reply must not wait for us. Without the address the reply side is inert.
 */
static int add_endpoint(const struct addition *a)
{
        const struct endpoint *endpoint = a->input->endpoint;
        struct port_range port = {endpoint->port, endpoint->port};

        if (endpoint->port == 0)
                return 0;
        for (size_t i = 0; i < endpoint->n_addresses; i++) {
                const struct address *address = &endpoint->addresses[i];
                struct prefix host = prefix_from_address(address);
                int r;

                if (address->family != a->family)
                        continue;
                r = add_request(a, &host, IPPROTO_TCP, &port);
                if (r >= 0)
                        r = add_reply(a, address, IPPROTO_TCP, &port);
                if (r < 0)
                        return r;
        }
        return 0;
}

int exemption_rules_add(const struct policy_input *input, const struct segments *segments,
        int family, struct fib *fib)
{
        const struct addition a = {
                .input = input,
                .layout = policy_layout(input->settings),
                .family = family,
                .fib = fib,
        };
        int r = add_segments(&a, segments);

        return r < 0 ? r : add_endpoint(&a);
}
