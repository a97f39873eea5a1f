/* Rules and routes to netlink messages and back; foreign shapes; messages that are broken. */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "basics/text.h"
#include "kernel/link.h"
#include "kernel/netlink.h"
#include "kernel/route_codec.h"
#include "kernel/rule_codec.h"
#include "policy/format.h"
#include "test.h"

static char buffer[NETLINK_MESSAGE_MAX] __attribute__((aligned(8)));

static struct prefix prefix(const char *text)
{
        struct prefix parsed;

        CHECK(prefix_parse(text, &parsed) >= 0);
        return parsed;
}

static struct address address(const char *text)
{
        struct address parsed;

        CHECK(address_parse(text, &parsed) >= 0);
        return parsed;
}

static void check_rule_text(const struct rule *rule, const char *expected)
{
        _cleanup_(text_deinit) struct text_builder builder = {};

        rule_format(rule, &builder);
        CHECK_TEXT(builder.text, expected);
}

static void check_route_text(const struct route *route, const char *interface, const char *expected)
{
        _cleanup_(text_deinit) struct text_builder builder = {};

        route_format(route, interface, &builder);
        CHECK_TEXT(builder.text, expected);
}

static void check_rule(const struct rule *rule, const char *text)
{
        struct nlmsghdr *message = rule_encode(buffer, RTM_NEWRULE, rule);
        struct rule decoded;

        CHECK(message->nlmsg_len <= sizeof(buffer) / 3);
        CHECK_INT(message->nlmsg_type, RTM_NEWRULE);
        CHECK_INT(rule_decode(message, &decoded), 0);
        CHECK(!decoded.foreign);
        CHECK_INT(rule_compare(rule, &decoded), 0);
        check_rule_text(rule, text);
}

static void check_route(const struct route *route, const char *text)
{
        struct nlmsghdr *message = route_encode(buffer, RTM_NEWROUTE, route);
        struct route decoded;

        CHECK(message->nlmsg_len <= sizeof(buffer) / 3);
        CHECK_INT(message->nlmsg_type, RTM_NEWROUTE);
        CHECK_INT(route_decode(message, &decoded), 0);
        CHECK(!decoded.foreign);
        CHECK_INT(route_compare(route, &decoded), 0);
        check_route_text(route, "wg0", text);
}

static struct rule lookup_rule(uint8_t family)
{
        return (struct rule){
                .family = family,
                .action = FR_ACT_TO_TBL,
                .protocol = RTPROT_KERNEL,
                .priority = 202,
                .table = 51870,
        };
}

static void rules_round_trip(void)
{
        struct rule rule = lookup_rule(AF_INET);

        check_rule(&rule, "priority 202 lookup 51870 protocol kernel");
        rule.family = AF_INET6;
        check_rule(&rule, "priority 202 lookup 51870 protocol kernel");
        rule.mark = 0xe00;
        rule.table = RT_TABLE_MAIN;
        check_rule(&rule, "priority 202 fwmark 0xe00/0xffffffff lookup main protocol kernel");
        rule.action = FR_ACT_UNREACHABLE;
        rule.table = 0;
        check_rule(&rule, "priority 202 fwmark 0xe00/0xffffffff unreachable protocol kernel");

        rule = lookup_rule(AF_INET6);
        rule.to = prefix("fd00::2/128");
        rule.ip_protocol = IPPROTO_UDP;
        rule.dport = (struct port_range){53, 53};
        rule.protocol = 99;
        check_rule(
                &rule, "priority 202 to fd00::2/128 ipproto udp dport 53 lookup 51870 protocol 99");

        rule = lookup_rule(AF_INET);
        rule.from = prefix("10.0.0.9/32");
        rule.iif_lo = true;
        rule.ip_protocol = IPPROTO_TCP;
        rule.sport = (struct port_range){2379, 2380};
        rule.table = RT_TABLE_MAIN;
        check_rule(&rule, "priority 202 from 10.0.0.9/32 iif lo ipproto tcp sport 2379-2380 "
                          "lookup main protocol kernel");
        rule.ip_protocol = 132;
        rule.sport = (struct port_range){1, 65535};
        check_rule(&rule, "priority 202 from 10.0.0.9/32 iif lo ipproto 132 sport 1-65535 "
                          "lookup main protocol kernel");

        rule = lookup_rule(AF_INET6);
        rule.ip_protocol = IPPROTO_TCP;
        rule.dport = (struct port_range){2379, 2380};
        rule.action = FR_ACT_GOTO;
        rule.table = 0;
        rule.target = 207;
        check_rule(&rule, "priority 202 ipproto tcp dport 2379-2380 goto 207 protocol kernel");
        rule = lookup_rule(AF_INET);
        rule.action = FR_ACT_NOP;
        rule.table = 0;
        check_rule(&rule, "priority 202 nop protocol kernel");
}

static struct route device_route(void)
{
        return (struct route){
                .family = AF_INET,
                .type = RTN_UNICAST,
                .protocol = RTPROT_KERNEL,
                .scope = RT_SCOPE_LINK,
                .table = 51871,
                .destination = prefix("10.244.1.0/24"),
                .oif = 7,
                .source = address("10.0.0.1"),
        };
}

static struct route twin(const char *destination)
{
        struct prefix to = prefix(destination);

        return (struct route){
                .family = to.address.family,
                .type = RTN_UNREACHABLE,
                .protocol = RTPROT_KERNEL,
                .table = 51871,
                .destination = to,
                .metric = TWIN_METRIC,
        };
}

static void routes_round_trip(void)
{
        struct route route = twin("10.0.0.2/32");

        check_route(
                &route, "unreachable 10.0.0.2/32 table 51871 metric 4294967294 protocol kernel");
        route = twin("fd00::2/128");
        check_route(
                &route, "unreachable fd00::2/128 table 51871 metric 4294967294 protocol kernel");
        route.type = RTN_THROW;
        check_route(&route, "throw fd00::2/128 table 51871 metric 4294967294 protocol kernel");
        route = twin("0.0.0.0/0");
        check_route(&route, "unreachable 0.0.0.0/0 table 51871 metric 4294967294 protocol kernel");
        route = device_route();
        check_route(&route,
                "10.244.1.0/24 dev wg0 scope link table 51871 src 10.0.0.1 protocol kernel");
        check_route_text(&route, NULL,
                "10.244.1.0/24 dev #7 scope link table 51871 src 10.0.0.1 protocol kernel");
        route = device_route();
        route.family = AF_INET6;
        route.scope = RT_SCOPE_UNIVERSE;
        route.destination = prefix("fd00:10::/64");
        route.metric = 1024;
        route.source = address("fd00::1");
        check_route(
                &route, "fd00:10::/64 dev wg0 table 51871 src fd00::1 metric 1024 protocol kernel");
}

/* What a dump of 6.18 adds to a rule of ours. */
static void rule_as_dumped(void)
{
        struct rule rule = lookup_rule(AF_INET), decoded;
        struct nlmsghdr *message;

        rule.dport = (struct port_range){6443, 6443};
        rule.ip_protocol = IPPROTO_TCP;
        rule.to = prefix("10.0.0.2/32");
        message = rule_encode(buffer, RTM_NEWRULE, &rule);
        mnl_attr_put_u32(message, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
        mnl_attr_put_u16(message, 29, UINT16_MAX); /* FRA_DPORT_MASK */
        CHECK_INT(rule_decode(message, &decoded), 0);
        CHECK_INT(rule_compare(&rule, &decoded), 0);
}

/* And to a route. */
static void route_as_dumped(void)
{
        struct rta_cacheinfo info = {.rta_error = (uint32_t)-EHOSTUNREACH};
        struct route route = twin("fd00::2/128"), decoded;
        struct nlmsghdr *message = route_encode(buffer, RTM_NEWROUTE, &route);
        struct rtmsg *header = mnl_nlmsg_get_payload(message);

        mnl_attr_put_u32(message, RTA_OIF, 1);
        mnl_attr_put(message, RTA_CACHEINFO, sizeof(info), &info);
        mnl_attr_put_u8(message, RTA_PREF, 0);
        header->rtm_table = RT_TABLE_COMPAT;
        CHECK_INT(route_decode(message, &decoded), 0);
        CHECK_INT(route_compare(&route, &decoded), 0);

        route = device_route();
        message = route_encode(buffer, RTM_NEWROUTE, &route);
        header = mnl_nlmsg_get_payload(message);
        header->rtm_flags = RTNH_F_LINKDOWN | RTNH_F_DEAD;
        CHECK_INT(route_decode(message, &decoded), 0);
        CHECK_INT(route_compare(&route, &decoded), 0);
}

/* One attribute more than ours have makes a rule foreign, and leaves the rest readable. */
static void check_foreign_rule(uint16_t type, size_t size, const void *payload)
{
        struct rule rule = lookup_rule(AF_INET), decoded;
        struct nlmsghdr *message = rule_encode(buffer, RTM_NEWRULE, &rule);

        mnl_attr_put(message, type, size, payload);
        CHECK_INT(rule_decode(message, &decoded), 0);
        CHECK(decoded.foreign);
        CHECK_INT(decoded.priority, 202);
        CHECK_INT(decoded.table, 51870);
        CHECK(rule_compare(&rule, &decoded) != 0);
}

static void foreign_rules(void)
{
        struct rule marked = lookup_rule(AF_INET), decoded;
        struct nlmsghdr *message;
        const uint32_t number = 5, mask = 0xf00;
        const uint64_t tunnel = 1;
        const uint16_t port_mask = 0xff00;
        const struct fib_rule_uid_range uids = {0, 1000};

        check_foreign_rule(FRA_IIFNAME, 5, "eth0");
        check_foreign_rule(FRA_OIFNAME, 5, "eth0");
        check_foreign_rule(FRA_FWMARK, sizeof(number), &number); /* without a mask */
        check_foreign_rule(FRA_FWMASK, sizeof(mask), &mask);     /* without a mark */
        check_foreign_rule(FRA_SUPPRESS_PREFIXLEN, sizeof(number), &number);
        check_foreign_rule(FRA_SUPPRESS_IFGROUP, sizeof(number), &number);
        check_foreign_rule(FRA_GOTO, sizeof(number), &number);
        check_foreign_rule(FRA_FLOW, sizeof(number), &number);
        check_foreign_rule(FRA_TUN_ID, sizeof(tunnel), &tunnel);
        check_foreign_rule(FRA_UID_RANGE, sizeof(uids), &uids);
        check_foreign_rule(FRA_L3MDEV, 1, "\1");
        check_foreign_rule(25, 1, "\1");                       /* FRA_DSCP */
        check_foreign_rule(28, sizeof(port_mask), &port_mask); /* FRA_SPORT_MASK */
        check_foreign_rule(4000, sizeof(number), &number);     /* none that is known */
        marked.mark = 0xe00; /* the last attribute counts: a mask that takes 0x1e00 as well */
        message = rule_encode(buffer, RTM_NEWRULE, &marked);
        mnl_attr_put_u32(message, FRA_FWMASK, mask);
        CHECK_INT(rule_decode(message, &decoded), 0);
        CHECK(decoded.foreign && decoded.mark == 0xe00);
}

/* The header's own fields. */
static void foreign_rule_headers(void)
{
        struct rule rule = lookup_rule(AF_INET), decoded;
        struct nlmsghdr *message = rule_encode(buffer, RTM_NEWRULE, &rule);
        struct fib_rule_hdr *header = mnl_nlmsg_get_payload(message);

        header->flags = FIB_RULE_INVERT;
        CHECK_INT(rule_decode(message, &decoded), 0);
        CHECK(decoded.foreign);
        header->flags = FIB_RULE_IIF_DETACHED;
        CHECK_INT(rule_decode(message, &decoded), 0);
        CHECK(!decoded.foreign);
        header->flags = 0;
        header->tos = 4;
        CHECK_INT(rule_decode(message, &decoded), 0);
        CHECK(decoded.foreign);
        header->tos = 0;
        for (int action = 0; action < FR_ACT_MAX; action++) {
                header->action = (uint8_t)action;
                CHECK_INT(rule_decode(message, &decoded), 0);
                CHECK_INT(decoded.foreign, action != FR_ACT_TO_TBL &&
                                                   action != FR_ACT_UNREACHABLE &&
                                                   action != FR_ACT_NOP); /* a goto to nowhere */
        }
        header->family = AF_UNSPEC;
        CHECK_INT(rule_decode(message, &decoded), -EAFNOSUPPORT);
        header->family = 128; /* RTNL_FAMILY_IPMR */
        CHECK_INT(rule_decode(message, &decoded), -EAFNOSUPPORT);
}

static void check_foreign_route(uint16_t type, size_t size, const void *payload)
{
        struct route route = device_route(), decoded;
        struct nlmsghdr *message = route_encode(buffer, RTM_NEWROUTE, &route);

        mnl_attr_put(message, type, size, payload);
        CHECK_INT(route_decode(message, &decoded), 0);
        CHECK(decoded.foreign);
        CHECK_INT(route_key_compare(&route, &decoded), 0);
        CHECK(route_compare(&route, &decoded) != 0);
}

static void foreign_routes(void)
{
        const struct rta_cacheinfo expires = {.rta_expires = 100};
        const uint32_t number = 5;

        check_foreign_route(RTA_GATEWAY, 4, "\12\0\0\1");
        check_foreign_route(RTA_VIA, 6, "\12\0abcd");
        check_foreign_route(RTA_MULTIPATH, 8, "\10\0\0\0\1\0\0\0");
        check_foreign_route(RTA_NH_ID, sizeof(number), &number);
        check_foreign_route(RTA_ENCAP_TYPE, 2, "\1\0");
        check_foreign_route(RTA_METRICS, 8, "\10\0\2\0\0\0\0\0");
        check_foreign_route(RTA_SRC, 4, "\12\0\0\1");
        check_foreign_route(RTA_PREF, 1, "\1");
        check_foreign_route(RTA_CACHEINFO, sizeof(expires), &expires);
        check_foreign_route(4000, sizeof(number), &number);
}

static void foreign_route_headers(void)
{
        struct route route = device_route(), decoded;
        struct nlmsghdr *message = route_encode(buffer, RTM_NEWROUTE, &route);
        struct rtmsg *header = mnl_nlmsg_get_payload(message);

        for (int type = 0; type <= RTN_MAX; type++) {
                header->rtm_type = (uint8_t)type;
                CHECK_INT(route_decode(message, &decoded), 0);
                CHECK_INT(decoded.foreign, type != RTN_UNICAST); /* a rejecting one with a device */
        }
        header->rtm_type = RTN_UNICAST;
        header->rtm_tos = 8;
        CHECK_INT(route_decode(message, &decoded), 0);
        CHECK(decoded.foreign);
        header->rtm_tos = 0;
        header->rtm_flags = RTNH_F_ONLINK;
        CHECK_INT(route_decode(message, &decoded), 0);
        CHECK(decoded.foreign);
        header->rtm_family = 28; /* AF_MPLS */
        CHECK_INT(route_decode(message, &decoded), -EAFNOSUPPORT);

        route = twin("fd00::2/128");
        route.type = RTN_BLACKHOLE;
        message = route_encode(buffer, RTM_NEWROUTE, &route);
        CHECK_INT(route_decode(message, &decoded), 0);
        CHECK(decoded.foreign);
        check_route_text(&decoded, NULL,
                "blackhole fd00::2/128 table 51871 metric 4294967294 protocol kernel …");
}

static void broken_messages(void)
{
        struct rule rule = lookup_rule(AF_INET);
        struct route route = device_route();
        struct nlmsghdr *message;

        rule.to = prefix("10.0.0.2/32");
        message = rule_encode(buffer, RTM_NEWRULE, &rule);
        ((struct fib_rule_hdr *)mnl_nlmsg_get_payload(message))->dst_len = 33;
        CHECK_INT(rule_decode(message, &rule), -EBADMSG);
        rule = lookup_rule(AF_INET);
        message = rule_encode(buffer, RTM_NEWRULE, &rule);
        ((struct fib_rule_hdr *)mnl_nlmsg_get_payload(message))->dst_len = 8; /* of what? */
        CHECK_INT(rule_decode(message, &rule), -EBADMSG);
        message = rule_encode(buffer, RTM_NEWRULE, &rule);
        mnl_attr_put_u16(message, FRA_PRIORITY, 7);
        CHECK_INT(rule_decode(message, &rule), -EBADMSG);
        message = rule_encode(buffer, RTM_NEWRULE, &rule);
        mnl_attr_put(message, FRA_IIFNAME, 3, "lo!"); /* no NUL */
        CHECK_INT(rule_decode(message, &rule), -EBADMSG);
        message = rule_encode(buffer, RTM_NEWRULE, &rule);
        mnl_attr_put(message, FRA_DPORT_RANGE, 4, "\2\0\1\0"); /* upside down */
        CHECK_INT(rule_decode(message, &rule), -EBADMSG);

        message = route_encode(buffer, RTM_NEWROUTE, &route);
        ((struct rtmsg *)mnl_nlmsg_get_payload(message))->rtm_dst_len = 255;
        CHECK_INT(route_decode(message, &route), -EBADMSG);
        message = route_encode(buffer, RTM_NEWROUTE, &route);
        mnl_attr_put(message, RTA_PREFSRC, 16, buffer);
        CHECK_INT(route_decode(message, &route), -EBADMSG);
}

/* Host bits cannot come out of a decoder: a prefix without them is what all else relies on. */
static void host_bits_are_cleared(void)
{
        struct route route = device_route(), decoded;
        struct nlmsghdr *message = route_encode(buffer, RTM_NEWROUTE, &route);

        ((struct rtmsg *)mnl_nlmsg_get_payload(message))->rtm_dst_len = 13;
        CHECK_INT(route_decode(message, &decoded), 0);
        route.destination = prefix("10.240.0.0/13");
        CHECK_INT(prefix_compare(&decoded.destination, &route.destination), 0);
}

/*
 * Every message cut at every length, and with bytes overwritten at random, in memory of exactly its
 * size (to the next multiple of four, as netlink aligns), so that AddressSanitizer sees a byte too
 * far. What is decoded at all stays within bounds.
 */
static void mangle(const struct nlmsghdr *message, unsigned seed)
{
        for (uint32_t length = 0; length <= message->nlmsg_len; length++) {
                uint32_t size = length < sizeof(*message) ? sizeof(*message) : length;
                char *copy = malloc(MNL_ALIGN(size));
                struct nlmsghdr *header = (struct nlmsghdr *)(void *)copy;
                struct route route = {};
                struct rule rule = {};
                struct link link = {};

                CHECK(copy);
                memcpy(copy, message, size);
                header->nlmsg_len = size;
                for (uint32_t i = sizeof(*message); i < length; i++)
                        if (seed && rand_r(&seed) % 8 == 0)
                                copy[i] = (char)rand_r(&seed);
                if (rule_decode(header, &rule) == 0)
                        CHECK(rule.to.length <= address_bits(rule.family));
                if (route_decode(header, &route) == 0)
                        CHECK(route.destination.length <= address_bits(route.family));
                if (link_decode(header, &link) == 0)
                        CHECK(memchr(link.name, '\0', sizeof(link.name)));
                free(copy);
        }
}

static void mangled_messages(void)
{
        struct rule rule = lookup_rule(AF_INET6);
        struct route route = device_route();

        rule.to = prefix("fd00::2/128");
        rule.mark = 1;
        rule.iif_lo = true;
        rule.dport = (struct port_range){1, 2};
        for (unsigned seed = 0; seed < 300; seed++) {
                mangle(rule_encode(buffer, RTM_NEWRULE, &rule), seed);
                mangle(route_encode(buffer, RTM_NEWROUTE, &route), seed);
        }
}

static void links_decode(void)
{
        struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
        struct ifinfomsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        struct link link;
        struct nlattr *nest;

        CHECK_INT(link_decode(message, &link), -EBADMSG); /* no index */
        header->ifi_index = 4;
        header->ifi_flags = IFF_UP;
        mnl_attr_put_strz(message, IFLA_IFNAME, "cilium_wg0");
        mnl_attr_put_u32(message, IFLA_MTU, 1420);
        nest = mnl_attr_nest_start(message, IFLA_LINKINFO);
        mnl_attr_put_strz(message, IFLA_INFO_KIND, "wireguard");
        mnl_attr_nest_end(message, nest);
        CHECK_INT(link_decode(message, &link), 0);
        CHECK_TEXT(link.name, "cilium_wg0");
        CHECK_TEXT(link.kind, "wireguard");
        CHECK_INT(link.ifindex, 4);
        CHECK_INT(link.mtu, 1420);
        CHECK(link.up && link_encrypts(&link));
        strcpy(link.kind, "tun");
        CHECK(link_encrypts(&link));
        link.kind[0] = '\0'; /* a real device */
        CHECK(!link_encrypts(&link));
}

/* rule_find() of the kernel, in small: an absent selector matches anything. */
static void deletes_match_loosely(void)
{
        struct rule wide = lookup_rule(AF_INET), narrow;

        wide.iif_lo = true;
        wide.sport = (struct port_range){6443, 6443};
        narrow = wide;
        narrow.from = prefix("10.0.0.9/32");
        CHECK(rule_delete_matches(&wide, &wide));
        CHECK(rule_delete_matches(&wide, &narrow));
        CHECK(!rule_delete_matches(&narrow, &wide));
        narrow.protocol = 99;
        CHECK(!rule_delete_matches(&wide, &narrow));
        narrow = wide;
        narrow.iif_lo = false;
        CHECK(!rule_delete_matches(&wide, &narrow));
        narrow = wide;
        narrow.sport.last = 6444;
        CHECK(!rule_delete_matches(&wide, &narrow));
        narrow = wide;
        narrow.priority++;
        CHECK(!rule_delete_matches(&wide, &narrow));
}

TEST_MAIN(TEST(rules_round_trip), TEST(routes_round_trip), TEST(rule_as_dumped),
        TEST(route_as_dumped), TEST(foreign_rules), TEST(foreign_rule_headers),
        TEST(foreign_routes), TEST(foreign_route_headers), TEST(broken_messages),
        TEST(host_bits_are_cleared), TEST(mangled_messages), TEST(links_decode),
        TEST(deletes_match_loosely))
