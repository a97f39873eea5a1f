#include "policy/format.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

static void append_table(struct text_builder *builder, const char *word, uint32_t table)
{
        if (table == RT_TABLE_MAIN)
                text_append(builder, " %s main", word);
        else
                text_append(builder, " %s %u", word, table);
}

static void append_protocol(struct text_builder *builder, uint8_t protocol)
{
        if (protocol == RTPROT_KERNEL)
                text_append(builder, " protocol kernel");
        else
                text_append(builder, " protocol %u", protocol);
}

static void append_prefix(
        struct text_builder *builder, const char *word, const struct prefix *prefix)
{
        char text[PREFIX_TEXT_MAX];

        if (prefix->address.family)
                text_append(builder, " %s %s", word, prefix_format(prefix, text));
}

static void append_ports(
        struct text_builder *builder, const char *word, const struct port_range *range)
{
        if (range->first == 0)
                return;
        text_append(builder, " %s %u", word, range->first);
        if (range->last != range->first)
                text_append(builder, "-%u", range->last);
}

static void append_ip_protocol(struct text_builder *builder, uint8_t protocol)
{
        switch (protocol) {
        case 0: break;
        case IPPROTO_TCP: text_append(builder, " ipproto tcp"); break;
        case IPPROTO_UDP: text_append(builder, " ipproto udp"); break;
        default: text_append(builder, " ipproto %u", protocol); break;
        }
}

void rule_format(const struct rule *rule, struct text_builder *builder)
{
        text_append(builder, "priority %u", rule->priority);
        append_prefix(builder, "from", &rule->from);
        append_prefix(builder, "to", &rule->to);
        if (rule->mark)
                text_append(builder, " fwmark 0x%x/0xffffffff", rule->mark);
        if (rule->iif_lo)
                text_append(builder, " iif lo");
        append_ip_protocol(builder, rule->ip_protocol);
        append_ports(builder, "sport", &rule->sport);
        append_ports(builder, "dport", &rule->dport);
        if (rule->action == FR_ACT_TO_TBL)
                append_table(builder, "lookup", rule->table);
        else if (rule->action == FR_ACT_UNREACHABLE)
                text_append(builder, " unreachable");
        else if (rule->action == FR_ACT_GOTO)
                text_append(builder, " goto %u", rule->target);
        else if (rule->action == FR_ACT_NOP)
                text_append(builder, " nop");
        append_protocol(builder, rule->protocol);
        if (rule->foreign)
                text_append(builder, " …");
}

static const char *type_word(uint8_t type)
{
        switch (type) {
        case RTN_UNREACHABLE: return "unreachable ";
        case RTN_THROW: return "throw ";
        case RTN_BLACKHOLE: return "blackhole ";
        case RTN_PROHIBIT: return "prohibit ";
        case RTN_LOCAL: return "local ";
        default: return "";
        }
}

static void append_device(
        struct text_builder *builder, const struct route *route, const char *interface)
{
        if (route->oif == 0)
                return;
        if (interface)
                text_append(builder, " dev %s", interface);
        else
                text_append(builder, " dev #%u", route->oif);
        if (route->family == AF_INET && route->scope == RT_SCOPE_LINK)
                text_append(builder, " scope link");
}

void route_format(const struct route *route, const char *interface, struct text_builder *builder)
{
        char text[PREFIX_TEXT_MAX];

        text_append(
                builder, "%s%s", type_word(route->type), prefix_format(&route->destination, text));
        if (route->tos)
                text_append(builder, " tos %#x", route->tos);
        if (route->nexthop)
                text_append(builder, " nhid %u", route->nexthop);
        append_device(builder, route, interface);
        append_table(builder, "table", route->table);
        if (route->source.family)
                text_append(builder, " src %s", address_format(&route->source, text));
        if (route->metric)
                text_append(builder, " metric %u", route->metric);
        append_protocol(builder, route->protocol);
        if (route->foreign)
                text_append(builder, " …");
}
