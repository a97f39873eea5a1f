/*
 * The story of the age of our knowledge: told once when it is too old, and once when it is fresh.
 * The story of the device's peers: who is not carried, once, and when that is over; how many of
 * them the journal names. The story of the snapshot that cannot be written.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "basics/log.h"
#include "daemon/story.h"
#include "test.h"

/* What was logged since the last call. */
static const char *logged(void)
{
        static char text[4096];
        ssize_t n = pread(STDERR_FILENO, text, sizeof(text) - 1, 0);

        text[n > 0 ? n : 0] = '\0';
        CHECK(ftruncate(STDERR_FILENO, 0) == 0 && lseek(STDERR_FILENO, 0, SEEK_SET) == 0);
        return text;
}

static void told_once(void)
{
        struct story story = {.status.knowledge = KNOWLEDGE_API, .begun = 1000};

        story.status.knowledge_at = 2000;
        story_knowledge_age(&story, 2000 + STATUS_AGE_MAX);
        CHECK_TEXT(logged(), "");
        story_knowledge_age(&story, 2001 + STATUS_AGE_MAX);
        CHECK_HAS(logged(), "as of 301 s ago");
        story_knowledge_age(&story, 2060 + STATUS_AGE_MAX);
        CHECK_TEXT(logged(), "");
        story.status.knowledge_at = 2400;
        story_knowledge_age(&story, 2400);
        CHECK_HAS(logged(), "fresh again");
        story_knowledge_age(&story, 2401);
        CHECK_TEXT(logged(), "");
}

static void quiet_at_the_start(void)
{
        struct story story = {.status.knowledge = KNOWLEDGE_SNAPSHOT, .begun = 10000};

        story.status.knowledge_at = 2000;
        story_knowledge_age(&story, 10001);
        CHECK_TEXT(logged(), "");
        story_knowledge_age(&story, 10060);
        CHECK_HAS(logged(), "as of 8060 s ago");
}

static void nothing_has_no_age(void)
{
        struct story story = {.begun = 1000};

        story_knowledge_age(&story, 100000);
        CHECK_TEXT(logged(), "");
}

/* A reading of the device in which all of `n` nodes are carried, but for the first `n_missing`. */
static void read_peers(struct carriage *table, size_t n, size_t n_missing, uint32_t now)
{
        struct settings *settings = settings_new();
        struct cluster *cluster = cluster_new();
        struct carriage next = {};
        struct peer peer = {.tx_bytes = 148};
        char name[32];

        CHECK(settings && cluster);
        for (size_t i = 0; i < n; i++) {
                struct node *node;

                snprintf(name, sizeof(name), "node-%02zu", i);
                node = node_new(name);
                CHECK(node);
                snprintf(name, sizeof(name), "10.0.0.%zu", i);
                CHECK_INT(address_parse(name, &node->addresses[FAMILY_INET]), 0);
                CHECK(cluster_put(cluster, node) >= 0);
        }
        CHECK_INT(carriage_begin(&next, settings, cluster, NULL), 0);
        for (size_t i = n_missing; i < n; i++) {
                struct prefix prefix;

                peer.key[0] = (uint8_t)i;
                peer.handshake_nsec = 1;
                CHECK_INT(carriage_add_peer(&next, &peer), 0);
                prefix = prefix_from_address(&cluster->nodes[i]->addresses[FAMILY_INET]);
                carriage_add_allowed_ip(&next, &prefix);
        }
        CHECK_INT(carriage_finish(&next, table->nodes ? table : NULL, now), 0);
        carriage_deinit(table);
        *table = next;
        cluster_free(cluster);
        settings_free(settings);
}

static void peers(void)
{
        struct story story = {};
        struct carriage table = {};

        read_peers(&table, 5, 1, 1000);
        story_peers(&story, &table);
        CHECK_TEXT(logged(), "");
        CHECK_TEXT(story.status.peers.problems, "");
        CHECK_INT(story.status.peers.undecided, 1);
        CHECK(story.status.peers.known);
        read_peers(&table, 5, 1, 1030);
        story_peers(&story, &table);
        CHECK_HAS(logged(), "node node-00: no WireGuard peer carries its address 10.0.0.0");
        CHECK_TEXT(story.status.peers.problems, "1 missing (node-00)");
        CHECK_INT(story.status.peers.missing, 1);
        CHECK_INT(story.status.peers.carried, 4);
        read_peers(&table, 5, 1, 1060);
        story_peers(&story, &table);
        CHECK_TEXT(logged(), "");
        read_peers(&table, 5, 0, 1090);
        story_peers(&story, &table);
        CHECK_HAS(logged(), "node node-00: its WireGuard peer carries it again, it was missing");
        CHECK_TEXT(story.status.peers.problems, "");
        story_peers(&story, NULL);
        CHECK(!story.status.peers.known);
        carriage_deinit(&table);
}

static void many_peers(void)
{
        struct story story = {};
        struct carriage table = {};
        const char *text, *line;
        size_t n = 0;

        read_peers(&table, 60, 50, 1000);
        read_peers(&table, 60, 50, 1030);
        story_peers(&story, &table);
        text = logged();
        for (line = text; (line = strchr(line, '\n')); line++)
                n++;
        CHECK_INT(n, 11);
        CHECK_HAS(text, "40 more nodes");
        CHECK_TEXT(story.status.peers.problems, "50 missing (node-00, node-01, node-02, …)");
        carriage_deinit(&table);
}

static void peers_in_other_words(void)
{
        struct story story = {};
        struct carriage table = {};
        const char *text;

        read_peers(&table, 3, 0, 1000);
        CHECK_INT(text_replace(&table.nodes[1].node->public_key, "theirs"), 0);
        table.nodes[1].state = CARRIAGE_MISMATCHED;
        table.nodes[2].state = CARRIAGE_STALE;
        table.peers[2].peer.handshake_nsec = UINT64_C(1700000000000000000);
        story_peers(&story, &table);
        CHECK_TEXT(story.status.peers.problems, "1 mismatched (node-01), 1 stale (node-02)");
        text = logged();
        CHECK_HAS(text, "has the key AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, its CiliumNode "
                        "names theirs");
        CHECK_HAS(text, "node node-02: its WireGuard peer does not answer: 148 bytes sent, last "
                        "handshake 2023-11-14T22:13:20Z");
        carriage_deinit(&table);
}

static void a_full_disk(void)
{
        struct story story = {};
        struct knowledge knowledge = {.saved_at = 1000};
        struct error error = {.text = "no room"};

        story_snapshot_saved(&story, &knowledge, -ENOSPC, &error);
        CHECK_TEXT(story.status.snapshot_error, "no room");
        CHECK_HAS(logged(), "no room");
        story_snapshot_saved(&story, &knowledge, -ENOSPC, &error);
        CHECK_TEXT(logged(), "");
        story_snapshot_saved(&story, &knowledge, 0, &error);
        CHECK_TEXT(story.status.snapshot_error, "");
        CHECK_HAS(logged(), "can be written again");
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                TEST(told_once),
                TEST(quiet_at_the_start),
                TEST(nothing_has_no_age),
                TEST(peers),
                TEST(many_peers),
                TEST(peers_in_other_words),
                TEST(a_full_disk),
        };
        int fd = memfd_create("log", MFD_CLOEXEC);

        if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
                return EXIT_FAILURE;
        log_init("test");
        return test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
