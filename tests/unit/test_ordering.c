/*
 * The order of the steps: random small clusters crowded into sixteen addresses, so that node
 * addresses, pod prefixes, own pods, exclusions and protections overlap in every way. After every
 * single step of every change each flow is looked up in a model of the kernel.
 */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "fib_model.h"
#include "policy/compute.h"
#include "test.h"

#define NODES_MAX 5

static uint32_t seed = 20240229;

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

/* A prefix of the sixteen addresses: 16, 8, 4, 2 or 1 of them. */
static struct prefix draw_prefix(int family)
{
        uint8_t size = (uint8_t)(1u << draw(5));
        struct prefix prefix = {
                .address = address_at(family, (uint8_t)(draw(16) & ~(size - 1u))),
                .length = (uint8_t)address_bits(family),
        };

        for (uint8_t covered = 1; covered < size; covered *= 2)
                prefix.length--;
        return prefix;
}

/* Everything one side of a change needs, owned. */
struct world {
        struct settings *settings;
        struct cluster *cluster;
        struct device device;
        struct endpoint endpoint;
        struct address local[3];
        struct fib wanted;
};

static struct node *draw_node(int family, unsigned number)
{
        char name[8];
        struct node *node;

        snprintf(name, sizeof(name), "n%u", number);
        node = node_new(name);
        CHECK(node);
        if (draw(10) > 0)
                node->addresses[family_index(family)] = address_at(family, (uint8_t)draw(16));
        for (uint32_t i = draw(3); i > 0; i--) {
                struct prefix prefix = draw_prefix(family);

                CHECK(node_add_pod_prefix(node, &prefix) >= 0);
        }
        if (draw(2))
                CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "") >= 0);
        if (draw(3) == 0)
                CHECK(node_add_label(node, "zone", draw(2) ? "a" : "b") >= 0);
        return node;
}

static void draw_settings(struct world *world, int family)
{
        struct settings *settings = world->settings = settings_new();

        CHECK(settings);
        if (draw(4) == 0) {
                struct port_range port = {80, 80};
                char name[] = "zone", key[] = "zone", value[] = "a";
                struct exemption exemption = {
                        .name = name,
                        .selector = {.key = key, .value = draw(2) ? value : NULL},
                        .protocol = draw(2) ? IPPROTO_TCP : IPPROTO_UDP,
                        .ports = &port,
                        .n_ports = 1,
                };

                CHECK(settings_add_exemption(settings, &exemption) >= 0);
        }
        if (draw(8) == 0)
                settings_clear_exemptions(settings);
        if (draw(6) == 0) {
                settings->exclude = calloc(1, sizeof(struct prefix));
                settings->exclude[0] = draw_prefix(family);
                settings->n_exclude = 1;
        }
        if (draw(4) == 0) {
                settings->protect = calloc(1, sizeof(struct prefix));
                settings->protect[0] = draw_prefix(family);
                settings->n_protect = 1;
        }
        if (draw(6) == 0)
                settings->table_base = 61000;
        if (draw(6) == 0)
                settings->priority_base = draw(2) ? 203 : 190;
}

static struct policy_input input_of(const struct world *world)
{
        return (struct policy_input){
                .settings = world->settings,
                .cluster = world->cluster,
                .node_name = "n0",
                .device = &world->device,
                .endpoint = &world->endpoint,
        };
}

static void draw_world(struct world *world, int family)
{
        struct policy_input input;
        struct node *self;

        draw_settings(world, family);
        world->cluster = cluster_new();
        CHECK(world->cluster);
        for (unsigned i = 0; i < NODES_MAX; i++)
                if (i == 0 || draw(3) > 0)
                        CHECK(cluster_put(world->cluster, draw_node(family, i)) >= 0);
        self = cluster_find(world->cluster, "n0");
        world->local[0] = address_at(AF_INET6, 200);
        world->local[1] = address_at(family, 100);
        if (draw(8) > 0 && self->addresses[family_index(family)].family != 0)
                world->local[1] = self->addresses[family_index(family)];
        qsort(world->local, 2, sizeof(world->local[0]), address_compare_void);
        world->device = (struct device){
                .usable = draw(4) > 0,
                .ifindex = 7 + draw(2),
                .mark = draw(4) ? DEFAULT_MARK : 0x1e00,
                .sink = draw(3) ? 20 + draw(2) : 0,
                .local = world->local,
                .n_local = 2,
        };
        if (draw(2)) {
                struct address address = address_at(family, (uint8_t)draw(16));

                world->endpoint.port = draw(2) ? 6443 : 8443;
                CHECK(endpoint_add_address(&world->endpoint, &address) == 1);
        }
        input = input_of(world);
        CHECK(policy_compute(&input, &world->wanted) >= 0);
}

static void world_deinit(struct world *world)
{
        settings_free(world->settings);
        cluster_free(world->cluster);
        endpoint_deinit(&world->endpoint);
        fib_deinit(&world->wanted);
        *world = (struct world){};
}

/* Every flow there is: the number's digits choose the fields. */
static struct flow flow_number(int family, unsigned number)
{
        static const uint16_t ports[] = {6443, 80, 8443, 2379};
        struct flow flow = {.destination = address_at(family, (uint8_t)(number % 16))};

        number /= 16;
        flow.destination_port = ports[number % 4];
        number /= 4;
        flow.source_port = number % 2 ? 6443 : 0;
        number /= 2;
        flow.ip_protocol = number % 2 ? IPPROTO_UDP : IPPROTO_TCP;
        number /= 2;
        flow.forwarded = number % 2;
        number /= 2;
        flow.source = address_at(family, (uint8_t)(number % 2 ? 3 : 100));
        return flow;
}

#define FLOWS (16u * 4 * 2 * 2 * 2 * 2)

static bool is_steered(struct model_result result)
{
        return result.way != MODEL_MAIN;
}

/* Decided for main by a rule in the place of exemptions of either side's layout. */
static bool is_exempt(
        struct model_result result, const struct world *before, const struct world *after)
{
        return result.way == MODEL_MAIN &&
               (result.priority == before->settings->priority_base + LAYOUT_EXEMPTION ||
                       result.priority == after->settings->priority_base + LAYOUT_EXEMPTION);
}

/* Own pods and exclusions differ and hold the destination: diff.c (5) promises no more than no
 * leak. */
static bool under_changing_throw(
        const struct world *before, const struct world *after, const struct address *destination)
{
        const struct world *sides[] = {before, after};

        for (int side = 0; side < 2; side++) {
                const struct fib *mine = &sides[side]->wanted, *other = &sides[1 - side]->wanted;

                for (size_t i = 0; i < mine->n_routes; i++) {
                        bool found = false;

                        if (mine->routes[i].type != RTN_THROW ||
                                !prefix_contains(&mine->routes[i].destination, destination))
                                continue;
                        for (size_t j = 0; j < other->n_routes; j++)
                                if (other->routes[j].type == RTN_THROW &&
                                        prefix_equal(&other->routes[j].destination,
                                                &mine->routes[i].destination))
                                        found = true;
                        if (!found)
                                return true;
                }
        }
        return false;
}

static unsigned long ways_back; /* looked at, through a sink */
static struct model_result answers_before[FLOWS], answers_after[FLOWS];
/* Exempt before and after: to stay in main. */
static bool kept_plain[FLOWS];

static void answer_all(const struct fib *fib, int family, struct model_result *ret)
{
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);

                ret[i] = model_lookup(fib, &flow);
        }
}

static void check_moment(const struct fib *kernel, int family)
{
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                struct model_result now = model_lookup(kernel, &flow);

                if (is_steered(answers_before[i]) && is_steered(answers_after[i]))
                        CHECK(is_steered(now));
                if (kept_plain[i])
                        CHECK(now.way == MODEL_MAIN);
        }
}

/*
 * ARP from there is answered under rp_filter 2 before and after, by the same entry of a table: at
 * every moment between, too.
 */
static void check_way_back(const struct fib *start, const struct fib *now, int family,
        const struct world *before, const struct world *after)
{
        for (uint8_t last = 0; last < 16; last++) {
                struct flow flow = {.destination = address_at(family, last)};
                struct model_result b = model_lookup(start, &flow);
                struct model_result a = model_lookup(&after->wanted, &flow);
                struct model_result n;

                if (b.table == 0 || b.table != a.table ||
                        !prefix_equal(&b.destination, &a.destination) || !model_has_way_back(&b) ||
                        !model_has_way_back(&a) ||
                        under_changing_throw(before, after, &flow.destination))
                        continue;
                n = model_lookup(now, &flow);
                CHECK(model_has_way_back(&n));
                ways_back += n.sunk;
        }
}

static struct fib copy_of(const struct fib *fib)
{
        struct fib copy = {};

        for (size_t i = 0; i < fib->n_rules; i++)
                CHECK(fib_add_rule(&copy, &fib->rules[i]) >= 0);
        for (size_t i = 0; i < fib->n_routes; i++)
                CHECK(fib_add_route(&copy, &fib->routes[i]) >= 0);
        return copy;
}

/* Takes the kernel from where it is to `after`, looking at every moment; stops after `limit` steps.
 */
static void change(struct fib *kernel, int family, const struct world *before,
        const struct world *after, size_t limit)
{
        struct layout layouts[] = {policy_layout(after->settings), policy_layout(before->settings)};
        struct fib start = copy_of(kernel);
        struct steps steps = {};

        answer_all(kernel, family, answers_before);
        answer_all(&after->wanted, family, answers_after);
        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                struct model_result wanted_before = model_lookup(&before->wanted, &flow);

                /* A change cut short left some flows exempt early: they have no claim to it yet. */
                kept_plain[i] = is_exempt(answers_before[i], before, after) &&
                                is_exempt(wanted_before, before, after) &&
                                is_exempt(answers_after[i], before, after) &&
                                !under_changing_throw(before, after, &flow.destination);
        }
        fib_sort(kernel);
        CHECK(policy_diff(layouts, 2, family, kernel, &after->wanted, &steps) >= 0);
        for (size_t i = 0; i < steps.n && i < limit; i++) {
                CHECK(model_apply(kernel, &steps.items[i]));
                check_moment(kernel, family);
                check_way_back(&start, kernel, family, before, after);
        }
        fib_deinit(&start);
        steps_deinit(&steps);
}

static void check_same(struct fib *kernel, const struct fib *wanted)
{
        fib_sort(kernel);
        CHECK_INT(kernel->n_rules, wanted->n_rules);
        CHECK_INT(kernel->n_routes, wanted->n_routes);
        for (size_t i = 0; i < wanted->n_rules; i++)
                CHECK(rule_compare(&kernel->rules[i], &wanted->rules[i]) == 0);
        for (size_t i = 0; i < wanted->n_routes; i++)
                CHECK(route_compare(&kernel->routes[i], &wanted->routes[i]) == 0);
}

static void check_oracle(const struct world *world, int family)
{
        struct policy_input input = input_of(world);

        for (unsigned i = 0; i < FLOWS; i++) {
                struct flow flow = flow_number(family, i);
                struct verdict verdict = policy_verdict(&input, &flow);
                struct model_result result = model_lookup(&world->wanted, &flow);
                enum model_way expected = verdict.way == WAY_MAIN     ? MODEL_MAIN
                                          : verdict.way == WAY_DEVICE ? MODEL_DEVICE
                                                                      : MODEL_BLOCKED;

                CHECK_INT(result.way, expected);
        }
}

/* The device and the sink come and go, and nothing else changes. */
static void flip_device(struct fib *kernel, int family, const struct world *world)
{
        struct world flipped = *world;
        struct policy_input input = input_of(&flipped);

        flipped.device.usable = draw(2);
        flipped.device.ifindex = 7 + draw(2);
        flipped.device.sink = draw(3) ? 20 + draw(2) : 0;
        flipped.wanted = (struct fib){};
        CHECK(policy_compute(&input, &flipped.wanted) >= 0);
        change(kernel, family, world, &flipped, SIZE_MAX);
        check_same(kernel, &flipped.wanted);
        change(kernel, family, &flipped, world, SIZE_MAX);
        fib_deinit(&flipped.wanted);
}

static void run_changes(int family, unsigned rounds)
{
        ways_back = 0;
        for (unsigned round = 0; round < rounds; round++) {
                struct world worlds[3] = {};
                struct fib kernel = {};

                for (int i = 0; i < 3; i++) {
                        draw_world(&worlds[i], family);
                        check_oracle(&worlds[i], family);
                }
                /* First programming; a change; a change cut short and begun again from there. */
                change(&kernel, family, &worlds[0], &worlds[0], SIZE_MAX);
                check_same(&kernel, &worlds[0].wanted);
                change(&kernel, family, &worlds[0], &worlds[1], SIZE_MAX);
                check_same(&kernel, &worlds[1].wanted);
                flip_device(&kernel, family, &worlds[1]);
                change(&kernel, family, &worlds[1], &worlds[2], draw(12));
                change(&kernel, family, &worlds[1], &worlds[2], SIZE_MAX);
                check_same(&kernel, &worlds[2].wanted);
                fib_deinit(&kernel);
                for (int i = 0; i < 3; i++)
                        world_deinit(&worlds[i]);
        }
        /* Without any the check would be empty; IPv6 has no sinks. */
        CHECK_INT(ways_back > 0, family == AF_INET);
        printf("# %u rounds, %u flows at every step, %lu ways back through a sink\n", rounds, FLOWS,
                ways_back);
}

static void every_moment_v4(void)
{
        run_changes(AF_INET, 400);
}

static void every_moment_v6(void)
{
        run_changes(AF_INET6, 200);
}

TEST_MAIN(TEST(every_moment_v4), TEST(every_moment_v6))
