/*
 * Partial runs of the reconciler on a kernel: they make what a whole run makes, count what it
 * counts, and leave to it what they cannot do.
 */
#include <net/if.h>
#include <stdlib.h>

#include "daemon/reconciler.h"
#include "fixture.h"
#include "policy/compute.h"
#include "test.h"

#define NODES 40u

static struct {
        struct reconciler reconciler;
        struct settings *settings;
        struct cluster *cluster;
        struct claims claims;
        struct node_changes changes;
        struct endpoint endpoint;
        char folder[32];
} host;

static struct node *make_node(unsigned number)
{
        struct node *node;
        char text[PREFIX_TEXT_MAX];
        struct prefix pods;

        snprintf(text, sizeof(text), "n%u", number);
        node = node_new(text);
        CHECK(node);
        snprintf(text, sizeof(text), "10.0.0.%u", number + 1);
        node->addresses[FAMILY_INET] = address(text);
        snprintf(text, sizeof(text), "fd00::%x", number + 1);
        node->addresses[FAMILY_INET6] = address(text);
        snprintf(text, sizeof(text), "10.244.%u.0/24", number);
        pods = prefix(text);
        CHECK_INT(node_add_pod_prefix(node, &pods), 0);
        snprintf(text, sizeof(text), "fd00:10:244:%x::/64", number);
        pods = prefix(text);
        CHECK_INT(node_add_pod_prefix(node, &pods), 0);
        return node;
}

static struct reconcile_input input(void)
{
        return (struct reconcile_input){
                .settings = host.settings,
                .cluster = host.cluster,
                .node_name = "n0",
                .endpoint = &host.endpoint,
                .complete = true,
                .unchanged = host.changes.n == 0,
        };
}

static void run_whole(struct reconcile_result *ret)
{
        struct reconcile_input in = input();

        *ret = (struct reconcile_result){};
        CHECK_INT(reconciler_run(&host.reconciler, &in, ret), 0);
        node_changes_clear(&host.changes);
        reconcile_result_deinit(ret);
}

static bool run_partial(struct reconcile_result *ret)
{
        struct reconcile_input in = input();
        bool done;

        *ret = (struct reconcile_result){};
        done = reconciler_run_partial(&host.reconciler, &in, &host.changes, &host.claims, ret);
        node_changes_clear(&host.changes);
        return done;
}

static void put(struct node *node)
{
        struct node *before = cluster_find(host.cluster, node->name);

        if (before)
                node_ref(before);
        CHECK(cluster_put(host.cluster, node) > 0);
        claims_change(&host.claims, before, node);
        node_changes_add(&host.changes, before, node);
        node_free(before);
}

static void take(unsigned number)
{
        struct node *before;
        char name[16];

        snprintf(name, sizeof(name), "n%u", number);
        before = cluster_find(host.cluster, name);
        CHECK(before);
        claims_change(&host.claims, before, NULL);
        node_changes_add(&host.changes, before, NULL);
        CHECK_INT(cluster_remove(host.cluster, name), 1);
}

static void end(void)
{
        reconciler_deinit(&host.reconciler);
        settings_free(host.settings);
        cluster_free(host.cluster);
        claims_deinit(&host.claims);
        node_changes_clear(&host.changes);
        if (*host.folder)
                run("rm -r %s", host.folder);
        memset(&host, 0, sizeof(host));
}

static void begin(void)
{
        struct reconcile_result result;
        struct error error = {};

        end();
        CHECK(fixture_enter());
        fixture_device();
        snprintf(host.folder, sizeof(host.folder), "/tmp/reconciler.XXXXXX");
        CHECK(mkdtemp(host.folder));
        host.settings = settings_new();
        host.cluster = cluster_new();
        CHECK(host.settings && host.cluster);
        CHECK_INT(reconciler_init(&host.reconciler, host.folder, &error), 0);
        claims_init(&host.claims, 4);
        for (unsigned i = 0; i < NODES; i++)
                CHECK(cluster_put(host.cluster, make_node(i)) >= 0);
        CHECK_INT(claims_count(&host.claims, host.cluster), 0);
        run_whole(&result);
        CHECK(result.in_sync && !result.partial);
}

/* A whole run finds the same and has nothing to write. */
static void check_whole(const struct reconcile_result *partial)
{
        struct reconcile_result whole;

        run_whole(&whole);
        CHECK(whole.in_sync && whole.untouched);
        CHECK_INT(whole.written, 0);
        CHECK_INT(partial->rules, whole.rules);
        CHECK_INT(partial->routes, whole.routes);
        CHECK_INT(partial->pods, whole.pods);
        CHECK_INT(partial->nodes, whole.nodes);
        CHECK_INT(partial->control_planes, whole.control_planes);
        CHECK_INT(partial->link.ifindex, whole.link.ifindex);
        CHECK((partial->written_at > 0) == (partial->written > 0));
        CHECK(partial->in_sync && partial->is_known && partial->device_usable);
}

static void makes_what_a_whole_run_makes(void)
{
        struct reconcile_result result;
        struct node *node;

        begin();
        put(make_node(60));
        CHECK(run_partial(&result));
        CHECK(result.partial && !result.untouched);
        CHECK_INT(result.written, 8);
        check_whole(&result);
        take(60);
        take(20);
        node = make_node(21);
        node->addresses[FAMILY_INET] = address("10.0.0.99");
        put(node);
        CHECK(run_partial(&result));
        CHECK_INT(result.written, 20);
        check_whole(&result);
        /* Nothing of it concerns the kernel. */
        node = make_node(22);
        CHECK_INT(node_add_label(node, "zone", "a"), 0);
        put(node);
        CHECK(run_partial(&result));
        CHECK(result.untouched);
        check_whole(&result);
        /* Several in a row without a whole one between them. */
        for (unsigned i = 50; i < 60; i++) {
                put(make_node(i));
                CHECK(run_partial(&result));
                CHECK_INT(result.written, 8);
        }
        check_whole(&result);
        end();
}

static void leaves_to_a_whole_run_what_it_cannot_do(void)
{
        struct reconcile_result result;
        struct node *node;

        begin();
        node = make_node(30);
        CHECK_INT(node_add_label(node, CONTROL_PLANE_LABEL, ""), 0);
        put(node);
        CHECK(!run_partial(&result));
        CHECK_INT(result.written, 0);
        /* From here on only a whole run makes partial ones possible again. */
        put(make_node(61));
        CHECK(!run_partial(&result));
        run_whole(&result);
        CHECK_INT(result.control_planes, 1);
        put(make_node(62));
        CHECK(run_partial(&result));
        CHECK_INT(result.control_planes, 1);
        check_whole(&result);
        end();
}

/* The device has gone, and nobody has told us yet. */
static void a_refusal_is_a_whole_run(void)
{
        struct reconcile_result result;

        begin();
        run("ip link delete " DEVICE);
        put(make_node(63));
        CHECK(!run_partial(&result));
        run_whole(&result);
        CHECK(result.in_sync && !result.device_usable);
        put(make_node(64));
        CHECK(run_partial(&result));
        CHECK(!result.device_usable);
        CHECK_INT(result.written, 4); /* the twins */
        end();
}

/* Down and up again, as a run finds it each time; what the second one wrote. */
static size_t bounce(struct reconcile_result *ret)
{
        run("ip link set " DEVICE " down");
        run_whole(ret);
        CHECK(ret->in_sync && !ret->device_usable);
        run("ip link set " DEVICE " up; ip address replace fd00::1/64 dev " DEVICE " nodad");
        fixture_wait_for_ipv6("fd00::1");
        run_whole(ret);
        CHECK(ret->in_sync && ret->device_usable);
        return ret->written;
}

static void a_device_that_is_back_has_its_routes(void)
{
        const size_t routes = (NODES - 1) * 4;
        struct reconcile_result result;

        begin();
        CHECK_INT(bounce(&result), routes);
        check_whole(&result);
        /* Also where the nodes changed in the meantime, and where somebody was at the twins. */
        run("ip link set " DEVICE " down");
        run_whole(&result);
        put(make_node(70));
        run("ip link set " DEVICE " up; ip address replace fd00::1/64 dev " DEVICE " nodad");
        fixture_wait_for_ipv6("fd00::1");
        run_whole(&result);
        CHECK_INT(result.written, routes + 8);
        check_whole(&result);
        run("ip link set " DEVICE " down");
        run_whole(&result);
        run("ip route del unreachable 10.0.0.7 table 51871 metric 4294967294");
        run("ip link set " DEVICE " up; ip address replace fd00::1/64 dev " DEVICE " nodad");
        fixture_wait_for_ipv6("fd00::1");
        run_whole(&result);
        CHECK_INT(result.written, routes + 4 + 1);
        check_whole(&result);
        end();
}

/* Another one of that name, with another index. */
static void a_new_device_has_them_too(void)
{
        struct reconcile_result result;

        begin();
        run("ip link delete " DEVICE);
        run_whole(&result);
        CHECK(!result.device_usable);
        fixture_device();
        run_whole(&result);
        CHECK(result.device_usable);
        CHECK_INT(result.written, (NODES - 1) * 4);
        check_whole(&result);
        end();
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                TEST(makes_what_a_whole_run_makes),
                TEST(leaves_to_a_whole_run_what_it_cannot_do),
                TEST(a_refusal_is_a_whole_run),
                TEST(a_device_that_is_back_has_its_routes),
                TEST(a_new_device_has_them_too),
        };

        if (!fixture_possible())
                return EXIT_SUCCESS;
        return test_main(argc, argv, tests, ARRAY_SIZE(tests));
}
