#include "policy/shape.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

static bool any_port(const struct port_range *range)
{
        return range->first == 0 && range->last == 0;
}

static bool is_host(const struct prefix *prefix)
{
        return prefix->address.family != 0 &&
               prefix->length == address_bits(prefix->address.family);
}

/* Matches every packet: no selector at all. */
static bool matches_all(const struct rule *rule)
{
        return rule->mark == 0 && !rule->iif_lo && rule->ip_protocol == 0 &&
               rule->from.address.family == 0 && rule->to.address.family == 0 &&
               any_port(&rule->sport) && any_port(&rule->dport);
}

static bool matches_mark_only(const struct rule *rule)
{
        struct rule rest = *rule;

        rest.mark = 0;
        return rule->mark != 0 && matches_all(&rest);
}

static bool is_lookup(const struct rule *rule, uint32_t table)
{
        return rule->action == FR_ACT_TO_TBL && rule->table == table;
}

static bool is_exemption(const struct rule *rule)
{
        bool request = !rule->iif_lo && is_host(&rule->to) && rule->from.address.family == 0 &&
                       !any_port(&rule->dport) && any_port(&rule->sport);
        bool reply = rule->iif_lo && rule->to.address.family == 0 && any_port(&rule->dport) &&
                     !any_port(&rule->sport) &&
                     (rule->from.address.family == 0 || is_host(&rule->from));

        return is_lookup(rule, RT_TABLE_MAIN) && rule->mark == 0 && rule->ip_protocol != 0 &&
               (request || reply);
}

/* Protocol and destination ports, and nothing else. */
static bool matches_segment_only(const struct rule *rule)
{
        struct rule rest = *rule;

        rest.ip_protocol = 0;
        rest.dport = (struct port_range){};
        return rule->ip_protocol != 0 && !any_port(&rule->dport) && matches_all(&rest);
}

static bool is_complement_table(const struct layout *layout, uint32_t table)
{
        return layout_has_table(layout, table) &&
               table - layout->table_base >= LAYOUT_TABLE_COMPLEMENT;
}

static bool is_complement(const struct layout *layout, const struct rule *rule)
{
        return matches_segment_only(rule) && rule->action == FR_ACT_TO_TBL &&
               is_complement_table(layout, rule->table);
}

static bool is_goto(const struct layout *layout, const struct rule *rule)
{
        return matches_segment_only(rule) && rule->action == FR_ACT_GOTO &&
               rule->target == layout_priority(layout, LAYOUT_END);
}

static enum shape rule_shape_in(const struct layout *layout, const struct rule *rule)
{
        if (!layout_has_priority(layout, rule->priority))
                return SHAPE_ALIEN;
        switch (rule->priority - layout->priority_base) {
        case LAYOUT_MARK:
                if (matches_mark_only(rule) && is_lookup(rule, RT_TABLE_MAIN))
                        return SHAPE_MARK;
                break;
        case LAYOUT_MARK_GUARD:
                if (matches_mark_only(rule) && rule->action == FR_ACT_UNREACHABLE)
                        return SHAPE_MARK_GUARD;
                break;
        case LAYOUT_PODS:
                if (matches_all(rule) && is_lookup(rule, layout_table(layout, LAYOUT_TABLE_PODS)))
                        return SHAPE_PODS;
                break;
        case LAYOUT_EXEMPTION:
                if (is_exemption(rule))
                        return SHAPE_EXEMPTION;
                break;
        case LAYOUT_COMPLEMENT:
                if (is_complement(layout, rule))
                        return SHAPE_COMPLEMENT;
                break;
        case LAYOUT_GOTO:
                if (is_goto(layout, rule))
                        return SHAPE_GOTO;
                break;
        case LAYOUT_END:
                if (matches_all(rule) && rule->action == FR_ACT_NOP)
                        return SHAPE_END;
                break;
        case LAYOUT_NODES:
                if (matches_all(rule) && is_lookup(rule, layout_table(layout, LAYOUT_TABLE_NODES)))
                        return SHAPE_NODES;
                break;
        default: break;
        }
        return SHAPE_ALIEN;
}

enum shape rule_shape(const struct layout *layouts, size_t n_layouts, const struct rule *rule)
{
        if (rule->foreign || rule->protocol != RTPROT_KERNEL)
                return SHAPE_ALIEN;
        for (size_t i = 0; i < n_layouts; i++) {
                enum shape shape = rule_shape_in(&layouts[i], rule);

                if (shape != SHAPE_ALIEN)
                        return shape;
        }
        return SHAPE_ALIEN;
}

static bool in_tables(const struct layout *layouts, size_t n_layouts, uint32_t table)
{
        for (size_t i = 0; i < n_layouts; i++)
                if (layout_has_table(&layouts[i], table))
                        return true;
        return false;
}

/* The device's, or the sink's. */
static enum shape unicast_shape(const struct route *route)
{
        if (route->oif == 0)
                return SHAPE_ALIEN;
        if (route->metric == ROUTE_METRIC(route->family))
                return SHAPE_DEVICE;
        return route_is_sink(route) && route->family == AF_INET ? SHAPE_SINK : SHAPE_ALIEN;
}

enum shape route_shape(const struct layout *layouts, size_t n_layouts, const struct route *route)
{
        bool usual = route->metric == ROUTE_METRIC(route->family);

        if (route->foreign || route->protocol != RTPROT_KERNEL ||
                !in_tables(layouts, n_layouts, route->table))
                return SHAPE_ALIEN;
        switch (route->type) {
        case RTN_UNREACHABLE: return route_is_twin(route) ? SHAPE_TWIN : SHAPE_ALIEN;
        case RTN_UNICAST: return unicast_shape(route);
        case RTN_THROW: return usual ? SHAPE_THROW : SHAPE_ALIEN;
        default: return SHAPE_ALIEN;
        }
}

bool route_in_pods_table(const struct layout *layouts, size_t n_layouts, const struct route *route)
{
        for (size_t i = 0; i < n_layouts; i++)
                if (route->table == layout_table(&layouts[i], LAYOUT_TABLE_PODS))
                        return true;
        return false;
}

bool route_in_complement_table(
        const struct layout *layouts, size_t n_layouts, const struct route *route)
{
        for (size_t i = 0; i < n_layouts; i++)
                if (is_complement_table(&layouts[i], route->table))
                        return true;
        return false;
}

/* True when the rule is that of a layout with other tables. */
static bool is_of_other_tables(
        const struct layout *layouts, size_t n_layouts, const struct rule *rule)
{
        for (size_t i = 1; i < n_layouts; i++)
                if (layouts[i].table_base != layouts[0].table_base &&
                        rule_shape(&layouts[i], 1, rule) != SHAPE_ALIEN)
                        return true;
        return false;
}

const struct rule *layout_clash(
        const struct layout *layouts, size_t n_layouts, const struct fib *actual)
{
        for (size_t i = 0; i < actual->n_rules; i++) {
                const struct rule *rule = &actual->rules[i];

                if (rule->action == FR_ACT_TO_TBL && layout_has_table(&layouts[0], rule->table) &&
                        is_of_other_tables(layouts, n_layouts, rule))
                        return rule;
        }
        return NULL;
}

struct rule rule_begin(const struct layout *layout, int family, enum layout_priority priority)
{
        return (struct rule){
                .family = (uint8_t)family,
                .protocol = RTPROT_KERNEL,
                .priority = layout_priority(layout, priority),
                .action = FR_ACT_TO_TBL,
                .table = RT_TABLE_MAIN,
        };
}
