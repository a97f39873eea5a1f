#include "kernel/rule_codec.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/attribute.h"

/* Newer than the headers that we build with (Linux 6.14 and 6.15). */
#define RULE_SPORT_MASK 28
#define RULE_DPORT_MASK 29
#define RULE_DSCP_MASK  30 /* the newest that is known: none after it was when this was written */

/* Flags that only tell what the kernel found out itself. */
#define RULE_FLAGS_STATE \
        (FIB_RULE_PERMANENT | FIB_RULE_UNRESOLVED | FIB_RULE_IIF_DETACHED | FIB_RULE_OIF_DETACHED)

static void put_ports(struct nlmsghdr *message, uint16_t type, const struct port_range *range)
{
        struct fib_rule_port_range ports = {range->first, range->last};

        if (range->first)
                mnl_attr_put(message, type, sizeof(ports), &ports);
}

static void put_selectors(struct nlmsghdr *message, const struct rule *rule)
{
        attribute_put_address(message, FRA_SRC, &rule->from.address);
        attribute_put_address(message, FRA_DST, &rule->to.address);
        if (rule->mark) {
                mnl_attr_put_u32(message, FRA_FWMARK, rule->mark);
                mnl_attr_put_u32(message, FRA_FWMASK, UINT32_MAX);
        }
        if (rule->iif_lo)
                mnl_attr_put_strz(message, FRA_IIFNAME, "lo");
        if (rule->ip_protocol)
                mnl_attr_put_u8(message, FRA_IP_PROTO, rule->ip_protocol);
        put_ports(message, FRA_SPORT_RANGE, &rule->sport);
        put_ports(message, FRA_DPORT_RANGE, &rule->dport);
}

struct nlmsghdr *rule_encode(void *buffer, uint16_t type, const struct rule *rule)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = type;
        header->family = rule->family;
        header->action = rule->action;
        header->src_len = rule->from.length;
        header->dst_len = rule->to.length;
        header->table = attribute_table_byte(rule->table);
        mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
        if (rule->table)
                mnl_attr_put_u32(message, FRA_TABLE, rule->table);
        if (rule->action == FR_ACT_GOTO)
                mnl_attr_put_u32(message, FRA_GOTO, rule->target);
        mnl_attr_put_u8(message, FRA_PROTOCOL, rule->protocol);
        put_selectors(message, rule);
        return message;
}

struct nlmsghdr *rule_encode_dump(void *buffer, uint8_t family)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct fib_rule_hdr *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = RTM_GETRULE;
        header->family = family;
        return message;
}

/* What is gathered from the attributes, to be judged when all are seen. */
struct decoding {
        struct rule rule;
        struct address from;
        struct address to;
        uint32_t mask;
        uint16_t sport_mask;
        uint16_t dport_mask;
};

static int get_ports(const struct nlattr *attribute, struct port_range *ret)
{
        struct fib_rule_port_range ports;

        if (mnl_attr_get_payload_len(attribute) != sizeof(ports))
                return -EBADMSG;
        memcpy(&ports, mnl_attr_get_payload(attribute), sizeof(ports));
        if (ports.start == 0 || ports.end < ports.start)
                return -EBADMSG;
        *ret = (struct port_range){ports.start, ports.end};
        return 0;
}

static int decode_iif(const struct nlattr *attribute, struct rule *rule)
{
        const char *name = attribute_get_text(attribute);

        if (!name)
                return -EBADMSG;
        if (strcmp(name, "lo") == 0)
                rule->iif_lo = true;
        else
                rule->foreign = true;
        return 0;
}

/* These are always there; a value of −1 says "none". */
static int decode_suppressor(const struct nlattr *attribute, struct rule *rule)
{
        uint32_t value;
        int r;

        r = attribute_get_u32(attribute, &value);
        if (r < 0)
                return r;
        if (value != UINT32_MAX)
                rule->foreign = true;
        return 0;
}

static int decode_attribute(const struct nlattr *attribute, struct decoding *decoding)
{
        struct rule *rule = &decoding->rule;

        switch (mnl_attr_get_type(attribute)) {
        case FRA_PRIORITY: return attribute_get_u32(attribute, &rule->priority);
        case FRA_TABLE: return attribute_get_u32(attribute, &rule->table);
        case FRA_GOTO: return attribute_get_u32(attribute, &rule->target);
        case FRA_PROTOCOL: return attribute_get_u8(attribute, &rule->protocol);
        case FRA_SRC: return attribute_get_address(attribute, rule->family, &decoding->from);
        case FRA_DST: return attribute_get_address(attribute, rule->family, &decoding->to);
        case FRA_FWMARK: return attribute_get_u32(attribute, &rule->mark);
        case FRA_FWMASK: return attribute_get_u32(attribute, &decoding->mask);
        case FRA_IIFNAME: return decode_iif(attribute, rule);
        case FRA_IP_PROTO: return attribute_get_u8(attribute, &rule->ip_protocol);
        case FRA_SPORT_RANGE: return get_ports(attribute, &rule->sport);
        case FRA_DPORT_RANGE: return get_ports(attribute, &rule->dport);
        case RULE_SPORT_MASK: return attribute_get_u16(attribute, &decoding->sport_mask);
        case RULE_DPORT_MASK: return attribute_get_u16(attribute, &decoding->dport_mask);
        case FRA_SUPPRESS_PREFIXLEN:
        case FRA_SUPPRESS_IFGROUP: return decode_suppressor(attribute, rule);
        case FRA_PAD: return 0;
        default:
                if (!attribute_is_new_and_none(attribute, RULE_DSCP_MASK))
                        rule->foreign = true;
                return 0; /* oif, tunnel id, uid range, l3mdev, DSCP … */
        }
}

static int decode_prefix(const struct address *address, uint8_t length, struct prefix *ret)
{
        if (!address->family)
                return length ? -EBADMSG : 0;
        if (length == 0)
                return 0; /* as good as none */
        return attribute_prefix(address, length, ret);
}

static bool is_known_action(uint8_t action)
{
        return action == FR_ACT_TO_TBL || action == FR_ACT_UNREACHABLE || action == FR_ACT_GOTO ||
               action == FR_ACT_NOP;
}

static void judge(const struct fib_rule_hdr *header, struct decoding *decoding)
{
        struct rule *rule = &decoding->rule;

        if (header->tos || header->flags & ~(uint32_t)RULE_FLAGS_STATE)
                rule->foreign = true;
        if (!is_known_action(header->action) ||
                (header->action == FR_ACT_GOTO) != (rule->target != 0))
                rule->foreign = true;
        if (decoding->mask != (rule->mark ? UINT32_MAX : 0))
                rule->foreign = true;
        /* A mask comes with a single port, and a full one says nothing. */
        if ((decoding->sport_mask && decoding->sport_mask != UINT16_MAX) ||
                (decoding->dport_mask && decoding->dport_mask != UINT16_MAX))
                rule->foreign = true;
}

int rule_decode(const struct nlmsghdr *message, struct rule *ret)
{
        const struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);
        struct decoding decoding = {};
        const struct nlattr *attribute;
        int r;

        if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
                return -EBADMSG;
        if (header->family != AF_INET && header->family != AF_INET6)
                return -EAFNOSUPPORT;
        decoding.rule.family = header->family;
        decoding.rule.action = header->action;
        decoding.rule.table = header->table;
        mnl_attr_for_each(attribute, message, sizeof(*header))
        {
                r = decode_attribute(attribute, &decoding);
                if (r < 0)
                        return r;
        }
        r = decode_prefix(&decoding.from, header->src_len, &decoding.rule.from);
        if (r < 0)
                return r;
        r = decode_prefix(&decoding.to, header->dst_len, &decoding.rule.to);
        if (r < 0)
                return r;
        judge(header, &decoding);
        *ret = decoding.rule;
        return 0;
}

static bool ports_match(const struct port_range *deleted, const struct port_range *present)
{
        return !deleted->first ||
               (deleted->first == present->first && deleted->last == present->last);
}

static bool prefix_matches(const struct prefix *deleted, const struct prefix *present)
{
        return !deleted->address.family || prefix_equal(deleted, present);
}

bool rule_delete_matches(const struct rule *deleted, const struct rule *present)
{
        /* rule_find() in net/core/fib_rules.c, fib4_rule_compare() and fib6_rule_compare(); the
         * target of a goto is not looked at. */
        return deleted->family == present->family && deleted->priority == present->priority &&
               deleted->action == present->action &&
               (!deleted->table || deleted->table == present->table) &&
               (!deleted->protocol || deleted->protocol == present->protocol) &&
               (!deleted->mark || deleted->mark == present->mark) &&
               (!deleted->iif_lo || present->iif_lo) &&
               (!deleted->ip_protocol || deleted->ip_protocol == present->ip_protocol) &&
               ports_match(&deleted->sport, &present->sport) &&
               ports_match(&deleted->dport, &present->dport) &&
               prefix_matches(&deleted->from, &present->from) &&
               prefix_matches(&deleted->to, &present->to);
}
