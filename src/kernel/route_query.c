#include "kernel/route_query.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/attribute.h"
#include "kernel/netlink.h"

static void put_transport(struct nlmsghdr *message, const struct flow *flow)
{
        switch (flow->ip_protocol) {
        case IPPROTO_TCP:
        case IPPROTO_UDP:
                mnl_attr_put_u8(message, RTA_IP_PROTO, flow->ip_protocol);
                if (flow->source_port)
                        mnl_attr_put_u16(message, RTA_SPORT, htons(flow->source_port));
                if (flow->destination_port)
                        mnl_attr_put_u16(message, RTA_DPORT, htons(flow->destination_port));
                break;
        case IPPROTO_ICMP:
        case IPPROTO_ICMPV6: mnl_attr_put_u8(message, RTA_IP_PROTO, flow->ip_protocol); break;
        }
}

static struct nlmsghdr *query_encode(void *buffer, const struct flow *flow, uint32_t iif)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct rtmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        int family = flow->destination.family;

        message->nlmsg_type = RTM_GETROUTE;
        header->rtm_family = (uint8_t)family;
        header->rtm_dst_len = (uint8_t)address_bits(family);
        header->rtm_src_len = (uint8_t)address_bits(flow->source.family);
        /* IPv6 always tells the table, and refuses the flag under strict checking. */
        if (family == AF_INET)
                header->rtm_flags = RTM_F_LOOKUP_TABLE;
        attribute_put_address(message, RTA_DST, &flow->destination);
        attribute_put_address(message, RTA_SRC, &flow->source);
        if (flow->mark)
                mnl_attr_put_u32(message, RTA_MARK, flow->mark);
        if (flow->forwarded)
                mnl_attr_put_u32(message, RTA_IIF, iif);
        put_transport(message, flow);
        return message;
}

/* An IPv4 route may have an IPv6 gateway: RTA_VIA is a family and an address. */
static int decode_via(const struct nlattr *attribute, struct address *ret)
{
        const struct rtvia *via = mnl_attr_get_payload(attribute);
        struct address address = {};
        size_t size;

        if (mnl_attr_get_payload_len(attribute) < sizeof(*via))
                return -EBADMSG;
        size = address_size(via->rtvia_family);
        if (size == 0 || mnl_attr_get_payload_len(attribute) != sizeof(*via) + size)
                return -EBADMSG;
        address.family = (uint8_t)via->rtvia_family;
        memcpy(address.bytes, via->rtvia_addr, size);
        *ret = address;
        return 0;
}

static int decode_attribute(const struct nlattr *attribute, int family, struct route_answer *answer)
{
        switch (mnl_attr_get_type(attribute)) {
        case RTA_TABLE: return attribute_get_u32(attribute, &answer->table);
        case RTA_OIF: return attribute_get_u32(attribute, &answer->oif);
        case RTA_GATEWAY: return attribute_get_address(attribute, family, &answer->gateway);
        case RTA_VIA: return decode_via(attribute, &answer->gateway);
        case RTA_PREFSRC: return attribute_get_address(attribute, family, &answer->source);
        default: return 0;
        }
}

static int read_answer(const struct nlmsghdr *message, void *userdata)
{
        const struct rtmsg *header = mnl_nlmsg_get_payload(message);
        struct route_answer *answer = userdata;
        const struct nlattr *attribute;
        int r;

        if (message->nlmsg_type != RTM_NEWROUTE)
                return 0;
        if (mnl_nlmsg_get_payload_len(message) < sizeof(*header))
                return -EBADMSG;
        answer->type = header->rtm_type;
        answer->table = header->rtm_table;
        mnl_attr_for_each(attribute, message, sizeof(*header))
        {
                r = decode_attribute(attribute, header->rtm_family, answer);
                if (r < 0)
                        return r;
        }
        return 0;
}

int route_query_unnamed(struct netlink *nl, const struct flow *flow, uint32_t iif,
        struct route_answer *ret, struct error *error)
{
        char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(4)));
        struct route_answer answer = {};
        struct error failure = {};
        int r;

        if (!address_size(flow->destination.family) ||
                (flow->source.family && flow->source.family != flow->destination.family) ||
                (flow->forwarded && !flow->source.family))
                return error_set(error, -EINVAL, "a flow that cannot be");
        r = netlink_request(nl, query_encode(buffer, flow, iif), read_answer, &answer, &failure);
        if (r == -EHOSTUNREACH || r == -ENETUNREACH || r == -EACCES) {
                *ret = (struct route_answer){.result = r};
                return 0;
        }
        if (r < 0)
                return error_set(error, r, "%s", failure.text);
        *ret = answer;
        return 0;
}

int route_query(struct netlink *nl, const struct flow *flow, uint32_t iif, struct route_answer *ret,
        struct error *error)
{
        int r = route_query_unnamed(nl, flow, iif, ret, error);

        if (r >= 0 && ret->result == 0 && ret->oif)
                (void)if_indextoname(ret->oif, ret->interface);
        return r;
}
