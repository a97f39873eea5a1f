/* Rules and routes written to a real kernel, and read back from it. */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>

#include "basics/text.h"
#include "fixture.h"
#include "kernel/fib_apply.h"
#include "kernel/fib_read.h"
#include "policy/format.h"
#include "test.h"

#define PODS       51870u
#define NODES      51871u
#define COMPLEMENT 51872u

static void apply(struct netlink *nl, const struct steps *steps)
{
        struct apply_result result;

        if (kernel_fib_apply(nl, steps, &result) < 0)
                printf("# %s\n", result.first.text);
        CHECK_INT(result.first.code, 0);
        CHECK_INT(result.written, steps->n);
        CHECK_INT(result.failed, 0);
        CHECK_INT(result.skipped, 0);
}

/* Applies one step, and returns what came of it. */
static struct apply_result apply_rule(
        struct netlink *nl, enum step_kind kind, const struct rule *rule)
{
        struct apply_result result;
        struct steps steps = {};

        add_rule_step(&steps, kind, 0, rule);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), result.first.code);
        steps_free(&steps);
        return result;
}

static struct apply_result apply_route(
        struct netlink *nl, enum step_kind kind, const struct route *route)
{
        struct apply_result result;
        struct steps steps = {};

        add_route_step(&steps, kind, 0, route);
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), result.first.code);
        steps_free(&steps);
        return result;
}

static void add_family_rules(struct fib *fib, uint8_t family, const char *node, const char *vip)
{
        struct rule rule = lookup_rule(family, LAYOUT_MARK, RT_TABLE_MAIN);

        rule.mark = 0xe00;
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule = lookup_rule(family, LAYOUT_MARK_GUARD, 0);
        rule.mark = 0xe00;
        rule.action = FR_ACT_UNREACHABLE;
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule = lookup_rule(family, LAYOUT_PODS, PODS);
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule = lookup_rule(family, LAYOUT_EXEMPTION, RT_TABLE_MAIN);
        rule.ip_protocol = IPPROTO_TCP;
        rule.to = prefix(node);
        rule.dport = (struct port_range){2379, 2380};
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule.ip_protocol = IPPROTO_UDP;
        rule.dport = (struct port_range){6443, 6443};
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule = lookup_rule(family, LAYOUT_EXEMPTION, RT_TABLE_MAIN);
        rule.ip_protocol = IPPROTO_TCP;
        rule.iif_lo = true;
        rule.sport = (struct port_range){6443, 6443};
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule.from = prefix(vip); /* in the kernel's loose comparison the same as the one before */
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule = lookup_rule(family, LAYOUT_COMPLEMENT, COMPLEMENT);
        rule.ip_protocol = IPPROTO_TCP;
        rule.dport = (struct port_range){9000, 9001};
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule.priority = test_layout.priority_base + LAYOUT_GOTO;
        rule.action = FR_ACT_GOTO;
        rule.table = 0;
        rule.target = test_layout.priority_base + LAYOUT_END;
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule = lookup_rule(family, LAYOUT_NODES, NODES);
        CHECK_INT(fib_add_rule(fib, &rule), 0);
        rule = lookup_rule(family, LAYOUT_END, 0);
        rule.action = FR_ACT_NOP;
        CHECK_INT(fib_add_rule(fib, &rule), 0);
}

static void add_family_routes(
        struct fib *fib, const char *node, const char *pods, const char *protect, uint32_t oif)
{
        struct route routes[] = {
                twin(node, NODES),
                device_route(node, NODES, oif),
                twin(pods, PODS),
                device_route(pods, PODS, oif),
                twin(protect, NODES),
                twin(protect, PODS),
        };

        routes[5].type = RTN_THROW;
        for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
                CHECK_INT(fib_add_route(fib, &routes[i]), 0);
}

/* Every shape that the policy makes, in both families. */
static void wanted_fib(struct fib *fib, uint32_t oif)
{
        add_family_rules(fib, AF_INET, "10.0.0.2/32", "10.0.0.9/32");
        add_family_rules(fib, AF_INET6, "fd00::2/128", "fd00::9/128");
        add_family_routes(fib, "10.0.0.2/32", "10.244.1.0/24", "10.244.0.0/16", oif);
        add_family_routes(fib, "fd00::2/128", "fd00:10:244:1::/64", "fd00:10:244::/48", oif);
        fib_sort(fib);
}

static void every_shape_reads_back(void)
{
        struct fib wanted = {}, actual = {};
        struct steps steps = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        wanted_fib(&wanted, fixture_device());
        nl = fixture_netlink(NETLINK_ROUTE);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules + actual.n_routes, 0); /* no table yet: none is an error */
        add_fib_steps(&steps, &wanted);
        apply(nl, &steps);
        read_fib(nl, &actual);
        CHECK(fib_equal(&actual, &wanted));

        /* The same again changes nothing: no rule twice, no route twice. */
        apply(nl, &steps);
        netlink_free(nl);
        nl = fixture_netlink(NETLINK_ROUTE);
        read_fib(nl, &actual);
        CHECK(fib_equal(&actual, &wanted));
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
        fib_deinit(&wanted);
}

/* Deleting every other object leaves exactly the rest. */
static void deletes_are_exact(void)
{
        struct fib wanted = {}, rest = {}, actual = {};
        struct steps steps = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        wanted_fib(&wanted, fixture_device());
        nl = fixture_netlink(NETLINK_ROUTE);
        for (size_t odd = 0; odd < 2; odd++) {
                steps_free(&steps);
                fib_deinit(&rest);
                add_fib_steps(&steps, &wanted);
                for (size_t i = 0; i < wanted.n_rules; i++)
                        if (i % 2 == odd)
                                add_rule_step(&steps, STEP_DELETE_RULE, 2, &wanted.rules[i]);
                        else
                                CHECK_INT(fib_add_rule(&rest, &wanted.rules[i]), 0);
                for (size_t i = 0; i < wanted.n_routes; i++)
                        if (i % 2 == odd)
                                add_route_step(&steps, STEP_DELETE_ROUTE, 2, &wanted.routes[i]);
                        else
                                CHECK_INT(fib_add_route(&rest, &wanted.routes[i]), 0);
                apply(nl, &steps);
                read_fib(nl, &actual);
                CHECK(fib_equal(&actual, &rest));
        }
        /* Deleting what is gone is done. */
        apply(nl, &steps);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
        fib_deinit(&rest);
        fib_deinit(&wanted);
}

static void write_batch(const char *path, const struct fib *fib, uint8_t family)
{
        struct text_builder builder = {};
        FILE *file = fopen(path, "we");

        CHECK(file);
        for (size_t i = 0; i < fib->n_routes; i++) {
                if (fib->routes[i].family != family)
                        continue;
                text_append(&builder, "route replace ");
                route_format(&fib->routes[i], DEVICE, &builder);
                text_append(&builder, "\n");
        }
        for (size_t i = 0; i < fib->n_rules; i++) {
                /* ip(8) adds with EXCL and knows no other way: the wider rule must come first. */
                if (fib->rules[i].family != family)
                        continue;
                text_append(&builder, "rule add ");
                rule_format(&fib->rules[i], &builder);
                text_append(&builder, "\n");
        }
        CHECK(fputs(builder.text, file) >= 0);
        CHECK_INT(fclose(file), 0);
        text_deinit(&builder);
}

/* What the formatter prints makes ip(8) create exactly what we do. */
static void text_creates_the_same(void)
{
        struct fib wanted = {}, actual = {};
        char path[] = "/tmp/nodecryptor-test-XXXXXX";
        struct netlink *nl;
        int fd;

        CHECK(fixture_enter());
        wanted_fib(&wanted, fixture_device());
        fd = mkstemp(path);
        CHECK(fd >= 0);
        close(fd);
        write_batch(path, &wanted, AF_INET);
        run("ip -batch %s", path);
        write_batch(path, &wanted, AF_INET6);
        run("ip -6 -batch %s", path);
        unlink(path);
        nl = fixture_netlink(NETLINK_ROUTE);
        read_fib(nl, &actual);
        CHECK(fib_equal(&actual, &wanted));
        netlink_free(nl);
        fib_deinit(&actual);
        fib_deinit(&wanted);
}

/* And ip(8) sees what we wrote as what it is. */
static void ip_shows_the_same(void)
{
        _cleanup_free_ char *rules = NULL, *rules6 = NULL, *routes = NULL, *routes6 = NULL;
        struct fib wanted = {};
        struct steps steps = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        wanted_fib(&wanted, fixture_device());
        add_fib_steps(&steps, &wanted);
        nl = fixture_netlink(NETLINK_ROUTE);
        apply(nl, &steps);
        rules = output("ip -details rule show");
        CHECK_HAS(rules, "200:\tfrom all fwmark 0xe00 lookup main proto kernel\n");
        CHECK_HAS(rules, "201:\tfrom all fwmark 0xe00 unreachable proto kernel\n");
        CHECK_HAS(rules, "202:\tfrom all lookup 51870 proto kernel\n");
        CHECK_HAS(rules, "203:\tfrom all to 10.0.0.2 ipproto tcp dport 2379-2380 lookup main");
        CHECK_HAS(rules, "203:\tfrom all to 10.0.0.2 ipproto udp dport 6443 lookup main");
        CHECK_HAS(rules, "203:\tfrom all iif lo ipproto tcp sport 6443 lookup main proto kernel");
        CHECK_HAS(rules, "203:\tfrom 10.0.0.9 iif lo ipproto tcp sport 6443 lookup main");
        CHECK_HAS(rules, "204:\tfrom all ipproto tcp dport 9000-9001 lookup 51872 proto kernel\n");
        CHECK_HAS(rules, "205:\tfrom all ipproto tcp dport 9000-9001 goto 207 proto kernel\n");
        CHECK_HAS(rules, "206:\tfrom all lookup 51871 proto kernel\n");
        CHECK_HAS(rules, "207:\tfrom all nop proto kernel\n");
        rules6 = output("ip -6 -details rule show");
        CHECK_HAS(rules6, "203:\tfrom all to fd00::2 ipproto tcp dport 2379-2380 lookup main");
        routes = output("ip -details route show table 51871");
        CHECK_HAS(routes, "unicast 10.0.0.2 dev " DEVICE " proto kernel scope link src 10.0.0.1");
        CHECK_HAS(routes, "unreachable 10.0.0.2 proto kernel scope global metric 4294967294");
        routes6 = output("ip -6 -details route show table 51870");
        CHECK_HAS(routes6, "unicast fd00:10:244:1::/64 dev " DEVICE " proto kernel scope global "
                           "src fd00::1 metric 1024");
        CHECK_HAS(routes6, "throw fd00:10:244::/48 dev lo proto kernel scope global");
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&wanted);
}

/* A narrower rule before the one to be deleted: the kernel's own delete would take it. */
static void narrow_rule_survives(void)
{
        struct rule narrow = lookup_rule(AF_INET, LAYOUT_EXEMPTION, RT_TABLE_MAIN), wide;
        struct fib actual = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        narrow.iif_lo = true;
        narrow.sport = (struct port_range){6443, 6443};
        wide = narrow;
        narrow.from = prefix("10.0.0.9/32");
        CHECK_INT(apply_rule(nl, STEP_ADD_RULE, &narrow).written, 1);
        CHECK_INT(apply_rule(nl, STEP_ADD_RULE, &wide).written, 1); /* EXCL says EEXIST */
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 2);
        CHECK_INT(apply_rule(nl, STEP_DELETE_RULE, &wide).written, 1);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 1);
        CHECK_INT(rule_compare(&actual.rules[0], &narrow), 0);
        netlink_free(nl);
        fib_deinit(&actual);
}

/* One that we cannot express in its place: neither is touched. */
static void foreign_rule_survives(void)
{
        struct rule rule = lookup_rule(AF_INET6, LAYOUT_NODES, NODES);
        struct apply_result result;
        struct fib actual = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        run("ip -6 rule add priority 206 oif lo lookup %u protocol kernel", NODES);
        CHECK_INT(apply_rule(nl, STEP_ADD_RULE, &rule).written, 1);
        result = apply_rule(nl, STEP_DELETE_RULE, &rule);
        CHECK_INT(result.first.code, -ENOTUNIQ);
        CHECK_HAS(result.first.text, "priority 206 lookup 51871 protocol kernel");
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 2);
        run("ip -6 rule del priority 206 oif lo lookup %u protocol kernel", NODES);
        CHECK_INT(apply_rule(nl, STEP_DELETE_RULE, &rule).written, 1);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 0);
        netlink_free(nl);
        fib_deinit(&actual);
}

/* Another's rule that is the same but for its protocol is not ours, and stays. */
static void other_protocol_is_another_rule(void)
{
        struct rule rule = lookup_rule(AF_INET, LAYOUT_PODS, PODS);
        struct fib actual = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        run("ip rule add priority 202 lookup %u protocol static", PODS);
        CHECK_INT(apply_rule(nl, STEP_DELETE_RULE, &rule).written, 1);
        CHECK_INT(apply_rule(nl, STEP_ADD_RULE, &rule).written, 1);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 2);
        CHECK_INT(apply_rule(nl, STEP_DELETE_RULE, &rule).written, 1);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 1);
        CHECK_INT(actual.rules[0].protocol, RTPROT_STATIC);
        netlink_free(nl);
        fib_deinit(&actual);
}

/* A table that others write to, priorities outside our band, two layouts that overlap. */
static void only_our_band_and_tables(void)
{
        const struct layout layouts[] = {test_layout, {51875, 205}, {60000, 300}};
        struct route route = twin("10.0.0.2/32", PODS);
        struct error error = {};
        struct fib actual = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        run("ip rule add priority 199 lookup 100; ip rule add priority 210 lookup 100");
        run("ip route add unreachable 10.9.0.0/16 table 51869");
        run("ip route add unreachable 10.9.0.0/16 table 51880");
        run("ip route add unreachable 10.9.0.0/16");
        CHECK_INT(apply_route(nl, STEP_REPLACE_ROUTE, &route).written, 1);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, 0);
        CHECK_INT(actual.n_routes, 1);
        fib_deinit(&actual);

        route.table = 51877; /* in both of the first two */
        CHECK_INT(apply_route(nl, STEP_REPLACE_ROUTE, &route).written, 1);
        CHECK_INT(kernel_fib_read(nl, layouts, ARRAY_SIZE(layouts), &actual, &error), 0);
        CHECK_INT(actual.n_rules, 1);  /* 210 lies in the second band */
        CHECK_INT(actual.n_routes, 3); /* and 51880 in its tables */
        netlink_free(nl);
        fib_deinit(&actual);
}

/* What others put into our place is seen, and can be deleted. */
static void foreign_routes_are_read(void)
{
        struct apply_result result;
        struct steps steps = {};
        struct fib actual = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        fixture_device();
        nl = fixture_netlink(NETLINK_ROUTE);
        run("ip route add 10.0.0.2 via 10.0.0.3 dev " DEVICE " table %u", NODES);
        run("ip route add blackhole 10.0.0.2 metric 5 table %u", NODES);
        run("ip route add 10.0.0.4 table %u nexthop via 10.0.0.3 nexthop via 10.0.0.5", NODES);
        run("ip -6 route add fd00::2 via fd00::3 dev " DEVICE " table %u", NODES);
        run("ip -6 route add prohibit fd00::2 metric 5 table %u", NODES);
        run("ip -6 route add fd00::4 table %u nexthop via fd00::3 nexthop via fd00::5", NODES);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 6);
        for (size_t i = 0; i < actual.n_routes; i++) {
                CHECK(actual.routes[i].foreign);
                add_route_step(&steps, STEP_DELETE_ROUTE, 0, &actual.routes[i]);
        }
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_routes, 0);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
}

/* The route of the same key is replaced in one message, also one of another type. */
static void replace_keeps_one(void)
{
        struct netlink *nl;
        struct fib actual = {};
        uint32_t oif;

        CHECK(fixture_enter());
        oif = fixture_device();
        run("ip address add 10.0.0.7/24 dev " DEVICE
            "; ip address add fd00::7/64 nodad dev " DEVICE);
        nl = fixture_netlink(NETLINK_ROUTE);
        for (int i = 0; i < 2; i++) {
                struct route route = device_route(i ? "fd00::2/128" : "10.0.0.2/32", NODES, oif);

                CHECK_INT(apply_route(nl, STEP_REPLACE_ROUTE, &route).written, 1);
                route.source = address(i ? "fd00::7" : "10.0.0.7");
                CHECK_INT(apply_route(nl, STEP_REPLACE_ROUTE, &route).written, 1);
                read_fib(nl, &actual);
                CHECK_INT(actual.n_routes, 1);
                CHECK_INT(route_compare(&actual.routes[0], &route), 0);
                route = twin(i ? "fd00::2/128" : "10.0.0.2/32", NODES);
                route.metric = ROUTE_METRIC(route.family);
                CHECK_INT(apply_route(nl, STEP_REPLACE_ROUTE, &route).written, 1);
                read_fib(nl, &actual);
                CHECK_INT(actual.n_routes, 1);
                CHECK_INT(route_compare(&actual.routes[0], &route), 0);
                CHECK_INT(apply_route(nl, STEP_DELETE_ROUTE, &route).written, 1);
        }
        netlink_free(nl);
        fib_deinit(&actual);
}

/* When the device goes, its routes go by themselves and the twins stay. */
static void twins_survive_the_device(void)
{
        struct fib wanted = {}, actual = {};
        struct steps steps = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        wanted_fib(&wanted, fixture_device());
        add_fib_steps(&steps, &wanted);
        nl = fixture_netlink(NETLINK_ROUTE);
        apply(nl, &steps);
        run("ip link delete " DEVICE);
        read_fib(nl, &actual);
        CHECK_INT(actual.n_rules, wanted.n_rules);
        CHECK_INT(actual.n_routes, wanted.n_routes - 4);
        for (size_t i = 0; i < actual.n_routes; i++)
                CHECK_INT(actual.routes[i].oif, 0);
        netlink_free(nl);
        steps_free(&steps);
        fib_deinit(&actual);
        fib_deinit(&wanted);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(every_shape_reads_back), TEST(deletes_are_exact),
                TEST(text_creates_the_same), TEST(ip_shows_the_same), TEST(narrow_rule_survives),
                TEST(foreign_rule_survives), TEST(other_protocol_is_another_rule),
                TEST(only_our_band_and_tables), TEST(foreign_routes_are_read),
                TEST(replace_keeps_one), TEST(twins_survive_the_device)};

        return fixture_possible() ? test_main(argc, argv, tests, ARRAY_SIZE(tests)) : EXIT_SUCCESS;
}
