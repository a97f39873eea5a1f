#include "contenders.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "course.h"
#include "kernel/link.h"
#include "policy/compute.h"

#define CONTROL_PLANES 3u
#define ENDPOINT       "172.31.255.1"
#define ENDPOINT_6     "fd00:10::ffff:1"
#define POOL_LABEL     "bench.example.com/pool"
#define ORIGINAL_TABLE 100u

static const int families[] = {AF_INET, AF_INET6};

const char *contender_name(enum contender contender)
{
        static const char *const names[CONTENDER_MAX] = {
                [CONTENDER_NONE] = "none",
                [CONTENDER_RULE] = "rule",
                [CONTENDER_ORIGINAL] = "original",
                [CONTENDER_OURS] = "nodecryptor",
                [CONTENDER_MANY] = "many",
        };

        return names[contender];
}

enum contender contender_find(const char *name)
{
        enum contender contender = 0;

        while (contender < CONTENDER_MAX && strcmp(contender_name(contender), name) != 0)
                contender++;
        return contender;
}

struct node *bench_node_new(uint32_t number)
{
        _cleanup_(node_freep) struct node *node = NULL;
        char name[32];
        int r = 0;

        snprintf(name, sizeof(name), "node-%05u", number);
        node = node_new(name);
        if (!node)
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
                struct prefix pods = bench_pod_prefix(families[i], number);

                node->addresses[family_index(families[i])] =
                        bench_node_address(families[i], number);
                r = r < 0 ? r : node_add_pod_prefix(node, &pods);
        }
        if (number < CONTROL_PLANES)
                r = r < 0 ? r : node_add_label(node, CONTROL_PLANE_LABEL, "");
        if (number % 2)
                r = r < 0 ? r : node_add_label(node, POOL_LABEL, "a");
        return r < 0 ? NULL : TAKE_PTR(node);
}

static int add_endpoint(struct endpoint *endpoint, const char *text)
{
        struct address address;
        int r = address_parse(text, &address);

        endpoint->port = 6443;
        return r < 0 ? r : endpoint_add_address(endpoint, &address);
}

static int add_pool_exemption(struct settings *settings)
{
        char name[] = "exporters", key[] = POOL_LABEL;
        struct port_range ports = {9100, 9100};
        const struct exemption exemption = {
                .name = name,
                .selector = {.key = key},
                .protocol = IPPROTO_TCP,
                .ports = &ports,
                .n_ports = 1,
        };

        return settings_add_exemption(settings, &exemption);
}

int bench_cluster_init(struct bench_cluster *bench, enum contender contender, uint32_t nodes)
{
        int r;

        *bench = (struct bench_cluster){.nodes = nodes};
        snprintf(bench->self, sizeof(bench->self), "node-%05u", nodes);
        bench->cluster = cluster_new();
        bench->settings = settings_new();
        r = bench->cluster && bench->settings ? 0 : -ENOMEM;
        for (uint32_t i = 0; r >= 0 && i <= nodes; i++) {
                struct node *node = bench_node_new(i);

                r = node ? cluster_put(bench->cluster, node) : -ENOMEM;
        }
        if (r >= 0)
                r = add_endpoint(&bench->endpoint, ENDPOINT);
        if (r >= 0)
                r = add_endpoint(&bench->endpoint, ENDPOINT_6);
        if (r >= 0 && contender == CONTENDER_MANY)
                r = add_pool_exemption(bench->settings);
        if (r < 0)
                bench_cluster_deinit(bench);
        return r;
}

void bench_cluster_deinit(struct bench_cluster *bench)
{
        cluster_free(bench->cluster);
        settings_free(bench->settings);
        endpoint_deinit(&bench->endpoint);
        *bench = (struct bench_cluster){};
}

static int add_lookup(struct fib *fib, int family, uint32_t priority, uint32_t table,
        const struct prefix *to, const struct port_range *dport)
{
        struct rule rule = {
                .family = (uint8_t)family,
                .action = FR_ACT_TO_TBL,
                .protocol = RTPROT_BOOT,
                .priority = priority,
                .table = table,
        };

        if (to)
                rule.to = *to;
        if (dport)
                rule.dport = *dport;
        return fib_add_rule(fib, &rule);
}

static int add_mark_rule(struct fib *fib, int family, uint32_t priority)
{
        int r = add_lookup(fib, family, priority, RT_TABLE_MAIN, NULL, NULL);

        if (r >= 0)
                fib->rules[fib->n_rules - 1].mark = 0xe00;
        return r;
}

/* What the script does for one other node, from its loop's point of view. */
static int add_original_node(struct fib *fib, int family, uint32_t number)
{
        static const struct port_range exempt[] = {{2379, 2380}, {6443, 6443}};
        struct address address = bench_node_address(family, number);
        struct prefix pods = bench_pod_prefix(family, number);
        struct prefix node = prefix_from_address(&address);
        int r = add_lookup(fib, family, 200, ORIGINAL_TABLE, &pods, NULL);

        for (size_t i = 0; r >= 0 && number < CONTROL_PLANES && i < ARRAY_SIZE(exempt); i++)
                r = add_lookup(fib, family, 210, RT_TABLE_MAIN, &node, &exempt[i]);
        return r < 0 ? r : add_lookup(fib, family, 220, ORIGINAL_TABLE, &node, NULL);
}

static int fill_original(struct fib *fib, uint32_t nodes, uint32_t ifindex)
{
        int r = 0;

        for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
                struct route route = {
                        .family = (uint8_t)families[f],
                        .type = RTN_UNICAST,
                        .protocol = RTPROT_BOOT,
                        .scope = families[f] == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
                        .table = ORIGINAL_TABLE,
                        .metric = ROUTE_METRIC(families[f]),
                        .destination.address.family = (uint8_t)families[f],
                        .oif = ifindex,
                };

                r = r < 0 ? r : fib_add_route(fib, &route);
                r = r < 0 ? r : add_mark_rule(fib, families[f], 0);
                for (uint32_t i = 0; r >= 0 && i < nodes; i++)
                        r = add_original_node(fib, families[f], i);
        }
        return r;
}

static int fill_ours(
        const struct bench_cluster *bench, struct netlink *nl, struct fib *fib, struct error *error)
{
        _cleanup_free_ struct address *local = NULL;
        struct device device = {
                .usable = true,
                .ifindex = if_nametoindex(BENCH_DEVICE),
                .mark = DEFAULT_MARK,
        };
        struct policy_input input = {
                .settings = bench->settings,
                .cluster = bench->cluster,
                .node_name = bench->self,
                .device = &device,
                .endpoint = &bench->endpoint,
        };
        int r = addresses_read(nl, &local, &device.n_local, error);

        if (r < 0)
                return r;
        device.local = local;
        r = policy_compute(&input, fib);
        return r < 0 ? error_set(error, r, "cannot compute the policy: %s", strerror(-r)) : 0;
}

int contender_fill(enum contender contender, const struct bench_cluster *bench, struct netlink *nl,
        struct fib *ret, struct error *error)
{
        int r = 0;

        switch (contender) {
        case CONTENDER_RULE:
                for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(families); i++)
                        r = add_mark_rule(ret, families[i], 200);
                break;
        case CONTENDER_ORIGINAL:
                r = fill_original(ret, bench->nodes, if_nametoindex(BENCH_DEVICE));
                break;
        case CONTENDER_OURS:
        case CONTENDER_MANY: return fill_ours(bench, nl, ret, error);
        default: break;
        }
        return r < 0 ? error_set(error, r, "%s", strerror(-r)) : 0;
}
