#!/usr/bin/python3
"""What is not ours: never touched, whatever it looks like."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import FAMILIES  # noqa: E402
from rtnetlink import BLOCKED, RouteQuery, dump  # noqa: E402
from suite import ALL_TABLES, BAND, quiet, steered  # noqa: E402

# Rules: as Cilium and others have them, and some in our band that are nearly ours
RULES = (
    "pref 100 lookup local",
    "pref 9 fwmark 0x200/0xf00 lookup 2004 protocol kernel",
    "pref 110 from {pod} lookup 10 protocol kernel",
    "pref 200 fwmark 0xe00/0xf00 lookup 123 protocol kernel",
    "pref 202 lookup 123 protocol static",
    "pref 203 ipproto tcp dport 6443 lookup 124",
    "pref 203 to {other} ipproto tcp dport 8443 lookup 123 protocol kernel",
    "pref 204 ipproto tcp dport 8443 lookup 123 protocol kernel",
    "pref 205 ipproto tcp dport 8443 goto 208 protocol kernel",
    "pref 205 from {pod} lookup 51870 protocol static",
    "pref 206 fwmark 0x1 lookup 51871 protocol kernel",
    "pref 207 nop protocol static",
    "pref 208 nop protocol kernel",
    "pref 209 iif lxc0 lookup 123 protocol kernel",
    "pref 32000 lookup 123",
)
ROUTES = (
    "default dev eth0 table 10",
    "{world} dev eth0 table 123",
    "unreachable {world} table 124 metric 4294967294 protocol kernel",
    "{world} via {other} dev eth0 table 51870 protocol static",
    "{world} dev eth0 table 51880 protocol kernel",
    "unreachable {world} table 51900 metric 4294967294 protocol kernel",
)
WORLD = {4: "192.0.2.0/24", 6: "2001:db8::/32"}


def place_foreign(cluster, node):
    """The local rule moved to 100 as Cilium moves it, and the rest."""
    other = cluster.others(node)[0]
    for family in FAMILIES:
        names = {"pod": node.pod_address[family], "other": other.address[family],
                 "world": WORLD[family]}
        for route in ROUTES:
            node.ns.ip(f"-{family} route add {route.format(**names)}")
        for rule in RULES:
            node.ns.ip(f"-{family} rule add {rule.format(**names)}")
        node.ns.ip(f"-{family} rule del pref 0 lookup local")




def foreign(node, mine):
    """The kernel's rules and routes, but for what was ours alone in a clean kernel."""
    rules, routes = dump(node.ns)
    return [line for line in rules + routes if line not in mine]


def life(tap, cluster, node, mine):
    """Everything a daemon goes through."""
    before = foreign(node, mine)

    def check(name):
        quiet(node, 0.2)
        after = foreign(node, mine)
        tap.equal([line for line in before if line not in after], [], f"{name}: nothing is gone")
        tap.equal([line for line in after if line not in before], [], f"{name}: nothing is new")

    node.daemon.start().wait_ready()
    node.daemon.wait_in_sync()
    check("start")
    with RouteQuery(node.ns) as query:
        node.daemon.wait(lambda: steered(node, query) == {wireguard.INTERFACE}, 10, "steered")
        tap.ok(True, "and the policy works among them")
        node.daemon.reload()
        check("reload")
        wireguard.down(node.ns)
        node.daemon.wait(lambda: steered(node, query) == {BLOCKED}, 10, "blocked")
        wireguard.up(node.ns)
        node.daemon.wait(lambda: steered(node, query) == {wireguard.INTERFACE}, 10, "steered")
        check("the device down and up")
    node.daemon.stop()
    node.daemon.start().wait_ready()
    node.daemon.wait_in_sync()
    check("restart")


def moved_bases(tap, node, before):
    """Another band and other tables: the old ones are emptied, what is foreign there stays."""
    foreign_before = foreign(node, before)
    node.daemon.configure(table_base=60000, priority_base=300)
    node.daemon.reload()
    with RouteQuery(node.ns) as query:
        node.daemon.wait(lambda: "lookup 60001" in node.ns.ip("rule show"), 10, "the new band")
        node.daemon.wait(lambda: not any(line in before for line in sum(dump(node.ns), [])
                                         if is_private(line)), 10, "the old band is empty")
        tap.equal(steered(node, query), {wireguard.INTERFACE},
                  "another band and other tables take over")
    after = sum(dump(node.ns), [])
    tap.equal([line for line in foreign_before if line not in after], [],
              "and nothing foreign is gone")


def is_private(line):
    """In our band or our tables."""
    words = line.split()
    if words[1].endswith(":"):
        return int(words[1].rstrip(":")) in BAND
    return any(f"table={table}" in words for table in ALL_TABLES)


def impostor(tap, node):
    """A device of the name that does not encrypt is not used."""
    node.daemon.configure()
    node.daemon.reload()
    wireguard.delete(node.ns)
    node.ns.ip(f"link add {wireguard.INTERFACE} type veth peer name impostor")
    for name in (wireguard.INTERFACE, "impostor"):
        node.ns.ip(f"link set {name} up")
    quiet(node)
    with RouteQuery(node.ns) as query:
        tap.equal(steered(node, query), {BLOCKED},
                  "a device that does not encrypt gets nothing, whatever its name")
    tap.ok(node.daemon.running, "nodecryptor still runs")


def noop_route(tap, node):
    """Its link and route come, and go with the option."""
    try:
        node.ns.ip("link add probe type dummy")
        node.ns.ip("link del probe")
    except RuntimeError:
        before = dump(node.ns)
        node.daemon.configure(noop_route="192.168.254.0/24")
        node.daemon.reload()
        quiet(node)
        tap.equal((node.daemon.running, dump(node.ns)), (True, before),
                  "noop_route on a kernel without dummy links changes nothing else")
        tap.ok("nodecryptor0" in node.daemon.status,
               f"and the status says so: {node.daemon.status}")
        return                          # with dummy links: tests/vm/jobs/noop
    node.daemon.configure(noop_route="192.168.254.0/24")
    node.daemon.reload()
    node.daemon.wait(lambda: "192.168.254.0/24" in node.ns.ip("route show"), 10, "the route")
    tap.ok("nodecryptor0" in node.ns.ip("route show 192.168.254.0/24"),
           "noop_route makes a link and its route")
    node.daemon.configure()
    node.daemon.reload()
    node.daemon.wait(lambda: "nodecryptor0" not in node.ns.ip("link show"), 10, "no link")
    tap.ok("192.168.254.0/24" not in node.ns.ip("route show"), "both go with the option")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2)
    node = cluster.workers[0]
    mine = suite.ours(node)
    mine = set(mine[0] + mine[1])
    noop_route(tap, node)
    node.daemon.configure()
    node.daemon.stop()
    place_foreign(cluster, node)
    life(tap, cluster, node, mine)
    moved_bases(tap, node, mine)
    impostor(tap, node)


if __name__ == "__main__":
    suite.main(run)
