/*
 * The sink routes by example: under which entries they lie, and what they are taken for. That they
 * come and go in a safe order is checked in test_ordering.c.
 */
#include <linux/rtnetlink.h>

#include "policy/compute.h"
#include "policy/diff.h"
#include "policy/format.h"
#include "policy/shape.h"
#include "test.h"

#define DEVICE 9u
#define SINK   21u
#define PODS   51870u
#define NODES  51871u

/* Two nodes, we are w1; 10.9.0.0/16 and fd09::/64 are protected. */
static struct {
        struct settings *settings;
        struct cluster *cluster;
        struct address local[4];
        struct device device;
        struct endpoint endpoint;
        struct fib fib;
} host;

static struct address address_of(const char *text)
{
        struct address address;

        CHECK_INT(address_parse(text, &address), 0);
        return address;
}

static struct prefix prefix_of(const char *text)
{
        struct prefix prefix;

        CHECK_INT(prefix_parse(text, &prefix), 0);
        return prefix;
}

static void put_node(const char *name, const char *v4, const char *v6, const char *pods)
{
        struct node *node = node_new(name);
        struct prefix prefix = prefix_of(pods);

        CHECK(node);
        node->addresses[FAMILY_INET] = address_of(v4);
        node->addresses[FAMILY_INET6] = address_of(v6);
        CHECK_INT(node_add_pod_prefix(node, &prefix), 0);
        CHECK(cluster_put(host.cluster, node) >= 0);
}

static void begin(void)
{
        host.settings = settings_new();
        host.cluster = cluster_new();
        CHECK(host.settings && host.cluster);
        host.settings->protect = calloc(2, sizeof(struct prefix));
        CHECK(host.settings->protect);
        host.settings->protect[0] = prefix_of("10.9.0.0/16");
        host.settings->protect[1] = prefix_of("fd09::/64");
        host.settings->n_protect = 2;
        put_node("w1", "10.0.0.21", "fd00::21", "10.244.1.0/24");
        put_node("w2", "10.0.0.22", "fd00::22", "10.244.2.0/24");
        host.local[0] = address_of("10.0.0.21");
        host.local[1] = address_of("127.0.0.1");
        host.local[2] = address_of("::1");
        host.local[3] = address_of("fd00::21");
        host.device = (struct device){.usable = true,
                .ifindex = DEVICE,
                .mark = 0x0e00,
                .sink = SINK,
                .local = host.local,
                .n_local = 4};
}

static void end(void)
{
        host.settings = settings_free(host.settings);
        host.cluster = cluster_free(host.cluster);
        fib_deinit(&host.fib);
}

static void compute(void)
{
        const struct policy_input input = {
                .settings = host.settings,
                .cluster = host.cluster,
                .node_name = "w1",
                .device = &host.device,
                .endpoint = &host.endpoint,
        };

        fib_deinit(&host.fib);
        CHECK_INT(policy_compute(&input, &host.fib), 0);
}

/* The routes to it in that table, NULL at the end of `ret`. */
static size_t find(const char *destination, uint32_t table, const struct route *ret[4])
{
        struct prefix prefix = prefix_of(destination);
        size_t n = 0;

        for (size_t i = 0; i < host.fib.n_routes; i++)
                if (host.fib.routes[i].table == table &&
                        prefix_equal(&host.fib.routes[i].destination, &prefix) && n < 4)
                        ret[n++] = &host.fib.routes[i];
        return n;
}

static size_t sinks(void)
{
        size_t n = 0;

        for (size_t i = 0; i < host.fib.n_routes; i++)
                n += route_is_sink(&host.fib.routes[i]);
        return n;
}

static void text_is(const struct route *route, const char *expected)
{
        struct text_builder text = {};

        route_format(route, route->oif == SINK ? "sink" : NULL, &text);
        CHECK_TEXT(text.text, expected);
        text_deinit(&text);
}

static void under_node_addresses(void)
{
        const struct route *found[4];

        begin();
        compute();
        CHECK_INT(find("10.0.0.22/32", NODES, found), 3);
        CHECK_INT(found[0]->oif, DEVICE);
        text_is(found[1], "10.0.0.22/32 dev sink scope link table 51871 src 10.0.0.21 "
                          "metric 4294967293 protocol kernel");
        CHECK(route_is_twin(found[2]));
        CHECK_INT(find("fd00::22/128", NODES, found), 2); /* IPv6 has no rp_filter */
        CHECK_INT(find("10.244.2.0/24", PODS, found), 2); /* no ARP comes from pods */
        CHECK_INT(find("10.9.0.0/16", NODES, found), 2);
        CHECK_INT(found[0]->oif, SINK);
        CHECK_INT(find("fd09::/64", NODES, found), 1);
        CHECK_INT(sinks(), 2);
        end();
}

static void with_the_device_away(void)
{
        const struct route *found[4];

        begin();
        host.device.usable = false;
        host.device.ifindex = 0;
        compute();
        CHECK_INT(find("10.0.0.22/32", NODES, found), 2);
        CHECK_INT(found[0]->oif, SINK);
        CHECK(address_equal(&found[0]->source, &host.local[0]));
        /* Our address is not on this host: the sink has no source to give. */
        host.local[0] = address_of("10.0.0.99");
        compute();
        CHECK_INT(find("10.0.0.22/32", NODES, found), 2);
        CHECK_INT(found[0]->source.family, 0);
        end();
}

static void where_none_is_needed(void)
{
        begin();
        host.device.sink = 0;
        compute();
        CHECK_INT(sinks(), 0);
        /* In plaintext while the device is away: only what is protected is held back then. */
        host.device.sink = SINK;
        host.settings->on_tunnel_down = TUNNEL_DOWN_BYPASS;
        compute();
        CHECK_INT(sinks(), 1);
        host.settings->n_protect = 0;
        compute();
        CHECK_INT(sinks(), 0);
        end();
}

static void its_shape(void)
{
        const struct layout layout = {51870, 200};
        const struct route *found[4];
        struct route route;

        begin();
        compute();
        CHECK_INT(find("10.0.0.22/32", NODES, found), 3);
        CHECK_INT(route_shape(&layout, 1, found[1]), SHAPE_SINK);
        route = *found[1];
        route.oif = 0;
        CHECK_INT(route_shape(&layout, 1, &route), SHAPE_ALIEN);
        route = *found[1];
        route.metric--;
        CHECK_INT(route_shape(&layout, 1, &route), SHAPE_ALIEN);
        route = *found[1];
        route.type = RTN_UNREACHABLE;
        CHECK_INT(route_shape(&layout, 1, &route), SHAPE_ALIEN);
        route = *found[1];
        route.table = 60000;
        CHECK_INT(route_shape(&layout, 1, &route), SHAPE_ALIEN);
        route = *found[1];
        route.family = AF_INET6;
        CHECK_INT(route_shape(&layout, 1, &route), SHAPE_ALIEN);
        end();
}

/* Twin, sink, device; and back. */
static void in_that_order(void)
{
        const struct layout layout = {51870, 200};
        const struct prefix address = prefix_of("10.0.0.22/32");
        const struct fib nothing = {};
        uint32_t last = UINT32_MAX;
        struct steps steps = {};

        begin();
        compute();
        CHECK_INT(policy_diff(&layout, 1, AF_INET, &nothing, &host.fib, &steps), 0);
        for (size_t i = 0; i < steps.n; i++) {
                const struct step *step = &steps.items[i];

                if (step->kind != STEP_REPLACE_ROUTE ||
                        !prefix_equal(&step->route.destination, &address))
                        continue;
                CHECK(step->route.metric < last);
                CHECK_INT(step->vital, route_is_twin(&step->route));
                last = step->route.metric;
        }
        CHECK_INT(last, 0);
        steps_deinit(&steps);
        CHECK_INT(policy_diff(&layout, 1, AF_INET, &host.fib, &nothing, &steps), 0);
        for (size_t i = 0; i < steps.n; i++) {
                const struct step *step = &steps.items[i];

                if (step->kind != STEP_DELETE_ROUTE ||
                        !prefix_equal(&step->route.destination, &address))
                        continue;
                CHECK(step->route.metric >= last);
                last = step->route.metric;
        }
        CHECK_INT(last, TWIN_METRIC);
        steps_deinit(&steps);
        end();
}

TEST_MAIN(TEST(under_node_addresses), TEST(with_the_device_away), TEST(where_none_is_needed),
        TEST(its_shape), TEST(in_that_order))
