/*
 * A few nodes' changes put on top of what stands are what the whole policy would have made of them:
 * random clusters crowded into a few addresses, changed node by node. Where the partial computation
 * says that it has it all, its steps are the very steps, in the very order, that lead from the
 * whole policy before to the whole policy after, so that what test_ordering.c shows of the latter
 * holds for them.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "model/claims.h"
#include "policy/compute.h"
#include "policy/diff.h"
#include "policy/partial.h"
#include "test.h"

#define NODES 9u

static uint32_t seed = 20261123;

static uint32_t draw(uint32_t bound)
{
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 8) % bound;
}

static struct address address_at(int family, uint8_t last)
{
        struct address address = {.family = (uint8_t)family};

        if (family == AF_INET) {
                address.bytes[0] = 10;
                address.bytes[3] = last;
        } else {
                address.bytes[0] = 0xfd;
                address.bytes[15] = last;
        }
        return address;
}

/* Of 32 addresses: 8, 4, 2 or 1 of them. */
static struct prefix draw_prefix(int family)
{
        uint8_t bits = (uint8_t)draw(4);

        return (struct prefix){
                .address = address_at(family, (uint8_t)(draw(32) & ~((1u << bits) - 1u))),
                .length = (uint8_t)(address_bits(family) - bits),
        };
}

/* What stands, as the daemon keeps it between two runs. */
static struct {
        struct settings *settings;
        struct cluster *cluster;
        struct claims claims;
        struct node_changes changes;
        struct endpoint endpoint;
        struct address local[3];
        struct device device;
        struct fib whole; /* what stands */
        size_t threshold; /* 1: the control planes are many */
        size_t steered[FAMILY_MAX];
} world;

static int draw_family(void)
{
        return draw(2) ? AF_INET : AF_INET6;
}

static struct node *draw_node(unsigned number)
{
        char name[16];
        struct node *node;

        snprintf(name, sizeof(name), "n%u", number);
        node = node_new(name);
        CHECK(node);
        for (int i = 0; i < FAMILY_MAX; i++)
                if (draw(4) > 0)
                        node->addresses[i] = address_at(
                                family_from_index((enum family_index)i), (uint8_t)draw(32));
        for (uint32_t i = draw(3); i > 0; i--) {
                struct prefix prefix = draw_prefix(draw_family());

                CHECK(node_add_pod_prefix(node, &prefix) >= 0);
        }
        if (draw(8) == 0)
                CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "") >= 0);
        CHECK(node_add_label(node, "zone", draw(2) ? "a" : "b") >= 0);
        if (number >= 1 && number <= 3)
                CHECK(node_add_label(node, "many", "") >= 0);
        return node;
}

static void put(unsigned number)
{
        struct node *node = draw_node(number);
        struct node *before = cluster_find(world.cluster, node->name);

        if (before)
                node_ref(before);
        CHECK(cluster_put(world.cluster, node) >= 0);
        claims_change(&world.claims, before, node);
        node_changes_add(&world.changes, before, node);
        node_free(before);
}

static void take(unsigned number)
{
        char name[16];
        struct node *before;

        snprintf(name, sizeof(name), "n%u", number);
        before = cluster_find(world.cluster, name);
        if (!before)
                return;
        claims_change(&world.claims, before, NULL);
        node_changes_add(&world.changes, before, NULL);
        CHECK_INT(cluster_remove(world.cluster, name), 1);
}

static struct policy_input input(void)
{
        return (struct policy_input){
                .settings = world.settings,
                .cluster = world.cluster,
                .node_name = "n0",
                .device = &world.device,
                .endpoint = &world.endpoint,
                .actual = &world.whole,
                .threshold = world.threshold,
        };
}

/* As a whole run does. */
static void settle(void)
{
        struct policy_input in = input();
        struct fib whole = {};

        CHECK_INT(policy_compute(&in, &whole), 0);
        fib_deinit(&world.whole);
        world.whole = whole;
        memset(world.steered, 0, sizeof(world.steered));
        policy_count_steered(&world.whole, world.steered);
        node_changes_clear(&world.changes);
}

/* Some of the nodes, for an exemption that is served by a complement table. */
static void exempt_many(void)
{
        struct port_range ports = {9000, 9001};
        char name[] = "many", key[] = "many";
        struct exemption exemption = {
                .name = name,
                .selector = {.key = key},
                .protocol = IPPROTO_TCP,
                .ports = &ports,
                .n_ports = 1,
        };

        CHECK_INT(settings_add_exemption(world.settings, &exemption), 0);
        world.threshold = 1;
}

static void draw_settings(void)
{
        struct settings *settings = world.settings = settings_new();

        CHECK(settings);
        if (draw(3) == 0) {
                settings->exclude = calloc(1, sizeof(struct prefix));
                settings->exclude[0] = draw_prefix(draw_family());
                settings->n_exclude = 1;
        }
        if (draw(2) == 0) {
                settings->protect = calloc(1, sizeof(struct prefix));
                settings->protect[0] = draw_prefix(draw_family());
                settings->n_protect = 1;
        }
        if (draw(4) == 0)
                settings->on_tunnel_down = TUNNEL_DOWN_BYPASS;
        if (draw(2))
                exempt_many();
}

static void end(void)
{
        settings_free(world.settings);
        cluster_free(world.cluster);
        claims_deinit(&world.claims);
        node_changes_clear(&world.changes);
        fib_deinit(&world.whole);
        memset(&world, 0, sizeof(world));
}

static void begin(void)
{
        end();
        draw_settings();
        world.cluster = cluster_new();
        CHECK(world.cluster);
        claims_init(&world.claims, 1);
        for (unsigned i = 0; i < NODES; i++)
                if (i == 0 || draw(2))
                        put(i);
        world.local[0] = address_at(AF_INET, 100);
        world.local[1] = address_at(AF_INET, 101);
        world.local[2] = address_at(AF_INET6, 100);
        for (int i = 0; i < FAMILY_MAX; i++)
                if (draw(2))
                        cluster_find(world.cluster, "n0")->addresses[i] =
                                address_at(family_from_index((enum family_index)i), 100);
        world.device = (struct device){
                .usable = draw(3) > 0,
                .sink = draw(2) ? 21 : 0,
                .ifindex = 7,
                .mark = DEFAULT_MARK,
                .local = world.local,
                .n_local = draw(8) ? 3 : 2,
        };
        CHECK_INT(claims_count(&world.claims, world.cluster), 0);
        settle();
}

static void check_claims(void)
{
        struct claims fresh;

        claims_init(&fresh, draw(1000));
        CHECK_INT(claims_count(&fresh, world.cluster), 0);
        CHECK(world.claims.complete);
        CHECK_INT(world.claims.pods.n, fresh.pods.n);
        CHECK_INT(world.claims.addresses.n, fresh.addresses.n);
        for (size_t i = 0; i < fresh.pods.n_places; i++)
                CHECK_INT(prefix_counts_get(&world.claims.pods, &fresh.pods.places[i].prefix),
                        fresh.pods.places[i].count);
        for (size_t i = 0; i < fresh.addresses.n_places; i++)
                CHECK_INT(prefix_counts_get(
                                  &world.claims.addresses, &fresh.addresses.places[i].prefix),
                        fresh.addresses.places[i].count);
        claims_deinit(&fresh);
}

static void check_steps(const struct fib *before, const struct fib *after,
        const struct fib *whole_before, const struct fib *whole_after)
{
        struct layout layout = policy_layout(world.settings);

        for (int i = 0; i < FAMILY_MAX; i++) {
                int family = family_from_index((enum family_index)i);
                struct steps part = {}, whole = {};

                CHECK_INT(policy_diff(&layout, 1, family, before, after, &part), 0);
                CHECK_INT(policy_diff(&layout, 1, family, whole_before, whole_after, &whole), 0);
                CHECK_INT(part.n, whole.n);
                for (size_t j = 0; j < part.n; j++) {
                        CHECK_INT(part.items[j].kind, whole.items[j].kind);
                        CHECK_INT(part.items[j].phase, whole.items[j].phase);
                        CHECK_INT(part.items[j].vital, whole.items[j].vital);
                        CHECK(part.items[j].kind == STEP_REPLACE_ROUTE ||
                                part.items[j].kind == STEP_DELETE_ROUTE);
                        CHECK(route_compare(&part.items[j].route, &whole.items[j].route) == 0);
                }
                steps_deinit(&part);
                steps_deinit(&whole);
        }
}

/* What the changes made since the last one lead to; 1: as a partial run. */
static int follow(void)
{
        struct policy_input in = input();
        struct fib before = {}, after = {}, whole = {};
        size_t steered[FAMILY_MAX] = {};
        int r = policy_partial(&in, &world.changes, &world.claims, world.steered, &before, &after);

        CHECK(r == 0 || r == 1);
        CHECK_INT(policy_compute(&in, &whole), 0);
        policy_count_steered(&whole, steered);
        check_claims();
        if (r == 1) {
                check_steps(&before, &after, &world.whole, &whole);
                for (int i = 0; i < FAMILY_MAX; i++)
                        CHECK_INT(world.steered[i], steered[i]);
        } else {
                CHECK(before.n_routes == 0 && after.n_routes == 0);
                CHECK(before.n_rules == 0 && after.n_rules == 0);
        }
        fib_deinit(&before);
        fib_deinit(&after);
        fib_deinit(&whole);
        settle();
        return r;
}

static bool has_gotos(const struct fib *fib)
{
        for (size_t i = 0; i < fib->n_rules; i++)
                if (fib->rules[i].action == FR_ACT_GOTO)
                        return true;
        return false;
}

static void partial_steps_are_those_of_the_whole(void)
{
        unsigned partial = 0, with_complement = 0, all = 0;

        for (unsigned round = 0; round < 1500; round++) {
                begin();
                for (unsigned run = 0; run < 12; run++) {
                        for (uint32_t n = 1 + draw(4); n > 0; n--) {
                                unsigned number = draw(16) ? 1 + draw(NODES - 1) : 0;

                                if (draw(3) > 0 || number == 0)
                                        put(number);
                                else
                                        take(number);
                        }
                        bool many = has_gotos(&world.whole);
                        unsigned done = (unsigned)follow();

                        partial += done;
                        with_complement += many && done;
                        all++;
                }
        }
        printf("# %u of %u runs were partial, %u beside complement tables\n", partial, all,
                with_complement);
        CHECK(with_complement > all / 100);
        CHECK(partial > all / 8 && partial < all);
        end();
}

static const struct route *route_beside(const struct fib *fib, const struct route *route, bool twin)
{
        for (size_t i = 0; i < fib->n_routes; i++)
                if (fib->routes[i].table == route->table &&
                        prefix_equal(&fib->routes[i].destination, &route->destination) &&
                        (twin ? route_is_twin(&fib->routes[i])
                              : route_compare(&fib->routes[i], route) == 0))
                        return &fib->routes[i];
        return NULL;
}

/* Each lies over its own twin, so that their order does not matter; and none is missing. */
static void a_device_that_is_back_only_turns_blocked_into_encrypted(void)
{
        unsigned routes = 0;

        for (unsigned round = 0; round < 2000; round++) {
                struct steering steering = {};
                struct fib back = {}, whole = {};
                struct policy_input in;
                size_t n = 0;

                begin();
                world.settings->on_tunnel_down = TUNNEL_DOWN_BLOCK;
                world.device.usable = false;
                settle();
                in = input();
                CHECK_INT(steering_compute(&in, &steering), 0);
                world.device.usable = true;
                CHECK_INT(policy_compute(&in, &whole), 0);
                CHECK_INT(policy_compute_device_routes(&in, &steering, &back), 0);
                for (size_t i = 0; i < back.n_routes; i++) {
                        CHECK_INT(back.routes[i].oif, world.device.ifindex);
                        CHECK(route_beside(&world.whole, &back.routes[i], true));
                        CHECK(route_beside(&whole, &back.routes[i], false));
                }
                for (size_t i = 0; i < whole.n_routes; i++)
                        n += whole.routes[i].oif == world.device.ifindex &&
                             whole.routes[i].table < world.settings->table_base + 2;
                CHECK_INT(back.n_routes, n);
                routes += (unsigned)n;
                steering_deinit(&steering);
                fib_deinit(&back);
                fib_deinit(&whole);
        }
        CHECK(routes > 2000);
        end();
}

/* A cluster of workers, and ourselves, without anything in common. */
static struct node *plain_node(unsigned number)
{
        char name[16];
        struct node *node;
        struct prefix pods = {.length = 32};

        snprintf(name, sizeof(name), "n%u", number);
        node = node_new(name);
        CHECK(node);
        node->addresses[FAMILY_INET] = address_at(AF_INET, (uint8_t)(100 + number));
        pods.address = address_at(AF_INET, (uint8_t)(200 + number));
        CHECK_INT(node_add_pod_prefix(node, &pods), 0);
        return node;
}

static void take_in(struct node *node)
{
        struct node *before = cluster_find(world.cluster, node->name);

        if (before)
                node_ref(before);
        CHECK(cluster_put(world.cluster, node) >= 0);
        claims_change(&world.claims, before, node);
        node_changes_add(&world.changes, before, node);
        node_free(before);
}

static void begin_plain(void)
{
        end();
        world.settings = settings_new();
        world.cluster = cluster_new();
        CHECK(world.settings && world.cluster);
        claims_init(&world.claims, 2);
        for (unsigned i = 0; i < 4; i++)
                CHECK(cluster_put(world.cluster, plain_node(i)) >= 0);
        world.local[0] = address_at(AF_INET, 100);
        world.local[1] = address_at(AF_INET, 150);
        world.local[2] = address_at(AF_INET6, 100);
        world.device = (struct device){.usable = true,
                .ifindex = 7,
                .mark = DEFAULT_MARK,
                .local = world.local,
                .n_local = 3};
        CHECK_INT(claims_count(&world.claims, world.cluster), 0);
        settle();
}

static void workers_come_change_and_go(void)
{
        struct node *node;

        begin_plain();
        take_in(plain_node(7));
        CHECK_INT(follow(), 1);
        node = plain_node(7);
        CHECK_INT(node_add_label(node, "zone", "a"), 0);
        take_in(node);
        CHECK_INT(follow(), 1);
        node = plain_node(7);
        node->addresses[FAMILY_INET] = address_at(AF_INET, 120);
        take_in(node);
        CHECK_INT(follow(), 1);
        take(7);
        CHECK_INT(follow(), 1);
        /* Two at once, which swap their addresses. */
        node = plain_node(1);
        node->addresses[FAMILY_INET] = address_at(AF_INET, 102);
        take_in(node);
        node = plain_node(2);
        node->addresses[FAMILY_INET] = address_at(AF_INET, 101);
        take_in(node);
        CHECK_INT(follow(), 1);
        end();
}

static void what_is_more_than_that_is_said(void)
{
        struct node *node;

        begin_plain();
        node = plain_node(0);
        CHECK_INT(node_add_label(node, "zone", "a"), 0);
        take_in(node);
        CHECK_INT(follow(), 0); /* ourselves */
        node = plain_node(5);
        node->addresses[FAMILY_INET] = address_at(AF_INET, 100);
        take_in(node);
        CHECK_INT(follow(), 0); /* lists our address */
        take(5);
        CHECK_INT(follow(), 0);
        node = plain_node(5);
        node->addresses[FAMILY_INET] = address_at(AF_INET, 150);
        take_in(node);
        CHECK_INT(follow(), 0); /* another address of this host */
        take(5);
        CHECK_INT(follow(), 0);
        node = plain_node(5);
        CHECK_INT(
                node_add_pod_prefix(node, &cluster_find(world.cluster, "n0")->pod_prefixes[0]), 0);
        take_in(node);
        CHECK_INT(follow(), 0); /* our own pods */
        take(5);
        CHECK_INT(follow(), 0);
        node = plain_node(5);
        CHECK_INT(node_add_label(node, CONTROL_PLANE_LABEL, ""), 0);
        take_in(node);
        CHECK_INT(follow(), 0); /* comes with exemptions */
        take_in(plain_node(5));
        CHECK_INT(follow(), 0); /* loses them */
        node = plain_node(5);
        node->addresses[FAMILY_INET6] = address_at(AF_INET6, 105);
        take_in(node);
        CHECK_INT(follow(), 0); /* the first of its family */
        take_in(plain_node(5));
        CHECK_INT(follow(), 0); /* the last of it */
        for (unsigned i = 0; i <= NODE_CHANGES_MAX / 2; i++) {
                take_in(plain_node(6));
                take(6);
        }
        CHECK_INT(follow(), 0); /* too many */
        take_in(plain_node(6));
        CHECK_INT(follow(), 1);
        end();
}

static void counts_survive_what_is_taken_out(void)
{
        struct prefix_counts counts = {.seed = 3};
        unsigned expected[4096] = {};
        struct prefix prefix = {.address.family = AF_INET, .length = 32};

        for (unsigned i = 0; i < 200000; i++) {
                unsigned which = draw(4096);

                prefix.address.bytes[2] = (uint8_t)(which >> 8);
                prefix.address.bytes[3] = (uint8_t)which;
                /* Times of mostly putting in, times of mostly taking out. */
                if (draw(8) < (i / 20000 % 2 ? 2u : 6u)) {
                        CHECK_INT(prefix_counts_put(&counts, &prefix), 0);
                        expected[which]++;
                } else {
                        prefix_counts_take(&counts, &prefix);
                        expected[which] -= expected[which] > 0;
                }
                CHECK_INT(prefix_counts_get(&counts, &prefix), expected[which]);
        }
        for (unsigned which = 0; which < 4096; which++) {
                prefix.address.bytes[2] = (uint8_t)(which >> 8);
                prefix.address.bytes[3] = (uint8_t)which;
                CHECK_INT(prefix_counts_get(&counts, &prefix), expected[which]);
        }
        prefix_counts_deinit(&counts);
        for (unsigned i = 0; i < UINT16_MAX; i++)
                CHECK_INT(prefix_counts_put(&counts, &prefix), 0);
        CHECK_INT(prefix_counts_put(&counts, &prefix), -EOVERFLOW);
        prefix_counts_deinit(&counts);
        CHECK_INT(prefix_counts_get(&counts, &prefix), 0);
}

TEST_MAIN(TEST(partial_steps_are_those_of_the_whole),
        TEST(a_device_that_is_back_only_turns_blocked_into_encrypted),
        TEST(workers_come_change_and_go), TEST(what_is_more_than_that_is_said),
        TEST(counts_survive_what_is_taken_out))
