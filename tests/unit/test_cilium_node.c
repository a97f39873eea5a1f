/*
 * CiliumNode objects: what becomes of a good one, and that anything wrong refuses the whole.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "basics/text.h"
#include "kube/cilium_node.h"
#include "kube/node_list.h"

static struct json_object *parse(const char *text)
{
        struct json_object *object = NULL;

        CHECK_INT(kube_json_parse(text, strlen(text), &object), 0);
        return object;
}

static int decode(const char *text, struct node **ret, struct error *error)
{
        struct json_object *object = parse(text);
        int r = cilium_node_decode(object, ret, error);

        json_object_put(object);
        return r;
}

static struct node *decode_good(const char *text)
{
        struct error error = {};
        struct node *node = NULL;
        int r = decode(text, &node, &error);

        if (r < 0)
                printf("# %s\n", error.text);
        CHECK_INT(r, 0);
        return node;
}

static void check_address(const struct address *address, const char *text)
{
        char buffer[ADDRESS_TEXT_MAX];

        CHECK_TEXT(address_format(address, buffer), text);
}

static void check_prefixes(const struct node *node, const char *wanted)
{
        struct text_builder builder = {};
        char buffer[PREFIX_TEXT_MAX], *text = NULL;

        for (size_t i = 0; i < node->n_pod_prefixes; i++)
                text_append(&builder, "%s ", prefix_format(&node->pod_prefixes[i], buffer));
        CHECK_INT(text_take(&builder, &text), 0);
        CHECK_TEXT(text, wanted);
        free(text);
}

static const char full[] =
        "{\"apiVersion\":\"cilium.io/v2\",\"kind\":\"CiliumNode\",\"metadata\":{\"name\":\"cp-1\","
        "\"resourceVersion\":\"1234\",\"labels\":{\"node-role.kubernetes.io/control-plane\":\"\","
        "\"a\":\"b\"},\"annotations\":{\"network.cilium.io/wg-pub-key\":"
        "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"io.cilium.network.wg-pub-key\":\"x\"}},"
        "\"spec\":{\"addresses\":[{\"type\":\"ExternalIP\",\"ip\":\"203.0.113.11\"},"
        "{\"type\":\"InternalIP\",\"ip\":\"10.0.0.11\"},{\"type\":\"InternalIP\",\"ip\":\"10.0.0."
        "12\"},"
        "{\"type\":\"CiliumInternalIP\",\"ip\":\"10.244.1.97\"},{\"type\":\"Hostname\",\"ip\":\"cp-"
        "1\"},"
        "{\"type\":\"InternalIP\",\"ip\":\"fd00::11\"}],\"bootid\":\"…\",\"encryption\":{\"key\":"
        "255},"
        "\"ipam\":{\"podCIDRs\":[\"10.244.1.0/24\",\"fd00:10:244:1::/64\"],\"pools\":{}}},"
        "\"status\":{\"anything\":[1,2,{}]}}";

static void whole_object(void)
{
        struct node *node = decode_good(full);

        CHECK_TEXT(node->name, "cp-1");
        CHECK(node_is_control_plane(node));
        CHECK_TEXT(node_label(node, "a"), "b");
        CHECK_TEXT(node->public_key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        check_address(&node->addresses[FAMILY_INET], "10.0.0.11");
        check_address(&node->addresses[FAMILY_INET6], "fd00::11");
        CHECK_INT(node->n_other_addresses, 2);
        check_prefixes(node, "10.244.1.0/24 fd00:10:244:1::/64 ");
        node_free(node);
}

/* The first InternalIP of a family, else its first ExternalIP: each family by itself. */
static void external_where_no_internal(void)
{
        struct node *node = decode_good("{\"metadata\":{\"name\":\"a\"},\"spec\":{\"addresses\":["
                                        "{\"type\":\"ExternalIP\",\"ip\":\"2001:db8::1\"},{"
                                        "\"type\":\"ExternalIP\",\"ip\":\"203.0.113.1\"},"
                                        "{\"type\":\"ExternalIP\",\"ip\":\"203.0.113.2\"},{"
                                        "\"type\":\"InternalIP\",\"ip\":\"fd00::1\"},"
                                        "{\"type\":\"InternalIP\",\"ip\":\"fd00::1\"}]}}");

        check_address(&node->addresses[FAMILY_INET], "203.0.113.1");
        check_address(&node->addresses[FAMILY_INET6], "fd00::1");
        CHECK_INT(node->n_other_addresses, 2);
        CHECK(!node_is_control_plane(node));
        node_free(node);
}

static void every_kind_of_pod_prefix(void)
{
        struct node *node = decode_good(
                "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ipam\":{\"podCIDRs\":[\"10.1.0.0/24\"],"
                "\"pools\":{\"requested\":[7],\"allocated\":[{\"pool\":\"default\",\"cidrs\":"
                "[\"10.10.4.32/27\",\"10.10.0.0/27\"]},{\"pool\":\"other\"},{\"cidrs\":[\"10.1.0.0/"
                "24\"]}]},"
                "\"pre-allocate\":8,\"pool\":{\"10.0.1.43\":{\"resource\":\"eni-01\"},\"fd00::5\":{"
                "}}}}}");

        check_prefixes(node, "10.0.1.43/32 10.1.0.0/24 10.10.0.0/27 10.10.4.32/27 fd00::5/128 ");
        node_free(node);
}

static void bare_object(void)
{
        struct node *node = decode_good("{\"metadata\":{\"name\":\"n.1\"}}");

        CHECK_INT(node->addresses[FAMILY_INET].family, 0);
        CHECK_INT(node->n_pod_prefixes, 0);
        CHECK(!node->public_key);
        node_free(node);
        node_free(decode_good(
                "{\"metadata\":{\"name\":\"n\",\"labels\":null},\"spec\":{\"ipam\":null}}"));
}

static void public_keys(void)
{
        static const struct {
                const char *annotations, *wanted;
        } cases[] = {
                {"{\"io.cilium.network.wg-pub-key\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
                 "\"}",
                        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
                {"{\"network.cilium.io/wg-pub-key\":\"AAEC\"}", NULL},
                {"{\"network.cilium.io/wg-pub-key\":\"not base64 at all!!\"}", NULL},
                {"{\"network.cilium.io/wg-pub-key\":7}", NULL},
                {"\"text\"", NULL},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[512];
                struct node *node;

                snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"a\",\"annotations\":%s}}",
                        cases[i].annotations);
                node = decode_good(text);
                CHECK(text_equal(node->public_key, cases[i].wanted));
                node_free(node);
        }
}

/* Each with the words that the error must hold. */
static void malformed(void)
{
        static const struct {
                const char *text, *words;
        } cases[] = {
                {"{\"metadata\":{}}", "metadata.name"},
                {"{\"metadata\":{\"name\":\"A\"}}", "metadata.name"},
                {"{\"metadata\":{\"name\":\"a/../b\"}}", "metadata.name"},
                {"{\"metadata\":{\"name\":\"a\\u0000b\"}}", "metadata.name"},
                {"{\"metadata\":{\"name\":7}}", "metadata.name"},
                {"{\"metadata\":\"a\"}", "metadata.name"},
                {"{\"kind\":\"Node\",\"metadata\":{\"name\":\"a\"}}", "CiliumNode a: kind"},
                {"{\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"a\"}}", "apiVersion"},
                {"{\"metadata\":{\"name\":\"a\",\"labels\":[]}}", "CiliumNode a: metadata: labels"},
                {"{\"metadata\":{\"name\":\"a\",\"labels\":{\"k\":1}}}", "labels: k"},
                {"{\"metadata\":{\"name\":\"a\",\"labels\":{\"k\":\"x\\u0000y\"}}}", "labels: k"},
                {"{\"metadata\":{\"name\":\"a\",\"labels\":{\"k\\n\":\"\"}}}", "labels: a key"},
                {"{\"metadata\":{\"name\":\"a\"},\"spec\":7}", "CiliumNode a: spec"},
                {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"addresses\":\"10.0.0.1\"}}",
                        "spec: addresses"},
                {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"addresses\":[7]}}",
                        "addresses[0]: not an object"},
                {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"addresses\":[null]}}", "addresses[0]"},
#define ADDRESS(ip)                                                                         \
        "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"addresses\":[{\"type\":\"InternalIP\"," \
        "\"ip\":" ip "}]}}"
                {ADDRESS("\"10.0.0.300\""), "addresses[0]: ip"},
                {ADDRESS("\"10.0.0.1/24\""), "addresses[0]: ip"},
                {ADDRESS("\" 10.0.0.1\""), "addresses[0]: ip"},
                {ADDRESS("\"10.0.0.1\\u0000\""), "NUL"},
                {ADDRESS("10"), "ip: not of type string"},
                {ADDRESS("null"), "ip: not an address"},
                {ADDRESS("\"0.0.0.0\""), "0.0.0.0 is no node's address"},
                {ADDRESS("\"127.0.0.1\""), "no node's address"},
                {ADDRESS("\"224.0.0.1\""), "no node's address"},
                {ADDRESS("\"169.254.1.1\""), "no node's address"},
                {ADDRESS("\"::ffff:10.0.0.1\""), "no node's address"},
                {ADDRESS("\"fe80::1\""), "no node's address"},
#define PODS(list) "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ipam\":{\"podCIDRs\":" list "}}}"
                {PODS("\"10.0.0.0/24\""), "spec.ipam: podCIDRs: not of type"},
                {PODS("[7]"), "podCIDRs[0]: not a text"},
                {PODS("[\"10.0.0.0/24\",\"10.0.1.1/24\"]"), "podCIDRs[1]: host bits"},
                {PODS("[\"8.0.0.0/7\"]"), "shorter than /8"},
                {PODS("[\"0.0.0.0/0\"]"), "shorter than /8"},
                {PODS("[\"fc00::/15\"]"), "shorter than /16"},
                {PODS("[\"::/0\"]"), "shorter than /16"},
                {PODS("[\"10.0.0.0/33\"]"), "not a prefix"},
                {PODS("[\"127.0.0.0/8\"]"), "no prefix that pods can have"},
                {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ipam\":{\"pools\":[]}}}", "pools"},
                {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ipam\":{\"pools\":{\"allocated\":[{"
                 "\"cidrs\":[1]}]}}}}",
                        "pools.allocated[0]: cidrs[0]"},
                {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ipam\":{\"pool\":{\"host\":{}}}}}",
                        "pool: a key"},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct error error = {};
                struct node *node = NULL;
                int r = decode(cases[i].text, &node, &error);

                if (r >= 0) {
                        printf("# %s\n", cases[i].text);
                        node_free(node);
                }
                CHECK_INT(r, -EINVAL);
                CHECK_INT(error.code, -EINVAL);
                CHECK_HAS(error.text, cases[i].words);
        }
}

static char *repeated(const char *head, const char *format, unsigned n, const char *tail)
{
        struct text_builder builder = {};
        char *text = NULL;

        text_append(&builder, "%s", head);
        for (unsigned i = 0; i < n; i++) {
                text_append(&builder, "%s", i > 0 ? "," : "");
                text_append(&builder, "%s%u.%u%s", format, i / 250, i % 250 + 1, "\"");
                if (strchr(tail, ':'))
                        text_append(&builder, ":\"\"");
        }
        text_append(&builder, "%s", *tail == ':' ? tail + 1 : tail);
        CHECK_INT(text_take(&builder, &text), 0);
        return text;
}

static void too_many_entries(void)
{
        struct error error = {};
        struct node *node = NULL;
        char *text;

        text = repeated("{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ipam\":{\"podCIDRs\":[",
                "\"10.1.", CILIUM_NODE_PREFIXES_MAX + 1, "]}}}");
        CHECK_INT(decode(text, &node, &error), -EINVAL);
        CHECK_HAS(error.text, "more than");
        free(text);

        text = repeated("{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ipam\":{\"podCIDRs\":[",
                "\"10.1.", CILIUM_NODE_PREFIXES_MAX, "]}}}");
        CHECK_INT(decode(text, &node, &error), 0);
        CHECK_INT(node->n_pod_prefixes, CILIUM_NODE_PREFIXES_MAX);
        node_free(node);
        free(text);

        text = repeated("{\"metadata\":{\"name\":\"a\",\"labels\":{", "\"l.",
                CILIUM_NODE_LABELS_MAX + 1, ":}}}");
        CHECK_INT(decode(text, &node, &error), -EINVAL);
        CHECK_HAS(error.text, "labels: more than");
        free(text);
}

static void names_and_versions(void)
{
        struct json_object *object = parse(full);

        CHECK_TEXT(cilium_node_name(object), "cp-1");
        CHECK_TEXT(cilium_node_version(object), "1234");
        json_object_put(object);
        CHECK(!cilium_node_name(NULL));
        object = parse("{\"metadata\":{\"name\":\"\",\"resourceVersion\":7}}");
        CHECK(!cilium_node_name(object));
        CHECK(!cilium_node_version(object));
        json_object_put(object);
        object = parse("[]");
        CHECK(!cilium_node_name(object));
        json_object_put(object);
}

static void shared_nodes_outlive_the_first_owner(void)
{
        struct node *node = decode_good(full), *shared = node_ref(node);

        CHECK(shared == node);
        node_free(node);
        CHECK_TEXT(shared->name, "cp-1");
        node_free(shared);
}

static unsigned bad_seen;

static void count_bad(void *userdata, const char *name, const struct error *error)
{
        CHECK(error->code < 0);
        CHECK(bad_seen > 0 || text_equal(name, "b"));
        bad_seen++;
}

static int load(const char *text, struct cluster **ret, struct error *error)
{
        char path[] = "/tmp/nodes-XXXXXX";
        int fd = mkstemp(path), r;

        CHECK(fd >= 0);
        CHECK_INT(write(fd, text, strlen(text)), strlen(text));
        close(fd);
        r = node_list_load(path, count_bad, NULL, ret, error);
        unlink(path);
        return r;
}

static void list_from_a_file(void)
{
        struct error error = {};
        struct cluster *cluster = NULL;

        bad_seen = 0;
        CHECK_INT(
                load("{\n \"apiVersion\": \"v1\",\n \"items\": [\n {\"metadata\":{\"name\":\"c\"}},"
                     "{\"metadata\":{\"name\":\"b\"},\"spec\":3},{\"metadata\":{\"name\":\"a\"}}, "
                     "7 ],\n"
                     "\"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"9\"}}\n",
                        &cluster, &error),
                0);
        CHECK_INT(cluster->n_nodes, 2);
        CHECK_TEXT(cluster->nodes[0]->name, "a");
        CHECK_TEXT(cluster->version, "9");
        CHECK_INT(bad_seen, 2);
        cluster_free(cluster);

        CHECK_INT(load("{\"items\":[{\"metadata\":{\"name\":\"c\"}}", &cluster, &error), -EINVAL);
        CHECK_HAS(error.text, "cut off");
        CHECK_INT(load("kind: List\nitems: []\n", &cluster, &error), -EINVAL);
        CHECK_HAS(error.text, "not a JSON list");
        CHECK_INT(node_list_load("/nonexistent/file", NULL, NULL, &cluster, &error), -ENOENT);
        CHECK_HAS(error.text, "/nonexistent/file");
}

TEST_MAIN(TEST(whole_object), TEST(external_where_no_internal), TEST(every_kind_of_pod_prefix),
        TEST(bare_object), TEST(public_keys), TEST(malformed), TEST(too_many_entries),
        TEST(names_and_versions), TEST(shared_nodes_outlive_the_first_owner),
        TEST(list_from_a_file))
