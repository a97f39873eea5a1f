/*
 * Rules and routes of others that are in the way of ours.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "ctl/check_facts.h"
#include "policy/format.h"
#include "policy/input.h"
#include "policy/shape.h"

#define TOPIC "Rules"

/* Those of known programs that are before ours. */
static const struct {
        uint32_t priority, table; /* table 0: any */
        enum severity severity;
        const char *text;
} known_rules[] = {
        {9, 2004, SEVERITY_NOTE, "Cilium's, for packets to its proxy"},
        {10, 2005, SEVERITY_NOTE, "Cilium's, for packets from its proxy"},
        {1, 200, SEVERITY_ERROR, "Cilium's for IPsec: WireGuard is not what it encrypts with"},
        {20, 0, SEVERITY_NOTE, "Cilium's, to our own pods (ENI, Azure)"},
        {109, 0, SEVERITY_WARNING, "Cilium's (ENI): what it matches is not encrypted"},
        {110, 0, SEVERITY_WARNING, "Cilium's (ENI, Azure): what our pods send passes ours by"},
        {111, 0, SEVERITY_WARNING, "Cilium's (ENI, Azure): what our pods send passes ours by"},
        {112, 202, SEVERITY_WARNING, "Cilium's VTEP: what it matches is not encrypted"},
        {99, 0, SEVERITY_WARNING, "Calico's WireGuard: what it matches is not for cilium_wg0"},
};

static void say_rule(struct check_findings *f, enum severity severity, const struct rule *rule,
        const char *remedy, const char *text)
{
        struct text_builder name = {};

        rule_format(rule, &name);
        check_say(f, severity, TOPIC, remedy, "%s rule \"%s\": %s",
                rule->family == AF_INET6 ? "IPv6" : "IPv4", name.text ? name.text : "?", text);
        text_deinit(&name);
}

static void say_before(struct check_findings *f, const struct rule *rule)
{
        static const char remedy[] = "nodecryptorctl audit names what it takes away; give it a "
                                     "priority behind ours, or lower priority_base";

        for (size_t i = 0; i < ARRAY_SIZE(known_rules); i++)
                if (rule->priority == known_rules[i].priority &&
                        (known_rules[i].table == 0 || known_rules[i].table == rule->table)) {
                        say_rule(f, known_rules[i].severity, rule,
                                known_rules[i].severity == SEVERITY_NOTE ? "" : remedy,
                                known_rules[i].text);
                        return;
                }
        say_rule(f, SEVERITY_WARNING, rule, remedy, "comes before ours, and is not known");
}

/* The lookup of the host's own addresses: with the whole family behind it. */
static bool is_local(const struct rule *rule)
{
        return rule->action == FR_ACT_TO_TBL && rule->table == RT_TABLE_LOCAL && !rule->foreign;
}

static void judge_rule(
        const struct layout *layout, struct check_findings *f, const struct rule *rule)
{
        char remedy[128];

        if (layout_has_priority(layout, rule->priority)) {
                if (rule_shape(layout, 1, rule) != SHAPE_ALIEN)
                        return;
                snprintf(remedy, sizeof(remedy),
                        "ip %srule del priority %u, or another priority_base",
                        rule->family == AF_INET6 ? "-6 " : "", rule->priority);
                say_rule(f, SEVERITY_ERROR, rule, remedy, "lies in our band, and is not ours");
        } else if (!rule->foreign && rule->action == FR_ACT_TO_TBL &&
                   layout_has_table(layout, rule->table)) {
                say_rule(f, SEVERITY_ERROR, rule, "another table_base",
                        "somebody else uses one of our tables");
        } else if (rule->priority < layout->priority_base && !is_local(rule)) {
                say_before(f, rule);
        }
}

static void judge_local(const struct check_facts *facts, struct check_findings *f, int family)
{
        bool any = false;

        for (size_t i = 0; i < facts->rules.n_rules; i++) {
                const struct rule *rule = &facts->rules.rules[i];

                if (rule->family != family)
                        continue;
                any = true;
                if (is_local(rule) && rule->priority < facts->settings->priority_base)
                        return;
        }
        if (any)
                check_say(f, SEVERITY_ERROR, TOPIC,
                        family == AF_INET6 ? "ip -6 rule add priority 0 lookup local"
                                           : "ip rule add priority 0 lookup local",
                        "IPv%d: nothing before ours looks up the host's own addresses",
                        family == AF_INET6 ? 6 : 4);
}

void check_judge_rules(const struct check_facts *facts, struct check_findings *findings)
{
        const struct layout layout = policy_layout(facts->settings);
        size_t said = findings->errors + findings->warnings;

        for (size_t i = 0; i < facts->rules.n_rules; i++)
                judge_rule(&layout, findings, &facts->rules.rules[i]);
        judge_local(facts, findings, AF_INET);
        judge_local(facts, findings, AF_INET6);
        for (size_t i = 0; i < facts->ours.n_routes; i++) {
                const struct route *route = &facts->ours.routes[i];
                struct text_builder name = {}, remedy = {};

                if (route_shape(&layout, 1, route) != SHAPE_ALIEN)
                        continue;
                route_format(route, NULL, &name);
                text_append(&remedy, "ip %sroute del %s, or another table_base",
                        route->family == AF_INET6 ? "-6 " : "", name.text ? name.text : "?");
                check_say(findings, SEVERITY_ERROR, TOPIC, remedy.text ? remedy.text : "",
                        "route \"%s\": lies in one of our tables, and is not ours",
                        name.text ? name.text : "?");
                text_deinit(&name);
                text_deinit(&remedy);
        }
        if (findings->errors + findings->warnings == said)
                check_say(findings, SEVERITY_OK, TOPIC, "",
                        "none of others before ours, in our band or tables");
}
