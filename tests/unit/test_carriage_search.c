/*
 * The longest prefix among all peers', against a plain search through all of them; too many peers.
 */
#include <errno.h>
#include <stdlib.h>

#include "policy/carriage.h"
#include "test.h"

#define N_NODES    300
#define N_PEERS    400
#define N_PREFIXES 2000

/* Among 512 addresses, so that much lies in much. */
static struct prefix random_prefix(uint8_t length)
{
        struct prefix prefix;
        char text[PREFIX_TEXT_MAX];

        snprintf(text, sizeof(text), "10.0.%ld.%ld/32", random() % 2, random() % 256);
        CHECK_INT(prefix_parse(text, &prefix), 0);
        prefix.length = length;
        for (unsigned bit = length; bit < 32; bit++)
                prefix.address.bytes[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
        return prefix;
}

static struct cluster *random_cluster(void)
{
        struct cluster *cluster = cluster_new();
        char name[16];

        CHECK(cluster);
        for (int i = 0; i < N_NODES; i++) {
                struct node *node;

                snprintf(name, sizeof(name), "n%03d", i);
                node = node_new(name);
                CHECK(node);
                node->addresses[FAMILY_INET] = random_prefix(32).address;
                CHECK(cluster_put(cluster, node) >= 0);
        }
        return cluster;
}

static struct peer peer_of(uint32_t number)
{
        struct peer peer = {};

        memcpy(peer.key, &number, sizeof(number));
        return peer;
}

/* Every prefix that is carried, and by whom. */
static struct {
        struct {
                struct prefix prefix;
                uint32_t peer;
        } items[N_PREFIXES];
        size_t n;
} all;

static bool is_carried(const struct prefix *prefix)
{
        for (size_t i = 0; i < all.n; i++)
                if (prefix_equal(&all.items[i].prefix, prefix))
                        return true;
        return false;
}

static void add_peer(struct carriage *carriage, uint32_t number)
{
        struct peer peer = peer_of(number);

        CHECK_INT(carriage_add_peer(carriage, &peer), 0);
        for (int i = 0; i < N_PREFIXES / N_PEERS; i++) {
                struct prefix prefix = random_prefix((uint8_t)(16 + random() % 17));

                /* A prefix has one peer. */
                if (is_carried(&prefix))
                        continue;
                all.items[all.n].prefix = prefix;
                all.items[all.n++].peer = number;
                carriage_add_allowed_ip(carriage, &prefix);
        }
}

static uint32_t search(const struct address *address)
{
        uint32_t peer = CARRIAGE_NONE;
        int longest = -1;

        for (size_t i = 0; i < all.n; i++)
                if (prefix_contains(&all.items[i].prefix, address) &&
                        all.items[i].prefix.length > longest) {
                        longest = all.items[i].prefix.length;
                        peer = all.items[i].peer;
                }
        return peer;
}

static void against_a_search(void)
{
        struct settings *settings = settings_new();
        struct carriage carriage = {};
        struct cluster *cluster;

        srandom(4711);
        cluster = random_cluster();
        CHECK(settings);
        CHECK_INT(carriage_begin(&carriage, settings, cluster, NULL), 0);
        for (uint32_t i = 0; i < N_PEERS; i++)
                add_peer(&carriage, i);
        CHECK_INT(carriage_finish(&carriage, NULL, 1000), 0);
        CHECK_INT(carriage.n_nodes, N_NODES);
        for (size_t i = 0; i < carriage.n_nodes; i++)
                CHECK_INT(carriage.nodes[i].carriers[FAMILY_INET],
                        search(&carriage.nodes[i].node->addresses[FAMILY_INET]));
        carriage_deinit(&carriage);
        cluster_free(cluster);
        settings_free(settings);
}

static void too_many(void)
{
        struct settings *settings = settings_new();
        struct cluster *cluster = cluster_new();
        struct carriage carriage = {};
        struct peer peer;

        CHECK(settings && cluster);
        CHECK_INT(carriage_begin(&carriage, settings, cluster, NULL), 0);
        for (uint32_t i = 0; i < CARRIAGE_PEERS_MAX; i++) {
                peer = peer_of(i);
                if (carriage_add_peer(&carriage, &peer) != 0)
                        CHECK_INT(i, CARRIAGE_PEERS_MAX);
        }
        peer = peer_of(CARRIAGE_PEERS_MAX);
        CHECK_INT(carriage_add_peer(&carriage, &peer), -E2BIG);
        carriage_deinit(&carriage); /* in the middle of a reading */
        cluster_free(cluster);
        settings_free(settings);
}

TEST_MAIN(TEST(against_a_search), TEST(too_many))
