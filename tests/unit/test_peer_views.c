/*
 * The other nodes as ListPeers tells of them: what is steered to each, and which peer carries it.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/manager_private.h"
#include "test.h"

static struct text_builder told;
static int refuse;

static void append_list(const char *const *texts)
{
        text_append(&told, " [");
        for (size_t i = 0; texts[i]; i++)
                text_append(&told, "%s%s", i > 0 ? " " : "", texts[i]);
        text_append(&told, "]");
}

static int take(void *context, const struct peer_view *peer)
{
        CHECK(context == &told);
        text_append(&told, "%s %s", peer->name, peer->control_plane ? "cp" : "worker");
        append_list(peer->addresses);
        append_list(peer->pod_prefixes);
        append_list(peer->exemptions);
        text_append(&told, " %s %.3s/%.3s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                peer->carriage, peer->key, peer->node_key, peer->endpoint, peer->handshake,
                peer->received_bytes, peer->sent_bytes, peer->pod_prefixes_carried);
        return refuse;
}

static void add_node(struct cluster *cluster, const char *name, const char *address,
        const char *address6, const char *prefix, bool control_plane)
{
        struct node *node = node_new(name);
        struct prefix parsed;

        CHECK(node);
        if (address)
                CHECK(address_parse(address, &node->addresses[FAMILY_INET]) >= 0);
        if (address6)
                CHECK(address_parse(address6, &node->addresses[FAMILY_INET6]) >= 0);
        if (prefix) {
                CHECK(prefix_parse(prefix, &parsed) >= 0);
                CHECK(node_add_pod_prefix(node, &parsed) >= 0);
        }
        if (control_plane)
                CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "") >= 0);
        CHECK(cluster_put(cluster, node) >= 0);
}

static void begin(struct manager *m)
{
        *m = (struct manager){.settings = settings_new()};
        CHECK(m->settings);
        CHECK(knowledge_init(&m->knowledge, "/nonexistent") >= 0);
        m->settings->node_name = strdup("b");
        CHECK(m->settings->node_name);
        add_node(m->knowledge.cluster, "a", "10.0.0.1", "fd00::1", "10.244.1.0/24", true);
        add_node(m->knowledge.cluster, "b", "10.0.0.2", NULL, "10.244.2.0/24", false);
        add_node(m->knowledge.cluster, "c", "10.0.0.3", NULL, NULL, false);
        add_node(m->knowledge.cluster, "d", NULL, NULL, "10.244.4.0/24", false);
        text_deinit(&told);
        refuse = 0;
}

static void end(struct manager *m)
{
        carriage_deinit(&m->peers.table);
        knowledge_deinit(&m->knowledge);
        settings_free(m->settings);
        text_deinit(&told);
}

#define EXEMPT "[etcd kube-apiserver]"

static void device_not_asked(void)
{
        struct manager m;

        begin(&m);
        CHECK_INT(peer_views_tell(&m, take, &told), 0);
        CHECK_TEXT(told.text,
                "a cp [10.0.0.1 fd00::1] [10.244.1.0/24] " EXEMPT " unknown /  0 0 0 0\n"
                "c worker [10.0.0.3] [] [] unknown /  0 0 0 0\n"
                "d worker [] [10.244.4.0/24] [] unknown /  0 0 0 0\n");
        end(&m);
}

static const struct peer of_a = {
        .key = {4, 16, 65},
        .endpoint_port = 51871,
        .handshake_nsec = UINT64_C(1700000000999999999),
        .rx_bytes = 7,
        .tx_bytes = 8,
};

static void read_device(struct manager *m)
{
        struct peer peer = of_a;
        struct prefix prefix;

        CHECK(carriage_begin(&m->peers.table, m->settings, m->knowledge.cluster,
                      cluster_find(m->knowledge.cluster, "b")) >= 0);
        CHECK(address_parse("fd00::9", &peer.endpoint) >= 0);
        CHECK(carriage_add_peer(&m->peers.table, &peer) >= 0);
        CHECK(prefix_parse("10.0.0.1/32", &prefix) >= 0);
        carriage_add_allowed_ip(&m->peers.table, &prefix);
        CHECK(prefix_parse("fd00::1/128", &prefix) >= 0);
        carriage_add_allowed_ip(&m->peers.table, &prefix);
        CHECK(prefix_parse("10.244.1.7/32", &prefix) >= 0);
        carriage_add_allowed_ip(&m->peers.table, &prefix);
        CHECK(carriage_finish(&m->peers.table, NULL, 1000) >= 0);
        m->peers.known = true;
}

static void device_asked(void)
{
        struct manager m;

        char key[PEER_KEY_TEXT_MAX];

        begin(&m);
        m.knowledge.cluster->nodes[0]->public_key = strdup(peer_key_format(of_a.key, key));
        read_device(&m);
        /* Has come since: the table does not have it. */
        add_node(m.knowledge.cluster, "bb", "10.0.0.5", NULL, NULL, false);
        CHECK_INT(peer_views_tell(&m, take, &told), 0);
        CHECK_HAS(told.text, "a cp [10.0.0.1 fd00::1] [10.244.1.0/24] " EXEMPT
                             " carried BBB/BBB [fd00::9]:51871 1700000000 7 8 1\n");
        CHECK_HAS(told.text, "bb worker [10.0.0.5] [] [] unknown /  0 0 0 0\n");
        CHECK_HAS(told.text, "c worker [10.0.0.3] [] [] missing /  0 0 0 0\n");
        CHECK_HAS(told.text, "d worker [] [10.244.4.0/24] [] none /  0 0 0 0\n");
        CHECK(!strstr(told.text, "\nb "));
        end(&m);
}

/* Who takes them may have had enough. */
static void refused(void)
{
        struct manager m;

        begin(&m);
        refuse = -ENOBUFS;
        CHECK_INT(peer_views_tell(&m, take, &told), -ENOBUFS);
        CHECK(!strchr(strchr(told.text, '\n') + 1, '\n'));
        end(&m);
}

TEST_MAIN(TEST(device_not_asked), TEST(device_asked), TEST(refused))
