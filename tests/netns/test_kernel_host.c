/* Links, addresses, route questions, the no-op link and the WireGuard device of a namespace. */
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <systemd/sd-event.h>

#include "fixture.h"
#include "kernel/fib_apply.h"
#include "kernel/link.h"
#include "kernel/noop_link.h"
#include "kernel/route_query.h"
#include "kernel/wireguard.h"
#include "test.h"

#define PODS  51870u
#define NODES 51871u

static void links(void)
{
        struct error error = {};
        uint32_t ifindex;
        struct netlink *nl;
        struct link link;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        CHECK_INT(link_read(nl, DEVICE, &link, &error), -ENODEV);
        CHECK_INT(link_read(nl, "a-name-that-is-too-long", &link, &error), -ENODEV);
        ifindex = fixture_tun(DEVICE);
        run("ip link set " DEVICE " mtu 1420 alias wg; ip link property add dev " DEVICE
            " altname other");
        error = (struct error){};
        CHECK_INT(link_read(nl, DEVICE, &link, &error), 0);
        CHECK_INT(error.code, 0);
        CHECK_TEXT(link.name, DEVICE);
        CHECK_TEXT(link.kind, "tun");
        CHECK_TEXT(link.alias, "wg");
        CHECK_INT(link.ifindex, ifindex);
        CHECK_INT(link.mtu, 1420);
        CHECK(link.up && link_encrypts(&link));
        CHECK_INT(link_read(nl, "other", &link, &error), -ENODEV);
        run("ip link set " DEVICE " down");
        CHECK_INT(link_read(nl, DEVICE, &link, &error), 0);
        CHECK(!link.up);
        CHECK_INT(link_read(nl, "lo", &link, &error), 0);
        CHECK_TEXT(link.kind, "");
        CHECK(link.up && !link_encrypts(&link));
        netlink_free(nl);
}

static bool has_address(struct netlink *nl, const char *text)
{
        _cleanup_free_ struct address *addresses = NULL;
        struct address wanted = address(text);
        struct error error = {};
        size_t n;

        CHECK_INT(addresses_read(nl, &addresses, &n, &error), 0);
        for (size_t i = 1; i < n; i++)
                CHECK(address_compare(&addresses[i - 1], &addresses[i]) < 0);
        for (size_t i = 0; i < n; i++)
                if (address_equal(&addresses[i], &wanted))
                        return true;
        return false;
}

/* A tap, unlike a tun, looks for duplicates before an IPv6 address can be used. */
static void tap(void)
{
        struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
        static int fd = -1;

        if (fd >= 0)
                close(fd);
        fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0);
        strcpy(request.ifr_name, "tap0");
        CHECK(ioctl(fd, TUNSETIFF, &request) >= 0);
        run("ip link set tap0 up");
}

static void addresses(void)
{
        struct netlink *nl;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        fixture_device();
        run("ip address add 10.0.0.7/24 dev " DEVICE "; ip address add 10.0.0.7/32 dev lo");
        run("ip address add 192.0.2.1 peer 192.0.2.2 dev " DEVICE);
        CHECK(has_address(nl, "10.0.0.1"));
        CHECK(has_address(nl, "10.0.0.7"));
        CHECK(has_address(nl, "127.0.0.1"));
        CHECK(has_address(nl, "::1"));
        CHECK(has_address(nl, "fd00::1"));
        CHECK(has_address(nl, "192.0.2.1"));
        CHECK(!has_address(nl, "192.0.2.2")); /* the other end's */
        CHECK(!has_address(nl, "10.0.0.8"));
        run("ip address del 10.0.0.7/32 dev lo");
        CHECK(has_address(nl, "10.0.0.7"));
        run("ip address del 10.0.0.7/24 dev " DEVICE);
        CHECK(!has_address(nl, "10.0.0.7"));

        tap();
        run("ip address add fd00::5/64 dev tap0");
        CHECK(!has_address(nl, "fd00::5")); /* tentative for a second or so */
        run("ip address add fd00::6/64 dev tap0 nodad");
        CHECK(has_address(nl, "fd00::6"));
        netlink_free(nl);
}

/* The policy's layout by hand: what is asked below is what a packet would meet. */
static void program(struct netlink *nl, uint32_t oif)
{
        struct route routes[] = {
                twin("10.0.0.2/32", NODES),
                twin("fd00::2/128", NODES),
                twin("10.244.1.0/24", PODS),
                device_route("10.244.1.0/24", PODS, oif),
                twin("fd00:10:244:1::/64", PODS),
                device_route("fd00:10:244:1::/64", PODS, oif),
        };
        struct apply_result result;
        struct steps steps = {};

        for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
                add_route_step(&steps, STEP_REPLACE_ROUTE, 0, &routes[i]);
        for (int i = 0; i < FAMILY_MAX; i++) {
                uint8_t family = (uint8_t)family_from_index((enum family_index)i);
                struct rule rule = lookup_rule(family, LAYOUT_MARK, RT_TABLE_MAIN);

                rule.mark = 0xe00;
                add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
                rule.action = FR_ACT_UNREACHABLE;
                rule.table = 0;
                rule.mark = 0xbad;
                add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
                rule = lookup_rule(family, LAYOUT_PODS, PODS);
                add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
                rule = lookup_rule(family, LAYOUT_EXEMPTION, RT_TABLE_MAIN);
                rule.ip_protocol = IPPROTO_TCP;
                rule.dport = (struct port_range){6443, 6443};
                add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
                rule.dport = (struct port_range){};
                rule.sport = (struct port_range){2379, 2380};
                rule.iif_lo = true;
                add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
                rule = lookup_rule(family, LAYOUT_NODES, NODES);
                add_rule_step(&steps, STEP_ADD_RULE, 1, &rule);
        }
        CHECK_INT(kernel_fib_apply(nl, &steps, &result), 0);
        steps_free(&steps);
}

/* One question; `table` is where the answer is found, 0 with `result`. */
static void ask(struct netlink *nl, const struct flow *flow, uint32_t iif, int result,
        uint32_t table, const char *interface)
{
        struct route_answer answer;
        struct error error = {};

        if (route_query(nl, flow, iif, &answer, &error) < 0)
                printf("# %s\n", error.text);
        CHECK_INT(error.code, 0);
        CHECK_INT(answer.result, result);
        if (result < 0)
                return;
        CHECK_INT(answer.table, table);
        CHECK_INT(answer.type, RTN_UNICAST);
        CHECK_TEXT(answer.interface, interface);
}

static void questions_of(struct netlink *nl, const char *node, const char *pod, uint32_t iif)
{
        struct flow flow = {.destination = address(pod)};

        ask(nl, &flow, 0, 0, PODS, DEVICE);
        flow.ip_protocol = IPPROTO_TCP;
        flow.destination_port = 6443;
        ask(nl, &flow, 0, 0, PODS, DEVICE);
        flow.destination = address(node);
        ask(nl, &flow, 0, 0, RT_TABLE_MAIN, "under0"); /* exempt */
        flow.ip_protocol = IPPROTO_UDP;
        ask(nl, &flow, 0, -EHOSTUNREACH, 0, NULL);
        flow.ip_protocol = IPPROTO_TCP;
        flow.destination_port = 10250;
        ask(nl, &flow, 0, -EHOSTUNREACH, 0, NULL);
        flow.source_port = 2380;
        ask(nl, &flow, 0, 0, RT_TABLE_MAIN, "under0"); /* the reply side, sent by this host */
        flow.forwarded = true;
        flow.source = address(flow.destination.family == AF_INET ? "10.1.0.9" : "fd01::9");
        ask(nl, &flow, iif, -EHOSTUNREACH, 0, NULL); /* and forwarded */
        flow.destination = address(pod);
        ask(nl, &flow, iif, 0, PODS, DEVICE);
        flow = (struct flow){.destination = address(node), .mark = 0xe00};
        ask(nl, &flow, 0, 0, RT_TABLE_MAIN, "under0");
        flow.mark = 0x1e00;
        ask(nl, &flow, 0, -EHOSTUNREACH, 0, NULL);
        flow.mark = 0xbad;
        ask(nl, &flow, 0, -ENETUNREACH, 0, NULL);
        flow = (struct flow){.destination = address(node), .ip_protocol = 132};
        ask(nl, &flow, 0, -EHOSTUNREACH, 0, NULL);
}

static void route_questions(void)
{
        struct route_answer answer;
        struct error error = {};
        struct netlink *nl;
        struct flow flow;
        uint32_t pods;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        fixture_tun("under0");
        pods = fixture_tun("pods0");
        run("ip address add 10.0.0.1/24 dev under0; ip address add fd00::1/64 dev under0 nodad");
        run("ip address add 10.1.0.1/24 dev pods0; ip address add fd01::1/64 dev pods0 nodad");
        run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
        program(nl, fixture_tun(DEVICE));
        questions_of(nl, "10.0.0.2", "10.244.1.9", pods);
        questions_of(nl, "fd00::2", "fd00:10:244:1::9", pods);

        flow = (struct flow){.destination = address("10.244.1.9")};
        CHECK_INT(route_query(nl, &flow, 0, &answer, &error), 0);
        CHECK(address_equal(&answer.source, &(struct address){AF_INET, {10, 0, 0, 1}}));
        CHECK_INT(answer.gateway.family, 0);
        run("ip route add default via 10.0.0.254; ip route add 192.0.2.0/24 via inet6 fd00::fe");
        flow.destination = address("198.51.100.1");
        CHECK_INT(route_query(nl, &flow, 0, &answer, &error), 0);
        CHECK(address_equal(&answer.gateway, &(struct address){AF_INET, {10, 0, 0, 254}}));
        flow.destination = address("192.0.2.1");
        CHECK_INT(route_query(nl, &flow, 0, &answer, &error), 0);
        CHECK_INT(answer.gateway.family, AF_INET6);
        flow.destination = address("10.0.0.1");
        CHECK_INT(route_query(nl, &flow, 0, &answer, &error), 0);
        CHECK_INT(answer.type, RTN_LOCAL);
        CHECK_INT(answer.table, RT_TABLE_LOCAL);
        flow.source = address("10.77.0.1"); /* not ours */
        if (route_query(nl, &flow, 0, &answer, &error) == 0)
                CHECK_INT(answer.result, -ENETUNREACH);
        else
                CHECK_INT(error.code, -EINVAL);
        flow.source = address("fd00::1");
        CHECK_INT(route_query(nl, &flow, 0, &answer, &error), -EINVAL);
        netlink_free(nl);
}

static unsigned count_lines(const char *command)
{
        _cleanup_free_ char *text = output("%s", command);
        unsigned n = 0;

        for (const char *at = text; *at; at++)
                n += *at == '\n';
        return n;
}

/* Where the kernel has dummy links; true when it was tried. */
static bool noop_link_whole(struct netlink *nl, struct error *error)
{
        const struct prefix first = prefix("192.168.77.0/24"), second = prefix("fd77::/64");
        _cleanup_free_ char *routes = NULL;
        int r;

        r = noop_link_ensure(nl, &first, error);
        if (r == -EOPNOTSUPP)
                return false;
        CHECK_INT(r, 1);
        CHECK_INT(noop_link_ensure(nl, &first, error), 0);
        routes = output("ip route show dev " NOOP_LINK_NAME);
        CHECK_HAS(routes, "192.168.77.0/24 proto kernel scope link");
        run("ip route add 192.168.78.0/24 dev " NOOP_LINK_NAME " protocol static");
        CHECK_INT(noop_link_ensure(nl, &second, error), 1);
        CHECK_INT(noop_link_ensure(nl, &second, error), 0);
        CHECK_INT(count_lines("ip route show dev " NOOP_LINK_NAME), 1); /* the static one */
        CHECK_INT(count_lines("ip -6 route show fd77::/64"), 1);
        run("ip link set " NOOP_LINK_NAME " down");
        CHECK_INT(noop_link_ensure(nl, &first, error), 1);
        CHECK_INT(noop_link_ensure(nl, &first, error), 0);
        CHECK_INT(noop_link_remove(nl, error), 1);
        CHECK_INT(noop_link_remove(nl, error), 0);
        run("ip link add " NOOP_LINK_NAME " type dummy; ip link set " NOOP_LINK_NAME " alias mine");
        CHECK_INT(noop_link_ensure(nl, &first, error), -EEXIST);
        CHECK_INT(noop_link_remove(nl, error), 0);
        run("ip link set " NOOP_LINK_NAME " alias ''"); /* as if we had been stopped half-way */
        CHECK_INT(noop_link_ensure(nl, &first, error), 1);
        CHECK_INT(noop_link_remove(nl, error), 1);
        return true;
}

static void noop_link_comes_and_goes(void)
{
        const struct prefix route = prefix("192.168.77.0/24");
        struct error error = {};
        struct netlink *nl;

        CHECK(fixture_enter());
        nl = fixture_netlink(NETLINK_ROUTE);
        CHECK_INT(noop_link_remove(nl, &error), 0);
        CHECK_INT(error.code, 0);
        if (!noop_link_whole(nl, &error)) {
                CHECK_HAS(error.text, "link nodecryptor0: Unknown device type");
                printf("# skipped but for the refusal: this kernel has no dummy links\n");
        }
        error = (struct error){};
        fixture_tun(NOOP_LINK_NAME); /* somebody else's */
        CHECK_INT(noop_link_ensure(nl, &route, &error), -EEXIST);
        CHECK_HAS(error.text, "is not ours");
        CHECK_INT(noop_link_remove(nl, &error), 0);
        CHECK(if_nametoindex(NOOP_LINK_NAME) > 0);
        netlink_free(nl);
}

static void wireguard(void)
{
        struct wireguard wireguard = {.fwmark = 7};
        struct error error = {};
        uint32_t ifindex;
        int r;

        CHECK(fixture_enter());
        ifindex = fixture_tun("tun0");
        r = wireguard_read(ifindex, &wireguard, &error);
        CHECK(r == -ENOENT || r == -EOPNOTSUPP);
        CHECK_INT(wireguard.fwmark, 7); /* untouched */
        if (r == -ENOENT) {
                CHECK_HAS(error.text, "WireGuard's netlink family");
                printf("# skipped but for the refusal: this kernel has no WireGuard\n");
                return;
        }
        CHECK_INT(wireguard_read(9999, &wireguard, &error), -ENODEV);
        run("ip link add " DEVICE " type wireguard");
        ifindex = if_nametoindex(DEVICE);
        CHECK_INT(wireguard_read(ifindex, &wireguard, &error), 0);
        CHECK_INT(wireguard.fwmark, 0);
        run("wg set " DEVICE " fwmark 0x1e00");
        CHECK_INT(wireguard_read(ifindex, &wireguard, &error), 0);
        CHECK_INT(wireguard.fwmark, 0x1e00);
        /* So many peers that the dump takes several messages. */
        run("for i in $(seq 200); do echo peer $(wg genkey | wg pubkey) allowed-ips 10.9.0.$i/32; "
            "done | xargs wg set " DEVICE);
        CHECK_INT(wireguard_read(ifindex, &wireguard, &error), 0);
        CHECK_INT(wireguard.fwmark, 0x1e00);
}

/* What a reading of the whole device has told. */
struct reading {
        sd_event *event;
        size_t n_peers, n_allowed_ips;
        uint32_t mark;
        struct peer last;
        int code;
};

static int count_mark(uint32_t mark, void *userdata)
{
        ((struct reading *)userdata)->mark = mark;
        return 0;
}

static int count_peer(const struct peer *peer, void *userdata)
{
        struct reading *reading = userdata;

        reading->n_peers++;
        reading->last = *peer;
        return 0;
}

static int count_allowed_ip(const struct prefix *prefix, void *userdata)
{
        (void)prefix;
        ((struct reading *)userdata)->n_allowed_ips++;
        return 0;
}

static void reading_done(int code, const struct error *error, void *userdata)
{
        struct reading *reading = userdata;

        (void)error;
        reading->code = code;
        CHECK(sd_event_exit(reading->event, 0) >= 0);
}

/* Calls `halfway` when the first part has been taken. */
static struct reading read_whole(uint32_t ifindex, void (*halfway)(void))
{
        struct reading reading = {.code = 1};
        const struct wireguard_sink sink = {
                .mark = count_mark,
                .peer = count_peer,
                .allowed_ip = count_allowed_ip,
                .userdata = &reading,
        };
        struct wireguard_reader *reader = NULL;
        struct error error = {};

        CHECK(sd_event_new(&reading.event) >= 0);
        CHECK_INT(
                wireguard_reader_new(reading.event, ifindex, &sink, reading_done, &reader, &error),
                0);
        CHECK(sd_event_run(reading.event, UINT64_MAX) >= 0);
        if (halfway)
                halfway();
        CHECK(sd_event_loop(reading.event) >= 0);
        wireguard_reader_free(reader);
        reading.event = sd_event_unref(reading.event);
        return reading;
}

static void set_mark(void)
{
        run("wg set " DEVICE " fwmark 0x2e00");
}

static void wireguard_peers(void)
{
        struct wireguard_reader *reader = NULL;
        struct wireguard_sink sink = {};
        struct error error = {};
        struct reading reading;
        sd_event *event = NULL;
        uint32_t ifindex;
        int r;

        CHECK(fixture_enter());
        CHECK(sd_event_new(&event) >= 0);
        ifindex = fixture_tun("tun0");
        r = wireguard_reader_new(event, ifindex, &sink, reading_done, &reader, &error);
        if (r == -ENOENT) {
                CHECK_HAS(error.text, "WireGuard's netlink family");
                printf("# skipped but for the refusal: this kernel has no WireGuard\n");
                sd_event_unref(event);
                return;
        }
        CHECK_INT(r, 0);
        wireguard_reader_free(reader); /* in the middle */
        sd_event_unref(event);
        CHECK_INT(read_whole(ifindex, NULL).code, -EOPNOTSUPP);

        run("ip link add " DEVICE " type wireguard");
        ifindex = if_nametoindex(DEVICE);
        reading = read_whole(ifindex, NULL);
        CHECK_INT(reading.code, 0);
        CHECK_INT(reading.n_peers, 0);
        run("wg set " DEVICE " fwmark 0x1e00");
        /* Peers that go on in the next message, and one whose prefixes need several of them. */
        run("for i in $(seq 200); do echo peer $(wg genkey | wg pubkey) allowed-ips "
            "10.9.0.$i/32,fd00:9::$i/128; done | xargs wg set " DEVICE);
        run("wg set " DEVICE " peer $(wg genkey | wg pubkey) endpoint [fd00::1]:51871 allowed-ips "
            "$(for i in 0 1 2 3 4 5 6 7; do seq -f 10.10.$i.%%g/32 250; done | paste -sd,)");
        reading = read_whole(ifindex, NULL);
        CHECK_INT(reading.code, 0);
        CHECK_INT(reading.mark, 0x1e00);
        CHECK_INT(reading.n_peers, 201);
        CHECK_INT(reading.n_allowed_ips, 2 * 200 + 8 * 250);
        CHECK_INT(reading.last.endpoint.family, AF_INET6);
        CHECK_INT(reading.last.endpoint_port, 51871);
        CHECK_INT(reading.last.handshake_nsec, 0);
        /* Somebody configures the device while it is read. */
        CHECK_INT(read_whole(ifindex, set_mark).code, -EAGAIN);
        CHECK_INT(read_whole(ifindex, NULL).mark, 0x2e00);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(links), TEST(addresses), TEST(route_questions),
                TEST(noop_link_comes_and_goes), TEST(wireguard), TEST(wireguard_peers)};

        return fixture_possible() ? test_main(argc, argv, tests, ARRAY_SIZE(tests)) : EXIT_SUCCESS;
}
