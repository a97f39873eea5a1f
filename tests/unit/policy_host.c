#include "policy_host.h"

#include <netinet/in.h>

#include "fib_model.h"
#include "test.h"

struct policy_host host;

struct address address_of(const char *text)
{
        struct address address;

        CHECK_INT(address_parse(text, &address), 0);
        return address;
}

struct prefix prefix_of(const char *text)
{
        struct prefix prefix;

        CHECK_INT(prefix_parse(text, &prefix), 0);
        return prefix;
}

struct node *put_node(
        const char *name, const char *v4, const char *v6, const char *pods4, const char *pods6)
{
        struct node *node = node_new(name);
        const char *const pods[] = {pods4, pods6};

        CHECK(node);
        if (v4)
                node->addresses[FAMILY_INET] = address_of(v4);
        if (v6)
                node->addresses[FAMILY_INET6] = address_of(v6);
        for (int i = 0; i < 2; i++) {
                struct prefix prefix;

                if (!pods[i])
                        continue;
                prefix = prefix_of(pods[i]);
                CHECK_INT(node_add_pod_prefix(node, &prefix), 0);
        }
        CHECK(cluster_put(host.cluster, node) >= 0);
        return node;
}

void end(void)
{
        host.settings = settings_free(host.settings);
        host.cluster = cluster_free(host.cluster);
        endpoint_deinit(&host.endpoint);
}

struct policy_input input(void)
{
        return (struct policy_input){
                .settings = host.settings,
                .cluster = host.cluster,
                .node_name = host.name,
                .device = &host.device,
                .endpoint = &host.endpoint,
        };
}

void begin(void)
{
        struct node *cp;

        end();
        host.settings = settings_new();
        host.cluster = cluster_new();
        CHECK(host.settings && host.cluster);
        host.name = "w1";
        put_node("w1", "10.0.0.21", "fd00::21", "10.244.1.0/24", "fd00:10:244:1::/64");
        put_node("w2", "10.0.0.22", "fd00::22", "10.244.2.0/24", "fd00:10:244:2::/64");
        cp = put_node("cp1", "10.0.0.11", "fd00::11", "10.244.3.0/24", "fd00:10:244:3::/64");
        CHECK_INT(node_add_label(cp, CONTROL_PLANE_LABEL, ""), 0);
        host.local[0] = address_of("10.0.0.21");
        host.local[1] = address_of("127.0.0.1");
        host.local[2] = address_of("::1");
        host.local[3] = address_of("fd00::21");
        host.device = (struct device){
                .usable = true, .ifindex = 9, .mark = 0x0e00, .local = host.local, .n_local = 4};
}

const char *ask(const struct flow *flow)
{
        const struct policy_input in = input();
        struct verdict verdict = policy_verdict(&in, flow);
        struct fib fib = {};
        enum model_way way;

        CHECK_INT(policy_compute(&in, &fib), 0);
        way = model_lookup(&fib, flow).way;
        fib_deinit(&fib);
        /* The model has no local table, which comes first. */
        if (!device_has_local(in.device, &flow->destination))
                CHECK_INT(way, verdict.way == WAY_MAIN     ? MODEL_MAIN
                               : verdict.way == WAY_DEVICE ? MODEL_DEVICE
                                                           : MODEL_BLOCKED);
        return verdict_word(&verdict);
}

const char *tcp(const char *destination, uint16_t port)
{
        struct flow flow = {
                .destination = address_of(destination),
                .ip_protocol = IPPROTO_TCP,
                .destination_port = port,
        };

        return ask(&flow);
}

const char *reply(const char *source, const char *destination, uint16_t port, uint8_t protocol)
{
        struct flow flow = {
                .destination = address_of(destination),
                .ip_protocol = protocol,
                .source_port = port,
                .destination_port = 40000,
        };

        if (source)
                flow.source = address_of(source);
        return ask(&flow);
}
