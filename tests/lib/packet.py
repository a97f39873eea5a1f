"""Ethernet frames, as far as the laboratory tells one kind of packet from another."""

import collections
import ipaddress
import socket
import struct

NAMES = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp", socket.IPPROTO_ICMP: "icmp",
         socket.IPPROTO_ICMPV6: "icmp6"}
FRAGMENT = 44
NEIGHBOUR = range(133, 138)             # router and neighbour discovery, RFC 4861
MULTICAST_LISTENER = (130, 131, 132, 143)

# What a packet on the wire between two nodes is
ENCRYPTED, EXEMPT, NEIGHBOURHOOD, PLAIN = "encrypted", "exempt", "neighbourhood", "plain"


class Packet(collections.namedtuple(
        "Packet", "time port source destination protocol sport dport length")):
    """`port`: the node that sent it; `length`: of the IP packet; for ICMP sport is the type."""

    def __str__(self):
        name = NAMES.get(self.protocol, str(self.protocol))
        ends = (f"type {self.sport}" if name.startswith("icmp") else f"{self.sport}→{self.dport}")
        return (f"from {self.port}: {self.source} → {self.destination} {name} {ends}, "
                f"{self.length} bytes")


def parse(frame, port="", time=0.0):
    """The packet in the frame; None when it is neither IPv4 nor IPv6."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0800 and len(frame) >= 34:
        start = 14 + (frame[14] & 15) * 4
        source, destination = frame[26:30], frame[30:34]
        protocol, length = frame[23], int.from_bytes(frame[16:18], "big")
    elif kind == 0x86dd and len(frame) >= 54:
        start, protocol = 54, frame[20]
        source, destination = frame[22:38], frame[38:54]
        length = 40 + int.from_bytes(frame[18:20], "big")
        if protocol == 0 and len(frame) > 62:       # hop-by-hop options: multicast listeners
            protocol, start = frame[54], 62 + frame[55] * 8
    else:
        return None
    sport, dport = 0, 0
    if protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) and len(frame) >= start + 4:
        sport, dport = struct.unpack_from("!HH", frame, start)
    elif protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6) and len(frame) > start:
        sport = frame[start]
    return Packet(time, port, str(ipaddress.ip_address(source)),
                  str(ipaddress.ip_address(destination)), protocol, sport, dport, length)


def is_neighbourhood(packet):
    """What keeps the link itself going, and never carries anybody's data."""
    if packet.protocol == socket.IPPROTO_ICMPV6:
        return packet.sport in NEIGHBOUR or packet.sport in MULTICAST_LISTENER
    return ipaddress.ip_address(packet.destination).is_multicast


class Exempt:
    """The flows that may be in clear: TCP with a server's address and one of its ports."""

    def __init__(self, servers):
        self.servers = set(servers)                 # (address, port)

    def __contains__(self, packet):
        return packet.protocol == socket.IPPROTO_TCP and (
            (packet.destination, packet.dport) in self.servers or
            (packet.source, packet.sport) in self.servers)


def classify(packet, exempt):
    """For a packet that is not WireGuard's."""
    if is_neighbourhood(packet):
        return NEIGHBOURHOOD
    return EXEMPT if packet in exempt else PLAIN
