/* Links of our own in a namespace, and what rp_filter is there. */
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>

#include "fixture.h"
#include "kernel/link.h"
#include "kernel/rp_filter.h"
#include "kernel/sink_link.h"
#include "test.h"

static bool has(const char *command, const char *part)
{
        _cleanup_free_ char *text = output("%s", command);

        return strstr(text, part) != NULL;
}

static void sink_comes_and_goes(void)
{
        struct error error = {};
        struct netlink *nl;
        struct link link;
        uint32_t ifindex;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        CHECK_INT(own_link_read(nl, &sink_link, &link, &error), 0);
        CHECK_INT(own_link_remove(nl, &sink_link, &error), 0);
        CHECK_INT(own_link_ensure(nl, &sink_link, &link, &error), 1);
        CHECK_TEXT(link.name, SINK_LINK_NAME);
        CHECK_INT(link.ifindex, if_nametoindex(SINK_LINK_NAME));
        ifindex = link.ifindex;
        CHECK_INT(own_link_ensure(nl, &sink_link, &link, &error), 0);
        CHECK_INT(own_link_read(nl, &sink_link, &link, &error), 1);
        CHECK(link.up);
        CHECK_TEXT(link.alias, OWN_LINK_ALIAS);
        CHECK(has("ip link show " SINK_LINK_NAME, "NOARP"));
        CHECK(!has("ip address show " SINK_LINK_NAME, "inet"));

        run("ip link set " SINK_LINK_NAME " down");
        CHECK_INT(own_link_ensure(nl, &sink_link, &link, &error), 1);
        CHECK(link.up);
        CHECK_INT(link.ifindex, ifindex);
        CHECK(!has("ip address show " SINK_LINK_NAME, "inet"));
        CHECK_INT(own_link_remove(nl, &sink_link, &error), 1);
        CHECK_INT(if_nametoindex(SINK_LINK_NAME), 0);
        CHECK_INT(error.code, 0);
        netlink_free(nl);
}

static void somebody_elses(void)
{
        struct error error = {};
        struct netlink *nl;
        struct link link;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        run("ip link add " SINK_LINK_NAME " type bridge; ip link set " SINK_LINK_NAME
            " alias mine");
        CHECK_INT(own_link_ensure(nl, &sink_link, &link, &error), -EEXIST);
        CHECK_HAS(error.text, "link " SINK_LINK_NAME ": ");
        CHECK_HAS(error.text, "not ours");
        CHECK_INT(own_link_read(nl, &sink_link, &link, &error), 0);
        CHECK_INT(own_link_remove(nl, &sink_link, &error), 0);
        CHECK(!has("ip link show " SINK_LINK_NAME, "UP"));
        run("ip link delete " SINK_LINK_NAME);
        /* Our alias on a link of another kind */
        run("ip link add " SINK_LINK_NAME " type veth peer name other0; ip link set " SINK_LINK_NAME
            " alias " OWN_LINK_ALIAS);
        CHECK_INT(own_link_ensure(nl, &sink_link, &link, &error), -EEXIST);
        CHECK_INT(own_link_remove(nl, &sink_link, &error), 0);
        run("ip link delete " SINK_LINK_NAME);
        /* As if we had been stopped half-way */
        run("ip link add " SINK_LINK_NAME " type bridge");
        CHECK_INT(own_link_ensure(nl, &sink_link, &link, &error), 1);
        CHECK_TEXT(link.kind, "bridge");
        CHECK(!has("ip address show " SINK_LINK_NAME, "inet"));
        CHECK_INT(own_link_remove(nl, &sink_link, &error), 1);
        netlink_free(nl);
}

/* The second kind is made where the kernel has not the first; none: it is said. */
static void kinds(void)
{
        static const char *const second[] = {"no-such-kind", "bridge", NULL};
        static const char *const none[] = {"no-such-kind", "nor-this", NULL};
        struct own_link own = {.name = "own0", .kinds = second, .silent = true};
        struct error error = {};
        struct netlink *nl;
        struct link link;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        CHECK_INT(own_link_ensure(nl, &own, &link, &error), 1);
        CHECK_INT(error.code, 0);
        CHECK_INT(own_link_remove(nl, &own, &error), 1);
        own.kinds = none;
        CHECK_INT(own_link_ensure(nl, &own, &link, &error), -EOPNOTSUPP);
        CHECK_HAS(error.text, "link own0: Unknown device type");
        netlink_free(nl);
}

/* Each kind there is lets nothing out, has no address, and takes a route. */
static void every_kind_drops(void)
{
        unsigned tried = 0;

        for (const char *const *kind = sink_link.kinds; *kind; kind++) {
                const char *const only[] = {*kind, NULL};
                struct own_link own = {.name = "own0", .kinds = only, .silent = true};
                struct error error = {};
                struct netlink *nl;
                struct link link;

                CHECK(fixture_enter());
                nl = fixture_netlink(NETLINK_ROUTE);
                if (own_link_ensure(nl, &own, &link, &error) == -EOPNOTSUPP) {
                        printf("# this kernel has no %s\n", *kind);
                        netlink_free(nl);
                        continue;
                }
                CHECK_INT(error.code, 0);
                run("ip address add 10.0.0.1/32 dev lo");
                run("ip route add 10.0.0.2 dev own0 src 10.0.0.1 metric 4294967293");
                run("bash -c 'echo x > /dev/udp/10.0.0.2/9'");     /* taken without an error */
                CHECK(!has("ip neigh show dev own0", "10.0.0.2")); /* nobody was asked for */
                CHECK(!has("ip address show own0", "inet"));
                tried++;
                netlink_free(nl);
        }
        CHECK(tried > 0);
}

static struct rp_filter read_filter(struct netlink *nl, const char *except)
{
        const uint32_t indexes[] = {if_nametoindex(except), 0};
        struct rp_filter filter = {};
        struct error error = {};

        CHECK_INT(rp_filter_read(nl, indexes, 2, &filter, &error), 0);
        return filter;
}

static void check_filter(struct netlink *nl, bool loose, size_t n_strict, const char *strict)
{
        struct rp_filter filter = read_filter(nl, DEVICE);

        CHECK_INT(filter.loose, loose);
        CHECK_INT(filter.n_strict, n_strict);
        if (strict)
                CHECK_INT(filter.strict[n_strict - 1], if_nametoindex(strict));
        rp_filter_deinit(&filter);
}

static void filter_of_links(void)
{
        struct rp_filter a, b;
        struct netlink *nl;

        CHECK(fixture_enter());
        run("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 "
            "net.ipv4.conf.lo.rp_filter=2");
        nl = fixture_netlink(NETLINK_ROUTE);
        fixture_tun(DEVICE);
        run("ip link add br0 type bridge; ip link add br1 type bridge");
        check_filter(nl, false, 0, NULL); /* loopback does not count */
        run("sysctl -qw net.ipv4.conf." DEVICE ".rp_filter=2 net.ipv4.conf.default.rp_filter=1");
        check_filter(nl, false, 0, NULL); /* nor do the device and links to come */
        run("sysctl -qw net.ipv4.conf.br1.rp_filter=2");
        check_filter(nl, true, 0, NULL);
        run("sysctl -qw net.ipv4.conf.br1.rp_filter=1");
        check_filter(nl, false, 1, "br1");
        a = read_filter(nl, DEVICE);
        run("sysctl -qw net.ipv4.conf.all.rp_filter=1");
        check_filter(nl, false, 2, "br1"); /* the larger one is in effect */
        b = read_filter(nl, DEVICE);
        CHECK(!rp_filter_equal(&a, &b));
        rp_filter_deinit(&a);
        a = read_filter(nl, DEVICE);
        CHECK(rp_filter_equal(&a, &b));
        rp_filter_deinit(&a);
        rp_filter_deinit(&b);
        run("sysctl -qw net.ipv4.conf.br0.rp_filter=2");
        check_filter(nl, true, 1, "br1");
        run("sysctl -qw net.ipv4.conf.all.rp_filter=2");
        check_filter(nl, true, 0, NULL);
        netlink_free(nl);
}

static void link_of_an_address(void)
{
        const struct address held = address("10.0.0.7"), none = address("10.0.0.8");
        uint32_t ifindex = 99;
        struct netlink *nl;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        run("ip address add 10.0.0.7/32 dev lo");
        CHECK_INT(address_link_read(nl, &held, &ifindex, NULL), 0);
        CHECK_INT(ifindex, LOOPBACK_IFINDEX);
        fixture_tun(DEVICE);
        run("ip address add 10.0.0.7/24 dev " DEVICE);
        CHECK_INT(address_link_read(nl, &held, &ifindex, NULL), 0);
        CHECK_INT(ifindex, if_nametoindex(DEVICE));
        CHECK_INT(address_link_read(nl, &none, &ifindex, NULL), 0);
        CHECK_INT(ifindex, 0);
        netlink_free(nl);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(sink_comes_and_goes), TEST(somebody_elses),
                TEST(kinds), TEST(every_kind_drops), TEST(filter_of_links),
                TEST(link_of_an_address)};

        return fixture_possible() ? test_main(argc, argv, tests, ARRAY_SIZE(tests)) : EXIT_SUCCESS;
}
