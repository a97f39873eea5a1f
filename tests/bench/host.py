"""A host for measurements in a network namespace: an uplink, a stand-in for WireGuard, pods.

    host = Host("nodecryptor-5000", nodes=5000, programs=FOLDER)
    host.write("nodecryptor") → {"rules":…, "routes":…, "milliseconds":…}
    host.delete()

Its links (ifb) drop what they are given to send without a further look, so that what is timed is
the way to them. Addresses and names are those of course.h.
"""

import ipaddress
import json

from netns import Namespace

DEVICE, UPLINK, PODS = "cilium_wg0", "eth0", "pods0"
SINKS = ("ifb", "dummy")                # the first one that the kernel has


def node_address(family, number):
    if family == 4:
        return str(ipaddress.ip_address(0xac100000 + number))
    return f"fd00:10::{number + 1:x}"


def pod_prefix(family, number):
    if family == 4:
        return f"10.{number >> 8}.{number & 255}.0/24"
    return f"fd00:244:{number:x}::/64"


class Host:
    def __init__(self, name, nodes, programs, tunnel=None):
        """`tunnel`: the kind of the device, where a sink would not be taken for WireGuard."""
        self.nodes, self.programs = nodes, programs
        self.ns = Namespace(name)
        for link in (UPLINK, PODS):
            self.add_sink(link)
        if tunnel is None:
            self.add_sink(DEVICE)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.ns.sysctl(key, 1)
        for key in ("all", "default", UPLINK, PODS):
            self.ns.sysctl(f"net.ipv4.conf.{key}.rp_filter", 0)
        self.configure()

    def add_sink(self, link):
        for kind in SINKS:
            self.ns.ip(f"link add {link} type {kind}", check=kind == SINKS[-1])
            if self.ns.ip(f"-o link show {link}", check=False):
                break
        self.ns.run("tc", "qdisc", "replace", "dev", link, "root", "noqueue")
        self.ns.ip(f"link set {link} arp off up")

    def configure(self):
        own = {family: node_address(family, self.nodes) for family in (4, 6)}
        self.ns.ip(f"address add {own[4]}/12 dev {UPLINK}")
        self.ns.ip(f"address add {own[6]}/64 dev {UPLINK} nodad")
        for family, gateway in ((4, "172.31.255.254"), (6, "fd00:10::ffff:fffe")):
            self.ns.ip(f"-{family} route add {pod_prefix(family, self.nodes)} dev {PODS}")
            self.ns.ip(f"-{family} route add default via {gateway} dev {UPLINK}")

    def write(self, contender):
        return json.loads(self.ns.run(f"{self.programs}/write", contender, str(self.nodes)))

    def delete(self):
        self.ns.delete()
