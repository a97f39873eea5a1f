/*
 * The policy by example: each hard case by name. That the order of steps is safe, and that rules
 * and routes do what the verdict says, is checked for every flow in test_ordering.c.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include "policy/compute.h"
#include "policy/diff.h"
#include "policy/findings.h"
#include "policy/shape.h"
#include "policy_host.h"
#include "test.h"

static void nodes_and_pods_are_encrypted(void)
{
        begin();
        CHECK_TEXT(tcp("10.0.0.22", 22), "ENCRYPTED");
        CHECK_TEXT(tcp("fd00::22", 22), "ENCRYPTED");
        CHECK_TEXT(tcp("10.244.2.7", 6443), "ENCRYPTED");
        CHECK_TEXT(tcp("fd00:10:244:3::7", 6443), "ENCRYPTED");
        CHECK_TEXT(tcp("10.0.0.11", 10250), "ENCRYPTED");
        CHECK_TEXT(tcp("192.0.2.1", 443), "NOT OURS");
        CHECK_TEXT(tcp("10.0.0.21", 22), "NOT OURS");
        CHECK_TEXT(tcp("10.244.1.9", 80), "NOT OURS");
}

static void exemptions_are_for_their_ports_protocol_and_nodes(void)
{
        struct flow udp;

        begin();
        CHECK_TEXT(tcp("10.0.0.11", 6443), "PLAIN (exempt)");
        CHECK_TEXT(tcp("fd00::11", 2379), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.0.0.11", 2380), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.0.0.11", 2381), "ENCRYPTED");
        CHECK_TEXT(tcp("10.0.0.22", 6443), "ENCRYPTED");
        udp = (struct flow){.destination = address_of("10.0.0.11"),
                .ip_protocol = IPPROTO_UDP,
                .destination_port = 6443};
        CHECK_TEXT(ask(&udp), "ENCRYPTED");
        udp.ip_protocol = IPPROTO_TCP;
        udp.forwarded = true;
        udp.source = address_of("10.244.1.5");
        CHECK_TEXT(ask(&udp), "PLAIN (exempt)");
}

static void our_role_decides_the_reply_side(void)
{
        struct flow forwarded;

        begin();
        CHECK_TEXT(reply(NULL, "10.0.0.22", 6443, IPPROTO_TCP), "ENCRYPTED");
        host.name = "cp1";
        host.local[0] = address_of("10.0.0.11");
        host.local[3] = address_of("fd00::11");
        CHECK_TEXT(reply(NULL, "10.0.0.22", 6443, IPPROTO_TCP), "PLAIN (exempt)");
        CHECK_TEXT(reply("10.0.0.100", "10.0.0.22", 6443, IPPROTO_TCP), "PLAIN (exempt)");
        CHECK_TEXT(reply(NULL, "fd00::22", 2380, IPPROTO_TCP), "PLAIN (exempt)");
        CHECK_TEXT(reply(NULL, "10.0.0.22", 6443, IPPROTO_UDP), "ENCRYPTED");
        CHECK_TEXT(reply(NULL, "10.0.0.22", 6444, IPPROTO_TCP), "ENCRYPTED");
        CHECK_TEXT(reply(NULL, "10.244.2.7", 6443, IPPROTO_TCP), "ENCRYPTED");
        /* A pod of ours is no API server, whatever its port. */
        forwarded = (struct flow){.source = address_of("10.244.3.9"),
                .destination = address_of("10.0.0.22"),
                .ip_protocol = IPPROTO_TCP,
                .source_port = 6443,
                .forwarded = true};
        CHECK_TEXT(ask(&forwarded), "ENCRYPTED");
}

static void the_api_endpoint_is_exempt_both_ways(void)
{
        struct address vip = address_of("10.0.0.100"), of_cp = address_of("10.0.0.22");

        begin();
        host.endpoint.port = 8443;
        CHECK_INT(endpoint_add_address(&host.endpoint, &vip), 1);
        CHECK_INT(endpoint_add_address(&host.endpoint, &of_cp), 1);
        CHECK_TEXT(tcp("10.0.0.100", 8443), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.0.0.22", 8443), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.0.0.22", 8444), "ENCRYPTED");
        CHECK_TEXT(reply("10.0.0.100", "10.0.0.22", 8443, IPPROTO_TCP), "PLAIN (exempt)");
        CHECK_TEXT(reply("10.0.0.21", "10.0.0.22", 8443, IPPROTO_TCP), "ENCRYPTED");
        CHECK_TEXT(reply("10.0.0.100", "10.0.0.22", 8443, IPPROTO_UDP), "ENCRYPTED");
}

static void the_devices_own_packets_never_go_back_into_it(void)
{
        struct flow marked;

        begin();
        marked = (struct flow){.destination = address_of("10.0.0.22"),
                .ip_protocol = IPPROTO_UDP,
                .destination_port = 51871,
                .mark = 0x0e00};
        CHECK_TEXT(ask(&marked), "PLAIN (the device's own packets)");
        /* Exact, not masked: 0x3e00 is somebody else's. */
        marked.mark = 0x3e00;
        CHECK_TEXT(ask(&marked), "ENCRYPTED");
        host.device.mark = 0x1e00;
        marked.mark = 0x0e00;
        CHECK_TEXT(ask(&marked), "ENCRYPTED");
        marked.mark = 0x1e00;
        CHECK_TEXT(ask(&marked), "PLAIN (the device's own packets)");
}

static void without_the_device_all_is_blocked_but_exemptions(void)
{
        begin();
        host.device.usable = false;
        CHECK_TEXT(tcp("10.0.0.22", 22), "BLOCKED");
        CHECK_TEXT(tcp("fd00:10:244:2::1", 22), "BLOCKED");
        CHECK_TEXT(tcp("10.0.0.11", 6443), "PLAIN (exempt)");
        CHECK_TEXT(tcp("192.0.2.1", 443), "NOT OURS");
}

static void bypass_is_plain_but_for_protect(void)
{
        struct prefix protect = prefix_of("10.244.0.0/16");

        begin();
        host.device.usable = false;
        host.settings->on_tunnel_down = TUNNEL_DOWN_BYPASS;
        CHECK_TEXT(tcp("10.0.0.22", 22), "PLAIN (device down, bypass)");
        host.settings->protect = calloc(1, sizeof(protect));
        host.settings->protect[0] = protect;
        host.settings->n_protect = 1;
        CHECK_TEXT(tcp("10.244.2.1", 22), "BLOCKED");
        CHECK_TEXT(tcp("10.244.1.1", 22), "NOT OURS");
        host.device.usable = true;
        CHECK_TEXT(tcp("10.244.2.1", 22), "ENCRYPTED");
}

static void protect_blocks_what_is_not_known_yet(void)
{
        struct address vip = address_of("10.244.9.9");

        begin();
        host.settings->protect = calloc(1, sizeof(struct prefix));
        host.settings->protect[0] = prefix_of("10.244.0.0/16");
        host.settings->n_protect = 1;
        CHECK_TEXT(tcp("10.244.77.1", 80), "BLOCKED");
        CHECK_TEXT(tcp("10.244.1.1", 80), "NOT OURS");
        CHECK_TEXT(tcp("10.244.2.1", 80), "ENCRYPTED");
        host.endpoint.port = 6443;
        CHECK_INT(endpoint_add_address(&host.endpoint, &vip), 1);
        CHECK_TEXT(tcp("10.244.9.9", 6443), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.244.9.9", 80), "BLOCKED");
}

static void exclude_leaves_alone(void)
{
        begin();
        host.settings->exclude = calloc(2, sizeof(struct prefix));
        host.settings->exclude[0] = prefix_of("10.0.0.22/32");
        host.settings->exclude[1] = prefix_of("10.244.2.128/25");
        host.settings->n_exclude = 2;
        CHECK_TEXT(tcp("10.0.0.22", 22), "NOT OURS");
        CHECK_TEXT(tcp("10.244.2.200", 80), "NOT OURS");
        CHECK_TEXT(tcp("10.244.2.100", 80), "ENCRYPTED");
}

static void shared_addresses_and_prefixes_are_sets(void)
{
        struct node *stale;
        struct fib before = {}, after = {};
        struct policy_input in;

        begin();
        in = input();
        CHECK_INT(policy_compute(&in, &before), 0);
        stale = put_node("w2-old", "10.0.0.22", NULL, "10.244.2.0/24", NULL);
        CHECK_INT(policy_compute(&in, &after), 0);
        CHECK_INT(before.n_routes, after.n_routes);
        CHECK_INT(before.n_rules, after.n_rules);
        fib_deinit(&before);
        fib_deinit(&after);
        /* Exempt if either of those that share the address is selected. */
        CHECK_TEXT(tcp("10.0.0.22", 6443), "ENCRYPTED");
        CHECK_INT(node_add_label(stale, CONTROL_PLANE_LABEL, ""), 0);
        CHECK_TEXT(tcp("10.0.0.22", 6443), "PLAIN (exempt)");
}

static void what_is_ours_stays_ours(void)
{
        begin();
        put_node("liar", "10.0.0.21", "fd00::21", "10.244.1.0/24", "fd00:10:244::/48");
        CHECK_TEXT(tcp("10.244.1.5", 80), "NOT OURS");
        CHECK_TEXT(tcp("fd00:10:244:1::5", 80), "NOT OURS");
        CHECK_TEXT(tcp("fd00:10:244:77::5", 80), "ENCRYPTED");
        CHECK_TEXT(tcp("10.0.0.21", 80), "NOT OURS");
}

static void an_address_inside_a_pod_prefix_is_a_pod(void)
{
        begin();
        put_node("w3", "10.0.0.23", NULL, "10.0.0.8/29", NULL);
        CHECK_TEXT(tcp("10.0.0.11", 6443), "ENCRYPTED");
}

static void who_we_are_is_found_by_name_then_address(void)
{
        struct policy_input in;

        begin();
        in = input();
        CHECK_TEXT(policy_self(&in)->name, "w1");
        in.node_name = NULL;
        CHECK_TEXT(policy_self(&in)->name, "w1");
        in.node_name = "renamed";
        CHECK_TEXT(policy_self(&in)->name, "w1");
        host.local[0] = address_of("10.0.0.99");
        host.local[3] = address_of("fd00::99");
        CHECK(!policy_self(&in));
        in.node_name = "w2";
        CHECK_TEXT(policy_self(&in)->name, "w2");
}

static void an_own_address_that_is_not_local_blocks_its_family(void)
{
        begin();
        host.local[0] = address_of("10.0.0.99");
        CHECK_TEXT(tcp("10.0.0.22", 22), "BLOCKED");
        CHECK_TEXT(tcp("fd00::22", 22), "ENCRYPTED");
}

static void preferred_source_and_shape_of_routes(void)
{
        struct policy_input in;
        struct fib fib = {};
        size_t twins = 0, devices = 0;

        begin();
        in = input();
        CHECK_INT(policy_compute(&in, &fib), 0);
        for (size_t i = 0; i < fib.n_routes; i++) {
                const struct route *route = &fib.routes[i];

                CHECK_INT(route->protocol, RTPROT_KERNEL);
                if (route_is_twin(route)) {
                        CHECK_INT(route->type, RTN_UNREACHABLE);
                        twins++;
                } else if (route->type == RTN_UNICAST) {
                        CHECK_INT(route->oif, 9);
                        CHECK(address_equal(&route->source,
                                route->family == AF_INET ? &host.local[0] : &host.local[3]));
                        CHECK_INT(route->scope, route->family == AF_INET ? RT_SCOPE_LINK : 0);
                        devices++;
                }
        }
        CHECK_INT(twins, 8 + 2); /* of our own addresses */
        CHECK_INT(devices, 8);
        fib_deinit(&fib);
}

static void rules_do_not_grow_with_workers(void)
{
        struct policy_input in;
        struct fib few = {}, many = {};

        begin();
        in = input();
        CHECK_INT(policy_compute(&in, &few), 0);
        for (int i = 0; i < 500; i++) {
                char name[24], address[48], pods[48];

                snprintf(name, sizeof(name), "more-%d", i);
                snprintf(address, sizeof(address), "10.1.%d.%d", i / 250, i % 250 + 1);
                snprintf(pods, sizeof(pods), "10.%d.%d.0/24", 100 + i / 250, i % 250);
                put_node(name, address, NULL, pods, NULL);
        }
        CHECK_INT(policy_compute(&in, &many), 0);
        CHECK_INT(few.n_rules, many.n_rules);
        CHECK_INT(many.n_routes, few.n_routes + 2000);
        fib_deinit(&few);
        fib_deinit(&many);
}

static void a_family_without_nodes_or_on_no_host_has_no_rules(void)
{
        struct policy_input in;
        struct fib fib = {};

        begin();
        in = input();
        host.device.no_ipv6 = true;
        CHECK_INT(policy_compute(&in, &fib), 0);
        CHECK(fib.n_rules > 0);
        for (size_t i = 0; i < fib.n_rules; i++)
                CHECK_INT(fib.rules[i].family, AF_INET);
        fib_deinit(&fib);
        in.cluster = cluster_new();
        CHECK_INT(policy_compute(&in, &fib), 0);
        CHECK_INT(fib.n_rules + fib.n_routes, 0);
        cluster_free((struct cluster *)in.cluster);
}

/* Rules and twins wait for it to be switched on; what needs it is not asked for. */
static void ipv6_switched_off(void)
{
        size_t rules = 0, twins = 0;
        struct policy_input in;
        struct fib fib = {};

        begin();
        in = input();
        host.device.n_local = 2; /* no IPv6 address, not even ::1 */
        CHECK_INT(policy_compute(&in, &fib), 0);
        for (size_t i = 0; i < fib.n_rules; i++)
                rules += fib.rules[i].family == AF_INET6;
        for (size_t i = 0; i < fib.n_routes; i++) {
                twins += fib.routes[i].family == AF_INET6 && route_is_twin(&fib.routes[i]);
                CHECK(fib.routes[i].family == AF_INET || fib.routes[i].oif == 0);
        }
        CHECK(rules > 0 && twins > 0);
        fib_deinit(&fib);
}

/* While our address is elsewhere, what still arrives for it is not sent on in clear. */
static void our_address_is_not_here(void)
{
        struct flow flow = {.destination = address_of("10.0.0.21"), .forwarded = true};

        begin();
        flow.destination = host.local[0];
        flow.source = address_of("10.0.0.22");
        CHECK_TEXT(ask(&flow), "NOT OURS");
        host.device.local++;
        host.device.n_local--;
        CHECK_TEXT(ask(&flow), "BLOCKED");
}

/* The steps from what the kernel holds to the policy. */
static struct steps steps_from(const struct fib *actual)
{
        const struct policy_input in = input();
        const struct layout layout = policy_layout(host.settings);
        struct fib wanted = {}, sorted = {};
        struct steps steps = {};

        for (size_t i = 0; i < actual->n_rules; i++)
                CHECK_INT(fib_add_rule(&sorted, &actual->rules[i]), 0);
        for (size_t i = 0; i < actual->n_routes; i++)
                CHECK_INT(fib_add_route(&sorted, &actual->routes[i]), 0);
        fib_sort(&sorted);
        CHECK_INT(policy_compute(&in, &wanted), 0);
        CHECK_INT(policy_diff(&layout, 1, AF_INET, &sorted, &wanted, &steps), 0);
        fib_deinit(&wanted);
        fib_deinit(&sorted);
        return steps;
}

static struct fib kernel_as_wanted(void)
{
        const struct policy_input in = input();
        struct fib fib = {};

        CHECK_INT(policy_compute(&in, &fib), 0);
        return fib;
}

static void an_unchanged_kernel_needs_no_step(void)
{
        struct steps steps;
        struct fib fib;

        begin();
        fib = kernel_as_wanted();
        steps = steps_from(&fib);
        CHECK_INT(steps.n, 0);
        steps_deinit(&steps);
        fib_deinit(&fib);
}

static void what_is_not_ours_is_left_alone(void)
{
        struct steps steps;
        struct fib fib;
        struct rule rule;
        struct route route;

        begin();
        fib = kernel_as_wanted();
        /* In our band: another protocol, another shape, another priority of the band. */
        rule = fib.rules[0];
        rule.protocol = RTPROT_STATIC;
        CHECK_INT(fib_add_rule(&fib, &rule), 0);
        rule = fib.rules[0];
        rule.priority = 209;
        CHECK_INT(fib_add_rule(&fib, &rule), 0);
        rule = fib.rules[0];
        rule.foreign = true;
        CHECK_INT(fib_add_rule(&fib, &rule), 0);
        /* In our table, outside what is steered. */
        route = (struct route){.family = AF_INET,
                .type = RTN_UNICAST,
                .foreign = true,
                .protocol = RTPROT_STATIC,
                .table = 51870,
                .destination = prefix_of("198.51.100.0/24")};
        CHECK_INT(fib_add_route(&fib, &route), 0);
        steps = steps_from(&fib);
        CHECK_INT(steps.n, 0);
        steps_deinit(&steps);
        fib_deinit(&fib);
}

static void a_foreign_hole_in_what_is_steered_is_closed(void)
{
        struct steps steps;
        struct fib fib;
        struct route route;

        begin();
        fib = kernel_as_wanted();
        route = (struct route){.family = AF_INET,
                .type = RTN_UNICAST,
                .foreign = true,
                .protocol = RTPROT_STATIC,
                .table = 51870,
                .destination = prefix_of("10.244.2.7/32")};
        CHECK_INT(fib_add_route(&fib, &route), 0);
        steps = steps_from(&fib);
        CHECK_INT(steps.n, 1);
        CHECK_INT(steps.items[0].kind, STEP_DELETE_ROUTE);
        steps_deinit(&steps);
        fib_deinit(&fib);
}

static void doubled_and_stale_objects_go(void)
{
        struct steps steps;
        struct fib fib;
        struct rule rule;

        begin();
        fib = kernel_as_wanted();
        CHECK_INT(fib_add_rule(&fib, &fib.rules[2]), 0);
        rule = (struct rule){.family = AF_INET,
                .action = FR_ACT_TO_TBL,
                .protocol = RTPROT_KERNEL,
                .priority = 203,
                .table = RT_TABLE_MAIN,
                .ip_protocol = IPPROTO_TCP,
                .to = prefix_of("10.0.0.99/32"),
                .dport = {6443, 6443}};
        CHECK_INT(fib_add_rule(&fib, &rule), 0);
        steps = steps_from(&fib);
        CHECK_INT(steps.n, 2);
        CHECK_INT(steps.items[0].kind, STEP_DELETE_RULE);
        CHECK_INT(steps.items[1].kind, STEP_DELETE_RULE);
        steps_deinit(&steps);
        fib_deinit(&fib);
}

static void a_lost_twin_and_a_changed_route_are_written_again(void)
{
        struct steps steps;
        struct fib fib;
        bool twin = false;

        begin();
        fib = kernel_as_wanted();
        for (size_t i = 0; i < fib.n_routes; i++) {
                if (route_is_twin(&fib.routes[i]) && !twin) {
                        fib.routes[i] = fib.routes[--fib.n_routes];
                        twin = true;
                }
                if (fib.routes[i].family == AF_INET && fib.routes[i].type == RTN_UNICAST)
                        fib.routes[i].oif = 8;
        }
        steps = steps_from(&fib);
        CHECK_INT(steps.n, 5);
        for (size_t i = 0; i < steps.n; i++)
                CHECK_INT(steps.items[i].kind, STEP_REPLACE_ROUTE);
        steps_deinit(&steps);
        fib_deinit(&fib);
}

static void without_knowledge_nothing_that_stands_goes(void)
{
        struct policy_input in;
        struct layout layout;
        struct fib kernel, wanted = {};
        struct steps steps = {};

        begin();
        kernel = kernel_as_wanted();
        layout = policy_layout(host.settings);
        /* A start without a snapshot: no nodes, but a floor. */
        host.cluster = cluster_free(host.cluster);
        host.cluster = cluster_new();
        CHECK(host.cluster);
        host.settings->protect = calloc(1, sizeof(struct prefix));
        host.settings->protect[0] = prefix_of("10.244.0.0/16");
        host.settings->n_protect = 1;
        in = input();
        CHECK_INT(policy_compute(&in, &wanted), 0);
        CHECK_INT(policy_diff(&layout, 1, AF_INET, &kernel, &wanted, &steps), 0);
        CHECK(steps.n > 1);
        steps_keep_what_stands(&steps);
        CHECK_INT(steps.n, 1);
        CHECK_INT(steps.items[0].kind, STEP_REPLACE_ROUTE);
        CHECK(prefix_equal(&steps.items[0].route.destination, &host.settings->protect[0]));
        steps_deinit(&steps);
        fib_deinit(&wanted);
        fib_deinit(&kernel);
}

static bool has_finding(enum finding_kind kind, const char *words)
{
        const struct policy_input in = input();
        struct findings findings = {};
        bool found = false;

        CHECK_INT(policy_findings(&in, &findings), 0);
        for (size_t i = 0; i < findings.n; i++) {
                struct text_builder text = {};

                finding_format(&findings.items[i], &text);
                found |= findings.items[i].kind == kind && strstr(text.text, words);
                text_deinit(&text);
        }
        findings_deinit(&findings);
        return found;
}

static void contradictions_are_found(void)
{
        struct policy_input in;
        struct findings findings = {};

        begin();
        in = input();
        CHECK_INT(policy_findings(&in, &findings), 0);
        CHECK_INT(findings.n, 0);
        put_node("stale", "10.0.0.22", NULL, "10.244.2.0/24", NULL);
        CHECK(has_finding(FINDING_SHARED_ADDRESS, "10.0.0.22"));
        CHECK(has_finding(FINDING_SHARED_PREFIX, "10.244.2.0/24"));
        put_node("liar", "10.0.0.21", NULL, "10.244.1.0/24", NULL);
        CHECK(has_finding(FINDING_OWN_ADDRESS, "liar"));
        CHECK(has_finding(FINDING_OWN_PREFIX, "10.244.1.0/24"));
        put_node("wide", "10.0.0.30", NULL, "10.244.0.0/16", NULL);
        CHECK(has_finding(FINDING_OWN_PREFIX, "10.244.0.0/16"));
        put_node("around", "10.0.0.31", NULL, "10.0.0.8/29", NULL);
        CHECK(has_finding(FINDING_ADDRESS_IN_PREFIX, "cp1"));
        put_node("bare", NULL, NULL, "10.244.9.0/24", NULL);
        CHECK(has_finding(FINDING_NO_ADDRESS, "bare"));
        host.local[0] = address_of("10.0.0.99");
        CHECK(has_finding(FINDING_SELF_NOT_LOCAL, "10.0.0.21"));
        host.name = "renamed";
        CHECK(has_finding(FINDING_SELF_BY_ADDRESS, "w1"));
        host.local[3] = address_of("fd00::99");
        CHECK(has_finding(FINDING_NO_SELF, "all of them"));
}

static void shapes_are_exact(void)
{
        const struct layout layout = {.table_base = 51870, .priority_base = 200};
        struct rule rule = {.family = AF_INET,
                .action = FR_ACT_TO_TBL,
                .protocol = RTPROT_KERNEL,
                .priority = 202,
                .table = 51870};

        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_PODS);
        rule.table = 51872;
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule.table = 51870;
        rule.ip_protocol = IPPROTO_TCP;
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule = (struct rule){.family = AF_INET,
                .action = FR_ACT_TO_TBL,
                .protocol = RTPROT_KERNEL,
                .priority = 203,
                .table = RT_TABLE_MAIN,
                .ip_protocol = IPPROTO_TCP,
                .dport = {6443, 6443}};
        /* An exemption always names a host. */
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule.to = prefix_of("10.0.0.0/24");
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule.to = prefix_of("10.0.0.11/32");
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_EXEMPTION);
        rule.iif_lo = true;
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule = (struct rule){.family = AF_INET6,
                .action = FR_ACT_GOTO,
                .protocol = RTPROT_KERNEL,
                .priority = 205,
                .target = 207,
                .ip_protocol = IPPROTO_TCP,
                .dport = {6443, 6443}};
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_GOTO);
        rule.target = 206;
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule.target = 0;
        rule.priority = 204;
        rule.action = FR_ACT_TO_TBL;
        rule.table = 51871;
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule.table = 51879;
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_COMPLEMENT);
        rule.to = prefix_of("fd00::1/128");
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        rule = (struct rule){.family = AF_INET,
                .action = FR_ACT_NOP,
                .protocol = RTPROT_KERNEL,
                .priority = 207};
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_END);
        rule.mark = 1;
        CHECK_INT(rule_shape(&layout, 1, &rule), SHAPE_ALIEN);
        end();
}

TEST_MAIN(TEST(nodes_and_pods_are_encrypted),
        TEST(exemptions_are_for_their_ports_protocol_and_nodes),
        TEST(our_role_decides_the_reply_side), TEST(the_api_endpoint_is_exempt_both_ways),
        TEST(the_devices_own_packets_never_go_back_into_it),
        TEST(without_the_device_all_is_blocked_but_exemptions),
        TEST(bypass_is_plain_but_for_protect), TEST(protect_blocks_what_is_not_known_yet),
        TEST(exclude_leaves_alone), TEST(shared_addresses_and_prefixes_are_sets),
        TEST(what_is_ours_stays_ours), TEST(an_address_inside_a_pod_prefix_is_a_pod),
        TEST(who_we_are_is_found_by_name_then_address),
        TEST(an_own_address_that_is_not_local_blocks_its_family),
        TEST(preferred_source_and_shape_of_routes), TEST(rules_do_not_grow_with_workers),
        TEST(a_family_without_nodes_or_on_no_host_has_no_rules), TEST(ipv6_switched_off),
        TEST(our_address_is_not_here), TEST(an_unchanged_kernel_needs_no_step),
        TEST(what_is_not_ours_is_left_alone), TEST(a_foreign_hole_in_what_is_steered_is_closed),
        TEST(doubled_and_stale_objects_go), TEST(a_lost_twin_and_a_changed_route_are_written_again),
        TEST(without_knowledge_nothing_that_stands_goes), TEST(contradictions_are_found),
        TEST(shapes_are_exact))
