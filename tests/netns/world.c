#include "world.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>

#include "basics/array.h"
#include "kernel/link.h"
#include "kernel/route_query.h"
#include "test.h"

void world_host(void)
{
        run("sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
            "net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.rp_filter=0 "
            "net.ipv4.conf.default.rp_filter=0");
        fixture_tun("eth0");
        fixture_tun("lxc0");
        fixture_tun(DEVICE);
        run("ip address add 10.0.0.1/16 dev eth0; ip address add fd00::1/64 dev eth0 nodad");
        run("ip route add default dev eth0; ip -6 route add default dev eth0");
        run("ip route add 10.244.1.0/24 dev lxc0; ip -6 route add fd00:244:1::/64 dev lxc0");
        fixture_wait_for_ipv6("fd00::1");
}

void world_init_empty(struct world *world)
{
        *world = (struct world){
                .settings = settings_new(),
                .cluster = cluster_new(),
                .device_up = true,
        };
        CHECK(world->settings && world->cluster);
}

void world_init(struct world *world)
{
        world_init_empty(world);
        world_put(world, SELF, 1, false);
}

void world_deinit(struct world *world)
{
        settings_free(world->settings);
        cluster_free(world->cluster);
        endpoint_deinit(&world->endpoint);
        *world = (struct world){};
}

void world_put(struct world *world, const char *name, unsigned number, bool control_plane)
{
        struct node *node = node_new(name);
        char text[64];

        CHECK(node);
        snprintf(text, sizeof(text), "10.0.%u.%u", number / 256, number % 256);
        node->addresses[FAMILY_INET] = address(text);
        snprintf(text, sizeof(text), "fd00::%x", number);
        node->addresses[FAMILY_INET6] = address(text);
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct prefix pods;

                if (i == FAMILY_INET)
                        snprintf(text, sizeof(text), "10.%u.%u.0/24", 244 + number / 256,
                                number % 256);
                else
                        snprintf(text, sizeof(text), "fd00:244:%x::/64", number);
                pods = prefix(text);
                CHECK(node_add_pod_prefix(node, &pods) >= 0);
        }
        if (control_plane)
                CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "") >= 0);
        CHECK(cluster_put(world->cluster, node) >= 0);
}

void world_remove(struct world *world, const char *name)
{
        CHECK_INT(cluster_remove(world->cluster, name), 1);
}

void world_add_prefix(struct prefix **list, size_t *n, const char *text)
{
        *list = reallocarray(*list, *n + 1, sizeof(**list));
        CHECK(*list);
        (*list)[(*n)++] = prefix(text);
        *n = prefix_sort_unique(*list, *n);
}

void world_exempt_only(struct world *world, uint8_t protocol, uint16_t first, uint16_t last)
{
        struct port_range ports = {first, last};
        struct exemption exemption = {
                .name = (char *)"only",
                .selector = {.key = (char *)CONTROL_PLANE_LABEL},
                .protocol = protocol,
                .ports = &ports,
                .n_ports = 1,
        };

        settings_clear_exemptions(world->settings);
        CHECK(settings_add_exemption(world->settings, &exemption) >= 0);
}

/* What a device of that state would be; the addresses are the host's. */
static struct policy_input input_of(
        const struct world *world, struct device *device, const struct probes *probes)
{
        device->usable = world->device_up;
        device->ifindex = probes->device;
        device->mark = DEFAULT_MARK;
        return (struct policy_input){
                .settings = world->settings,
                .cluster = world->cluster,
                .node_name = SELF,
                .device = device,
                .endpoint = &world->endpoint,
        };
}

/* One judge for both worlds; what it works on while the flows are made up. */
struct judging {
        struct probes *probes;
        struct policy_input before, after;
};

static void add(struct judging *judging, const struct flow *flow)
{
        struct probes *probes = judging->probes;
        struct verdict before = policy_verdict(&judging->before, flow);
        struct verdict after = policy_verdict(&judging->after, flow);
        bool clear = before.way == WAY_MAIN;

        if (clear != (after.way == WAY_MAIN))
                return;
        /* An exempt node that leaves is blocked for a moment: there is nothing to keep open. */
        if (before.reason == VERDICT_EXEMPT && after.reason == VERDICT_UNTOUCHED)
                return;
        CHECK(ARRAY_RESERVE(probes->items, probes->allocated, probes->n + 1));
        probes->items[probes->n++] = (struct probe){
                .flow = *flow,
                .never_clear = !clear,
                .always_clear = clear,
        };
}

/* To one address: what exemptions name, and what they do not. */
static void add_all(struct judging *judging, const struct address *destination)
{
        static const struct {
                uint8_t protocol;
                uint16_t source_port, destination_port;
                uint32_t mark;
                bool forwarded;
        } kinds[] = {
                {IPPROTO_UDP, 0, 53, 0, false},
                {IPPROTO_TCP, 0, 10250, 0, false},
                {IPPROTO_TCP, 0, 6443, 0, false},
                {IPPROTO_TCP, 0, 2380, 0, false},
                {IPPROTO_TCP, 0, 8443, 0, false},
                {IPPROTO_TCP, 6443, 40000, 0, false},
                {IPPROTO_TCP, 0, 6443, 0, true},
                {IPPROTO_UDP, 0, 53, 0, true},
                {IPPROTO_UDP, 0, 51871, DEFAULT_MARK, false},
        };

        for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
                struct flow flow = {
                        .destination = *destination,
                        .ip_protocol = kinds[i].protocol,
                        .source_port = kinds[i].source_port,
                        .destination_port = kinds[i].destination_port,
                        .mark = kinds[i].mark,
                        .forwarded = kinds[i].forwarded,
                };

                if (flow.forwarded)
                        flow.source = address(
                                destination->family == AF_INET ? "10.244.1.5" : "fd00:244:1::5");
                add(judging, &flow);
        }
}

static void add_inside(struct judging *judging, const struct prefix *prefix)
{
        struct address inside = prefix->address;

        if (prefix->length < address_bits(inside.family))
                inside.bytes[address_size(inside.family) - 1] |= 5;
        add_all(judging, &inside);
}

static void add_nodes(struct judging *judging, const struct cluster *cluster, size_t nodes)
{
        size_t stride = cluster->n_nodes > nodes ? cluster->n_nodes / nodes : 1;

        for (size_t i = 0; i < cluster->n_nodes; i += stride) {
                const struct node *node = cluster->nodes[i];

                if (strcmp(node->name, SELF) == 0)
                        continue;
                for (int family = 0; family < FAMILY_MAX; family++)
                        add_all(judging, &node->addresses[family]);
                for (size_t j = 0; j < node->n_pod_prefixes; j++)
                        add_inside(judging, &node->pod_prefixes[j]);
        }
}

static void add_settings(struct judging *judging, const struct settings *settings)
{
        for (size_t i = 0; i < settings->n_protect; i++)
                add_inside(judging, &settings->protect[i]);
        for (size_t i = 0; i < settings->n_exclude; i++)
                add_inside(judging, &settings->exclude[i]);
}

void probes_init(
        struct probes *probes, const struct world *before, const struct world *after, size_t nodes)
{
        static const char *const elsewhere[] = {
                "192.0.2.7", "2001:db8::7", "10.244.1.9", "fd00:244:1::9", "10.0.0.99", "fd00::99"};
        struct judging judging = {.probes = probes};
        struct device device = {}, other;
        struct address *local = NULL, destination;

        *probes = (struct probes){
                .nl = fixture_netlink(NETLINK_ROUTE),
                .device = if_nametoindex(DEVICE),
                .lxc = if_nametoindex("lxc0"),
        };
        CHECK_INT(addresses_read(probes->nl, &local, &device.n_local, NULL), 0);
        device.local = local;
        other = device;
        judging.before = input_of(before, &device, probes);
        judging.after = input_of(after, &other, probes);
        add_nodes(&judging, before->cluster, nodes);
        add_nodes(&judging, after->cluster, nodes);
        add_settings(&judging, before->settings);
        add_settings(&judging, after->settings);
        for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++) {
                destination = address(elsewhere[i]);
                add_all(&judging, &destination);
        }
        free(local);
}

void probes_deinit(struct probes *probes)
{
        netlink_free(probes->nl);
        free(probes->items);
        *probes = (struct probes){};
}

static enum answer ask(const struct probes *probes, const struct flow *flow)
{
        struct route_answer answer;
        struct error error = {};

        if (route_query(probes->nl, flow, probes->lxc, &answer, &error) == -EINVAL)
                return ANSWER_BLOCKED; /* by a blackhole */
        if (error.code < 0)
                printf("# cannot ask: %s\n", error.text);
        CHECK_INT(error.code, 0);
        if (answer.result < 0 || answer.type == RTN_UNREACHABLE)
                return ANSWER_BLOCKED;
        return answer.oif == probes->device ? ANSWER_DEVICE : ANSWER_CLEAR;
}

static void say(const struct probe *probe, enum answer answer, const char *when, unsigned number)
{
        static const char *const words[] = {"in clear", "into the device", "refused"};
        const struct flow *flow = &probe->flow;
        char text[ADDRESS_TEXT_MAX];

        printf("# %s %u: to %s, protocol %u, ports %u to %u, mark %#x%s: %s\n", when, number,
                address_format(&flow->destination, text), flow->ip_protocol, flow->source_port,
                flow->destination_port, flow->mark, flow->forwarded ? ", forwarded" : "",
                words[answer]);
}

size_t probes_ask(const struct probes *probes, const char *when, unsigned number)
{
        size_t wrong = 0;

        for (size_t i = 0; i < probes->n; i++) {
                const struct probe *probe = &probes->items[i];
                enum answer answer = ask(probes, &probe->flow);

                if ((!probe->never_clear || answer != ANSWER_CLEAR) &&
                        (!probe->always_clear || answer == ANSWER_CLEAR))
                        continue;
                if (wrong++ < 3 && when)
                        say(probe, answer, when, number);
        }
        return wrong;
}
