/*
 * Complement tables in the kernel: an exemption that selects forty of sixty nodes, decided by the
 * kernel flow by flow, after changes of every kind, and at every moment of such a change; and
 * five thousand nodes with as many rules as fifty.
 */
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "basics/util.h"
#include "fixture.h"
#include "kernel/fib_apply.h"
#include "kernel/fib_read.h"
#include "kernel/route_query.h"
#include "policy/compute.h"
#include "policy/verdict.h"
#include "test.h"

/* The kernel, and the policy for it: we are n0. */
static struct {
        struct netlink *nl;
        struct settings *settings;
        struct cluster *cluster;
        struct endpoint endpoint;
        struct address local[4];
        struct device device;
        size_t threshold;
} host;

static uint32_t seed = 4711;

static uint32_t draw(uint32_t bound)
{
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 8) % bound;
}

static struct address node_address(int family, unsigned number)
{
        char text[ADDRESS_TEXT_MAX];

        if (family == AF_INET)
                snprintf(text, sizeof(text), "10.0.%u.%u", number / 250, number % 250 + 1);
        else
                snprintf(text, sizeof(text), "fd00::%x", number + 1);
        return address(text);
}

/* A node of the zone; NULL: of none. */
static void put_node(unsigned number, const char *zone)
{
        char name[16];
        struct node *node;

        snprintf(name, sizeof(name), "n%u", number);
        node = node_new(name);
        CHECK(node);
        for (int i = 0; i < FAMILY_MAX; i++)
                node->addresses[i] = node_address(family_from_index((enum family_index)i), number);
        if (zone)
                CHECK(node_add_label(node, "zone", zone) >= 0);
        CHECK(cluster_put(host.cluster, node) >= 0);
}

static void exempt(
        const char *key, const char *zone, uint8_t protocol, uint16_t first, uint16_t last)
{
        struct port_range ports = {first, last};
        struct exemption exemption = {
                .name = (char *)key,
                .selector = {.key = (char *)key, .value = (char *)zone},
                .protocol = protocol,
                .ports = &ports,
                .n_ports = 1,
        };

        CHECK(settings_add_exemption(host.settings, &exemption) >= 0);
}

static void begin(unsigned nodes, unsigned selected)
{
        settings_free(host.settings);
        cluster_free(host.cluster);
        netlink_free(host.nl);
        CHECK(fixture_enter());
        run("sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        fixture_tun("eth0");
        host.device = (struct device){.usable = true, .mark = DEFAULT_MARK};
        host.device.ifindex = fixture_tun(DEVICE);
        run("ip address add 10.0.0.1/16 dev eth0; ip address add fd00::1/64 dev eth0 nodad");
        run("ip route add default dev eth0; ip -6 route add default dev eth0");
        fixture_wait_for_ipv6("fd00::1");
        host.nl = fixture_netlink(NETLINK_ROUTE);
        host.local[0] = node_address(AF_INET, 0);
        host.local[1] = address("127.0.0.1");
        host.local[2] = address("::1");
        host.local[3] = node_address(AF_INET6, 0);
        host.device.local = host.local;
        host.device.n_local = 4;
        host.settings = settings_new();
        host.cluster = cluster_new();
        host.threshold = 0;
        CHECK(host.settings && host.cluster);
        for (unsigned i = 0; i < nodes; i++)
                put_node(i, i > 0 && i <= selected ? "a" : NULL);
        settings_clear_exemptions(host.settings);
        exempt("zone", "a", IPPROTO_TCP, 9000, 9001);
}

static struct policy_input input_for(const struct fib *actual)
{
        return (struct policy_input){
                .settings = host.settings,
                .cluster = host.cluster,
                .node_name = "n0",
                .device = &host.device,
                .endpoint = &host.endpoint,
                .actual = actual,
                .threshold = host.threshold,
        };
}

static enum verdict_way ask(const struct flow *flow)
{
        struct route_answer answer;
        struct error error = {};

        if (route_query(host.nl, flow, 0, &answer, &error) < 0) {
                printf("# %s\n", error.text);
                CHECK(false);
        }
        if (answer.result < 0)
                return WAY_BLOCKED;
        return strcmp(answer.interface, DEVICE) == 0 ? WAY_DEVICE : WAY_MAIN;
}

/* The first seventy nodes, at the ports in and around the exemptions. */
static struct flow flow_number(unsigned number)
{
        static const uint16_t ports[] = {8999, 9000, 9001, 9002, 9003, 80};
        unsigned node = 1 + number % 70;
        int family;

        number /= 70;
        family = number % 2 ? AF_INET6 : AF_INET;
        number /= 2;
        return (struct flow){
                .destination = node_address(family, node),
                .ip_protocol = number / ARRAY_SIZE(ports) % 2 ? IPPROTO_UDP : IPPROTO_TCP,
                .destination_port = ports[number % ARRAY_SIZE(ports)],
                .source_port = 40000,
        };
}

#define FLOWS (70u * 2 * 6 * 2)

static void check_flows(void)
{
        const struct policy_input input = input_for(NULL);

        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(i);

                CHECK_INT(ask(&flow), policy_verdict(&input, &flow).way);
        }
}

static size_t count_rules(const struct fib *fib, uint8_t action)
{
        size_t n = 0;

        for (size_t i = 0; i < fib->n_rules; i++)
                n += fib->rules[i].action == action;
        return n;
}

/* The steps to the policy from what the kernel holds; `wanted` is filled. */
static void plan(int family, struct fib *wanted, struct steps *steps)
{
        const struct layout layout = policy_layout(host.settings);
        struct fib actual = {};
        struct policy_input input = input_for(&actual);

        fib_deinit(wanted);
        read_fib(host.nl, &actual);
        CHECK(policy_compute(&input, wanted) >= 0);
        CHECK(policy_diff(&layout, 1, family, &actual, wanted, steps) >= 0);
        fib_deinit(&actual);
}

/* Both families; returns the number of steps. */
static size_t apply_policy(struct fib *wanted)
{
        size_t n = 0;

        for (int i = 0; i < FAMILY_MAX; i++) {
                struct apply_result result = {};
                struct steps steps = {};

                plan(family_from_index((enum family_index)i), wanted, &steps);
                if (kernel_fib_apply(host.nl, &steps, &result) < 0)
                        printf("# %s\n", result.first.text);
                CHECK_INT(result.failed, 0);
                n += steps.n;
                steps_deinit(&steps);
        }
        return n;
}

/* Applied, read back as it was meant, with nothing left to do, and every flow as it should be. */
static void reach_policy(size_t complements)
{
        struct fib wanted = {}, actual = {};

        CHECK(apply_policy(&wanted) > 0);
        CHECK_INT(count_rules(&wanted, FR_ACT_GOTO), 2 * complements);
        CHECK_INT(count_rules(&wanted, FR_ACT_NOP), complements ? 2 : 0);
        read_fib(host.nl, &actual);
        CHECK(fib_equal(&actual, &wanted));
        CHECK_INT(apply_policy(&wanted), 0);
        check_flows();
        fib_deinit(&actual);
        fib_deinit(&wanted);
}

static void forty_of_sixty(void)
{
        begin(60, 40);
        reach_policy(1);
        host.device.usable = false;
        reach_policy(1);
        host.device.usable = true;
        reach_policy(1);
}

static void every_change_in_force(void)
{
        begin(60, 40);
        host.settings->protect = calloc(2, sizeof(struct prefix));
        CHECK(host.settings->protect);
        host.settings->protect[0] = prefix("10.0.0.0/26");
        host.settings->protect[1] = prefix("fd00::/122");
        host.settings->n_protect = 2;
        reach_policy(1);
        for (unsigned i = 5; i < 15; i++) /* roles are lost and won in the table that stays */
                put_node(i, i % 2 ? "b" : NULL);
        for (unsigned i = 50; i < 60; i++)
                put_node(i, "a");
        reach_policy(1);
        exempt("zone", NULL, IPPROTO_TCP, 9001, 9002); /* one segment becomes three */
        reach_policy(3);
        exempt("zone", "b", IPPROTO_UDP, 9003, 9003); /* few: rules */
        reach_policy(3);
        settings_clear_exemptions(host.settings);
        exempt("zone", "a", IPPROTO_UDP, 80, 9002);
        reach_policy(1);
        host.threshold = 100;
        reach_policy(0);
        host.threshold = 0;
        reach_policy(1);
        for (unsigned i = 1; i < 60; i++)
                put_node(i, i <= 16 ? "a" : NULL);
        reach_policy(0);
}

static enum verdict_way was[FLOWS];
static bool was_exempt[FLOWS];

/* Never in clear, never locked out. */
static void check_moment(unsigned number)
{
        const struct policy_input after = input_for(NULL);
        struct flow flow = flow_number(number);
        struct verdict verdict = policy_verdict(&after, &flow);
        enum verdict_way now = ask(&flow);

        if (was[number] != WAY_MAIN && verdict.way != WAY_MAIN)
                CHECK(now != WAY_MAIN);
        if (was_exempt[number] && verdict.reason == VERDICT_EXEMPT)
                CHECK(now == WAY_MAIN);
}

/* Flows to the destination of the step, and some others; returns how many. */
static size_t check_around(const struct step *step)
{
        bool routes = step->kind == STEP_REPLACE_ROUTE || step->kind == STEP_DELETE_ROUTE;
        size_t n = 0;

        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(i);

                if (draw(64) > 0 && !(routes && address_equal(&flow.destination,
                                                        &step->route.destination.address)))
                        continue;
                check_moment(i);
                n++;
        }
        return n;
}

/* One step after the other, and the kernel asked after each. */
static void walk_to_policy(const struct policy_input *before)
{
        struct fib wanted = {};
        size_t moments = 0;

        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(i);

                was[i] = ask(&flow);
                was_exempt[i] = policy_verdict(before, &flow).reason == VERDICT_EXEMPT;
        }
        for (int f = 0; f < FAMILY_MAX; f++) {
                struct steps steps = {};

                plan(family_from_index((enum family_index)f), &wanted, &steps);
                for (size_t i = 0; i < steps.n; i++) {
                        struct steps one = {.items = &steps.items[i], .n = 1};
                        struct apply_result result = {};

                        CHECK_INT(kernel_fib_apply(host.nl, &one, &result), 0);
                        moments += check_around(&steps.items[i]);
                }
                steps_deinit(&steps);
        }
        printf("# %zu answers in between\n", moments);
        fib_deinit(&wanted);
        check_flows();
}

static void every_moment_of_a_change(void)
{
        struct policy_input before;
        struct cluster *old;

        begin(60, 40);
        reach_policy(1);
        before = input_for(NULL);
        host.threshold = 100; /* to rules */
        walk_to_policy(&before);
        host.threshold = 0; /* and back */
        walk_to_policy(&before);

        old = host.cluster; /* other nodes selected, in the table that stays */
        host.cluster = cluster_new();
        CHECK(host.cluster);
        for (unsigned i = 0; i < 65; i++)
                put_node(i, i > 20 ? "a" : NULL);
        before.cluster = old;
        walk_to_policy(&before);
        cluster_free(old);
}

static size_t rules_with(unsigned nodes)
{
        struct fib wanted = {}, actual = {};
        size_t n;

        begin(nodes, nodes - 2);
        exempt("zone", NULL, IPPROTO_TCP, 9003, 9004);
        exempt("zone", "a", IPPROTO_UDP, 53, 53);
        CHECK(apply_policy(&wanted) > 0);
        read_fib(host.nl, &actual);
        CHECK(fib_equal(&actual, &wanted));
        n = actual.n_rules;
        fib_deinit(&actual);
        fib_deinit(&wanted);
        return n;
}

static void the_number_of_rules_is_constant(void)
{
        size_t many = rules_with(5000), few = rules_with(50);

        printf("# %zu rules for 5000 nodes of which 4998 are exempt, both families\n", many);
        CHECK_INT(many, few);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(forty_of_sixty), TEST(every_change_in_force),
                TEST(every_moment_of_a_change), TEST(the_number_of_rules_is_constant)};
        int status;

        if (!fixture_possible())
                return EXIT_SUCCESS;
        status = test_main(argc, argv, tests, ARRAY_SIZE(tests));
        settings_free(host.settings);
        cluster_free(host.cluster);
        netlink_free(host.nl);
        return status;
}
