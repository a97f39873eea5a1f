"""One flow between two namespaces, and what became of it on the wire.

    flow = Flow(source, False, destination, True, 4, "tcp", 8080)
    result = flow.send(capture)          # the capture must keep sizes
    result.word                          # ENCRYPTED, PLAIN, BLOCKED, … and result.clear says why

A flow is real: a TCP connection or UDP datagrams with a payload that comes back, echo requests, or
an HTTPS request where an API server is. A direction is called encrypted when none of the flow's
packets were seen in clear from that side, and one of WireGuard's was that is large enough.
"""

import os
import select
import socket
import ssl
import struct
import time

from netns import PATIENCE

ENCRYPTED, PLAIN, BLOCKED, LOST = "ENCRYPTED", "PLAIN", "BLOCKED", "LOST"
OUT_PLAIN, BACK_PLAIN = "PLAIN out, ENCRYPTED back", "ENCRYPTED out, PLAIN back"
UNSEEN = "NOT SEEN"
PAYLOAD = 1000                          # each way
LARGE = 400                             # no WireGuard packet but one that carries a payload is
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}


class Result:
    """`clear`: the flow's packets that were in clear; `problem`: why it did not get through."""

    def __init__(self, word, problem=None, clear=()):
        self.word, self.problem, self.clear = word, problem, list(clear)

    def __str__(self):
        return self.word + (f" ({self.problem})" if self.problem else "")


class Flow:
    """Ends are (node, is it the node's pod); the source address is the kernel's choice unless set."""

    def __init__(self, source, source_pod, destination, destination_pod, family, protocol, port=0,
                 source_port=0, address=None, source_address=None):
        self.source, self.source_pod = source, source_pod
        self.destination, self.destination_pod = destination, destination_pod
        self.family, self.protocol = family, protocol
        self.port, self.source_port = port, source_port
        ends = destination.pod_address if destination_pod else destination.address
        self.address = address or ends[family]
        self.source_address = source_address

    def __str__(self):
        ends = [f"{node.name}{' pod' if pod else ''}" for node, pod in
                ((self.source, self.source_pod), (self.destination, self.destination_pod))]
        return f"{ends[0]} → {ends[1]} {self.protocol} {self.port or ''} IPv{self.family}"

    def send(self, capture, timeout=PATIENCE):
        """`capture` must keep sizes. Never raises for a flow that does not get through."""
        capture.take()
        exchange = {"tcp": _tcp, "udp": _udp, "icmp": _icmp}[self.protocol]
        family = socket.AF_INET if self.family == 4 else socket.AF_INET6
        problem = exchange(self, family, timeout)
        return self._judge(problem, capture.take())

    def _mine(self, one):
        """A clear packet of this flow."""
        if self.protocol == "icmp":
            return one.protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6) and \
                self.address in (one.source, one.destination)
        return one.protocol == PROTOCOLS[self.protocol] and \
            {self.port, self.source_port} == {one.sport, one.dport}

    def _judge(self, problem, seen):
        clear = [one for one in seen.plain + seen.exempt if self._mine(one)]
        if seen.lost:
            return Result(LOST, f"{seen.lost} packets lost by the capture", clear)
        if problem:
            return Result(LOST if clear else BLOCKED, problem, clear)
        in_clear = {one.port for one in clear}
        hidden = {one.port for one in seen.wireguard if one.length > LARGE}
        ways = []
        for end in (self.source.name, self.destination.name):
            ways.append(PLAIN if end in in_clear else ENCRYPTED if end in hidden else UNSEEN)
        words = {(ENCRYPTED, ENCRYPTED): ENCRYPTED, (PLAIN, PLAIN): PLAIN,
                 (PLAIN, ENCRYPTED): OUT_PLAIN, (ENCRYPTED, PLAIN): BACK_PLAIN}
        return Result(words.get(tuple(ways), UNSEEN), None, clear)


def _sockets(flow, family, kind):
    """The client's and the server's, bound."""
    server = flow.destination.place(flow.destination_pod).socket(family, kind)
    client = flow.source.place(flow.source_pod).socket(family, kind)
    for one in (server, client):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setblocking(False)
    try:
        server.bind((flow.address, flow.port))
    except OSError:                     # somebody serves there already
        server.close()
        server = None
    client.bind((flow.source_address or ("0.0.0.0" if flow.family == 4 else "::"),
                 flow.source_port))
    flow.source_port = client.getsockname()[1]
    if server and not flow.port:
        flow.port = server.getsockname()[1]
    return client, server


def _readable(one, seconds):
    return bool(select.select([one], [], [], seconds)[0])


def _tcp(flow, family, timeout):
    client, server = _sockets(flow, family, socket.SOCK_STREAM)
    with client:
        if server:
            server.listen()
        try:
            number = client.connect_ex((flow.address, flow.port))
            if number not in (0, 115):
                return os.strerror(number)
            if not select.select([], [client], [], timeout)[1]:
                return "no answer"
            number = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                return os.strerror(number)
            return _echo(client, server, timeout) if server else _https(client, timeout)
        finally:
            if server:
                server.close()


def _echo(client, server, timeout):
    data = os.urandom(PAYLOAD)
    if not _readable(server, timeout):
        return "no connection at the server"
    peer, _ = server.accept()
    with peer:
        for sender, receiver in ((client, peer), (peer, client)):
            sender.setblocking(True)
            receiver.settimeout(timeout)
            sender.sendall(data)
            got = b""
            try:
                while len(got) < PAYLOAD:
                    part = receiver.recv(PAYLOAD)
                    if not part:
                        return "closed"
                    got += part
            except OSError as problem:
                return str(problem)
            if got != data:
                return "other data came back"
    return None


def _https(client, timeout):
    """Where something serves already, that is the API server."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.setblocking(True)
    client.settimeout(timeout)
    try:
        with context.wrap_socket(client) as session:
            session.sendall(b"GET /healthz HTTP/1.1\r\nHost: kubernetes\r\n"
                            b"X-Padding: " + b"-" * PAYLOAD + b"\r\nConnection: close\r\n\r\n")
            return None if session.recv(100).startswith(b"HTTP/1.1 200") else "no good answer"
    except OSError as problem:
        return str(problem)


def _udp(flow, family, timeout):
    client, server = _sockets(flow, family, socket.SOCK_DGRAM)
    data = os.urandom(PAYLOAD)
    with client, server:
        try:
            client.sendto(data, (flow.address, flow.port))
            if not _readable(server, timeout):
                return "no answer"
            got, peer = server.recvfrom(2000)
            server.sendto(got, peer)
            if not _readable(client, timeout):
                return "no answer"
            return None if client.recv(2000) == data else "other data came back"
        except OSError as problem:
            return problem.strerror


def _icmp(flow, family, timeout):
    protocol, kind, reply = ((socket.IPPROTO_ICMP, 8, 0) if flow.family == 4
                             else (socket.IPPROTO_ICMPV6, 128, 129))
    data = os.urandom(PAYLOAD)
    header = struct.pack("!BBHHH", kind, 0, 0, os.getpid() & 0xffff, 1)
    total = sum(struct.unpack(f"!{(8 + PAYLOAD) // 2}H", header + data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    header = struct.pack("!BBHHH", kind, 0, ~total & 0xffff, os.getpid() & 0xffff, 1)
    with flow.source.place(flow.source_pod).socket(family, socket.SOCK_RAW, protocol) as client:
        client.setblocking(False)
        deadline = time.monotonic() + timeout
        try:
            client.sendto(header + data, (flow.address, 0))
            while (left := deadline - time.monotonic()) > 0 and _readable(client, left):
                got = client.recv(2000)
                got = got[(got[0] & 15) * 4:] if flow.family == 4 else got
                if got.endswith(data):      # an error quotes the request
                    return None if got[0] == reply else "unreachable"
        except OSError as problem:
            return problem.strerror
    return "no answer"

