/*
 * What nodecryptorctl's audit judges by: the quick verdict against the policy's own, the daemon's
 * peers as nodes, which flows are asked about, and what a packet on the wire is.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include "ctl/audit_flows.h"
#include "ctl/live_count.h"
#include "ctl/peer_nodes.h"
#include "ctl/quick_verdict.h"
#include "policy_host.h"
#include "random_world.h"
#include "store/json.h"
#include "test.h"

static void same_verdict(const struct verdict *a, const struct verdict *b)
{
        CHECK_INT(a->reason, b->reason);
        CHECK_INT(a->way, b->way);
        CHECK(a->node == b->node);
        CHECK(a->exemption == b->exemption);
        CHECK_INT(a->reply, b->reply);
        CHECK(prefix_equal(&a->prefix, &b->prefix));
}

/* Every flow of many random clusters whose addresses and prefixes overlap in every way. */
static void quick_as_the_policy(void)
{
        for (unsigned i = 0; i < 300; i++) {
                int family = i % 2 ? AF_INET6 : AF_INET;
                struct world world = {};
                struct policy_input asked;
                struct quick_verdict *quick;

                draw_world(&world, NULL, family);
                asked = input_of(&world, NULL);
                quick = quick_verdict_new(&asked);
                CHECK(quick);
                CHECK(quick_verdict_self(quick) == policy_self(&asked));
                for (unsigned j = 0; j < FLOWS; j++) {
                        struct flow flow = flow_number(family, j);
                        struct verdict wanted = policy_verdict(&asked, &flow), seen;

                        CHECK_INT(quick_verdict_ask(quick, &flow, &seen), 0);
                        same_verdict(&seen, &wanted);
                }
                quick_verdict_free(quick);
                world_deinit(&world);
        }
}

static void owners(void)
{
        struct quick_verdict *quick;
        struct policy_input asked;
        struct address address;
        const struct node *owner;
        uint32_t index = 99;

        begin();
        put_node("inner", "10.0.0.9", NULL, "10.99.1.0/24", NULL);
        put_node("outer", "10.0.0.8", NULL, "10.99.0.0/16", NULL);
        asked = input();
        quick = quick_verdict_new(&asked);
        address = address_of("10.99.1.7");
        owner = quick_verdict_owner(quick, &address, &index);
        CHECK(owner && index < asked.cluster->n_nodes);
        CHECK_TEXT(owner->name, "inner");
        CHECK(asked.cluster->nodes[index] == owner);
        address = address_of("10.99.2.7");
        CHECK_TEXT(quick_verdict_owner(quick, &address, &index)->name, "outer");
        address = address_of("10.0.0.8");
        CHECK_TEXT(quick_verdict_owner(quick, &address, &index)->name, "outer");
        address = address_of("192.0.2.1");
        CHECK(!quick_verdict_owner(quick, &address, &index));
        address = quick_verdict_self(quick)->addresses[FAMILY_INET];
        CHECK(!quick_verdict_owner(quick, &address, &index));
        quick_verdict_free(quick);
        end();
}

static int add_peers(const char *text, struct cluster *cluster, struct error *error)
{
        _cleanup_(json_putp) json_object *peers = json_parse(text, strlen(text));

        CHECK(peers);
        return peer_nodes_add(peers, host.settings, cluster, error);
}

static void peers_as_nodes(void)
{
        _cleanup_(cluster_freep) struct cluster *cluster = cluster_new();
        struct error error = {};
        const struct node *node;

        begin();
        CHECK_INT(add_peers("[{\"Name\":\"b\",\"ControlPlane\":false,\"Addresses\":[\"10.0.0.2\","
                            "\"fd00::2\"],\"PodPrefixes\":[\"10.244.2.0/24\",\"10.244.1.0/24\"],"
                            "\"Exemptions\":[],\"Later\":1},"
                            "{\"Name\":\"a\",\"ControlPlane\":true,\"Addresses\":[],"
                            "\"PodPrefixes\":[],\"Exemptions\":[\"etcd\"]}]",
                          cluster, &error),
                0);
        CHECK_INT(cluster->n_nodes, 2);
        node = cluster_find(cluster, "b");
        CHECK(node && !node_is_control_plane(node));
        CHECK_INT(node->n_pod_prefixes, 2);
        CHECK_INT(node->addresses[FAMILY_INET6].family, AF_INET6);
        CHECK(!selector_matches(&host.settings->exemptions[0].selector, node));
        node = cluster_find(cluster, "a");
        CHECK(node && node_is_control_plane(node));
        CHECK(selector_matches(&host.settings->exemptions[0].selector, node));
        end();
}

/* An exemption that asks for a value, and one for the key alone: one label serves both. */
static void labels_by_exemptions(void)
{
        _cleanup_(cluster_freep) struct cluster *cluster = cluster_new();
        struct exemption valued = {.name = (char *)"valued",
                                 .selector = {(char *)"role", (char *)"store"},
                                 .protocol = IPPROTO_TCP},
                         keyed = {.name = (char *)"keyed",
                                 .selector = {(char *)"role", NULL},
                                 .protocol = IPPROTO_TCP};
        struct error error = {};
        const struct node *node;

        begin();
        CHECK_INT(settings_add_exemption(host.settings, &valued), 0);
        CHECK_INT(settings_add_exemption(host.settings, &keyed), 0);
        CHECK_INT(add_peers("[{\"Name\":\"a\",\"Addresses\":[],\"PodPrefixes\":[],"
                            "\"Exemptions\":[\"keyed\",\"valued\"]}]",
                          cluster, &error),
                0);
        node = cluster_find(cluster, "a");
        CHECK(selector_matches(&valued.selector, node));
        CHECK(selector_matches(&keyed.selector, node));
        end();
}

static void peers_that_are_none(void)
{
        static const char bad_prefix[] = "[{\"Name\":\"a\",\"Addresses\":[],\"PodPrefixes\":"
                                         "[\"10.0.0.1/8\"],\"Exemptions\":[]}]";
        const char *const bad[] = {"{}", "[1]", "[{}]",
                "[{\"Name\":\"a\",\"Addresses\":[],\"PodPrefixes\":[]}]",
                "[{\"Name\":\"\",\"Addresses\":[],\"PodPrefixes\":[],\"Exemptions\":[]}]",
                "[{\"Name\":\"a\",\"Addresses\":[\"x\"],\"PodPrefixes\":[],\"Exemptions\":[]}]",
                "[{\"Name\":\"a\",\"Addresses\":[null],\"PodPrefixes\":[],\"Exemptions\":[]}]",
                bad_prefix};

        begin();
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                _cleanup_(cluster_freep) struct cluster *cluster = cluster_new();
                struct error error = {};

                CHECK_INT(add_peers(bad[i], cluster, &error), -EBADMSG);
                CHECK(error.text[0]);
        }
        end();
}

struct told {
        unsigned flows, forwarded, to_port, from_port, udp_to_port, with_source, icmp;
};

static int note_flow(const char *kind, const struct flow *flow, void *userdata)
{
        struct told *told = userdata;

        CHECK(!flow->forwarded || flow->source.family == flow->destination.family);
        CHECK_INT(strstr(kind, "host") == NULL, flow->forwarded);
        told->flows++;
        told->forwarded += flow->forwarded;
        told->with_source += flow->source.family != 0;
        told->to_port += flow->ip_protocol == IPPROTO_TCP && flow->destination_port == 6443;
        told->from_port += flow->ip_protocol == IPPROTO_TCP && flow->source_port == 6443;
        told->udp_to_port += flow->ip_protocol == IPPROTO_UDP && flow->destination_port == 6443;
        told->icmp += flow->ip_protocol == IPPROTO_ICMP || flow->ip_protocol == IPPROTO_ICMPV6;
        return 0;
}

static void flows_to_ask_about(void)
{
        struct audit_source source = {.endpoint_port = 6443};
        struct told told = {};
        struct node *node;

        begin();
        node = put_node("x", "10.0.0.9", "fd00::9", "10.99.1.0/24", "fd00:99::/64");
        CHECK_INT(audit_flows_tell(&source, host.settings, node, note_flow, &told), 0);
        /* Four destinations, from the host alone, as no address of ours and no pod is known. */
        CHECK_INT(told.forwarded + told.with_source, 0);
        CHECK_INT(told.icmp, 4);
        CHECK(told.to_port == 4 && told.from_port == 4 && told.udp_to_port == 4);
        source.host[FAMILY_INET] = address_of("10.0.0.1");
        source.pod[FAMILY_INET6] = address_of("fd00:98::1");
        told = (struct told){};
        CHECK_INT(audit_flows_tell(&source, host.settings, node, note_flow, &told), 0);
        CHECK_INT(told.icmp, 4 + 2 + 2);
        CHECK(told.to_port == 4 + 2 && told.forwarded > 0 && told.with_source > told.forwarded);
        /* An endpoint of its own port is asked about, too. */
        source.endpoint_port = 8443;
        node->addresses[FAMILY_INET6].family = 0;
        CHECK_INT(audit_flows_tell(&source, host.settings, node, note_flow, &told), 0);
        end();
}

/* A packet under construction: headers by hand, as on the wire. */
struct raw {
        uint8_t bytes[256];
        size_t size;
};

static void put16(uint8_t *at, unsigned value)
{
        at[0] = (uint8_t)(value >> 8);
        at[1] = (uint8_t)value;
}

static struct raw ipv4(const char *source, const char *destination, uint8_t protocol,
        unsigned source_port, unsigned destination_port)
{
        struct address a = address_of(source), b = address_of(destination);
        struct raw raw = {.size = 48};

        raw.bytes[0] = 0x45;
        put16(raw.bytes + 2, 48);
        raw.bytes[9] = protocol;
        memcpy(raw.bytes + 12, a.bytes, 4);
        memcpy(raw.bytes + 16, b.bytes, 4);
        put16(raw.bytes + 20, source_port);
        put16(raw.bytes + 22, destination_port);
        put16(raw.bytes + 24, 28);
        return raw;
}

static struct raw wireguard(
        const char *source, const char *destination, unsigned type, unsigned length)
{
        struct raw raw = ipv4(source, destination, IPPROTO_UDP, 51871, 51871);

        put16(raw.bytes + 24, length + 8);
        raw.bytes[28] = (uint8_t)type;
        return raw;
}

static size_t class_of(const struct raw *raw, enum live_direction direction)
{
        struct live_counts counts = {};
        const struct policy_input asked = input();
        size_t class = SIZE_MAX;

        CHECK_INT(live_counts_init(&counts, &asked, 51871), 0);
        CHECK_INT(live_count(&counts, raw->bytes, raw->size, direction, 7), 0);
        for (size_t i = 0; i < counts.n_classes; i++)
                if (live_counted(&counts, SIZE_MAX, direction, i) > 0)
                        class = i;
        live_counts_deinit(&counts);
        return class;
}

static void is_class(struct raw raw, enum live_direction direction, size_t class)
{
        CHECK_INT(class_of(&raw, direction), class);
}

/* By the policy; we are w1, a worker. */
static void classes(void)
{
        const char *us, *cp, *other;
        char texts[3][ADDRESS_TEXT_MAX];
        struct raw raw;

        begin();
        us = address_format(&cluster_find(host.cluster, "w1")->addresses[0], texts[0]);
        cp = address_format(&cluster_find(host.cluster, "cp1")->addresses[0], texts[1]);
        other = address_format(&cluster_find(host.cluster, "w2")->addresses[0], texts[2]);
        is_class(ipv4(us, other, IPPROTO_TCP, 40000, 10250), LIVE_OUT, LIVE_PLAIN);
        is_class(ipv4(other, us, IPPROTO_TCP, 40000, 10250), LIVE_IN, LIVE_PLAIN);
        is_class(ipv4(us, other, IPPROTO_ICMP, 0, 0), LIVE_OUT, LIVE_PLAIN);
        is_class(ipv4(us, "192.0.2.1", IPPROTO_TCP, 40000, 443), LIVE_OUT, SIZE_MAX);
        /* etcd is the first exemption, kube-apiserver the second */
        is_class(ipv4(us, cp, IPPROTO_TCP, 40000, 2379), LIVE_OUT, LIVE_EXEMPT);
        is_class(ipv4(us, cp, IPPROTO_TCP, 40000, 6443), LIVE_OUT, LIVE_EXEMPT + 1);
        is_class(ipv4(cp, us, IPPROTO_TCP, 6443, 40000), LIVE_IN, LIVE_EXEMPT + 1);
        is_class(ipv4(us, cp, IPPROTO_UDP, 40000, 6443), LIVE_OUT, LIVE_PLAIN);
        is_class(ipv4(us, other, IPPROTO_TCP, 40000, 6443), LIVE_OUT, LIVE_PLAIN);
        is_class(ipv4(us, other, IPPROTO_TCP, 6443, 40000), LIVE_OUT, LIVE_PLAIN);
        /* What comes to our own 6443 is no exemption: we are a worker. */
        is_class(ipv4(cp, us, IPPROTO_TCP, 40000, 6443), LIVE_IN, LIVE_PLAIN);
        /* A later fragment has no ports to be judged by. */
        raw = ipv4(us, other, IPPROTO_UDP, 40000, 10250);
        put16(raw.bytes + 6, 0x2010);
        is_class(raw, LIVE_OUT, LIVE_FRAGMENT);
        /* Multicast is the link's own affair. */
        is_class(ipv4(other, "224.0.0.18", IPPROTO_TCP, 1, 1), LIVE_IN, SIZE_MAX);
        end();
}

/* Neither the port nor the form alone makes it WireGuard's. */
static void wireguard_or_not(void)
{
        static const struct {
                unsigned type, length;
                size_t class;
        } cases[] = {{1, 148, LIVE_WIREGUARD}, {2, 92, LIVE_WIREGUARD}, {3, 64, LIVE_WIREGUARD},
                {4, 32, LIVE_WIREGUARD}, {4, 1452, LIVE_WIREGUARD}, {4, 31, LIVE_PLAIN},
                {1, 147, LIVE_PLAIN}, {0, 148, LIVE_PLAIN}, {5, 148, LIVE_PLAIN}};
        const char *us, *other;
        char texts[2][ADDRESS_TEXT_MAX];
        struct raw raw;

        begin();
        us = address_format(&cluster_find(host.cluster, "w1")->addresses[0], texts[0]);
        other = address_format(&cluster_find(host.cluster, "w2")->addresses[0], texts[1]);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                is_class(wireguard(us, other, cases[i].type, cases[i].length), LIVE_OUT,
                        cases[i].class);
        raw = wireguard(us, other, 4, 64);
        raw.bytes[30] = 1; /* reserved */
        is_class(raw, LIVE_OUT, LIVE_PLAIN);
        raw = wireguard(us, other, 4, 64);
        put16(raw.bytes + 20, 51872);
        put16(raw.bytes + 22, 51872);
        is_class(raw, LIVE_OUT, LIVE_PLAIN);
        end();
}

static void offenders(void)
{
        struct live_counts counts = {};
        const char *us, *other;
        char texts[2][ADDRESS_TEXT_MAX];
        struct policy_input asked;
        struct raw raw;

        begin();
        asked = input();
        us = address_format(&cluster_find(host.cluster, "w1")->addresses[0], texts[0]);
        other = address_format(&cluster_find(host.cluster, "w2")->addresses[0], texts[1]);
        CHECK_INT(live_counts_init(&counts, &asked, 51871), 0);
        for (unsigned i = 0; i < 20000; i++) {
                raw = ipv4(us, other, IPPROTO_TCP, 1 + i % 10000, 80);
                CHECK_INT(live_count(&counts, raw.bytes, raw.size, LIVE_OUT, 7 + i), 0);
        }
        raw = ipv4(us, other, IPPROTO_TCP, 1, 80);
        CHECK_INT(live_count(&counts, raw.bytes, raw.size, LIVE_OUT, 99999), 0);
        CHECK_INT(counts.n_offenders, LIVE_OFFENDERS_MAX);
        CHECK_INT(counts.left_out, 20000 - 2 * LIVE_OFFENDERS_MAX);
        CHECK_INT(live_counted(&counts, SIZE_MAX, LIVE_OUT, LIVE_PLAIN), 20001);
        live_counts_sort(&counts);
        CHECK_INT(counts.offenders[0].packets, 3);
        CHECK_INT(counts.offenders[0].bytes, 3 * 48);
        CHECK_INT(counts.offenders[0].first_seen, 7);
        CHECK_INT(counts.offenders[0].packet.source_port, 1);
        CHECK_TEXT(counts.offenders[0].peer->name, "w2");
        CHECK_INT(counts.offenders[LIVE_OFFENDERS_MAX - 1].packets, 2);
        live_counts_deinit(&counts);
        end();
}

static void ipv6_headers(void)
{
        struct address a = address_of("fd00::1"), b = address_of("fd00::2");
        struct live_packet packet;
        uint8_t bytes[80] = {0x60};

        memcpy(bytes + 8, a.bytes, 16);
        memcpy(bytes + 24, b.bytes, 16);
        put16(bytes + 4, 40);
        bytes[6] = IPPROTO_HOPOPTS;
        bytes[40] = IPPROTO_FRAGMENT;
        bytes[48] = IPPROTO_TCP;
        put16(bytes + 56, 1000);
        put16(bytes + 58, 6443);
        CHECK_INT(live_packet_parse(bytes, sizeof(bytes), &packet), 0);
        CHECK_INT(packet.ip_protocol, IPPROTO_TCP);
        CHECK_INT(packet.destination_port, 6443);
        CHECK_INT(packet.length, 80);
        CHECK(!packet.later_fragment && !live_packet_is_control(&packet));
        put16(bytes + 50, 8);
        CHECK_INT(live_packet_parse(bytes, sizeof(bytes), &packet), 0);
        CHECK(packet.later_fragment && packet.destination_port == 0);
        /* Neighbour discovery, also between addresses of nodes. */
        bytes[6] = IPPROTO_ICMPV6;
        bytes[40] = 135;
        CHECK_INT(live_packet_parse(bytes, sizeof(bytes), &packet), 0);
        CHECK(live_packet_is_control(&packet));
        bytes[40] = 128;
        CHECK_INT(live_packet_parse(bytes, sizeof(bytes), &packet), 0);
        CHECK(!live_packet_is_control(&packet));
}

/* Every packet cut at every place, and headers that never end: no byte behind is looked at. */
static void cut_short(void)
{
        struct raw whole = wireguard("10.0.0.1", "10.0.0.2", 4, 64);
        struct live_packet packet;
        uint8_t *copy;

        begin();
        for (size_t size = 0; size <= whole.size; size++) {
                copy = malloc(size ? size : 1);
                memcpy(copy, whole.bytes, size);
                CHECK_INT(live_packet_parse(copy, size, &packet), size < 24 ? -EBADMSG : 0);
                free(copy);
        }
        for (unsigned protocol = 0; protocol < 256; protocol++) {
                for (size_t size = 1; size < 128; size++) {
                        copy = malloc(size);
                        memset(copy, (int)protocol, size);
                        copy[0] = protocol % 2 ? 0x60 : 0x4f;
                        (void)live_packet_parse(copy, size, &packet);
                        free(copy);
                }
        }
        end();
}

TEST_MAIN(TEST(quick_as_the_policy), TEST(owners), TEST(peers_as_nodes), TEST(labels_by_exemptions),
        TEST(peers_that_are_none), TEST(flows_to_ask_about), TEST(classes), TEST(wireguard_or_not),
        TEST(offenders), TEST(ipv6_headers), TEST(cut_short))
