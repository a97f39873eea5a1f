#!/usr/bin/python3
"""Our addresses come, go and change places: what goes into the device comes from one that the peers
carry for us, or does not go.

The device itself is listened to, inside the encryption, and the wire as ever.
"""

import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import netns  # noqa: E402
import packet  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import FAMILIES, WORLD  # noqa: E402
from flood import Flood  # noqa: E402
from rtnetlink import BLOCKED, RouteQuery  # noqa: E402
from watcher import Watcher, flows_between, in_clear  # noqa: E402

DEVICE = wireguard.INTERFACE
LENGTH = {4: 24, 6: 64}
HOST = {4: 32, 6: 128}
SECOND = {4: "10.0.0.212", 6: "fd00::212"}
VIRTUAL = {4: "10.0.0.200", 6: "fd00::200"}
PACKET_OUTGOING = 4
ETHERNET = {4: b"\0" * 12 + b"\x08\0", 6: b"\0" * 12 + b"\x86\xdd"}


class Inside:
    """The sources of what leaves by the device."""

    def __init__(self, node):
        self.socket = node.ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, capture.SO_RCVBUFFORCE, 32 << 20)
        self.socket.bind((DEVICE, capture.ETH_P_ALL))
        self.socket.setblocking(False)

    def take(self):
        """{source: packets} since the last call."""
        seen = {}
        while True:
            try:
                data, address = self.socket.recvfrom(capture.SNAP)
            except BlockingIOError:
                return seen
            if address[2] == PACKET_OUTGOING:
                parsed = packet.parse(ETHERNET[data[0] >> 4] + data)
                if packet.is_neighbourhood(parsed):     # of the address on the device itself
                    continue
                seen[parsed.source] = seen.get(parsed.source, 0) + 1


class Test:
    def __init__(self, tap):
        self.tap = tap
        self.cluster = suite.start(control_planes=1, workers=2)
        self.node = self.cluster.workers[0]
        self.query = RouteQuery(self.node.ns)
        self.watch, self.inside = capture.Capture(self.cluster), Inside(self.node)
        # Without it the first address of a subnet takes the others with it
        self.node.ns.sysctl("net.ipv4.conf.all.promote_secondaries", 1)
        self.carried = {*self.node.address.values(), *self.node.pod_address.values()}

    def answers(self, family):
        return {self.query.ask(address[family]) for other in self.cluster.others(self.node)
                for address in (other.address, other.pod_address)}

    def wait(self, family, answer, what):
        self.node.daemon.wait(lambda: self.answers(family) == {answer}, 10,
                              f"IPv{family}: {answer} {what}")

    def address(self, verb, address, length, device="eth0", options=""):
        family = 6 if ":" in address else 4
        nodad = "nodad" if family == 6 and verb == "add" and not options else ""
        self.node.ns.ip(f"-{family} addr {verb} {address}/{length} dev {device} {nodad} {options}")

    def others(self):
        """Sources that no peer carries, in what has left by the device since the last call."""
        return {source: number for source, number in self.inside.take().items()
                if source not in self.carried}

    def sources(self, name, waits=0.3):
        """For a while, only sources that are carried."""
        time.sleep(waits)
        self.tap.equal(self.others(), {}, f"{name}: only sources that the peers carry")

    def each(self, *parts):
        for part in parts:
            for family in FAMILIES:
                name = f"IPv{family} {part.__name__.replace('_', ' ')}"
                self.inside.take()
                part(family, name)
                self.wait(family, DEVICE, f"in the end, after {name}")
                seen = self.watch.take()
                self.tap.equal(([str(one) for one in seen.plain[:5]], seen.lost), ([], 0),
                               f"{name}: nothing in clear: {seen}")

    def run(self):
        flows = [flow for flow in flows_between(self.node) if flow[0] is in_clear]
        flood = Flood(self.cluster, passes=50)
        with Watcher(self.node, flows) as watcher:
            self.each(self.others_appear, self.another_comes_first, self.ours_goes_and_comes,
                      self.ours_alone_goes)
            self.deprecated("IPv6 deprecated")
            self.tentative("IPv6 tentative")
            wrong = watcher.end()
        counters = flood.stop()
        self.tap.ok(counters.sent > 1000 and watcher.asked > 1000,
                    f"{counters.sent} packets of the flood, {watcher.asked} answers of the kernel")
        self.tap.equal(wrong, [], "no answer was laxer")

    def others_appear(self, family, name):
        """A VIP on lo, a second address on the same link, one on the device itself."""
        places = ((VIRTUAL, "lo"), (SECOND, "eth0"), (VIRTUAL, DEVICE))
        for addresses, device in places:
            self.address("add", addresses[family], HOST[family], device)
            self.sources(f"{name} on {device}")
            self.address("del", addresses[family], HOST[family], device)
        self.sources(f"{name} and go")

    def another_comes_first(self, family, name):
        """Ours is taken away and added behind another one: it is not the first any more."""
        own = self.node.address[family]
        self.address("add", SECOND[family], LENGTH[family])
        self.address("del", own, LENGTH[family])
        self.address("add", own, LENGTH[family])
        self.wait(family, DEVICE, "behind another")
        self.settled(family)
        self.sources(name)
        self.address("del", SECOND[family], LENGTH[family])
        self.put_back(family)

    def ours_goes_and_comes(self, family, name):
        """With another one beside it that the kernel would like to send from."""
        own = self.node.address[family]
        self.address("add", SECOND[family], LENGTH[family])
        self.address("del", own, LENGTH[family])
        self.wait(family, BLOCKED, "without our address")
        self.settled(family)
        self.sources(f"{name}, gone")
        self.address("add", own, LENGTH[family])
        self.wait(family, DEVICE, "with it again")
        self.sources(f"{name}, back")
        self.address("del", SECOND[family], LENGTH[family])
        self.put_back(family)

    def ours_alone_goes(self, family, name):
        own = self.node.address[family]
        self.address("del", own, LENGTH[family])
        self.wait(family, BLOCKED, "without any address")
        self.settled(family)
        self.sources(f"{name}, gone")
        self.address("add", own, LENGTH[family])
        self.put_back(family)

    def settled(self, family):
        """What left before the daemon could hear of it: encrypted, and dropped by the peer."""
        strangers = self.others()
        if strangers:
            self.tap.note(f"IPv{family}, until the daemon had heard of it: {strangers}")
        if family == 4:
            self.tap.equal(strangers, {}, "not even in the moment of the change")
        else:
            number = sum(strangers.values())
            self.tap.ok(number < 200, f"{number} packets from elsewhere at the moment of the change")

    def put_back(self, family):
        """What the kernel took away with the address."""
        node = self.node
        lines = [f"route replace default via {WORLD[family]} dev eth0"]
        lines += [f"route replace {other.prefix[family]} via {other.address[family]} dev eth0"
                  for other in self.cluster.others(node)]
        node.ns.ip_batch(lines, family)

    def deprecated(self, name):
        """It may still be sent from, as nothing else may."""
        own = self.node.address[6]
        self.address("add", SECOND[6], LENGTH[6])
        self.node.ns.ip(f"-6 addr change {own}/64 dev eth0 preferred_lft 0 valid_lft forever")
        suite.quiet(self.node)
        self.wait(6, DEVICE, "from a deprecated address")
        self.sources(name)
        self.node.ns.ip(f"-6 addr change {own}/64 dev eth0 preferred_lft forever "
                        "valid_lft forever")
        self.address("del", SECOND[6], LENGTH[6])

    def tentative(self, name):
        """Its uniqueness is being looked into: nothing leaves until it is known."""
        own, node = self.node.address[6], self.node
        self.address("add", SECOND[6], LENGTH[6])
        for key, value in (("accept_dad", 1), ("dad_transmits", 2)):
            node.ns.sysctl(f"net.ipv6.conf.eth0.{key}", value)
        self.address("del", own, LENGTH[6])
        self.wait(6, BLOCKED, "without our address")
        self.settled(6)
        node.ns.ip(f"-6 addr add {own}/64 dev eth0")
        tentative = "tentative" in node.ns.ip("-6 addr show dev eth0")
        suite.quiet(node, 0.2)
        answers = self.answers(6)
        still = "tentative" in node.ns.ip("-6 addr show dev eth0")
        self.tap.ok(tentative and (not still or answers == {BLOCKED}), f"{name}: {answers} while so")
        self.wait(6, DEVICE, "when it is known")
        self.sources(name)
        self.address("del", SECOND[6], LENGTH[6])
        self.put_back(6)


if __name__ == "__main__":
    suite.main(lambda tap: Test(tap).run())
