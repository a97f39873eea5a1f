#include "kernel/route_codec.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/attribute.h"

/* Flags that only tell a state: link down, offloaded, trapped. */
#define ROUTE_FLAGS_STATE                                                              \
        (RTNH_F_DEAD | RTNH_F_OFFLOAD | RTNH_F_LINKDOWN | RTNH_F_TRAP | RTM_F_NOTIFY | \
                RTM_F_OFFLOAD | RTM_F_TRAP | RTM_F_OFFLOAD_FAILED)
#define ROUTE_FLOWLABEL 31 /* Linux 6.14; the newest that was known when this was written */
#define ROUTE_PREF_MEDIUM \
        0 /* ICMPV6_ROUTER_PREF_MEDIUM: what every route has unless told otherwise */

struct nlmsghdr *route_encode(void *buffer, uint16_t type, const struct route *route)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct rtmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = type;
        header->rtm_family = route->family;
        header->rtm_dst_len = route->destination.length;
        header->rtm_table = attribute_table_byte(route->table);
        header->rtm_protocol = route->protocol;
        header->rtm_scope = route->scope;
        /* Of a nexthop object that refuses, the kernel tells another type than it compares. */
        header->rtm_type = route->nexthop ? RTN_UNSPEC : route->type;
        header->rtm_tos = route->tos;
        if (route->destination.length)
                attribute_put_address(message, RTA_DST, &route->destination.address);
        mnl_attr_put_u32(message, RTA_TABLE, route->table);
        if (route->metric)
                mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
        /* The kernel tells the device of a nexthop object as well, but will not hear both. */
        if (route->nexthop)
                mnl_attr_put_u32(message, RTA_NH_ID, route->nexthop);
        else if (route->oif)
                mnl_attr_put_u32(message, RTA_OIF, route->oif);
        attribute_put_address(message, RTA_PREFSRC, &route->source);
        return message;
}

struct nlmsghdr *route_encode_dump(void *buffer, uint8_t family, uint32_t table)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct rtmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));

        message->nlmsg_type = RTM_GETROUTE;
        header->rtm_family = family;
        if (table)
                mnl_attr_put_u32(message, RTA_TABLE, table);
        return message;
}

static int decode_cacheinfo(const struct nlattr *attribute, struct route *route)
{
        struct rta_cacheinfo info;

        if (mnl_attr_get_payload_len(attribute) < sizeof(info))
                return -EBADMSG;
        memcpy(&info, mnl_attr_get_payload(attribute), sizeof(info));
        if (info.rta_expires)
                route->foreign = true;
        return 0;
}

static int decode_preference(const struct nlattr *attribute, struct route *route)
{
        uint8_t preference;
        int r;

        r = attribute_get_u8(attribute, &preference);
        if (r < 0)
                return r;
        if (preference != ROUTE_PREF_MEDIUM)
                route->foreign = true;
        return 0;
}

static int decode_attribute(
        const struct nlattr *attribute, struct route *route, struct address *destination)
{
        switch (mnl_attr_get_type(attribute)) {
        case RTA_DST: return attribute_get_address(attribute, route->family, destination);
        case RTA_TABLE: return attribute_get_u32(attribute, &route->table);
        case RTA_PRIORITY: return attribute_get_u32(attribute, &route->metric);
        case RTA_OIF: return attribute_get_u32(attribute, &route->oif);
        case RTA_PREFSRC: return attribute_get_address(attribute, route->family, &route->source);
        case RTA_CACHEINFO: return decode_cacheinfo(attribute, route);
        case RTA_PREF: return decode_preference(attribute, route);
        case RTA_PAD: return 0;
        case RTA_NH_ID: route->foreign = true; return attribute_get_u32(attribute, &route->nexthop);
        default:
                if (!attribute_is_new_and_none(attribute, ROUTE_FLOWLABEL))
                        route->foreign = true; /* gateway, multipath, metrics … */
                return 0;
        }
}

static void judge(const struct rtmsg *header, struct route *route)
{
        bool device = route->type == RTN_UNICAST;

        if (route->family == AF_INET6 && !device)
                route->oif = 0; /* the kernel's: always lo */
        if (header->rtm_src_len || route->tos || header->rtm_flags & ~(uint32_t)ROUTE_FLAGS_STATE)
                route->foreign = true;
        if (device ? route->oif == 0 : route->oif != 0)
                route->foreign = true;
        if (!device && route->type != RTN_UNREACHABLE && route->type != RTN_THROW)
                route->foreign = true;
}

int route_decode(const struct nlmsghdr *message, struct route *ret)
{
        const struct rtmsg *header = mnl_nlmsg_get_payload(message);
        const struct nlattr *attribute;
        struct address destination;
        struct route route = {};
        int r;

        if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
                return -EBADMSG;
        if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6)
                return -EAFNOSUPPORT;
        route.family = header->rtm_family;
        route.type = header->rtm_type;
        route.protocol = header->rtm_protocol;
        route.scope = header->rtm_scope;
        route.tos = header->rtm_tos;
        route.table = header->rtm_table;
        destination = (struct address){.family = route.family};
        mnl_attr_for_each(attribute, message, sizeof(*header))
        {
                r = decode_attribute(attribute, &route, &destination);
                if (r < 0)
                        return r;
        }
        r = attribute_prefix(&destination, header->rtm_dst_len, &route.destination);
        if (r < 0)
                return r;
        judge(header, &route);
        *ret = route;
        return 0;
}
