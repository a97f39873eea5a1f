#include "random_world.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "basics/util.h"
#include "test.h"

static uint32_t seed = 20240229;

uint32_t draw(uint32_t bound)
{
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 8) % bound;
}

struct address address_at(int family, uint8_t last)
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

/* Where it lies from one seed, and which exemptions select it from another. */
static struct node *draw_node(const struct world *world, int family, unsigned number)
{
        char name[8];
        struct node *node;

        seed = world->node_seeds[number];

        snprintf(name, sizeof(name), "n%u", number);
        node = node_new(name);
        CHECK(node);
        if (draw(10) > 0)
                node->addresses[family_index(family)] = address_at(family, (uint8_t)draw(16));
        for (uint32_t i = world->crowded || draw(8) == 0 ? draw(3) : 0; i > 0; i--) {
                struct prefix prefix = draw_prefix(family);

                CHECK(node_add_pod_prefix(node, &prefix) >= 0);
        }
        seed = world->label_seeds[number];
        if (draw(2))
                CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "") >= 0);
        if (draw(3))
                CHECK(node_add_label(node, "zone", draw(2) ? "a" : "b") >= 0);
        return node;
}

/* Ranges that split, merge and hold each other, for selectors that share nodes. */
static void draw_exemption(struct settings *settings)
{
        static const struct port_range ranges[] = {
                {80, 80}, {80, 6442}, {80, 8443}, {2379, 6443}, {6443, 6443}, {6443, 8443}};
        struct port_range ports = ranges[draw(ARRAY_SIZE(ranges))];
        char name[] = "zone", zone[] = "zone", role[] = CONTROL_PLANE_LABEL, a[] = "a", b[] = "b";
        bool by_role = draw(4) == 0;
        struct exemption exemption = {
                .name = name,
                .selector = {.key = by_role ? role : zone,
                        .value = by_role || draw(2) ? NULL
                                 : draw(2)          ? a
                                                    : b},
                .protocol = draw(3) ? IPPROTO_TCP : IPPROTO_UDP,
                .ports = &ports,
                .n_ports = 1,
        };

        CHECK(settings_add_exemption(settings, &exemption) >= 0);
}

static void draw_settings(struct world *world, int family)
{
        struct settings *settings = world->settings = settings_new();

        CHECK(settings);
        if (draw(8) == 0)
                settings_clear_exemptions(settings);
        for (uint32_t i = draw(4); i > 0; i--)
                draw_exemption(settings);
        world->threshold = draw(4) ? 1 + draw(2) : 0;
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
}

struct policy_input input_of(const struct world *world, const struct fib *actual)
{
        return (struct policy_input){
                .settings = world->settings,
                .cluster = world->cluster,
                .node_name = "n0",
                .device = &world->device,
                .endpoint = &world->endpoint,
                .actual = actual,
                .threshold = world->threshold,
        };
}

/* Each part from a seed of its own, so that it can be had again. */
static void draw_parts(struct world *world, int family)
{
        uint32_t resumed = seed;

        seed = world->settings_seed;
        draw_settings(world, family);
        world->cluster = cluster_new();
        CHECK(world->cluster);
        for (unsigned i = 0; i < NODES_MAX; i++) {
                seed = world->node_seeds[i] + 1;
                if (i == 0 || draw(4) > 0)
                        CHECK(cluster_put(world->cluster, draw_node(world, family, i)) >= 0);
        }
        seed = resumed;
}

void draw_world(struct world *world, const struct world *previous, int family)
{
        bool same_settings = previous && draw(2), few = previous && draw(2);
        struct policy_input input;
        struct node *self;

        world->settings_seed = same_settings ? previous->settings_seed : draw(1u << 24);
        world->crowded = few ? previous->crowded : draw(2);
        for (unsigned i = 0; i < NODES_MAX; i++) {
                bool same = few && (i == 0 || draw(8));

                world->node_seeds[i] = same ? previous->node_seeds[i] : draw(1u << 24);
                same = few && draw(3);
                world->label_seeds[i] = same ? previous->label_seeds[i] : draw(1u << 24);
        }
        draw_parts(world, family);
        if (draw(4) == 0)
                world->settings->table_base = 61000;
        if (draw(4) == 0)
                world->settings->priority_base = draw(2) ? 203 : 190;
        self = cluster_find(world->cluster, "n0");
        world->local[0] = address_at(AF_INET6, 200);
        world->local[1] = address_at(family, 100);
        if (draw(8) > 0 && self->addresses[family_index(family)].family != 0)
                world->local[1] = self->addresses[family_index(family)];
        qsort(world->local, 2, sizeof(world->local[0]), address_compare_void);
        world->device = (struct device){
                .usable = draw(3) > 0,
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
        input = input_of(world, NULL);
        CHECK(policy_compute(&input, &world->wanted) >= 0);
}

void world_deinit(struct world *world)
{
        settings_free(world->settings);
        cluster_free(world->cluster);
        endpoint_deinit(&world->endpoint);
        fib_deinit(&world->wanted);
        *world = (struct world){};
}

/* Every flow there is: the number's digits choose the fields. */
struct flow flow_number(int family, unsigned number)
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
