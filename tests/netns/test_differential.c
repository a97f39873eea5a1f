/*
 * Our layout against the original's script, decided by the kernel: random clusters and random
 * flows, the same in two namespaces, one with the script's rules, one with what the policy
 * computes. Ours is never laxer, and stricter only for the reasons counted below.
 *
 *   test_differential [SEED [FLOWS]]
 */
#include <linux/fib_rules.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>

#include "basics/text.h"
#include "fixture.h"
#include "kernel/fib_apply.h"
#include "kernel/route_query.h"
#include "policy/compute.h"
#include "policy/verdict.h"
#include "test.h"

#define NODES_MAX       12
#define FLOWS_A_CLUSTER 2500u

static uint32_t seed, flows_wanted = 100000;

static uint32_t draw(uint32_t bound)
{
        seed = seed * 1664525u + 1013904223u;
        return (seed >> 8) % bound;
}

static uint32_t pick(const uint32_t *values, size_t n)
{
        return values[draw((uint32_t)n)];
}

enum where { DEVICE_WAY, REFUSED, LOCAL, OWN_POD, CLEAR };

static const char *where_name(enum where where)
{
        static const char *const names[] = {"device", "refused", "local", "own pod", "in clear"};

        return names[where];
}

/* What is allowed to differ, and how often it did. */
static struct {
        unsigned long flows, same;
        unsigned long not_tcp; /* exemptions are for TCP only */
        unsigned long guard;   /* the device's own packets never go back into it */
        unsigned long between; /* a foreign rule between the script's, which ours comes before */
        unsigned long own_pod; /* our own pods stay local whatever another node claims */
        unsigned long local;  /* marked, to ourselves, where the script's rule comes before local */
        unsigned long marked; /* the device's own, by a foreign rule that comes before ours */
        unsigned long past;   /* exempt by a complement: goes on to what follows, not to main */
        unsigned long complements; /* clusters that have one */
} counted;

struct scene {
        struct cluster *cluster;
        struct settings *settings;
        struct endpoint endpoint;
        struct prefix own[FAMILY_MAX];
        bool foreign_between;
        bool foreign;  /* there is a foreign rule */
        bool complete; /* main has a route to everything */
        size_t threshold;
        struct netlink *ours, *theirs;
        uint32_t lxc; /* the same index in both namespaces */
};

static struct address node_address(int family, unsigned number)
{
        char text[ADDRESS_TEXT_MAX];

        snprintf(text, sizeof(text), family == AF_INET ? "10.0.0.%u" : "fd00::%x", number);
        return address(text);
}

/* Of the pods' range, or now and then of the nodes', so that the two overlap. */
static struct prefix draw_pod_prefix(int family, bool among_nodes)
{
        unsigned bits = address_bits(family), length = bits - draw(9);
        struct prefix drawn =
                prefix(family == AF_INET ? among_nodes ? "10.0.0.0/32" : "10.244.0.0/32"
                        : among_nodes    ? "fd00::/128"
                                         : "fd00:244::/128");
        size_t last = address_size(family) - 1;
        unsigned host = draw(256) & ~((1u << (bits - length)) - 1);

        drawn.address.bytes[last] = (uint8_t)host;
        if (!among_nodes)
                drawn.address.bytes[last - 1] = (uint8_t)draw(2);
        drawn.length = (uint8_t)length;
        return drawn;
}

static struct node *draw_node(unsigned number)
{
        char name[16];
        struct node *node;

        snprintf(name, sizeof(name), "n%u", number);
        node = node_new(name);
        CHECK(node);
        for (int i = 0; i < FAMILY_MAX; i++) {
                int family = family_from_index((enum family_index)i);

                if (number == 0 || draw(12) > 0)
                        node->addresses[i] = node_address(family, number == 0 ? 1 : 1 + draw(30));
                for (uint32_t n = number == 0 ? 1 : draw(3); n > 0; n--) {
                        struct prefix pods = draw_pod_prefix(family, number != 0 && draw(8) == 0);

                        CHECK(node_add_pod_prefix(node, &pods) >= 0);
                }
        }
        if (draw(2))
                CHECK(node_add_label(node, CONTROL_PLANE_LABEL, draw(2) ? "" : "true") >= 0);
        return node;
}

static void draw_cluster(struct scene *scene)
{
        const struct node *self;

        scene->cluster = cluster_new();
        scene->settings = settings_new();
        CHECK(scene->cluster && scene->settings);
        scene->threshold = draw(2);
        for (unsigned i = 0; i < 2 + draw(NODES_MAX - 1); i++)
                CHECK(cluster_put(scene->cluster, draw_node(i)) >= 0);
        self = cluster_find(scene->cluster, "n0");
        for (size_t i = 0; i < self->n_pod_prefixes; i++)
                scene->own[family_index(self->pod_prefixes[i].address.family)] =
                        self->pod_prefixes[i];
}

/* The same host in both namespaces: what stands before either policy comes. */
struct surroundings {
        bool no_default, no_connected, local_moved;
        uint32_t foreign_priority; /* 0: no foreign rule */
        struct prefix foreign_to;
};

static void set_up_routes(const struct scene *scene, const struct surroundings *s)
{
        char text[PREFIX_TEXT_MAX];

        for (size_t i = 0; i < scene->cluster->n_nodes; i++) {
                const struct node *node = scene->cluster->nodes[i];

                /* As Cilium's native routing has them: pods of other nodes over the underlay. */
                for (size_t j = 0; j < node->n_pod_prefixes; j++)
                        run("ip route replace %s dev eth0",
                                prefix_format(&node->pod_prefixes[j], text));
        }
        for (int i = 0; i < FAMILY_MAX; i++)
                run("ip route replace %s dev lxc0", prefix_format(&scene->own[i], text));
        if (!s->no_default) {
                run("ip route replace default dev eth0");
                run("ip -6 route replace default dev eth0");
        }
        if (s->no_connected) {
                run("ip route flush 10.0.0.0/24 table main");
                run("ip -6 route flush fd00::/64 table main");
        }
        if (s->foreign_priority != 0) {
                run("ip route add default dev vpn0 table 300; ip -6 route add default dev vpn0 "
                    "table 300");
                run("ip -%d rule add to %s lookup 300 priority %u",
                        s->foreign_to.address.family == AF_INET ? 4 : 6,
                        prefix_format(&s->foreign_to, text), s->foreign_priority);
        }
        if (s->local_moved)
                for (int family = 4; family <= 6; family += 2)
                        run("ip -%d rule add priority 100 lookup local; ip -%d rule delete "
                            "priority 0 "
                            "lookup local",
                                family, family);
}

static void enter_host(struct scene *scene, const struct surroundings *s)
{
        CHECK(fixture_enter());
        run("sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
            "net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.all.rp_filter=0");
        fixture_tun("eth0");
        fixture_tun(DEVICE);
        fixture_tun("lxc0");
        fixture_tun("vpn0");
        scene->lxc = if_nametoindex("lxc0");
        run("ip address add 10.0.0.1/24 dev eth0; ip address add fd00::1/64 dev eth0 nodad");
        fixture_wait_for_ipv6("fd00::1");
        set_up_routes(scene, s);
}

/* The original's script for one family, line by line, as commands of `ip -batch`. */
static void write_script_lines(FILE *batch, const struct scene *scene, enum family_index i)
{
        const struct node *self = cluster_find(scene->cluster, "n0");
        static const char *const ports[] = {"2379-2380", "6443"};
        char text[ADDRESS_TEXT_MAX], pods[PREFIX_TEXT_MAX];

        fprintf(batch, "rule add fwmark 0xe00 lookup main priority 0\n");
        fprintf(batch, "route add default dev " DEVICE "%s table 100\n",
                i == FAMILY_INET ? " scope link" : "");
        for (size_t p = 0; node_is_control_plane(self) && p < ARRAY_SIZE(ports); p++)
                fprintf(batch, "rule add iif lo sport %s lookup main priority 210\n", ports[p]);
        for (size_t n = 0; n < scene->cluster->n_nodes; n++) {
                const struct node *node = scene->cluster->nodes[n];

                if (node == self)
                        continue;
                for (size_t j = 0; j < node->n_pod_prefixes; j++)
                        if (family_index(node->pod_prefixes[j].address.family) == (int)i)
                                fprintf(batch, "rule add to %s lookup 100 priority 200\n",
                                        prefix_format(&node->pod_prefixes[j], pods));
                if (node->addresses[i].family == 0)
                        continue;
                address_format(&node->addresses[i], text);
                for (size_t p = 0; node_is_control_plane(node) && p < ARRAY_SIZE(ports); p++)
                        fprintf(batch, "rule add to %s dport %s lookup main priority 210\n", text,
                                ports[p]);
                fprintf(batch, "rule add to %s lookup 100 priority 220\n", text);
        }
}

static void write_script(const struct scene *scene)
{
        for (int i = 0; i < FAMILY_MAX; i++) {
                /* Nodes that share an address or a prefix make the same rule twice: refused,
                 * rightly. */
                FILE *batch = popen(i == FAMILY_INET ? "ip -4 -force -batch - 2>/dev/null"
                                                     : "ip -6 -force -batch - 2>/dev/null",
                        "w");

                CHECK(batch);
                write_script_lines(batch, scene, (enum family_index)i);
                CHECK(pclose(batch) != -1);
        }
}

static struct policy_input input_of(const struct scene *scene, const struct device *device)
{
        return (struct policy_input){
                .settings = scene->settings,
                .cluster = scene->cluster,
                .node_name = "n0",
                .device = device,
                .endpoint = &scene->endpoint,
                .threshold = scene->threshold,
        };
}

static void write_policy(const struct scene *scene, const struct policy_input *input)
{
        const struct layout layout = policy_layout(input->settings);
        struct fib wanted = {}, actual = {};

        CHECK(policy_compute(input, &wanted) >= 0);
        for (int i = 0; i < FAMILY_MAX; i++) {
                struct apply_result result = {};
                struct steps steps = {};

                CHECK(policy_diff(&layout, 1, family_from_index((enum family_index)i), &actual,
                              &wanted, &steps) >= 0);
                CHECK_INT(kernel_fib_apply(scene->ours, &steps, &result), 0);
                steps_deinit(&steps);
        }
        for (size_t i = 0; i < wanted.n_rules; i++)
                if (wanted.rules[i].action == FR_ACT_NOP) {
                        counted.complements++;
                        break;
                }
        fib_deinit(&wanted);
}

static struct address address_in(const struct prefix *prefix)
{
        struct address drawn = prefix->address;
        size_t last = address_size(drawn.family) - 1;
        unsigned free_bits = address_bits(drawn.family) - prefix->length;

        drawn.bytes[last] |= (uint8_t)(draw(256) & ((1u << (free_bits > 8 ? 8 : free_bits)) - 1));
        return drawn;
}

static struct address draw_destination(const struct scene *scene, int family)
{
        const struct node *node = scene->cluster->nodes[draw((uint32_t)scene->cluster->n_nodes)];
        const struct address *address_of_node = &node->addresses[family_index(family)];

        switch (draw(10)) {
        case 0: return address(family == AF_INET ? "192.0.2.7" : "2001:db8::7");
        case 1: return node_address(family, 1 + draw(60));
        case 2: return address_in(&scene->own[family_index(family)]);
        case 3:
        case 4:
        case 5:
                for (size_t i = 0; i < node->n_pod_prefixes; i++)
                        if (node->pod_prefixes[i].address.family == family)
                                return address_in(&node->pod_prefixes[i]);
                break;
        default: break;
        }
        return address_of_node->family != 0 ? *address_of_node : node_address(family, 1 + draw(30));
}

static struct flow draw_flow(const struct scene *scene)
{
        static const uint32_t ports[] = {6443, 6443, 2379, 2380, 2381, 80, 10250};
        static const uint32_t protocols[] = {IPPROTO_TCP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP};
        static const uint32_t marks[] = {0, 0, 0, 0, 0, 0, 0x0e00, 0x1e00, 0x3e00, 0x0f00};
        int family = draw(2) ? AF_INET : AF_INET6;
        struct flow flow = {
                .destination = draw_destination(scene, family),
                .ip_protocol = (uint8_t)pick(protocols, ARRAY_SIZE(protocols)),
                .destination_port = (uint16_t)pick(ports, ARRAY_SIZE(ports)),
                .source_port =
                        (uint16_t)(draw(3) ? 40000 + draw(1000) : pick(ports, ARRAY_SIZE(ports))),
                .mark = pick(marks, ARRAY_SIZE(marks)),
                .forwarded = draw(3) == 0,
        };

        if (flow.ip_protocol == IPPROTO_ICMP) {
                flow.source_port = flow.destination_port = 0;
                if (family == AF_INET6)
                        flow.ip_protocol = IPPROTO_ICMPV6;
        }
        if (flow.forwarded)
                flow.source = address_in(&scene->own[family_index(family)]);
        return flow;
}

static enum where ask(struct netlink *nl, const struct scene *scene, const struct flow *flow)
{
        struct route_answer answer;
        struct error error = {};

        if (route_query(nl, flow, flow->forwarded ? scene->lxc : 0, &answer, &error) < 0) {
                printf("# %s\n", error.text);
                CHECK(false);
        }
        if (answer.result < 0)
                return REFUSED;
        /* The local table also holds anycast and broadcast addresses. */
        if (answer.type != RTN_UNICAST)
                return LOCAL;
        if (strcmp(answer.interface, DEVICE) == 0)
                return DEVICE_WAY;
        return strcmp(answer.interface, "lxc0") == 0 ? OWN_POD : CLEAR;
}

static bool is_exempt_port(uint16_t port)
{
        return port == 6443 || port == 2379 || port == 2380;
}

static void print_flow(const struct flow *flow)
{
        char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

        printf("# %s protocol %u %s:%u -> %s:%u mark %#x\n",
                flow->forwarded ? "forwarded" : "local", flow->ip_protocol,
                address_format(&flow->source, source), flow->source_port,
                address_format(&flow->destination, destination), flow->destination_port,
                flow->mark);
}

/* Stricter where it may be; the reason is counted. */
static bool has_reason(const struct scene *scene, const struct policy_input *input,
        const struct flow *flow, enum where ours, enum where theirs)
{
        const struct prefix *own = &scene->own[family_index(flow->destination.family)];
        bool exempt_port = is_exempt_port(flow->destination_port) ||
                           (!flow->forwarded && is_exempt_port(flow->source_port));

        /* What is left to the host's routing may meet a foreign rule there. */
        if ((ours == OWN_POD || scene->foreign) && prefix_contains(own, &flow->destination))
                counted.own_pod++;
        else if (flow->mark == DEFAULT_MARK && ours == LOCAL)
                counted.local++;
        else if (flow->mark == DEFAULT_MARK && ours == REFUSED)
                counted.guard++;
        else if (ours == DEVICE_WAY && theirs == CLEAR && flow->ip_protocol != IPPROTO_TCP &&
                 exempt_port)
                counted.not_tcp++;
        else if (ours == DEVICE_WAY && theirs == CLEAR && scene->foreign_between)
                counted.between++;
        else if (scene->threshold != 0 && (scene->foreign || !scene->complete) &&
                 policy_verdict(input, flow).reason == VERDICT_EXEMPT)
                counted.past++;
        else
                return false;
        return true;
}

static void compare(
        const struct scene *scene, const struct policy_input *input, const struct flow *flow)
{
        enum where ours = ask(scene->ours, scene, flow), theirs = ask(scene->theirs, scene, flow);

        counted.flows++;
        if (ours == theirs) {
                counted.same++;
        } else if (flow->mark == DEFAULT_MARK && scene->foreign && theirs != DEVICE_WAY) {
                counted.marked++;
        } else if (!has_reason(scene, input, flow, ours, theirs)) {
                print_flow(flow);
                printf("# ours: %s, the script's: %s\n", where_name(ours), where_name(theirs));
                CHECK(!"laxer, or stricter without a reason");
        }
        /* And the kernel does what the policy says, where nothing else decides. */
        if (!scene->foreign && scene->complete && ours != LOCAL) {
                struct verdict verdict = policy_verdict(input, flow);

                if ((verdict.way == WAY_DEVICE) != (ours == DEVICE_WAY)) {
                        print_flow(flow);
                        printf("# kernel: %s, policy: %s\n", where_name(ours),
                                verdict_word(&verdict));
                        CHECK(!"kernel and policy disagree");
                }
        }
}

static struct surroundings draw_surroundings(struct scene *scene)
{
        static const uint32_t priorities[] = {50, 150, 215, 300};
        struct surroundings s = {
                .no_default = draw(4) == 0,
                .no_connected = draw(6) == 0,
                .local_moved = draw(2),
        };

        scene->complete = !s.no_default && !s.no_connected;
        if (draw(3) == 0) {
                s.foreign_priority = pick(priorities, ARRAY_SIZE(priorities));
                s.foreign_to = draw_pod_prefix(draw(2) ? AF_INET : AF_INET6, false);
                if (draw(2))
                        s.foreign_to = prefix(draw(2) ? "10.0.0.0/27" : "fd00::/120");
                scene->foreign = true;
                scene->foreign_between = s.foreign_priority == 215;
        }
        return s;
}

static void run_cluster(void)
{
        struct scene scene = {};
        struct surroundings surroundings;
        struct address local[4];
        struct device device = {.usable = true, .mark = DEFAULT_MARK, .local = local, .n_local = 4};
        struct policy_input input;

        draw_cluster(&scene);
        surroundings = draw_surroundings(&scene);
        enter_host(&scene, &surroundings);
        scene.theirs = fixture_netlink(NETLINK_ROUTE);
        write_script(&scene);

        enter_host(&scene, &surroundings);
        scene.ours = fixture_netlink(NETLINK_ROUTE);
        local[0] = node_address(AF_INET, 1);
        local[1] = address("127.0.0.1");
        local[2] = address("::1");
        local[3] = node_address(AF_INET6, 1);
        device.ifindex = if_nametoindex(DEVICE);
        input = input_of(&scene, &device);
        write_policy(&scene, &input);

        for (unsigned i = 0; i < FLOWS_A_CLUSTER && counted.flows < flows_wanted; i++) {
                struct flow flow = draw_flow(&scene);

                compare(&scene, &input, &flow);
        }
        netlink_free(scene.ours);
        netlink_free(scene.theirs);
        cluster_free(scene.cluster);
        settings_free(scene.settings);
}

static void never_laxer_than_the_script(void)
{
        printf("# seed %u\n", seed);
        while (counted.flows < flows_wanted)
                run_cluster();
        printf("# %lu flows: %lu the same; stricter: %lu not TCP, %lu guarded, %lu before a "
               "foreign rule; "
               "%lu own pods and %lu own addresses kept local; %lu of the device's own by a "
               "foreign rule; %lu past our rules by a complement (%lu clusters)\n",
                counted.flows, counted.same, counted.not_tcp, counted.guard, counted.between,
                counted.own_pod, counted.local, counted.marked, counted.past, counted.complements);
        CHECK(counted.same > counted.flows / 2);
        CHECK(counted.not_tcp > 0);
        CHECK(counted.complements > 0);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(never_laxer_than_the_script)};

        seed = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : (uint32_t)time(NULL);
        if (argc > 2)
                flows_wanted = (uint32_t)strtoul(argv[2], NULL, 0);
        if (!fixture_possible())
                return 0;
        return test_main(1, argv, tests, ARRAY_SIZE(tests));
}
