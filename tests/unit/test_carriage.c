/*
 * What the peers carry of what is steered, by example and in time.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "policy/carriage.h"
#include "test.h"

/* We are w1; cp1 and w2 are the others. Each key is 32 times the number behind the name. */
static struct {
        struct settings *settings;
        struct cluster *cluster;
        struct carriage before, now;
        bool has_before;
} lab;

static struct address address_of(const char *text)
{
        struct address address;

        CHECK_INT(address_parse(text, &address), 0);
        return address;
}

static struct peer peer_of(uint8_t number)
{
        struct peer peer = {};

        memset(peer.key, number, sizeof(peer.key));
        return peer;
}

static const char *key_of(uint8_t number)
{
        static char text[PEER_KEY_TEXT_MAX];
        struct peer peer = peer_of(number);

        return peer_key_format(peer.key, text);
}

static struct node *put_node(const char *name, const char *v4, const char *v6, uint8_t number)
{
        struct node *node = node_new(name);

        CHECK(node);
        if (v4)
                node->addresses[FAMILY_INET] = address_of(v4);
        if (v6)
                node->addresses[FAMILY_INET6] = address_of(v6);
        if (number)
                CHECK_INT(text_replace(&node->public_key, key_of(number)), 0);
        CHECK(cluster_put(lab.cluster, node) >= 0);
        return cluster_find(lab.cluster, name);
}

static void add_pods(struct node *node, const char *text)
{
        struct prefix prefix;

        CHECK_INT(prefix_parse(text, &prefix), 0);
        CHECK_INT(node_add_pod_prefix(node, &prefix), 0);
}

static void set_up(void)
{
        carriage_deinit(&lab.before);
        carriage_deinit(&lab.now);
        cluster_free(lab.cluster);
        settings_free(lab.settings);
        lab.settings = settings_new();
        lab.cluster = cluster_new();
        lab.has_before = false;
        CHECK(lab.settings && lab.cluster);
        put_node("w1", "10.0.0.11", "fd00::11", 11);
        put_node("cp1", "10.0.0.1", "fd00::1", 1);
        put_node("w2", "10.0.0.12", "fd00::12", 12);
}

static void begin(void)
{
        CHECK_INT(carriage_begin(
                          &lab.now, lab.settings, lab.cluster, cluster_find(lab.cluster, "w1")),
                0);
}

static void carries(const char *text)
{
        struct prefix prefix;

        CHECK_INT(prefix_parse(text, &prefix), 0);
        carriage_add_allowed_ip(&lab.now, &prefix);
}

/* A peer and up to three prefixes. */
static void add_peer(uint8_t number, uint64_t handshake, uint64_t tx, const char *a, const char *b,
        const char *c)
{
        struct peer peer = peer_of(number);

        peer.handshake_nsec = handshake;
        peer.tx_bytes = tx;
        CHECK_INT(carriage_add_peer(&lab.now, &peer), 0);
        if (a)
                carries(a);
        if (b)
                carries(b);
        if (c)
                carries(c);
}

static void finish(uint32_t now)
{
        CHECK_INT(carriage_finish(&lab.now, lab.has_before ? &lab.before : NULL, now), 0);
        carriage_deinit(&lab.before);
        lab.before = lab.now;
        lab.now = (struct carriage){};
        lab.has_before = true;
}

/* The row after finish(). */
static const struct carriage_node *row_of(const char *name)
{
        const struct carriage_node *row = carriage_find(&lab.before, name);

        CHECK(row);
        return row;
}

static struct carriage_counts counts(void)
{
        struct carriage_counts counts;

        carriage_count(&lab.before, &counts);
        return counts;
}

/* A reading in which all is well, but for what is told of w2's peer. */
static void read_w2(uint32_t now, uint8_t number, uint64_t handshake, uint64_t tx)
{
        begin();
        add_peer(1, 7, 5000 + now, "10.0.0.1/32", "fd00::1/128", NULL);
        add_peer(number, handshake, tx, "10.0.0.12/32", "fd00::12/128", NULL);
        finish(now);
}

static void check_w2(enum carriage_state seen, enum carriage_state state)
{
        CHECK_TEXT(carriage_state_name(row_of("w2")->seen), carriage_state_name(seen));
        CHECK_TEXT(carriage_state_name(row_of("w2")->state), carriage_state_name(state));
}

static void keys(void)
{
        struct peer peer = peer_of(0xff);
        char text[PEER_KEY_TEXT_MAX];

        CHECK_TEXT(peer_key_format(peer.key, text), "//////////////////////////////////////////8=");
        for (uint8_t i = 0; i < PEER_KEY_SIZE; i++)
                peer.key[i] = i;
        CHECK_TEXT(peer_key_format(peer.key, text), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
}

static void all_well(void)
{
        set_up();
        read_w2(1000, 12, 9, 100);
        CHECK_INT(lab.before.n_nodes, 2); /* without ourselves */
        CHECK_INT(counts().nodes[CARRIAGE_GOOD], 2);
        CHECK_INT(counts().peers, 2);
        CHECK_INT(counts().unknown_peers, 0);
        CHECK_INT(counts().undecided, 0);
        CHECK_INT(lab.before.peers[row_of("w2")->carriers[FAMILY_INET6]].peer.key[0], 12);
        CHECK(!lab.before.reading);
        CHECK(!carriage_find(&lab.before, "w1"));
        CHECK(!carriage_find(&lab.now, "w2"));
}

/* The longest prefix carries, whatever the order in which they are told. */
static void longest(void)
{
        for (int turn = 0; turn < 2; turn++) {
                set_up();
                begin();
                if (turn)
                        add_peer(12, 9, 0, "10.0.0.12/32", "fd00::12/128", NULL);
                add_peer(1, 9, 0, "0.0.0.0/0", "fd00::/64", "10.0.0.12/31");
                if (!turn)
                        add_peer(12, 9, 0, "10.0.0.12/32", "fd00::12/128", NULL);
                finish(1000);
                CHECK_INT(counts().nodes[CARRIAGE_GOOD], 2);
                check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        }
}

static void missing(void)
{
        set_up();
        begin();
        add_peer(1, 7, 0, "10.0.0.1/32", "fd00::1/128", NULL);
        add_peer(12, 7, 0, "10.0.0.12/32", NULL, NULL); /* its IPv6 address is not there (yet) */
        finish(1000);
        check_w2(CARRIAGE_MISSING, CARRIAGE_GOOD); /* the grace time */
        CHECK_INT(row_of("w2")->family, FAMILY_INET6);
        CHECK_INT(counts().undecided, 1);
        begin();
        add_peer(1, 7, 0, "10.0.0.1/32", "fd00::1/128", NULL);
        finish(1000 + CARRIAGE_GRACE_SEC - 1); /* the peer is gone meanwhile: no new problem */
        check_w2(CARRIAGE_MISSING, CARRIAGE_GOOD);
        begin();
        add_peer(1, 7, 0, "10.0.0.1/32", "fd00::1/128", NULL);
        finish(1000 + CARRIAGE_GRACE_SEC);
        check_w2(CARRIAGE_MISSING, CARRIAGE_MISSING);
        CHECK_INT(row_of("w2")->before, CARRIAGE_GOOD);
        CHECK_INT(row_of("w2")->family, FAMILY_INET);
        CHECK_INT(counts().nodes[CARRIAGE_MISSING], 1);
        CHECK_INT(counts().nodes[CARRIAGE_GOOD], 1);
        read_w2(1040, 12, 9, 0);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        CHECK_INT(row_of("w2")->before, CARRIAGE_MISSING);
        read_w2(1041, 12, 9, 0);
        CHECK_INT(row_of("w2")->before, CARRIAGE_GOOD);
}

/* A new problem has a grace time of its own, and the old state stands meanwhile. */
static void problems_in_turn(void)
{
        set_up();
        for (uint32_t now = 1000; now <= 1040; now += 10) {
                begin();
                finish(now);
        }
        check_w2(CARRIAGE_MISSING, CARRIAGE_MISSING);
        read_w2(1050, 99, 9, 0);
        check_w2(CARRIAGE_MISMATCHED, CARRIAGE_MISSING);
        read_w2(1080, 99, 9, 0);
        check_w2(CARRIAGE_MISMATCHED, CARRIAGE_MISMATCHED);
        CHECK_INT(counts().unknown_peers, 0); /* it carries a node's address */
        read_w2(1081, 12, 9, 0);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
}

static void mismatched(void)
{
        set_up();
        read_w2(1000, 99, 9, 0);
        check_w2(CARRIAGE_MISMATCHED, CARRIAGE_GOOD);
        /* A peer of another node's carries it. */
        begin();
        add_peer(1, 7, 0, "10.0.0.0/24", "fd00::/64", NULL);
        finish(1001);
        check_w2(CARRIAGE_MISMATCHED, CARRIAGE_GOOD);
        /* No annotation: nothing to compare with. */
        put_node("w2", "10.0.0.12", "fd00::12", 0);
        read_w2(1002, 99, 9, 0);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
}

/* Not steered, not missed: excluded, ours by another node's claim, and further addresses. */
static void not_steered(void)
{
        struct address other = address_of("192.0.2.7");
        struct prefix exclude;
        struct node *node;

        set_up();
        CHECK_INT(prefix_parse("10.0.0.12/32", &exclude), 0);
        lab.settings->exclude = malloc(sizeof(exclude));
        CHECK(lab.settings->exclude);
        lab.settings->exclude[lab.settings->n_exclude++] = exclude;
        put_node("w2", "10.0.0.12", NULL, 12);
        put_node("w3", "10.0.0.11", "fd00::11", 13); /* our own */
        node = node_new("w4");
        CHECK(node);
        CHECK_INT(node_add_other_address(node, &other), 0);
        CHECK(cluster_put(lab.cluster, node) >= 0);
        begin();
        add_peer(1, 7, 0, "10.0.0.1/32", "fd00::1/128", NULL);
        finish(1000);
        CHECK_INT(counts().nodes[CARRIAGE_GOOD], 1);
        CHECK_INT(counts().undecided, 0);
        CHECK_INT(counts().other_addresses, 1);
        CHECK_INT(counts().other_carried, 0);
        begin();
        add_peer(1, 7, 0, "10.0.0.1/32", "fd00::1/128", "192.0.2.0/24");
        finish(1001);
        CHECK_INT(counts().other_carried, 1);
}

static void another_clusters_peers(void)
{
        set_up();
        begin();
        add_peer(1, 7, 0, "10.0.0.1/32", "fd00::1/128", NULL);
        add_peer(12, 7, 0, "10.0.0.12/32", "fd00::12/128", NULL);
        add_peer(200, 7, 0, "10.99.0.1/32", "10.199.0.0/16", NULL);
        add_peer(201, 0, 0, NULL, NULL, NULL);
        finish(1000);
        CHECK_INT(counts().nodes[CARRIAGE_GOOD], 2);
        CHECK_INT(counts().peers, 4);
        CHECK_INT(counts().unknown_peers, 2);
}

static void pods(void)
{
        struct node *node;

        set_up();
        node = put_node("w3", "10.0.0.13", NULL, 13);
        add_pods(node, "10.244.3.0/24");
        add_pods(node, "10.244.9.0/24");
        add_pods(node, "fd00:10:244:3::/64");
        begin();
        add_peer(13, 7, 0, "10.0.0.13/32", "10.244.3.7/32", "10.244.3.8/32");
        carries("10.244.4.1/32");
        finish(1000);
        CHECK_INT(row_of("w3")->pods_carried, 1);
        begin();
        add_peer(13, 7, 0, "10.0.0.13/32", "10.244.0.0/16", "fd00:10:244:3::7/128");
        finish(1001);
        CHECK_INT(row_of("w3")->pods_carried, 3);
        /* Carried by another node's peer does not count. */
        begin();
        add_peer(13, 7, 0, "10.0.0.13/32", NULL, NULL);
        add_peer(12, 7, 0, "10.244.0.0/16", NULL, NULL);
        finish(1002);
        CHECK_INT(row_of("w3")->pods_carried, 0);
        CHECK_INT(row_of("w3")->state, CARRIAGE_GOOD);
}

/* A peer to whom nothing is sent is well, however old its handshake is. */
static void idle(void)
{
        set_up();
        for (uint32_t now = 1000; now < 5000; now += 30)
                read_w2(now, 12, 9, 4444);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        set_up();
        for (uint32_t now = 1000; now < 5000; now += 30)
                read_w2(now, 12, 0, 0); /* never anything */
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
}

/* Sending in a session, and the new handshake every two minutes that goes with it. */
static void busy(void)
{
        set_up();
        for (uint32_t now = 1000; now < 5000; now += 30) {
                read_w2(now, 12, now / 120, 100 * now);
                check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        }
        /* Idle for long, then a new handshake and data, all between two readings. */
        read_w2(6000, 12, 4900 / 120, 500000);
        read_w2(6030, 12, 6020, 500900);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
}

static void never_answered(void)
{
        set_up();
        read_w2(1000, 12, 0, 0);
        read_w2(1010, 12, 0, 148);
        check_w2(CARRIAGE_STALE, CARRIAGE_GOOD);
        read_w2(1020, 12, 0, 296);
        read_w2(1040, 12, 0, 592);
        check_w2(CARRIAGE_STALE, CARRIAGE_STALE);
        read_w2(2000, 12, 0, 592); /* given up: still not answered */
        check_w2(CARRIAGE_STALE, CARRIAGE_STALE);
        read_w2(2030, 12, 2025, 740);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        /* Unanswered, and then made anew: nothing was sent to this one yet. */
        set_up();
        read_w2(1000, 12, 0, 148);
        read_w2(1040, 12, 0, 592);
        check_w2(CARRIAGE_STALE, CARRIAGE_STALE);
        read_w2(1050, 12, 0, 0);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        /* Seen for the first time in the middle of it. */
        set_up();
        read_w2(1000, 12, 0, 148);
        check_w2(CARRIAGE_STALE, CARRIAGE_GOOD);
        read_w2(1005, 12, 1003, 240); /* it was just under way */
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
}

static void stops_answering(void)
{
        uint64_t tx = 1000;

        set_up();
        /* What is sent while the session lasts says nothing. */
        for (uint32_t now = 1000; now <= 1000 + REJECT_AFTER_SEC; now += 30) {
                read_w2(now, 12, 999, tx += 1000);
                check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        }
        read_w2(1210, 12, 999, tx += 148);
        check_w2(CARRIAGE_STALE, CARRIAGE_GOOD);
        read_w2(1240, 12, 999, tx);
        check_w2(CARRIAGE_STALE, CARRIAGE_STALE);
        read_w2(1270, 12, 1260, tx += 500);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        /* Old, but we have not watched it for long enough to say so. */
        set_up();
        read_w2(9000, 12, 999, tx);
        read_w2(9170, 12, 999, tx + 148);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
        /* The peer was made anew: its counters begin again, and so do we. */
        read_w2(9300, 12, 999, 5);
        check_w2(CARRIAGE_GOOD, CARRIAGE_GOOD);
}

static void nodes_come_and_go(void)
{
        set_up();
        put_node("aa", "10.0.0.50", NULL, 0);
        read_w2(1000, 12, 9, 0);
        read_w2(1030, 12, 9, 0);
        CHECK_INT(row_of("aa")->state, CARRIAGE_MISSING);
        put_node("ab", "10.0.0.51", NULL, 0);
        read_w2(1040, 12, 9, 0);
        CHECK_INT(row_of("aa")->state, CARRIAGE_MISSING);
        CHECK_INT(row_of("ab")->state, CARRIAGE_GOOD);
        CHECK_INT(cluster_remove(lab.cluster, "aa"), 1);
        read_w2(1070, 12, 9, 0);
        CHECK_INT(row_of("ab")->state, CARRIAGE_MISSING);
        CHECK_INT(lab.before.n_nodes, 3);
}

static void no_node_known(void)
{
        struct cluster *empty = cluster_new();
        struct prefix prefix;

        set_up();
        CHECK_INT(prefix_parse("10.0.0.0/8", &prefix), 0);
        CHECK_INT(carriage_begin(&lab.now, lab.settings, empty, NULL), 0);
        carriage_add_allowed_ip(&lab.now, &prefix); /* of no peer */
        add_peer(1, 7, 0, "10.0.0.1/32", NULL, NULL);
        finish(1000);
        CHECK_INT(counts().unknown_peers, 1);
        cluster_free(empty);
}

static void clean_up(void)
{
        carriage_deinit(&lab.before);
        carriage_deinit(&lab.now);
        cluster_free(lab.cluster);
        settings_free(lab.settings);
}

TEST_MAIN(TEST(keys), TEST(all_well), TEST(longest), TEST(missing), TEST(problems_in_turn),
        TEST(mismatched), TEST(not_steered), TEST(another_clusters_peers), TEST(pods), TEST(idle),
        TEST(busy), TEST(never_answered), TEST(stops_answering), TEST(nodes_come_and_go),
        TEST(no_node_known), TEST(clean_up))
