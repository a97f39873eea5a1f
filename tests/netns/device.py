#!/usr/bin/python3
"""The device: another kind under its name, renamed, moved away, resized; IPv6 switched off and on.

All under a flood, with the wire watched and the kernel asked all the time; flaps.py takes it down and
deletes it. What is steered is refused while there is no device to steer to, and never in clear.
"""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import netns  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import FAMILIES, WORLD  # noqa: E402
from flaps import restore  # noqa: E402
from flood import Flood  # noqa: E402
from rtnetlink import BLOCKED, RouteQuery  # noqa: E402
from watcher import Watcher, flows_between, in_clear  # noqa: E402

DEVICE = wireguard.INTERFACE
RETRIES = 35                            # seconds; a refused route is tried again within 30


class Test:
    def __init__(self, tap):
        self.tap = tap
        self.cluster = suite.start(control_planes=1, workers=2)
        self.kernel = wireguard.in_kernel(wireguard.Here)
        self.node = self.cluster.workers[0]
        for node in self.cluster.nodes:     # the real agent would not make a device again either
            node.stop_agent()
        self.elsewhere = netns.Namespace("elsewhere")
        self.watch = capture.Capture(self.cluster)
        self.query = RouteQuery(self.node.ns)

    def ip(self, *commands):
        for command in commands:
            self.node.ns.ip(command)

    def answers(self, family):
        """For flows to the other nodes and their pods."""
        self.query.names.clear()            # a name may be another device's by now
        return {self.query.ask(address[family]) for other in self.cluster.others(self.node)
                for address in (other.address, other.pod_address)}

    def wait(self, name, seconds=10, families=FAMILIES, answer=DEVICE):
        self.node.daemon.wait(
            lambda: all(self.answers(family) == {answer} for family in families), seconds,
            f"{answer} {name}")

    def blocked(self, name, families=FAMILIES):
        self.wait(name, families=families, answer=BLOCKED)

    def clean(self, name):
        """Nothing in clear since the last time."""
        seen = self.watch.take()
        self.tap.equal(([str(one) for one in seen.plain[:5]], seen.lost), ([], 0),
                       f"{name}: nothing in clear: {seen}")

    def each(self, *parts):
        for part in parts:
            name = part.__name__.replace("_", " ")
            part(name)
            self.wait(f"in the end, after {name}", RETRIES)
            self.clean(name)

    def run(self):
        flows = [flow for flow in flows_between(self.node) if flow[0] is in_clear]
        flood = Flood(self.cluster, passes=30)
        with Watcher(self.node, flows) as watcher:
            self.each(self.resized, self.another_kind, self.renamed, self.swapped, self.moved_away,
                      self.lo_down, self.without_ipv6, self.lo_without_ipv6,
                      self.all_without_ipv6)
            wrong = watcher.end()
        counters = flood.stop()
        self.tap.ok(counters.sent > 1000 and watcher.asked > 1000,
                    f"{counters.sent} packets of the flood, {watcher.asked} answers of the kernel")
        self.tap.equal(wrong, [], "no answer was laxer")

    def resized(self, name):
        generation = self.node.daemon.metrics()["nodecryptor_policy_generation_total"]
        self.ip(f"link set {DEVICE} mtu 1300", f"link set {DEVICE} mtu 1420")
        suite.quiet(self.node)
        self.tap.equal(self.node.daemon.metrics()["nodecryptor_policy_generation_total"],
                       generation, f"{name}: nothing to write")

    def another_kind(self, name):
        """Up, under the right name, and with a way out that does not encrypt."""
        for kind in ("type bridge", "type veth peer name beyond", "type ifb"):
            text = wireguard.show_configuration(self.node.ns)
            index = self.node.ns.run("cat", f"/sys/class/net/{DEVICE}/ifindex").strip()
            wireguard.delete(self.node.ns)
            # With the index of the one before: only the kind tells
            self.ip(f"link add {DEVICE} index {index} {kind}", f"link set {DEVICE} up")
            self.node.daemon.wait(lambda: "is no WireGuard device" in self.node.daemon.log, 10,
                                  "says so")
            self.blocked(f"with {kind}")
            suite.quiet(self.node)
            self.blocked(f"with {kind}, for good")
            self.clean(f"{name}: {kind}")
            self.ip(f"link del {DEVICE}")
            restore(self.node, self.kernel, text)
            self.wait(f"after {kind}")

    def renamed(self, name):
        self.ip(f"link set {DEVICE} down", f"link set {DEVICE} name other0", "link set other0 up")
        self.blocked("under another name")
        self.ip("link set other0 down", f"link set other0 name {DEVICE}", f"link set {DEVICE} up")

    def swapped(self, name):
        """One goes, another takes its name in the same moment; both are up."""
        self.ip("link add other0 type bridge", "link set other0 up")
        self.node.ns.ip_batch([
            f"link set {DEVICE} down", "link set other0 down", f"link set {DEVICE} name other1",
            f"link set other0 name {DEVICE}", "link set other1 up", f"link set {DEVICE} up"])
        self.blocked("with a bridge of that name")
        self.node.ns.ip_batch([
            f"link set {DEVICE} down", "link set other1 down", f"link set {DEVICE} name other0",
            f"link set other1 name {DEVICE}", f"link set {DEVICE} up", "link del other0"])

    def moved_away(self, name):
        self.ip(f"link set {DEVICE} netns elsewhere")
        self.blocked("in another namespace")
        self.elsewhere.ip(f"link set {DEVICE} netns {self.node.ns.name}")
        self.ip(f"link set {DEVICE} up")

    def lo_down(self, name):
        """The IPv6 twins lie on it."""
        self.ip("link set lo down")
        suite.quiet(self.node)
        self.ip(f"link set {DEVICE} down")
        self.blocked("without lo and the device")
        self.ip("link set lo up", f"link set {DEVICE} up")

    def set_ipv6(self, where, off):
        self.node.ns.sysctl(f"net.ipv6.conf.{where}.disable_ipv6", int(off))

    def without_ipv6(self, name):
        """On the device."""
        self.set_ipv6(DEVICE, True)
        self.blocked("IPv6", [6])
        self.wait("IPv4", families=[4])
        self.node.daemon.wait(lambda: "Degraded" in self.node.daemon.status, 10, "STATUS")
        self.set_ipv6(DEVICE, False)

    def lo_without_ipv6(self, name):
        self.set_ipv6("lo", True)
        suite.quiet(self.node)
        self.wait("without IPv6 on lo")
        self.ip(f"link set {DEVICE} down")
        self.blocked("without IPv6 on lo, and without the device")
        self.set_ipv6("lo", False)
        self.ip(f"link set {DEVICE} up")

    def all_without_ipv6(self, name):
        """And back, with addresses and routes at once, as a network manager would have it."""
        node = self.node
        lines = [f"addr add {node.address[6]}/64 dev eth0 nodad",
                 f"addr add {node.gateway[6]}/64 dev lxc0 nodad", f"route add default via {WORLD[6]}"]
        lines += [f"route replace {other.prefix[6]} via {other.address[6]} dev eth0"
                  for other in self.cluster.others(node)]
        for stopped in (False, True):
            self.set_ipv6("all", True)
            suite.quiet(node)
            if stopped:                     # the policy has waited in the kernel
                node.daemon.signal(signal.SIGSTOP)
            self.set_ipv6("all", False)
            node.ns.ip_batch(lines, force=True)
            if stopped:
                self.tap.equal(self.answers(6), {BLOCKED},
                               f"{name}: refused again before anybody could react")
                node.daemon.signal(signal.SIGCONT)
            self.wait("with IPv6 again")


if __name__ == "__main__":
    suite.main(lambda tap: Test(tap).run())
