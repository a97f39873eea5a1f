"""A host for measurements in a network namespace: an uplink, a stand-in for WireGuard, pods.

    host = Host("nodecryptor-5000", nodes=5000, programs=FOLDER)
    host.write("nodecryptor") → {"rules":…, "routes":…, "milliseconds":…}
    host.delete()

Its links drop what they are given to send without a further look, so that what is timed is the way
to them. The device is a tun that nobody reads: as WireGuard, a point-to-point link without headers.
Addresses and names are those of course.h.
"""

import fcntl
import ipaddress
import json
import os
import struct

from netns import Namespace

DEVICE, UPLINK, PODS = "cilium_wg0", "eth0", "pods0"
SINKS = ("ifb", "dummy")                # the first one that the kernel has
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000


def node_address(family, number):
    if family == 4:
        return str(ipaddress.ip_address(0xac100000 + number))
    return f"fd00:10::{number + 1:x}"


def pod_prefix(family, number):
    if family == 4:
        return f"10.{number >> 8}.{number & 255}.0/24"
    return f"fd00:244:{number:x}::/64"


class Host:
    def __init__(self, name, nodes, programs, device=True):
        self.nodes, self.programs = nodes, programs
        self.ns = Namespace(name)
        for link in (UPLINK, PODS):
            self.add_sink(link)
        self.tun = self.add_device() if device else None
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

    def add_device(self):
        """The device; it is there as long as the file that is returned."""
        request = struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI)
        with self.ns.entered():
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(tun, TUNSETIFF, request)
        self.ns.run("tc", "qdisc", "replace", "dev", DEVICE, "root", "noqueue")
        self.ns.ip(f"link set {DEVICE} txqueuelen 0 up")
        return tun

    def configure(self):
        """One gateway leads to everything: a neighbour for each node would be measured as well."""
        for family, address, network, gateway in (
                (4, "/12", "172.16.0.0/12", "172.31.255.254"),
                (6, "/64 nodad", "fd00:10::/64", "fd00:10::ffff:fffe")):
            own = node_address(family, self.nodes)
            self.ns.ip(f"address add {own}{address} noprefixroute dev {UPLINK}")
            self.ns.ip(f"-{family} route add {pod_prefix(family, self.nodes)} dev {PODS}")
            for destination in (network, "default"):
                self.ns.ip(f"-{family} route add {destination} via {gateway} dev {UPLINK} onlink")

    def write(self, contender):
        return json.loads(self.ns.run(f"{self.programs}/write", contender, str(self.nodes)))

    def delete(self):
        if self.tun is not None:
            os.close(self.tun)
        self.ns.delete()
