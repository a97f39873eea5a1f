/*
 * Others at work on our tables and priorities: what they did is undone by the next reconcile, as
 * far as it touches what is steered, and the repair itself makes no moment worse than the damage.
 */
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "changes.h"
#include "convergence.h"
#include "kernel/fib_read.h"
#include "kernel/rule_codec.h"
#include "test.h"

/* Flows laxer than they may be right after the damage; no message of the repair may add to them. */
static struct {
        const struct probes *probes; /* NULL: do not ask */
        size_t damage;
        size_t worst;
} watch;

static void before_message(void)
{
        size_t wrong = watch.probes ? probes_ask(watch.probes, NULL, 0) : 0;

        if (wrong > watch.worst)
                watch.worst = wrong;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
        socklen_t to_size)
{
        const char *bytes = data;

        for (size_t done = 0; done < size;) {
                const struct nlmsghdr *message = (const void *)(bytes + done);
                size_t length = NLMSG_ALIGN(message->nlmsg_len);

                if (length > size - done)
                        length = size - done;
                if (message->nlmsg_type == RTM_NEWROUTE || message->nlmsg_type == RTM_DELROUTE ||
                        message->nlmsg_type == RTM_NEWRULE || message->nlmsg_type == RTM_DELRULE)
                        before_message();
                if (syscall(SYS_sendto, fd, message, length, flags, to, to_size) < 0)
                        return -1;
                done += length;
        }
        return (ssize_t)size;
}

/* w-1 is 10.0.0.21 with pods 10.244.21.0/24; the tables are 51870 (pods) and 51871 (nodes). */
static const struct intruder {
        const char *commands;
        unsigned left; /* foreign objects that hurt nothing and are left alone */
        /* In every field that a delete can name like ours: both go, one after the other. */
        bool blinks;
} intruders[] = {
        /* The same key once more, before or behind ours. */
        {"ip route append 10.0.0.21 dev eth0 scope link proto kernel table 51871", 0},
        {"ip route prepend 10.0.0.21 dev eth0 scope link proto kernel table 51871", 0},
        {"ip route append 10.0.0.21 dev lxc0 scope link proto static table 51871", 0},
        {"ip route prepend 10.0.0.21 dev lxc0 scope link proto static table 51871", 0},
        {"ip route append 10.244.21.0/24 via 10.0.0.21 dev eth0 proto kernel table 51870", 0},
        {"ip route prepend 10.244.21.0/24 via 10.0.0.21 dev eth0 proto kernel table 51870", 0},
        {"ip route append throw 10.244.21.0/24 proto kernel table 51870", 0},
        {"ip route prepend throw 10.244.21.0/24 proto kernel table 51870", 0},
        {"ip route prepend 10.0.0.21 dev eth0 proto kernel table 51871;"
         "ip route prepend 10.0.0.21 dev lxc0 proto static table 51871;"
         "ip route append 10.0.0.21 dev eth0 proto boot table 51871",
                0},
        {"ip route append 10.0.0.21 dev cilium_wg0 mtu 1300 src 10.0.0.1 scope link proto kernel "
         "table 51871",
                0},
        {"ip route prepend 10.0.0.21 dev cilium_wg0 mtu 1300 src 10.0.0.1 scope link proto kernel "
         "table 51871; ip route prepend 10.0.0.21 dev cilium_wg0 mtu 1200 src 10.0.0.1 scope link "
         "proto kernel table 51871",
                0},
        {"ip route append 10.0.0.21 proto kernel src 10.0.0.1 scope link table 51871 nexthop dev "
         "eth0 nexthop dev lxc0",
                0, .blinks = true},
        {"ip -6 route append fd00::15 dev eth0 proto kernel table 51871", 0},
        {"ip -6 route append fd00:244:15::/64 dev eth0 proto static table 51870", 0},
        {"ip -6 route append fd00:244:15::/64 dev eth0 proto kernel table 51870;"
         "ip -6 route append fd00:244:15::/64 dev lxc0 proto kernel table 51870",
                0},
        /* In our place. */
        {"ip route replace 10.0.0.21 dev eth0 scope link proto kernel table 51871", 0},
        {"ip route replace 10.0.0.21 dev cilium_wg0 mtu 1300 scope link proto kernel table 51871",
                0},
        {"ip route replace 10.0.0.21 table 51871 nexthop dev eth0 nexthop dev lxc0", 0},
        {"ip route replace 10.0.0.21 via inet6 fd00::9 dev eth0 table 51871", 0},
        {"ip -6 route replace fd00::15 dev eth0 table 51871", 0},
        {"ip -6 route replace fd00::15 via fe80::9 dev eth0 proto kernel table 51871", 0},
        {"ip -6 route replace fd00::15 dev cilium_wg0 expires 300 proto kernel table 51871", 0},
        {"ip -6 route replace fd00::15 dev cilium_wg0 pref high proto kernel table 51871", 0},
        /* In our twin's place, with the device away. */
        {"ip route replace 10.0.0.21 dev eth0 metric 4294967294 proto kernel table 51871", 0},
        {"ip route replace blackhole 10.0.0.21 metric 4294967294 proto kernel table 51871", 0},
        {"ip route append throw 10.0.0.21 metric 4294967294 proto kernel table 51871", 0},
        {"ip -6 route append fd00::15 dev eth0 metric 4294967294 table 51871", 0},
        {"ip -6 route replace blackhole fd00::15 metric 4294967294 table 51871", 0},
        /* Met before ours. */
        {"ip route add 10.0.0.21 tos 0x10 dev eth0 table 51871", 0},
        {"ip route add 10.0.0.21 tos 0x10 dev eth0 scope link proto kernel table 51871", 0},
        {"ip route add 10.244.21.128/25 dev eth0 table 51870", 0},
        {"ip route add throw 10.244.21.7 table 51870", 0},
        {"ip route add 10.0.0.21 dev eth0 table 51870", 1}, /* nothing of P: nodes' traffic */
        {"ip -6 route add fd00::15 dev eth0 metric 10 table 51871", 0},
        {"ip -6 route add throw fd00:244:15::/65 table 51870", 0},
        /* Between ours and the twin. */
        {"ip route add 10.0.0.21 dev eth0 metric 50 table 51871", 0},
        {"ip -6 route add fd00::15 dev eth0 metric 2000 table 51871", 0},
        /* By nexthop objects. */
        {"ip nexthop add id 7 dev eth0; ip route append 10.0.0.21 nhid 7 proto kernel table 51871",
                0},
        {"ip nexthop add id 7 dev eth0; ip route prepend 10.0.0.21 nhid 7 proto kernel table 51871",
                0},
        {"ip nexthop add id 7 dev eth0; ip route replace 10.0.0.21 nhid 7 table 51871", 0},
        {"ip nexthop add id 7 dev eth0; ip nexthop add id 8 dev lxc0; ip nexthop add id 9 group "
         "7/8; ip route add 10.244.21.0/25 nhid 9 proto kernel table 51870",
                0},
        {"ip nexthop add id 7 blackhole; ip route prepend 10.0.0.21 nhid 7 table 51871", 0},
        {"ip -6 nexthop add id 7 dev eth0; ip -6 route add fd00::15 nhid 7 metric 9 table 51871",
                0},
        {"ip -6 nexthop add id 7 dev eth0; ip -6 route append fd00:244:15::/64 nhid 7 table 51870",
                0},
        /* Emptied. */
        {"ip route flush table 51870", 0},
        {"ip route flush table 51871; ip -6 route flush table 51871", 0},
        {"ip -6 route flush table 51870", 0},
        {"ip rule flush; ip rule add pref 32766 lookup main", 0},
        {"ip -6 rule flush; ip -6 rule add pref 32766 lookup main", 0},
        /* Rules: moved, of another kind, of another protocol. */
        {"ip rule del pref 206; ip rule add pref 206 lookup 51871 suppress_prefixlength 0 "
         "protocol kernel",
                1},
        {"ip rule del pref 202; ip rule add pref 202 lookup main protocol kernel", 1},
        {"ip rule add pref 202 lookup 51870 protocol static", 1},
        {"ip rule add pref 206 lookup 51870 protocol kernel", 1},
        {"ip rule add pref 203 to 10.0.0.11 ipproto tcp dport 80 lookup main protocol kernel", 0},
        {"ip rule add pref 203 iif lo ipproto udp sport 53 lookup main protocol kernel", 0},
        {"ip rule add pref 200 fwmark 0x1234 lookup main protocol kernel", 0},
        {"ip -6 rule add pref 201 fwmark 0x1234 unreachable protocol kernel", 0},
        {"ip rule add pref 203 to 10.0.0.11 iif lxc0 lookup main protocol kernel", 1},
        /* As Cilium does. */
        {"ip rule add pref 100 lookup local protocol kernel; ip rule del pref 0 lookup local", 0},
        {"ip -6 rule add pref 100 lookup local protocol kernel; ip -6 rule del pref 0 lookup local",
                0},
};

static struct world world;
static struct probes probes;

static void begin(void)
{
        convergence_begin();
        memset(&watch, 0, sizeof(watch));
        world_init_small(&world);
        reconcile(&world, &world, true);
        probes_init(&probes, &world, &world, 100);
        CHECK_INT(probes_ask(&probes, "before", 0), 0);
}

static void end(void)
{
        watch.probes = NULL;
        probes_deinit(&probes);
        world_deinit(&world);
        convergence_end();
}

/* How much there is besides what the world wants; −1: something of that is missing. */
static int count_others(void)
{
        struct fib wanted = {}, actual = {};
        size_t rules = 0, routes = 0;
        int others;

        convergence_read(&world, &wanted, &actual);
        for (size_t i = 0; i < actual.n_rules && rules < wanted.n_rules; i++)
                rules += rule_compare(&actual.rules[i], &wanted.rules[rules]) == 0;
        for (size_t i = 0; i < actual.n_routes && routes < wanted.n_routes; i++)
                routes += route_compare(&actual.routes[i], &wanted.routes[routes]) == 0;
        others = (int)(actual.n_rules + actual.n_routes - rules - routes);
        if (rules < wanted.n_rules || routes < wanted.n_routes)
                others = -1;
        fib_deinit(&wanted);
        fib_deinit(&actual);
        return others;
}

/* Damage, one reconcile, and all is well. */
static bool intrude(const struct intruder *intruder, bool device_away)
{
        struct error error = {};
        int r, others;

        run("%s", intruder->commands);
        if (device_away) {
                set_device(false);
                world.device_up = false;
        }
        watch.probes = &probes;
        watch.worst = watch.damage = probes_ask(&probes, NULL, 0);
        r = try_reconcile(&world, &world, true, &error);
        watch.probes = NULL;
        others = count_others();
        if (r >= 0 && (watch.worst == watch.damage || intruder->blinks) &&
                others == (int)intruder->left)
                return true;
        printf("# %s: %s; %zu flows laxer, during the repair %zu; left: %d\n", intruder->commands,
                error.text, watch.damage, watch.worst, others);
        return false;
}

static void each(bool device_away)
{
        unsigned failed = 0;

        for (size_t i = 0; i < ARRAY_SIZE(intruders); i++) {
                begin();
                failed += !intrude(&intruders[i], device_away);
                end();
        }
        CHECK_INT(failed, 0);
}

static void each_intruder(void)
{
        each(false);
}

static void each_without_device(void)
{
        each(true);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(each_intruder), TEST(each_without_device)};

        return fixture_possible() ? test_main(argc, argv, tests, ARRAY_SIZE(tests)) : EXIT_SUCCESS;
}
