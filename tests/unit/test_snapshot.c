/*
 * Snapshot and record of layouts: the round trip, damage of every kind, and values that no real
 * cluster has.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basics/fileio.h"
#include "basics/text.h"
#include "model/exemption.h"
#include "store/layout_record.h"
#include "store/snapshot.h"
#include "store/snapshot_json.h"
#include "test.h"

static char folder[] = "/tmp/test_snapshot.XXXXXX";
static char path[64], aside[72];

#define SHA256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct address address(const char *text)
{
        struct address parsed;

        CHECK(address_parse(text, &parsed) >= 0);
        return parsed;
}

static void add_pod_prefix(struct node *node, const char *text)
{
        struct prefix prefix;

        CHECK(prefix_parse(text, &prefix) >= 0);
        CHECK(node_add_pod_prefix(node, &prefix) >= 0);
}

static struct node *make_node(const char *name, unsigned number)
{
        struct node *node = node_new(name);
        char text[64];
        struct address other = address("192.0.2.7");

        CHECK(node);
        CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "") >= 0);
        CHECK(node_add_label(node, "kubernetes.io/os", "linux") >= 0);
        snprintf(text, sizeof(text), "10.0.%u.%u", number / 256, number % 256);
        node->addresses[FAMILY_INET] = address(text);
        snprintf(text, sizeof(text), "fd00::%x:%x", number / 65535, number % 65535 + 1);
        node->addresses[FAMILY_INET6] = address(text);
        CHECK(node_add_other_address(node, &other) >= 0);
        snprintf(text, sizeof(text), "11.%u.%u.0/24", number / 256, number % 256);
        add_pod_prefix(node, text);
        snprintf(text, sizeof(text), "fd01:0:0:%x::/64", number);
        add_pod_prefix(node, text);
        CHECK(text_replace(&node->public_key, "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=") >= 0);
        return node;
}

/* A snapshot of n nodes with everything in it. */
static void fill(struct snapshot *snapshot, unsigned n)
{
        struct address endpoint = address("10.0.0.100"), endpoint6 = address("fd00::100");

        *snapshot = (struct snapshot){.saved_at = 1700000000, .endpoint.port = 8443};
        CHECK(text_replace(&snapshot->identity.server, "https://api.example:8443/base") >= 0);
        CHECK(text_replace(&snapshot->identity.ca_sha256, SHA256) >= 0);
        CHECK(text_replace(&snapshot->node_name, "node-00000") >= 0);
        CHECK(endpoint_add_address(&snapshot->endpoint, &endpoint) == 1);
        CHECK(endpoint_add_address(&snapshot->endpoint, &endpoint6) == 1);
        snapshot->cluster = cluster_new();
        CHECK(snapshot->cluster);
        CHECK(cluster_set_version(snapshot->cluster, "987654321098765432109876543210") >= 0);
        for (unsigned i = 0; i < n; i++) {
                char name[32];

                snprintf(name, sizeof(name), "node-%05u", i);
                CHECK(cluster_put(snapshot->cluster, make_node(name, i)) == 1);
        }
}

static void check_same(const struct snapshot *a, const struct snapshot *b)
{
        CHECK(text_equal(a->identity.server, b->identity.server));
        CHECK(text_equal(a->identity.ca_sha256, b->identity.ca_sha256));
        CHECK(text_equal(a->node_name, b->node_name));
        CHECK(endpoint_equal(&a->endpoint, &b->endpoint));
        CHECK_INT(a->saved_at, b->saved_at);
        CHECK(text_equal(a->cluster->version, b->cluster->version));
        CHECK_INT(a->cluster->n_nodes, b->cluster->n_nodes);
        CHECK(cluster_equal(a->cluster, b->cluster));
}

static void round_trip(void)
{
        _cleanup_(snapshot_deinit) struct snapshot written = {}, read = {};
        struct error error = {};
        struct stat status;

        fill(&written, 3);
        /* A node that has nothing but its name, too. */
        CHECK(cluster_put(written.cluster, node_new("bare")) == 1);
        CHECK_INT(snapshot_write(path, &written, &error), 0);
        CHECK_INT(snapshot_read(path, &read, &error), 0);
        check_same(&written, &read);
        CHECK(stat(path, &status) == 0);
        CHECK_INT(status.st_mode & 07777, 0600);
}

static void empty_round_trip(void)
{
        _cleanup_(snapshot_deinit) struct snapshot written = {.cluster = cluster_new()}, read = {};
        struct error error = {};

        CHECK_INT(snapshot_write(path, &written, &error), 0);
        CHECK_INT(snapshot_read(path, &read, &error), 0);
        check_same(&written, &read);
        CHECK(!read.identity.server);
        CHECK(!read.cluster->version);
        CHECK_INT(read.endpoint.port, 0);
}

static void five_thousand_nodes(void)
{
        _cleanup_(snapshot_deinit) struct snapshot written = {}, read = {};
        struct error error = {};
        struct stat status;

        fill(&written, 5000);
        CHECK_INT(snapshot_write(path, &written, &error), 0);
        CHECK_INT(snapshot_read(path, &read, &error), 0);
        check_same(&written, &read);
        CHECK(stat(path, &status) == 0);
        CHECK(status.st_size < 3 * 1024 * 1024);
}

/* As many as the API client takes: a snapshot that cannot hold them would never be written again.
 */
static void as_many_nodes_as_are_taken(void)
{
        _cleanup_(snapshot_deinit) struct snapshot written = {}, read = {};
        struct error error = {};

        fill(&written, CLUSTER_NODES_MAX);
        CHECK_INT(snapshot_write(path, &written, &error), 0);
        CHECK_INT(snapshot_read(path, &read, &error), 0);
        check_same(&written, &read);
}

static void write_bytes(const void *data, size_t size)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK(write(fd, data, size) == (ssize_t)size);
        close(fd);
}

/* Reading the file fails so; nothing is written to the result. */
static void read_fails(int code, const char *part)
{
        struct snapshot read = {};
        struct error error = {};

        CHECK_INT(snapshot_read(path, &read, &error), code);
        CHECK_INT(error.code, code);
        CHECK_HAS(error.text, path);
        CHECK_HAS(error.text, part);
        CHECK(!read.cluster);
}

static void none(void)
{
        unlink(path);
        read_fails(-ENOENT, "No such file");
}

/* Every single bit flipped and every length cut is found, whatever the place. */
static void every_damage_is_found(void)
{
        _cleanup_(snapshot_deinit) struct snapshot written = {};
        _cleanup_free_ char *good = NULL;
        struct error error = {};
        size_t size;

        fill(&written, 1);
        CHECK_INT(snapshot_write(path, &written, &error), 0);
        CHECK_INT(file_read(path, SNAPSHOT_SIZE_MAX, &good, &size), 0);
        for (size_t i = 0; i < size; i++) {
                struct snapshot read = {};
                int r;

                good[i] ^= (char)(1 << (i % 8));
                write_bytes(good, size);
                good[i] ^= (char)(1 << (i % 8));
                r = snapshot_read(path, &read, &error);
                /* The format number itself can become another one. */
                CHECK(r == -EBADMSG || (r == -EPROTONOSUPPORT && i < 20));
        }
        for (size_t i = 0; i < size; i += 1 + i / 50) {
                write_bytes(good, i);
                read_fails(-EBADMSG, "");
        }
        write_bytes(good, size);
        snapshot_deinit(&written);
        CHECK_INT(snapshot_read(path, &written, &error), 0);
}

static void other_formats(void)
{
        static const char newer[] = "{\"format\":2,\"sha256\":\"x\"}\n{}\n";
        static const char none_at_all[] = "{\"sha256\":\"x\"}\n{}\n";
        static const char garbage[] = "\0\0\0\0\0\0";

        write_bytes(newer, strlen(newer));
        read_fails(-EPROTONOSUPPORT, "format 2");
        write_bytes(none_at_all, strlen(none_at_all));
        read_fails(-EBADMSG, "no head");
        write_bytes(garbage, sizeof(garbage));
        read_fails(-EBADMSG, "no head");
        write_bytes("", 0);
        read_fails(-EBADMSG, "no head");
}

/* The payload, whose checksum would be right, is refused, and the text names `part`. */
static void refused(const char *payload, const char *part)
{
        struct snapshot read = {};
        struct error error = {};
        int r = snapshot_decode(payload, strlen(payload), &read, &error);

        if (r >= 0)
                printf("# accepted: %s\n", payload);
        CHECK_INT(r, -EBADMSG);
        CHECK_HAS(error.text, part);
        CHECK(!read.cluster);
}

#define ROOT(inner) "{\"saved_at\":1,\"nodes\":[]" inner "}"
#define NODE(inner) "{\"saved_at\":1,\"nodes\":[{\"name\":\"n\"" inner "}]}"

static void hostile_roots(void)
{
        refused("", "not a JSON object");
        refused("[]", "not a JSON object");
        refused(ROOT("") " {}", "not a JSON object");
        refused("{\"nodes\":[]}", "'saved_at'");
        refused("{\"saved_at\":-1,\"nodes\":[]}", "'saved_at'");
        refused("{\"saved_at\":\"1\",\"nodes\":[]}", "'saved_at'");
        refused("{\"saved_at\":1.5,\"nodes\":[]}", "'saved_at'");
        refused("{\"saved_at\":1}", "'nodes'");
        refused("{\"saved_at\":1,\"nodes\":{}}", "'nodes'");
        refused(ROOT(",\"server\":7"), "'server'");
        refused(ROOT(",\"server\":\"a\\u0000b\""), "'server'");
        refused(ROOT(",\"ca_sha256\":\"abc\""), "'ca_sha256'");
        refused(ROOT(",\"node_name\":\"../x\""), "'node_name'");
        refused(ROOT(",\"version\":12"), "'version'");
        refused(ROOT(",\"endpoint\":[]"), "'endpoint'");
        refused(ROOT(",\"endpoint\":{\"port\":0}"), "'endpoint'");
        refused(ROOT(",\"endpoint\":{\"port\":70000}"), "'endpoint'");
        refused(ROOT(",\"endpoint\":{\"port\":1,\"addresses\":[\"x\"]}"), "'endpoint'");
        refused(ROOT(",\"endpoint\":{\"port\":1,\"addresses\":{}}"), "'addresses'");
}

static void hostile_nodes(void)
{
        refused("{\"saved_at\":1,\"nodes\":[7]}", "'name'");
        refused("{\"saved_at\":1,\"nodes\":[null]}", "'name'");
        refused("{\"saved_at\":1,\"nodes\":[{}]}", "'name'");
        refused("{\"saved_at\":1,\"nodes\":[{\"name\":\"A\"}]}", "'name'");
        refused("{\"saved_at\":1,\"nodes\":[{\"name\":\"n\\u0000m\"}]}", "'name'");
        refused("{\"saved_at\":1,\"nodes\":[{\"name\":\"n\"},{\"name\":\"n\"}]}", "'name'");
        refused(NODE(",\"labels\":[]"), "node n: 'labels'");
        refused(NODE(",\"labels\":{\"a\":1}"), "node n: 'labels'");
        refused(NODE(",\"labels\":{\"\":\"x\"}"), "node n: 'labels'");
        refused(NODE(",\"labels\":{\"a\":\"b\\u0000c\"}"), "node n: 'labels'");
        refused(NODE(",\"addresses\":\"10.0.0.1\""), "node n: 'addresses'");
        refused(NODE(",\"addresses\":[\"10.0.0.1\",\"10.0.0.2\"]"), "node n: 'addresses'");
        refused(NODE(",\"addresses\":[\"127.0.0.1\"]"), "node n: 'addresses'");
        refused(NODE(",\"addresses\":[\"10.0.0.1/8\"]"), "node n: 'addresses'");
        refused(NODE(",\"addresses\":[\"10.0.0.1\",\"fd00::1\",\"10.0.0.2\"]"), "'addresses'");
        refused(NODE(",\"other_addresses\":[\"::\"]"), "node n: 'other_addresses'");
        refused(NODE(",\"pod_prefixes\":[\"0.0.0.0/0\"]"), "node n: 'pod_prefixes'");
        refused(NODE(",\"pod_prefixes\":[\"10.0.0.1/8\"]"), "node n: 'pod_prefixes'");
        refused(NODE(",\"pod_prefixes\":[\"128.0.0.0/1\"]"), "node n: 'pod_prefixes'");
        refused(NODE(",\"pod_prefixes\":[{}]"), "node n: 'pod_prefixes'");
        refused(NODE(",\"public_key\":{}"), "node n: 'public_key'");
        refused(NODE(",\"public_key\":\"0123456789012345678901234567890123456789012345678901234567"
                     "89abcdef\""),
                "node n: 'public_key'");
}

/* What could not be read again is not written, and the old file stands. */
static void unreadable_is_not_written(void)
{
        _cleanup_(snapshot_deinit) struct snapshot good = {}, bad = {}, read = {};
        struct error error = {};

        fill(&good, 1);
        CHECK_INT(snapshot_write(path, &good, &error), 0);
        fill(&bad, 2);
        bad.cluster->nodes[1]->addresses[FAMILY_INET] = address("127.0.0.1");
        CHECK_INT(snapshot_write(path, &bad, &error), -EINVAL);
        CHECK_HAS(error.text, "node node-00001: 'addresses'");
        CHECK_INT(snapshot_read(path, &read, &error), 0);
        check_same(&good, &read);
}

static void set_aside(void)
{
        write_bytes("x", 1);
        CHECK_INT(snapshot_set_aside(path), 0);
        CHECK(access(path, F_OK) < 0);
        CHECK(access(aside, F_OK) == 0);
        write_bytes("y", 1);
        CHECK_INT(snapshot_set_aside(path), 0);
        CHECK_INT(snapshot_set_aside(path), -ENOENT);
}

static bool same(const char *server_a, const char *ca_a, const char *server_b, const char *ca_b)
{
        struct identity a = {(char *)server_a, (char *)ca_a}, b = {(char *)server_b, (char *)ca_b};

        CHECK(identity_same(&a, &b) == identity_same(&b, &a));
        return identity_same(&a, &b);
}

static void identities(void)
{
        struct identity identity = {(char *)"s", NULL}, copy = {};

        CHECK(same("s", "1", "s", "1"));
        CHECK(same("s", "1", "s", "2"));
        CHECK(same("s", "1", "t", "1"));
        CHECK(!same("s", "1", "t", "2"));
        CHECK(same("s", NULL, "t", "2"));
        CHECK(same(NULL, "1", "t", "2"));
        CHECK(same(NULL, NULL, "t", "2"));
        /* Every k3s agent's server is at loopback. */
        CHECK(!same("https://127.0.0.1:6443", "1", "https://127.0.0.1:6443", "2"));
        CHECK(same("https://127.0.0.1:6443", "1", "https://127.0.0.1:6444", "1"));
        CHECK_INT(identity_copy(&identity, &copy), 0);
        CHECK_TEXT(copy.server, "s");
        CHECK(!copy.ca_sha256);
        identity_deinit(&copy);
        CHECK(!copy.server);
}

static void layouts_round_trip(void)
{
        const struct layout a = {51870, 200}, b = {1000, 200}, c = {51870, 300};
        struct layout_record record = {}, read = {};
        struct error error = {};

        CHECK_INT(layout_record_add(&record, &a), 1);
        CHECK_INT(layout_record_add(&record, &b), 1);
        CHECK_INT(layout_record_add(&record, &c), 1);
        CHECK_INT(layout_record_add(&record, &b), 0);
        CHECK_INT(layout_record_remove(&record, &b), 1);
        CHECK_INT(layout_record_remove(&record, &b), 0);
        CHECK_INT(layout_record_write(path, &record, &error), 0);
        CHECK_INT(layout_record_read(path, &read, &error), 0);
        CHECK_INT(read.n_layouts, 2);
        CHECK_INT(read.layouts[0].table_base, 51870);
        CHECK_INT(read.layouts[0].priority_base, 200);
        CHECK_INT(read.layouts[1].priority_base, 300);
        read = (struct layout_record){};
        CHECK_INT(layout_record_write(path, &read, &error), 0);
        CHECK_INT(layout_record_read(path, &record, &error), 0);
        CHECK_INT(record.n_layouts, 0);
}

static void layouts_are_bounded(void)
{
        struct layout_record record = {};
        struct layout layout = {51870, 200};

        for (unsigned i = 0; i < LAYOUT_RECORD_MAX; i++) {
                CHECK_INT(layout_record_add(&record, &layout), 1);
                layout.table_base += 10;
        }
        CHECK_INT(layout_record_add(&record, &layout), -ENOSPC);
        CHECK_INT(layout_record_add(&record, &record.layouts[3]), 0);
}

static void layouts_refused(const char *text)
{
        struct layout_record record = {.n_layouts = 77};
        struct error error = {};

        write_bytes(text, strlen(text));
        CHECK_INT(layout_record_read(path, &record, &error), -EBADMSG);
        CHECK_HAS(error.text, path);
        CHECK_INT(record.n_layouts, 77);
}

static void hostile_layouts(void)
{
        static const char entry[] = "{\"table_base\":51870,\"priority_base\":200}";
        struct layout_record record = {};
        struct error error = {};
        char many[1024];
        size_t n;

        layouts_refused("");
        layouts_refused("{}");
        layouts_refused("{\"format\":2,\"layouts\":[]}");
        layouts_refused("{\"format\":1,\"layouts\":{}}");
        layouts_refused("{\"format\":1,\"layouts\":[1]}");
        layouts_refused("{\"format\":1,\"layouts\":[]} x");
        layouts_refused("{\"format\":1,\"layouts\":[{\"table_base\":254,\"priority_base\":200}]}");
        layouts_refused("{\"format\":1,\"layouts\":[{\"table_base\":51870,\"priority_base\":0}]}");
        layouts_refused("{\"format\":1,\"layouts\":[{\"table_base\":\"51870\","
                        "\"priority_base\":200}]}");
        layouts_refused("{\"format\":1,\"layouts\":[{\"table_base\":4294967296,"
                        "\"priority_base\":200}]}");
        n = (size_t)snprintf(many, sizeof(many), "{\"format\":1,\"layouts\":[%s", entry);
        for (unsigned i = 0; i < LAYOUT_RECORD_MAX; i++)
                n += (size_t)snprintf(many + n, sizeof(many) - n, ",%s", entry);
        snprintf(many + n, sizeof(many) - n, "]}");
        layouts_refused(many);
        unlink(path);
        CHECK_INT(layout_record_read(path, &record, &error), -ENOENT);
}

static const struct test tests[] = {
        TEST(round_trip),
        TEST(empty_round_trip),
        TEST(five_thousand_nodes),
        TEST(as_many_nodes_as_are_taken),
        TEST(none),
        TEST(every_damage_is_found),
        TEST(other_formats),
        TEST(hostile_roots),
        TEST(hostile_nodes),
        TEST(unreadable_is_not_written),
        TEST(set_aside),
        TEST(identities),
        TEST(layouts_round_trip),
        TEST(layouts_are_bounded),
        TEST(hostile_layouts),
};

int main(int argc, char **argv)
{
        int status;

        if (!mkdtemp(folder))
                return EXIT_FAILURE;
        snprintf(path, sizeof(path), "%s/snapshot.json", folder);
        snprintf(aside, sizeof(aside), "%s.bad", path);
        status = test_main(argc, argv, tests, ARRAY_SIZE(tests));
        unlink(path);
        unlink(aside);
        rmdir(folder);
        return status;
}
