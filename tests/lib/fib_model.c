#include "fib_model.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>

static bool port_matches(const struct port_range *range, uint16_t port)
{
        return range->last == 0 || (port != 0 && port_range_contains(range, port));
}

static bool rule_matches(const struct rule *rule, const struct flow *flow)
{
        if (rule->family != flow->destination.family)
                return false;
        if (rule->mark != 0 && rule->mark != flow->mark)
                return false;
        if (rule->iif_lo && flow->forwarded)
                return false;
        if (rule->ip_protocol != 0 && rule->ip_protocol != flow->ip_protocol)
                return false;
        if (rule->to.address.family != 0 && !prefix_contains(&rule->to, &flow->destination))
                return false;
        if (rule->from.address.family != 0 && !prefix_contains(&rule->from, &flow->source))
                return false;
        return port_matches(&rule->sport, flow->source_port) &&
               port_matches(&rule->dport, flow->destination_port);
}

static const struct route *find_route(
        const struct fib *fib, uint32_t table, const struct address *destination)
{
        const struct route *best = NULL;

        for (size_t i = 0; i < fib->n_routes; i++) {
                const struct route *route = &fib->routes[i];

                if (route->table != table || !prefix_contains(&route->destination, destination))
                        continue;
                if (!best || route->destination.length > best->destination.length ||
                        (route->destination.length == best->destination.length &&
                                route->metric < best->metric))
                        best = route;
        }
        return best;
}

/* The rule's answer; false: go on to the next rule. */
static bool rule_decides(const struct fib *fib, const struct rule *rule, const struct flow *flow,
        struct model_result *ret)
{
        const struct route *route;

        if (rule->action == FR_ACT_GOTO || rule->action == FR_ACT_NOP)
                return false;
        if (rule->action == FR_ACT_UNREACHABLE) {
                ret->way = MODEL_BLOCKED;
                return true;
        }
        if (rule->table == RT_TABLE_MAIN) {
                ret->way = MODEL_MAIN;
                return true;
        }
        route = find_route(fib, rule->table, &flow->destination);
        if (!route || route->type == RTN_THROW)
                return false;
        ret->sunk = route_is_sink(route);
        ret->way = route->type == RTN_UNICAST && !ret->sunk ? MODEL_DEVICE : MODEL_BLOCKED;
        ret->table = route->table;
        ret->destination = route->destination;
        return true;
}

bool model_has_way_back(const struct model_result *result)
{
        return result->way != MODEL_BLOCKED || result->sunk;
}

/* The kernel resolves a goto by any rule of that priority, and passes over one that has none. */
static bool has_priority(const struct fib *fib, uint8_t family, uint32_t priority)
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (fib->rules[i].family == family && fib->rules[i].priority == priority)
                        return true;
        return false;
}

/* The priority that is looked at after the rule, which has not decided. */
static uint32_t next_priority(const struct fib *fib, const struct rule *rule)
{
        if (rule->action == FR_ACT_GOTO && has_priority(fib, rule->family, rule->target))
                return rule->target;
        return rule->priority;
}

struct model_result model_lookup(const struct fib *fib, const struct flow *flow)
{
        struct model_result result = {.way = MODEL_MAIN};
        uint32_t from = 0;

        for (;;) {
                uint32_t next = UINT32_MAX, target = 0;

                /* The rules are kept in no order: the next priority is looked for each time. */
                for (size_t i = 0; i < fib->n_rules; i++)
                        if (fib->rules[i].priority >= from && fib->rules[i].priority < next)
                                next = fib->rules[i].priority;
                if (next == UINT32_MAX)
                        return result;
                for (size_t i = 0; i < fib->n_rules && target <= next; i++) {
                        if (fib->rules[i].priority != next || !rule_matches(&fib->rules[i], flow))
                                continue;
                        if (rule_decides(fib, &fib->rules[i], flow, &result)) {
                                result.priority = next;
                                return result;
                        }
                        target = next_priority(fib, &fib->rules[i]);
                }
                from = target > next ? target : next + 1;
        }
}

static bool add_rule(struct fib *fib, const struct rule *rule)
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (rule_compare(&fib->rules[i], rule) == 0)
                        return false;
        return fib_add_rule(fib, rule) >= 0;
}

static bool delete_rule(struct fib *fib, const struct rule *rule)
{
        for (size_t i = 0; i < fib->n_rules; i++) {
                if (rule_compare(&fib->rules[i], rule) != 0)
                        continue;
                fib->rules[i] = fib->rules[--fib->n_rules];
                return true;
        }
        return false;
}

static bool replace_route(struct fib *fib, const struct route *route)
{
        for (size_t i = 0; i < fib->n_routes; i++) {
                if (route_key_compare(&fib->routes[i], route) == 0) {
                        fib->routes[i] = *route;
                        return true;
                }
        }
        return fib_add_route(fib, route) >= 0;
}

static bool delete_route(struct fib *fib, const struct route *route)
{
        for (size_t i = 0; i < fib->n_routes; i++) {
                if (route_compare(&fib->routes[i], route) != 0)
                        continue;
                fib->routes[i] = fib->routes[--fib->n_routes];
                return true;
        }
        return false;
}

bool model_apply(struct fib *fib, const struct step *step)
{
        switch (step->kind) {
        case STEP_ADD_RULE: return add_rule(fib, &step->rule);
        case STEP_DELETE_RULE: return delete_rule(fib, &step->rule);
        case STEP_REPLACE_ROUTE: return replace_route(fib, &step->route);
        case STEP_DELETE_ROUTE: return delete_route(fib, &step->route);
        }
        return false;
}
