/*
 * Exemptions that select many nodes, by example: segments, complement tables, and which of those.
 * That the order of steps is safe is checked for every flow in test_ordering.c.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include "basics/text.h"
#include "policy/complement.h"
#include "policy/diff.h"
#include "policy/findings.h"
#include "policy_host.h"
#include "test.h"

static void put_many(const char *prefix, unsigned n, const char *label)
{
        for (unsigned i = 0; i < n; i++) {
                char name[24], address[48], v6[48];
                struct node *node;

                snprintf(name, sizeof(name), "%s-%u", prefix, i);
                snprintf(address, sizeof(address), "10.1.%u.%u", i / 250, i % 250 + 1);
                snprintf(v6, sizeof(v6), "fd01::%x", i + 1);
                node = put_node(name, address, v6, NULL, NULL);
                if (label)
                        CHECK_INT(node_add_label(node, label, "yes"), 0);
        }
}

static void exempt(const char *key, uint8_t protocol, uint16_t first, uint16_t last)
{
        struct port_range ports = {first, last};
        struct exemption exemption = {
                .name = (char *)key,
                .selector = {.key = (char *)key},
                .protocol = protocol,
                .ports = &ports,
                .n_ports = 1,
        };

        CHECK_INT(settings_add_exemption(host.settings, &exemption), 0);
}

static size_t count_rules(const struct fib *fib, uint8_t action)
{
        size_t n = 0;

        for (size_t i = 0; i < fib->n_rules; i++)
                n += fib->rules[i].action == action;
        return n;
}

static struct fib compute(const struct fib *actual)
{
        struct policy_input in = input();
        struct fib fib = {};

        in.actual = actual;
        CHECK_INT(policy_compute(&in, &fib), 0);
        return fib;
}

static size_t rules_with(unsigned nodes)
{
        struct fib fib;
        size_t n;

        begin();
        exempt("many", IPPROTO_TCP, 9000, 9001);
        exempt("many", IPPROTO_UDP, 53, 53);
        put_many("node", nodes, "many");
        fib = compute(NULL);
        n = fib.n_rules;
        fib_deinit(&fib);
        return n;
}

static void rules_do_not_grow_with_exempt_nodes(void)
{
        /* In each family two lookups, two gotos and END take the place of two rules an address. */
        CHECK_INT(rules_with(16), rules_with(0) + 2 * 2 * 16);
        CHECK_INT(rules_with(17), rules_with(0) + 2 * 5);
        CHECK_INT(rules_with(5000), rules_with(17));
}

static void many_exempt_nodes_and_the_others(void)
{
        struct flow udp = {.destination = address_of("10.1.0.1"),
                .ip_protocol = IPPROTO_UDP,
                .destination_port = 9000};
        struct fib fib;

        begin();
        exempt("many", IPPROTO_TCP, 9000, 9001);
        put_many("node", 40, "many");
        fib = compute(NULL);
        CHECK_INT(count_rules(&fib, FR_ACT_GOTO), 2);
        CHECK_INT(count_rules(&fib, FR_ACT_NOP), 2);
        fib_deinit(&fib);
        CHECK_TEXT(tcp("10.1.0.40", 9001), "PLAIN (exempt)");
        CHECK_TEXT(tcp("fd01::1", 9000), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.1.0.1", 9002), "ENCRYPTED");
        CHECK_TEXT(ask(&udp), "ENCRYPTED");
        CHECK_TEXT(tcp("10.0.0.22", 9000), "ENCRYPTED");
        CHECK_TEXT(tcp("10.0.0.11", 6443), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.244.2.7", 9000), "ENCRYPTED");
        CHECK_TEXT(tcp("192.0.2.1", 9000), "NOT OURS");
        host.settings->protect = calloc(1, sizeof(struct prefix));
        host.settings->protect[0] = prefix_of("10.1.0.0/16");
        host.settings->n_protect = 1;
        CHECK_TEXT(tcp("10.1.0.40", 9001), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.1.77.1", 9001), "BLOCKED");
        host.device.usable = false;
        CHECK_TEXT(tcp("10.1.0.40", 9001), "PLAIN (exempt)");
        CHECK_TEXT(tcp("10.1.0.40", 80), "BLOCKED");
        CHECK_TEXT(tcp("10.0.0.22", 9000), "BLOCKED");
}

/* The table that the rules for this port look up. */
static uint32_t table_of_port(const struct fib *fib, uint16_t port)
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (fib->rules[i].family == AF_INET && fib->rules[i].action == FR_ACT_TO_TBL &&
                        fib->rules[i].table != RT_TABLE_MAIN && fib->rules[i].dport.first == port)
                        return fib->rules[i].table;
        return 0;
}

static void a_table_keeps_its_meaning(void)
{
        struct fib first, second, third;

        begin();
        put_many("node", 40, "many");
        exempt("many", IPPROTO_TCP, 9000, 9000);
        first = compute(NULL);
        CHECK_INT(table_of_port(&first, 9000), 51872);
        /* Another port of the same nodes: the same table, as its rules stay. */
        exempt("many", IPPROTO_TCP, 9005, 9005);
        second = compute(&first);
        CHECK_INT(table_of_port(&second, 9000), 51872);
        CHECK_INT(table_of_port(&second, 9005), 51872);
        fib_deinit(&second);
        /* The segment is another: a table that nothing looks up. */
        settings_clear_exemptions(host.settings);
        exempt("many", IPPROTO_TCP, 9000, 9001);
        second = compute(&first);
        CHECK_INT(table_of_port(&second, 9000), 51873);
        third = compute(&second);
        CHECK_INT(table_of_port(&third, 9000), 51873);
        fib_deinit(&first);
        fib_deinit(&second);
        fib_deinit(&third);
}

static void without_a_free_table_there_are_rules(void)
{
        struct fib taken = {}, fib;
        struct rule rule = {.action = FR_ACT_TO_TBL, .priority = 209, .mark = 1};
        struct policy_input in;
        struct findings findings = {};
        struct text_builder text = {};

        begin();
        put_many("node", 40, "many");
        exempt("many", IPPROTO_TCP, 9000, 9000);
        for (int i = 0; i < FAMILY_MAX; i++)
                for (rule.table = 51872; rule.table < 51880; rule.table++) {
                        rule.family = (uint8_t)family_from_index((enum family_index)i);
                        CHECK_INT(fib_add_rule(&taken, &rule), 0);
                }
        fib = compute(&taken);
        CHECK_INT(count_rules(&fib, FR_ACT_GOTO) + count_rules(&fib, FR_ACT_NOP), 0);
        CHECK(fib.n_rules > 80);
        in = input();
        in.actual = &taken;
        CHECK_INT(policy_findings(&in, &findings), 0);
        CHECK_INT(findings.n, 2);
        CHECK_INT(findings.items[0].kind, FINDING_NO_TABLE);
        finding_format(&findings.items[0], &text);
        CHECK_HAS(text.text, "exemption \"many\" selects 40 addresses, and no table is free");
        text_deinit(&text);
        findings_deinit(&findings);
        fib_deinit(&taken);
        fib_deinit(&fib);
}

static void check_segment(
        const struct segments *segments, size_t i, uint16_t first, uint16_t last, size_t group)
{
        CHECK(i < segments->n);
        CHECK_INT(segments->items[i].ports.first, first);
        CHECK_INT(segments->items[i].ports.last, last);
        CHECK_INT(segments->items[i].group, group);
}

static void exemptions_are_cut_into_segments(void)
{
        struct segments segments = {};

        begin();
        settings_clear_exemptions(host.settings);
        exempt("a", IPPROTO_TCP, 1, 100);
        exempt("b", IPPROTO_TCP, 50, 60);
        exempt("a", IPPROTO_TCP, 101, 200); /* joins the first */
        exempt("b", IPPROTO_UDP, 65535, 65535);
        CHECK_INT(segments_cut(host.settings, &segments), 0);
        CHECK_INT(segments.n, 4);
        CHECK_INT(segments.n_groups, 3); /* a, a and b, b */
        check_segment(&segments, 0, 1, 49, 0);
        check_segment(&segments, 1, 50, 60, 1);
        check_segment(&segments, 2, 61, 200, 0);
        check_segment(&segments, 3, 65535, 65535, 2);
        CHECK_INT(segments.items[3].protocol, IPPROTO_UDP);
        segments_deinit(&segments);
}

/* The steps from what the kernel holds; `wanted` is what they lead to. */
static struct steps steps_from(const struct fib *actual, struct fib *ret_wanted)
{
        const struct layout layout = policy_layout(host.settings);
        struct steps steps = {};

        *ret_wanted = compute(actual);
        CHECK_INT(policy_diff(&layout, 1, AF_INET, actual, ret_wanted, &steps), 0);
        return steps;
}

static size_t find_step(
        const struct steps *steps, enum step_kind kind, uint8_t type, uint32_t table)
{
        for (size_t i = 0; i < steps->n; i++)
                if (steps->items[i].kind == kind && steps->items[i].route.type == type &&
                        steps->items[i].route.table == table)
                        return i;
        CHECK(!"no such step");
        return SIZE_MAX;
}

static size_t find_goto(const struct steps *steps)
{
        for (size_t i = 0; i < steps->n; i++)
                if (steps->items[i].kind == STEP_ADD_RULE &&
                        steps->items[i].rule.action == FR_ACT_GOTO)
                        return i;
        CHECK(!"no goto");
        return SIZE_MAX;
}

/* A throw that an earlier run left in the table would let w2 out as soon as the goto is there. */
static void litter_is_cleared_before_the_goto(void)
{
        struct fib kernel, wanted;
        struct steps steps;
        struct route litter = {
                .family = AF_INET, .type = RTN_THROW, .protocol = RTPROT_KERNEL, .table = 51872};
        size_t i;

        begin();
        host.device.usable = false; /* a device route would take its place */
        put_many("node", 40, "many");
        kernel = compute(NULL);
        litter.destination = prefix_of("10.0.0.22/32");
        CHECK_INT(fib_add_route(&kernel, &litter), 0);
        fib_sort(&kernel);
        exempt("many", IPPROTO_TCP, 9000, 9001);
        steps = steps_from(&kernel, &wanted);
        i = find_step(&steps, STEP_DELETE_ROUTE, RTN_THROW, 51872);
        CHECK(i < find_goto(&steps));
        CHECK(steps.items[i].vital);
        CHECK(!steps.items[i].weakens);
        i = find_step(&steps, STEP_REPLACE_ROUTE, RTN_THROW, 51872);
        CHECK(i < find_goto(&steps));
        CHECK(steps.items[i].vital);
        steps_deinit(&steps);
        fib_deinit(&wanted);
        fib_deinit(&kernel);
}

/* Without the nodes a goto that has lost what stands in front of it gets that back all the same. */
static void a_hole_in_front_of_a_goto_does_not_wait(void)
{
        struct fib kernel, wanted;
        struct steps steps;

        begin();
        put_many("node", 40, "many");
        exempt("many", IPPROTO_TCP, 9000, 9001);
        kernel = compute(NULL);
        for (size_t i = 0; i < kernel.n_rules; i++)
                if (kernel.rules[i].family == AF_INET && kernel.rules[i].table == 51872)
                        kernel.rules[i--] = kernel.rules[--kernel.n_rules];
        fib_sort(&kernel);
        steps = steps_from(&kernel, &wanted);
        steps_keep_what_stands(&steps);
        CHECK_INT(steps.n, 1);
        CHECK_INT(steps.items[0].rule.table, 51872);
        steps_deinit(&steps);
        fib_deinit(&wanted);
        /* Where the goto is missing as well, the node table holds: both wait. */
        for (size_t i = 0; i < kernel.n_rules; i++)
                if (kernel.rules[i].family == AF_INET && kernel.rules[i].action == FR_ACT_GOTO)
                        kernel.rules[i--] = kernel.rules[--kernel.n_rules];
        fib_sort(&kernel);
        steps = steps_from(&kernel, &wanted);
        steps_keep_what_stands(&steps);
        CHECK_INT(steps.n, 0);
        steps_deinit(&steps);
        fib_deinit(&wanted);
        fib_deinit(&kernel);
}

/* Steered from now on: the device route takes the throw's place, or nothing further is done. */
static void a_lost_exemption_is_vital_in_a_table_that_stays(void)
{
        struct fib kernel, wanted;
        struct steps steps;
        size_t i;

        begin();
        put_many("node", 40, "many");
        exempt("many", IPPROTO_TCP, 9000, 9001);
        kernel = compute(NULL);
        put_node("node-0", "10.1.0.1", "fd01::1", NULL, NULL);
        steps = steps_from(&kernel, &wanted);
        CHECK_INT(steps.n, 2);
        i = find_step(&steps, STEP_REPLACE_ROUTE, RTN_UNICAST, 51872);
        CHECK(steps.items[i].vital);
        CHECK(steps.items[i].weakens);
        CHECK_INT(find_step(&steps, STEP_REPLACE_ROUTE, RTN_UNREACHABLE, 51872), i - 1);
        steps_deinit(&steps);
        fib_deinit(&wanted);
        fib_deinit(&kernel);
}

static struct step route_step(enum step_kind kind, uint8_t type, uint32_t metric)
{
        return (struct step){.kind = kind,
                .route = {.family = AF_INET,
                        .type = type,
                        .table = 51872,
                        .destination = prefix_of("10.1.0.1/32"),
                        .metric = metric}};
}

/* `protect` may name an exempt address: at no moment is there the twin without the throw. */
static void a_throw_is_there_before_its_twin_and_after(void)
{
        struct steps steps = {};
        struct step step;

        for (int kind = STEP_REPLACE_ROUTE; kind <= STEP_DELETE_ROUTE; kind++) {
                step = route_step(kind, RTN_UNREACHABLE, TWIN_METRIC);
                CHECK_INT(steps_add(&steps, &step), 0);
                step = route_step(kind, RTN_THROW, 0);
                CHECK_INT(steps_add(&steps, &step), 0);
        }
        steps_sort(&steps);
        CHECK_INT(steps.items[0].route.type, RTN_THROW);
        CHECK_INT(steps.items[1].route.type, RTN_UNREACHABLE);
        CHECK_INT(steps.items[2].route.type, RTN_UNREACHABLE);
        CHECK_INT(steps.items[3].route.type, RTN_THROW);
        steps_deinit(&steps);
}

TEST_MAIN(TEST(rules_do_not_grow_with_exempt_nodes), TEST(many_exempt_nodes_and_the_others),
        TEST(a_table_keeps_its_meaning), TEST(without_a_free_table_there_are_rules),
        TEST(exemptions_are_cut_into_segments), TEST(litter_is_cleared_before_the_goto),
        TEST(a_hole_in_front_of_a_goto_does_not_wait),
        TEST(a_lost_exemption_is_vital_in_a_table_that_stays),
        TEST(a_throw_is_there_before_its_twin_and_after))
