"""A second node on a cable, with the kernel's WireGuard between the two, and what goes over it.

    neighbour = wire.Neighbour()         # kubernetes.OTHERS[1] in a namespace; eth0 is ours
    neighbour.encrypt()                  # cilium_wg0 on both
    with wire.Flood(neighbour) as flood: # UDP to it and its pod, all the time
        …
    flood.clear, flood.encrypted         # packets that we sent, on the cable
    flood.back.clear                     # and what the neighbour sent, with Flood(…, both=True)
"""

import collections
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
SOME = 1000                             # packets in clear, kept one by one


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
for address in sys.argv[3:]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sockets[address] = socket.socket(family, socket.SOCK_DGRAM)
while True:
    for address, one in sockets.items():
        try:
            one.sendto(b"x" * 64, (address, int(sys.argv[1])))
        except OSError:
            pass
    time.sleep(float(sys.argv[2]))
"""


class Direction:
    """What one of the two sends to the other."""

    def __init__(self, place, sources, destinations):
        self.place, self.sources, self.destinations = place, set(sources), destinations
        self.clear, self.encrypted, self.exempt = [], 0, 0      # clear: the first of them
        self.clear_to = collections.Counter()

    def take(self, one):
        if one.source not in self.sources:
            return
        if one.protocol == socket.IPPROTO_UDP and one.dport == wireguard.PORT:
            self.encrypted += 1
        elif one.destination not in self.destinations:
            return
        elif one.protocol == socket.IPPROTO_TCP and kubernetes.PORT in (one.sport, one.dport):
            self.exempt += 1
        else:
            self.clear_to[one.destination] += 1
            if len(self.clear) < SOME:
                self.clear.append(one)

    def send(self, pause):
        return self.place.spawn(sys.executable, "-c", SENDER, str(PORT), str(pause),
                                *self.destinations)


class Flood:
    """Senders, and a look at the cable."""

    def __init__(self, neighbour, both=False, pause=0.002):
        ours, theirs = kubernetes.SELF.addresses, neighbour.node.addresses
        self.there = Direction(wireguard.Here, ours, neighbour.destinations)
        self.back = Direction(neighbour.ns, theirs, ours)
        self.directions = [self.there, self.back] if both else [self.there]
        self.pause, self.ended = pause, False
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)     # SO_RCVBUFFORCE
        self.socket.bind((DEVICE, ETH_P_ALL))
        self.socket.settimeout(0.2)

    @property
    def clear(self):
        return self.there.clear

    @property
    def encrypted(self):
        return self.there.encrypted

    def _look(self):
        while not self.ended:
            try:
                one = packet.parse(self.socket.recv(256))
            except TimeoutError:
                continue
            if one and not packet.is_neighbourhood(one):
                for direction in self.directions:
                    direction.take(one)

    def __enter__(self):
        self.watcher = threading.Thread(target=self._look, daemon=True)
        self.watcher.start()
        self.senders = [direction.send(self.pause) for direction in self.directions]
        return self

    def wait_encrypted(self, more=20, seconds=30):
        """Until so many more encrypted packets have been seen."""
        begin = self.encrypted
        wait_for(lambda: self.encrypted >= begin + more, seconds, "encrypted packets", every=0.05)

    def wait_clear(self, seconds=30):
        wait_for(lambda: len(self.clear) >= 20, seconds, "packets in clear", every=0.05)

    def __exit__(self, *exception):
        for sender in self.senders:
            sender.kill()
            sender.wait()
        self.ended = True
        self.watcher.join()
        self.socket.close()

    def __str__(self):
        first = f", the first: {self.clear[0]}" if self.clear else ""
        return f"{self.encrypted} encrypted, {len(self.clear)} in clear{first}"
