#include "ctl/rule_walk.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

static bool port_may_match(const struct port_range *range, uint16_t port)
{
        return range->last == 0 || port_range_contains(range, port);
}

static bool rule_matches(const struct rule *rule, const struct flow *flow)
{
        return !rule->foreign && (rule->mark == 0 || rule->mark == flow->mark) &&
               (!rule->iif_lo || !flow->forwarded) &&
               (rule->ip_protocol == 0 || rule->ip_protocol == flow->ip_protocol) &&
               (rule->to.address.family == 0 || prefix_contains(&rule->to, &flow->destination)) &&
               (rule->from.address.family == 0 || prefix_contains(&rule->from, &flow->source)) &&
               port_may_match(&rule->sport, flow->source_port) &&
               port_may_match(&rule->dport, flow->destination_port);
}

/* The longest prefix, then the best metric; NULL: the table has none. */
static const struct route *find_route(
        const struct fib *ours, uint32_t table, const struct address *destination)
{
        const struct route *best = NULL;

        for (size_t i = 0; i < ours->n_routes; i++) {
                const struct route *route = &ours->routes[i];

                if (route->table == table && prefix_contains(&route->destination, destination) &&
                        (!best || route->destination.length > best->destination.length ||
                                (route->destination.length == best->destination.length &&
                                        route->metric < best->metric)))
                        best = route;
        }
        return best;
}

/* True when the rule can have given the answer. */
static bool decides(const struct fib *ours, const struct layout *layout, const struct rule *rule,
        const struct flow *flow, const struct route_answer *answer)
{
        const struct route *route;

        if (rule->action == FR_ACT_UNREACHABLE)
                return answer->result < 0;
        if (rule->action != FR_ACT_TO_TBL)
                return false;
        if (!layout_has_table(layout, rule->table))
                return answer->result == 0 && rule->table == answer->table;
        route = find_route(ours, rule->table, &flow->destination);
        if (!route || route->type == RTN_THROW)
                return false;
        return answer->result < 0 ? route->type == RTN_UNREACHABLE : rule->table == answer->table;
}

/* The first rule of the goto's target; NULL: there is none, and the kernel passes the goto over. */
static const struct rule *find_target(const struct fib *rules, const struct rule *jump)
{
        for (size_t i = 0; i < rules->n_rules; i++)
                if (rules->rules[i].priority == jump->target)
                        return &rules->rules[i];
        return NULL;
}

struct rule_walk rule_walk(const struct fib *rules, const struct fib *ours,
        const struct layout *layout, const struct flow *flow, const struct route_answer *answer)
{
        struct rule_walk walk = {};
        size_t i = 0;

        while (i < rules->n_rules) {
                const struct rule *rule = &rules->rules[i++], *target;

                if (!rule_matches(rule, flow))
                        continue;
                if (decides(ours, layout, rule, flow, answer)) {
                        walk.deciding = rule;
                        return walk;
                }
                /* The kernel allows a goto only forwards. */
                target = rule->action == FR_ACT_GOTO ? find_target(rules, rule) : NULL;
                if (target && target > rule) {
                        walk.leading = rule;
                        i = (size_t)(target - rules->rules);
                }
        }
        return (struct rule_walk){};
}
