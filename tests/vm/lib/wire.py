"""A second node on a cable, with the kernel's WireGuard between the two, and what goes over it.

    neighbour = wire.Neighbour()         # kubernetes.OTHERS[1] in a namespace; eth0 is ours
    neighbour.encrypt()                  # cilium_wg0 on both
    with wire.Flood(neighbour) as flood: # UDP to it and its pod, all the time
        …
    flood.clear, flood.encrypted         # packets that we sent, on the cable
"""

import ipaddress
import socket
import subprocess
import sys
import threading

import kubernetes
import packet
import wireguard
from netns import Namespace, run, wait_for

ETH_P_ALL = 3
DEVICE = "eth0"
PORT = 9999


class Neighbour:
    def __init__(self):
        self.node = kubernetes.OTHERS[1]
        self.destinations = self.node.addresses + self.node.pods
        self.ns = Namespace("neighbour")
        run("ip", "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns",
            "neighbour")
        self.settle(run, kubernetes.SELF.addresses)
        self.settle(self.ns.run, self.node.addresses)
        for pod in self.node.pods:
            self.ns.run("ip", "address", "add", pod, "dev", "lo")
        for prefix, address in zip(self.node.prefixes, self.node.addresses):
            run("ip", "route", "add", prefix, "via", address)
        self.sink = self.ns.spawn(sys.executable, "-c", SINK, str(PORT))

    @staticmethod
    def settle(command, addresses):
        """eth0 with these addresses, up."""
        command("ip", "link", "set", DEVICE, "up")
        for address, length in zip(addresses, ("24", "64")):
            nodad = ["nodad"] if ":" in address else []
            command("ip", "address", "add", f"{address}/{length}", "dev", DEVICE, *nodad)

    def encrypt(self):
        ours, theirs = wireguard.private_key(), wireguard.private_key()
        for place, private, other, peer in (
                (wireguard.Here, ours, theirs, self.node),
                (self.ns, theirs, ours, kubernetes.SELF)):
            wireguard.create(place, True)
            allowed = [*peer.prefixes, *(f"{address}/{ipaddress.ip_address(address).max_prefixlen}"
                                         for address in peer.addresses)]
            wireguard.synchronise(place, wireguard.configuration(
                private, [(wireguard.public_key(other), peer.addresses[0], allowed)]))
            wireguard.up(place)


SINK = """
import select, socket, sys
sockets = []
for family in (socket.AF_INET, socket.AF_INET6):
    sockets.append(socket.socket(family, socket.SOCK_DGRAM))
    if family == socket.AF_INET6:
        sockets[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sockets[-1].bind(("", int(sys.argv[1])))
while True:
    for one in select.select(sockets, [], [])[0]:
        one.recv(2048)
"""

SENDER = """
import socket, sys, time
sockets = {}
for address in sys.argv[2:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets[address] = socket.socket(family, socket.SOCK_DGRAM)
while True:
    for address, one in sockets.items():
        try:
            one.sendto(b"x" * 64, (address, int(sys.argv[1])))
        except OSError:
            pass
    time.sleep(0.002)
"""


class Flood:
    """A sender, and a look at the cable."""

    def __init__(self, neighbour):
        self.neighbour = neighbour
        self.ours = set(kubernetes.SELF.addresses)
        self.clear, self.encrypted, self.ended = [], 0, False
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)     # SO_RCVBUFFORCE
        self.socket.bind((DEVICE, ETH_P_ALL))
        self.socket.settimeout(0.2)

    def _take(self, frame):
        one = packet.parse(frame)
        if not one or one.source not in self.ours or packet.is_neighbourhood(one):
            return
        if one.protocol == socket.IPPROTO_UDP and one.dport == wireguard.PORT:
            self.encrypted += 1
        elif one.destination in self.neighbour.destinations:
            self.clear.append(str(one))

    def _look(self):
        while not self.ended:
            try:
                self._take(self.socket.recv(256))
            except TimeoutError:
                pass

    def __enter__(self):
        self.watcher = threading.Thread(target=self._look, daemon=True)
        self.watcher.start()
        self.sender = subprocess.Popen(
            [sys.executable, "-c", SENDER, str(PORT), *self.neighbour.destinations],
            stdin=subprocess.DEVNULL)
        return self

    def wait_encrypted(self, more=20, seconds=30):
        """Until so many more encrypted packets have been seen."""
        begin = self.encrypted
        wait_for(lambda: self.encrypted >= begin + more, seconds, "encrypted packets", every=0.05)

    def wait_clear(self, seconds=30):
        wait_for(lambda: len(self.clear) >= 20, seconds, "packets in clear", every=0.05)

    def __exit__(self, *exception):
        self.sender.kill()
        self.sender.wait()
        self.ended = True
        self.watcher.join()
        self.socket.close()

    def __str__(self):
        first = f", the first: {self.clear[0]}" if self.clear else ""
        return f"{self.encrypted} encrypted, {len(self.clear)} in clear{first}"
