"""What goes over the wire between the nodes, packet by packet.

    watch = capture.Capture(cluster)
    …
    seen = watch.take()                  # since the last take, or the beginning
    seen.plain                           # the offenders: packets in clear that have no business so
    seen.encrypted                       # how many of WireGuard's packets there were
    watch.close()

A packet socket sits on the underlay's end of each node's cable and takes what the node sends, so
that each packet is seen once, at its sender. The kernel tells WireGuard's packets from the rest and
each kind has its socket: a flood of encrypted packets cannot crowd out a clear one. No thread is
needed, the sockets hold what has not been taken yet; a packet they had no room for is an error.
"""

import ctypes
import socket
import struct

import packet
import wireguard

SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
SO_ATTACH_FILTER, SO_RCVBUFFORCE, SO_TIMESTAMPNS = 26, 33, 35
ETH_P_ALL = 3
SNAP = 256                              # enough for every header
ROOM = 64 << 20                         # bytes, for packets that were not taken yet

# Classic BPF (linux/bpf_common.h)
LDB, LDH, LDX_HEADER, LDH_X, JEQ, JSET, RET = 0x30, 0x28, 0xb1, 0x48, 0x15, 0x45, 0x06


def _program(port, wireguards):
    """Instructions with labels: UDP from and to `port` when `wireguards`, else all the rest."""
    taken, left = (SNAP, 0) if wireguards else (0, SNAP)
    return [
        (LDH, 12), (JEQ, 0x0800, "next", "six"),
        (LDB, 23), (JEQ, socket.IPPROTO_UDP, "next", "other"),
        (LDH, 20), (JSET, 0x1fff, "other", "next"),
        (LDX_HEADER, 14),
        (LDH_X, 14), (JEQ, port, "next", "other"),
        (LDH_X, 16), (JEQ, port, "next", "other"),
        (RET, taken),
        "six", (JEQ, 0x86dd, "next", "other"),
        (LDB, 20), (JEQ, socket.IPPROTO_UDP, "next", "other"),
        (LDH, 54), (JEQ, port, "next", "other"),
        (LDH, 56), (JEQ, port, "next", "other"),
        (RET, taken),
        "other", (RET, left),
    ]


def _assemble(program):
    """struct sock_filter[] (linux/filter.h)."""
    places, lines = {}, []
    for line in program:
        if isinstance(line, str):
            places[line] = len(lines)
        else:
            lines.append(line)
    code = b""
    for here, (operation, operand, *targets) in enumerate(lines):
        yes, no = ((0 if to == "next" else places[to] - here - 1 for to in targets)
                   if targets else (0, 0))
        code += struct.pack("=HBBI", operation, yes, no, operand)
    return code, len(lines)


class _Port:
    """One node's cable, one kind of packets."""

    def __init__(self, device, node, wireguards):
        self.node = node
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)   # deaf until bound
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        code, n = _assemble(_program(wireguard.PORT, wireguards))
        held = ctypes.create_string_buffer(code, len(code))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                               struct.pack("@HP", n, ctypes.addressof(held)))
        self.socket.bind((device, ETH_P_ALL))

    def counters(self):
        """(packets, of these lost for want of room) since the last call."""
        return struct.unpack("=II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))

    def packets(self):
        while True:
            try:
                frame, ancillary, _, _ = self.socket.recvmsg(SNAP, 64)
            except BlockingIOError:
                return
            seconds, nanoseconds = struct.unpack_from("=qq", ancillary[0][2])
            parsed = packet.parse(frame, self.node, seconds + nanoseconds / 1e9)
            if parsed:
                yield parsed


class Seen:
    """What was on the wire in a stretch of time."""

    def __init__(self):
        self.plain, self.exempt, self.wireguard = [], [], []
        self.encrypted = 0
        self.lost = 0

    def __str__(self):
        text = (f"{self.encrypted} encrypted, {len(self.exempt)} plain (exempt), "
                f"{len(self.plain)} in clear")
        return text + (f", {self.lost} LOST by the capture" if self.lost else "")


class Capture:
    """`exempt`: a packet.Exempt; `sizes`: keep WireGuard's packets as well as their number."""

    def __init__(self, cluster, exempt=None, sizes=False):
        self.exempt = exempt if exempt is not None else cluster.exempt
        self.sizes = sizes
        self._clear = [_Port(node.cable, node.name, False) for node in cluster.nodes]
        self._wireguard = [_Port(node.cable, node.name, True) for node in cluster.nodes]

    def take(self):
        seen = Seen()
        kinds = {packet.PLAIN: seen.plain, packet.EXEMPT: seen.exempt}
        for port in self._clear:
            for one in port.packets():
                kind = packet.classify(one, self.exempt)
                if kind in kinds:
                    kinds[kind].append(one)
            seen.lost += port.counters()[1]
        for port in self._wireguard:
            if self.sizes:
                seen.wireguard += port.packets()
            seen.encrypted += port.counters()[0]
        return seen

    def close(self):
        for port in self._clear + self._wireguard:
            port.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
