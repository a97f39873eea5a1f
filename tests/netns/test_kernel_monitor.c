/* What the monitor tells of changes in a namespace, and what it does not. */
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#include "fixture.h"
#include "kernel/fib_apply.h"
#include "kernel/monitor.h"
#include "test.h"

#define PODS  51870u
#define NODES 51871u

/* What was told. */
struct seen {
        unsigned links, addresses, rp_filters, foreign, overflows;
        int overflow_code;
        char link[IF_NAMESIZE];
        uint32_t ifindex;
        bool link_deleted;
        struct foreign_change change; /* the last */
};

static struct {
        struct seen seen;
        sd_event *event;
        struct netlink *nl;
        struct monitor *monitor;
} t;

static void on_link(const char *name, uint32_t ifindex, bool deleted, void *userdata)
{
        struct seen *seen = userdata;

        seen->links++;
        snprintf(seen->link, sizeof(seen->link), "%s", name);
        seen->ifindex = ifindex;
        seen->link_deleted = deleted;
}

static void on_address(void *userdata)
{
        ((struct seen *)userdata)->addresses++;
}

static void on_rp_filter(void *userdata)
{
        ((struct seen *)userdata)->rp_filters++;
}

static void on_foreign(const struct foreign_change *change, void *userdata)
{
        struct seen *seen = userdata;

        seen->foreign++;
        seen->change = *change;
}

static void on_overflow(int code, void *userdata)
{
        struct seen *seen = userdata;

        seen->overflows++;
        seen->overflow_code = code;
}

/* Runs the loop until it is quiet, and returns what was told meanwhile. */
static const struct seen *look(void)
{
        memset(&t.seen, 0, sizeof(t.seen));
        while (sd_event_run(t.event, 20000) > 0)
                continue;
        return &t.seen;
}

static void enter(void)
{
        const struct monitor_handlers handlers = {
                .link = on_link,
                .address = on_address,
                .rp_filter = on_rp_filter,
                .foreign = on_foreign,
                .overflow = on_overflow,
                .userdata = &t.seen,
        };

        CHECK(fixture_enter());
        CHECK(sd_event_new(&t.event) >= 0);
        t.nl = fixture_netlink(NETLINK_ROUTE);
        CHECK_INT(monitor_new(t.event, netlink_port_id(t.nl), &handlers, &t.monitor), 0);
        CHECK_INT(monitor_set_layouts(t.monitor, &test_layout, 1), 0);
}

static void leave(void)
{
        t.monitor = monitor_free(t.monitor);
        t.nl = netlink_free(t.nl);
        t.event = sd_event_unref(t.event);
}

/* Runs ip(8) and returns its process id, which is its port id as well. */
static uint32_t run_ip(const char *a, const char *b, const char *c, const char *d, const char *e)
{
        int status;
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                execlp("ip", "ip", a, b, c, d, e, NULL);
                _exit(127);
        }
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
        return (uint32_t)pid;
}

static struct apply_result write_steps(unsigned n_routes)
{
        struct rule rule = lookup_rule(AF_INET, LAYOUT_NODES, NODES);
        struct apply_result result;
        struct steps steps = {};

        for (unsigned i = 0; i < n_routes; i++) {
                struct route route = twin("fd00::/128", NODES);

                route.destination.address.bytes[12] = (uint8_t)(i >> 24);
                route.destination.address.bytes[13] = (uint8_t)(i >> 16);
                route.destination.address.bytes[14] = (uint8_t)(i >> 8);
                route.destination.address.bytes[15] = (uint8_t)i;
                add_route_step(&steps, STEP_REPLACE_ROUTE, 0, &route);
        }
        add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
        CHECK_INT(kernel_fib_apply(t.nl, &steps, &result), 0);
        steps_free(&steps);
        return result;
}

static void foreign_deletion_is_told(void)
{
        const struct seen *seen;
        char text[PORT_ID_TEXT_MAX];
        uint32_t pid;

        enter();
        write_steps(1);
        seen = look();
        CHECK_INT(seen->foreign, 0); /* our own */

        pid = run_ip("rule", "del", "priority", "206", NULL);
        seen = look();
        CHECK_INT(seen->foreign, 1);
        CHECK(seen->change.deleted && seen->change.is_rule);
        CHECK_INT(seen->change.rule.priority, 206);
        CHECK_INT(seen->change.rule.table, NODES);
        CHECK_INT(seen->change.port_id, pid);
        CHECK_HAS(port_id_describe(pid, text), "port id "); /* it has ended */

        pid = run_ip("-6", "route", "flush", "table", "51871");
        seen = look();
        CHECK_INT(seen->foreign, 1);
        CHECK(seen->change.deleted && !seen->change.is_rule);
        CHECK_INT(seen->change.port_id, pid);
        CHECK_INT(seen->change.route.metric, TWIN_METRIC);
        leave();
}

static void foreign_addition_is_told(void)
{
        const struct seen *seen;

        enter();
        run("ip -6 rule add priority 209 to fd00::/8 lookup main");
        seen = look();
        CHECK_INT(seen->foreign, 1);
        CHECK(!seen->change.deleted && seen->change.is_rule);
        CHECK_INT(seen->change.rule.family, AF_INET6);
        run("ip route add blackhole 10.0.0.2 table 51879");
        seen = look();
        CHECK_INT(seen->foreign, 1);
        CHECK(!seen->change.deleted && !seen->change.is_rule && seen->change.route.foreign);
        leave();
}

/* Neither other tables nor other priorities; and routes of the main table not even as a wake-up. */
static void the_rest_is_passed_over(void)
{
        const struct seen *seen;
        unsigned wakeups = 0;

        enter();
        run("ip rule add priority 199 lookup 100; ip rule add priority 210 lookup 100");
        run("ip route add unreachable 10.0.0.2 table 51869");
        run("ip route add unreachable 10.0.0.2 table 51880");
        seen = look();
        CHECK_INT(seen->foreign, 0);
        run("for i in $(seq 2000); do echo route add unreachable 10.9.$((i / 250)).$((i %% 250)); "
            "done | ip -batch -");
        while (sd_event_run(t.event, 20000) > 0)
                wakeups++;
        CHECK_INT(wakeups, 0);
        leave();
}

static void links_and_addresses_are_told(void)
{
        const struct seen *seen;
        uint32_t ifindex;

        enter();
        look();
        ifindex = fixture_tun(DEVICE);
        seen = look();
        CHECK(seen->links > 0);
        CHECK_TEXT(seen->link, DEVICE);
        CHECK_INT(seen->ifindex, ifindex);
        CHECK(!seen->link_deleted);
        run("ip address add 10.0.0.1/24 dev " DEVICE);
        seen = look();
        CHECK_INT(seen->addresses, 1);
        run("ip address del 10.0.0.1/24 dev " DEVICE);
        seen = look();
        CHECK_INT(seen->addresses, 1);
        run("ip link set " DEVICE " down");
        seen = look();
        CHECK(seen->links > 0 && !seen->link_deleted);
        run("ip link set " DEVICE " name other0");
        seen = look();
        CHECK_TEXT(seen->link, "other0");
        CHECK_INT(seen->ifindex, ifindex);
        run("ip link delete other0");
        seen = look();
        CHECK(seen->link_deleted);
        CHECK_INT(seen->ifindex, ifindex);
        leave();
}

static void rp_filter_is_told(void)
{
        const struct seen *seen;

        enter();
        fixture_tun(DEVICE);
        look();
        run("sysctl -qw net.ipv4.conf." DEVICE ".rp_filter=2");
        seen = look();
        CHECK_INT(seen->rp_filters, 1);
        run("sysctl -qw net.ipv4.conf.all.rp_filter=1");
        seen = look();
        CHECK_INT(seen->rp_filters, 1);
        run("sysctl -qw net.ipv4.conf.all.rp_filter=1"); /* as it is */
        run("sysctl -qw net.ipv4.conf." DEVICE ".forwarding=1");
        seen = look();
        CHECK_INT(seen->rp_filters, 0);
        /* Many at once are told once, or a few times where the machine is slow. */
        run("for i in $(seq 50); do echo link add br$i type bridge; done | ip -batch -");
        seen = look();
        CHECK(seen->rp_filters >= 1 && seen->rp_filters <= 50);
        leave();
}

/* A route that goes with its device: IPv6 tells, by the kernel itself. */
static void device_routes_go_by_the_kernel(void)
{
        struct apply_result result;
        struct steps steps = {};
        const struct seen *seen;
        struct route route;
        char text[PORT_ID_TEXT_MAX];

        enter();
        route = device_route("fd00::2/128", NODES, fixture_device());
        add_route_step(&steps, STEP_REPLACE_ROUTE, 0, &route);
        CHECK_INT(kernel_fib_apply(t.nl, &steps, &result), 0);
        steps_free(&steps);
        look();
        run("ip link set " DEVICE " down");
        seen = look();
        CHECK_INT(seen->foreign, 1);
        CHECK(seen->change.deleted);
        CHECK_INT(seen->change.port_id, 0);
        CHECK_TEXT(port_id_describe(0, text), "the kernel");
        leave();
}

/* More than the buffer holds: one overflow, then all is as before. */
static void overflow_is_told_once(void)
{
        const struct seen *seen;

        enter();
        write_steps(60000);
        seen = look();
        CHECK_INT(seen->overflows, 1);
        CHECK_INT(seen->overflow_code, -ENOBUFS);
        run("ip rule del priority 206");
        seen = look();
        CHECK_INT(seen->overflows, 0);
        CHECK_INT(seen->foreign, 1);
        leave();
}

/* As many as a large cluster's first programming makes fit. */
static void ten_thousand_fit(void)
{
        const struct seen *seen;

        enter();
        write_steps(10000);
        seen = look();
        CHECK_INT(seen->overflows, 0);
        CHECK_INT(seen->foreign, 0);
        leave();
}

static void layouts_change(void)
{
        const struct layout other = {.table_base = 60000, .priority_base = 300};
        const struct seen *seen;

        enter();
        run("ip rule add priority 300 lookup 60000");
        seen = look();
        CHECK_INT(seen->foreign, 0);
        CHECK_INT(monitor_set_layouts(t.monitor, &other, 1), 0);
        run("ip rule add priority 200 lookup 60000; ip rule del priority 300");
        seen = look();
        CHECK_INT(seen->foreign, 1);
        CHECK(seen->change.deleted);
        CHECK_INT(monitor_set_layouts(t.monitor, NULL, 0), 0);
        run("ip rule add priority 300 lookup 60000; ip rule del priority 200");
        seen = look();
        CHECK_INT(seen->foreign, 0);
        leave();
}

static void port_ids_are_named(void)
{
        char text[PORT_ID_TEXT_MAX], expected[PORT_ID_TEXT_MAX];

        snprintf(expected, sizeof(expected), "test_kernel_mon[%d]", getpid());
        CHECK_TEXT(port_id_describe((uint32_t)getpid(), text), expected);
        CHECK_TEXT(port_id_describe(4294967295u, text), "port id 4294967295");
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(foreign_deletion_is_told),
                TEST(foreign_addition_is_told), TEST(the_rest_is_passed_over),
                TEST(links_and_addresses_are_told), TEST(rp_filter_is_told),
                TEST(device_routes_go_by_the_kernel), TEST(overflow_is_told_once),
                TEST(ten_thousand_fit), TEST(layouts_change), TEST(port_ids_are_named)};

        return fixture_possible() ? test_main(argc, argv, tests, ARRAY_SIZE(tests)) : EXIT_SUCCESS;
}
