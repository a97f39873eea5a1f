#include <netinet/in.h>

#include "model/cluster.h"
#include "model/endpoint.h"
#include "model/exemption.h"
#include "model/settings.h"
#include "model/shared_text.h"
#include "test.h"

static struct address address_of(const char *text)
{
        struct address address;

        CHECK_INT(address_parse(text, &address), 0);
        return address;
}

static void check_ports(const char *text, const char *expected)
{
        _cleanup_free_ struct port_range *ports = NULL;
        _cleanup_free_ char *printed = NULL;
        struct text_builder builder = {};
        size_t n = 0;

        CHECK_INT(port_ranges_parse(text, &ports, &n, NULL), 0);
        port_ranges_format(ports, n, &builder);
        CHECK_INT(text_take(&builder, &printed), 0);
        CHECK_TEXT(printed, expected);
}

static void port_lists_are_parsed(void)
{
        check_ports("6443", "6443");
        check_ports("2379-2382,6443, 443", "443,2379-2382,6443");
        check_ports(" 1 - 3 ,2-5,6", "1-6");
        check_ports("65535,1", "1,65535");
}

static void check_bad_ports(const char *text, int code, const char *item)
{
        struct port_range *ports = NULL;
        _cleanup_free_ char *bad = NULL;
        size_t n = 0;

        CHECK_INT(port_ranges_parse(text, &ports, &n, &bad), code);
        CHECK_TEXT(bad, item);
}

static void bad_port_lists_name_the_item(void)
{
        check_bad_ports("80,0", -ERANGE, "0");
        check_bad_ports("70000", -ERANGE, "70000");
        check_bad_ports("80, 2380-2379 ,81", -EDOM, "2380-2379");
        check_bad_ports("80,,81", -EINVAL, "");
        check_bad_ports("", -EINVAL, "");
        check_bad_ports("http", -EINVAL, "http");
        check_bad_ports("80-", -EINVAL, "80-");
        check_bad_ports("1-2-3", -EINVAL, "1-2-3");
}

static void equal_texts_are_kept_once(void)
{
        char written[] = "zone";
        const char *one = shared_text_get(written), *other = shared_text_get("Zone"), *two;

        written[0] = 'Z';
        two = shared_text_get("zone");
        CHECK(one && one == two && one != written);
        CHECK(other && other != one);
        shared_text_put(other);
        shared_text_put(one);
        CHECK_TEXT(two, "zone");
        shared_text_put(two);
        shared_text_put(NULL);
}

static void nodes_share_their_labels(void)
{
        struct node *one = node_new("a"), *two = node_new("b");

        CHECK(one && two);
        CHECK_INT(node_add_label(one, "zone", "x"), 0);
        CHECK_INT(node_add_label(two, "zone", "y"), 0);
        CHECK_INT(node_add_label(two, "zone", "x"), 0);
        CHECK_INT(two->n_labels, 1);
        CHECK(one->labels[0].key == two->labels[0].key);
        CHECK(one->labels[0].value == two->labels[0].value);
        node_free(one);
        CHECK_TEXT(node_label(two, "zone"), "x");
        CHECK(node_ref(two) == two);
        node_free(two);
        CHECK_TEXT(two->name, "b");
        node_free(two);
}

static void selectors_match_by_key_or_value(void)
{
        _cleanup_(node_freep) struct node *node = node_new("a");
        struct exemption holder = {};
        static const char *const bad[] = {"", "=x", "a b", "key=va lue", "key=a=b"};

        CHECK(node && node_add_label(node, "zone", "b") >= 0);
        CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "") >= 0);

        CHECK_INT(selector_parse("zone", &holder.selector), 0);
        CHECK(selector_matches(&holder.selector, node));
        exemption_deinit(&holder);
        CHECK_INT(selector_parse("zone=b", &holder.selector), 0);
        CHECK(selector_matches(&holder.selector, node));
        exemption_deinit(&holder);
        CHECK_INT(selector_parse("zone=a", &holder.selector), 0);
        CHECK(!selector_matches(&holder.selector, node));
        exemption_deinit(&holder);
        CHECK_INT(selector_parse("zone=", &holder.selector), 0);
        CHECK(!selector_matches(&holder.selector, node));
        exemption_deinit(&holder);
        /* kubeadm's label has no value, k3s's is "true": the key alone counts. */
        CHECK_INT(selector_parse(CONTROL_PLANE_LABEL, &holder.selector), 0);
        CHECK(selector_matches(&holder.selector, node));
        exemption_deinit(&holder);
        CHECK(node_is_control_plane(node));
        CHECK(node_add_label(node, CONTROL_PLANE_LABEL, "true") >= 0 &&
                node_is_control_plane(node));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                CHECK_INT(selector_parse(bad[i], &holder.selector), -EINVAL);
}

static struct node *node_with(const char *name, const char *pods)
{
        struct node *node = node_new(name);
        struct prefix prefix;

        CHECK(node && prefix_parse(pods, &prefix) >= 0 && node_add_pod_prefix(node, &prefix) >= 0);
        return node;
}

static void clusters_hold_one_node_a_name(void)
{
        _cleanup_(cluster_freep) struct cluster *cluster = cluster_new();
        _cleanup_(cluster_freep) struct cluster *other = cluster_new();

        CHECK(cluster && other);
        CHECK_INT(cluster_put(cluster, node_with("c", "10.0.3.0/24")), 1);
        CHECK_INT(cluster_put(cluster, node_with("a", "10.0.1.0/24")), 1);
        CHECK_INT(cluster_put(cluster, node_with("b", "10.0.2.0/24")), 1);
        CHECK_INT(cluster_put(cluster, node_with("b", "10.0.2.0/24")), 0);
        CHECK_INT(cluster_put(cluster, node_with("b", "10.0.9.0/24")), 1);
        CHECK_INT(cluster->n_nodes, 3);
        CHECK_TEXT(cluster->nodes[0]->name, "a");
        CHECK_TEXT(cluster->nodes[2]->name, "c");
        CHECK(cluster_find(cluster, "b") && !cluster_find(cluster, "d"));
        CHECK(!cluster_equal(cluster, other));

        CHECK_INT(cluster_remove(cluster, "b"), 1);
        CHECK_INT(cluster_remove(cluster, "b"), 0);
        CHECK_INT(cluster_put(other, node_with("a", "10.0.1.0/24")), 1);
        CHECK_INT(cluster_put(other, node_with("c", "10.0.3.0/24")), 1);
        CHECK(cluster_equal(cluster, other));
}

static void nodes_differ_by_each_part(void)
{
        struct address address = address_of("10.0.0.9");

        for (int part = 0; part < 5; part++) {
                _cleanup_(node_freep) struct node *a = node_with("a", "10.0.1.0/24");
                _cleanup_(node_freep) struct node *b = node_with("a", "10.0.1.0/24");
                struct prefix prefix = prefix_from_address(&address);

                CHECK(node_equal(a, b));
                switch (part) {
                case 0: CHECK(node_add_label(b, "x", "y") >= 0); break;
                case 1: b->addresses[FAMILY_INET] = address; break;
                case 2: CHECK(node_add_other_address(b, &address) >= 0); break;
                case 3: CHECK(node_add_pod_prefix(b, &prefix) >= 0); break;
                default: CHECK(text_replace(&b->public_key, "key") >= 0); break;
                }
                CHECK(!node_equal(a, b));
        }
}

static void endpoints_leave_loopback_out(void)
{
        struct endpoint endpoint = {.port = 6443}, copy = {};
        struct address address = address_of("127.0.0.1");

        CHECK_INT(endpoint_add_address(&endpoint, &address), 0);
        address = address_of("::1");
        CHECK_INT(endpoint_add_address(&endpoint, &address), 0);
        address = address_of("10.0.0.100");
        CHECK_INT(endpoint_add_address(&endpoint, &address), 1);
        CHECK_INT(endpoint_add_address(&endpoint, &address), 0);
        address = address_of("10.0.0.5");
        CHECK_INT(endpoint_add_address(&endpoint, &address), 1);
        CHECK_INT(endpoint_copy(&endpoint, &copy), 0);
        CHECK(endpoint_equal(&endpoint, &copy));
        copy.port = 8443;
        CHECK(!endpoint_equal(&endpoint, &copy));
        endpoint_deinit(&endpoint);
        endpoint_deinit(&copy);
}

static void listen_addresses_are_parsed(void)
{
        static const char *const good[] = {"127.0.0.1:8083", "[::1]:8083", ":8083", ""};
        static const char *const bad[] = {"8083", "localhost:80", "::1:80", "1.2.3.4:", "[::1:80"};
        struct listen listen;

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                _cleanup_free_ char *text = NULL;
                struct text_builder builder = {};

                CHECK_INT(listen_parse(good[i], &listen), 0);
                listen_format(&listen, &builder);
                CHECK_INT(text_take(&builder, &text), 0);
                CHECK_TEXT(text, good[i]);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                CHECK_INT(listen_parse(bad[i], &listen), -EINVAL);
        CHECK_INT(listen_parse(":0", &listen), -ERANGE);
        CHECK_INT(listen_parse(":70000", &listen), -ERANGE);
        CHECK_INT(listen_parse("0", &listen), 0);
        CHECK_INT(listen.port, 0);
}

TEST_MAIN(TEST(port_lists_are_parsed), TEST(bad_port_lists_name_the_item),
        TEST(equal_texts_are_kept_once), TEST(nodes_share_their_labels),
        TEST(selectors_match_by_key_or_value), TEST(clusters_hold_one_node_a_name),
        TEST(nodes_differ_by_each_part), TEST(endpoints_leave_loopback_out),
        TEST(listen_addresses_are_parsed))
