"""The kernel's routing, asked and listened to (rtnetlink(7)).

    query = RouteQuery(node.ns)
    query.ask("10.0.0.12")                       # "cilium_wg0", "eth0", or "blocked"
    query.ask("10.0.0.11", protocol="tcp", dport=6443)
    events = Events(node.ns)
    events.take()                                # what rules and routes changed since
    rules, routes = dump(node.ns)                # of all tables but local, as sorted text
"""

import errno
import ipaddress
import json
import os
import re
import socket
import struct
import time

from netns import wait_for

RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWRULE, RTM_DELRULE = 24, 25, 26, 32, 33
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_TABLE, RTA_MARK = 1, 2, 3, 4, 15, 16
RTA_IP_PROTO, RTA_SPORT, RTA_DPORT = 27, 28, 29
GROUPS = 0x40 | 0x80 | 0x400 | 0x40000           # routes and rules, IPv4 and IPv6
SO_RCVBUFFORCE = 33
BLOCKED = "blocked"
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58}


def _attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def _attributes(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind, data[4:length]
        data = data[(length + 3) & ~3:]


class RouteQuery:
    def __init__(self, namespace):
        self.socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        self.socket.bind((0, 0))
        self.names = {}
        for line in json.loads(namespace.ip("-j link")):
            self.names[line["ifindex"]] = line["ifname"]
        self.namespace = namespace

    def name(self, index):
        if index not in self.names:
            for line in json.loads(self.namespace.ip("-j link")):
                self.names[line["ifindex"]] = line["ifname"]
        return self.names.get(index, f"#{index}")

    def ask(self, destination, mark=0, protocol=None, sport=0, dport=0, iif=0, source=None):
        """The device's name that the flow leaves by; "blocked" when the kernel refuses it."""
        address = ipaddress.ip_address(destination).packed
        family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
        body = struct.pack("=BBBBBBBBI", family, len(address) * 8,
                           len(address) * 8 if source else 0, 0, 0, 0, 0, 0, 0)
        body += _attribute(RTA_DST, address)
        if source:
            body += _attribute(RTA_SRC, ipaddress.ip_address(source).packed)
        for kind, value in ((RTA_MARK, mark), (RTA_IIF, iif)):
            if value:
                body += _attribute(kind, struct.pack("=I", value))
        if protocol:
            body += _attribute(RTA_IP_PROTO, struct.pack("=B", PROTOCOLS[protocol]))
        for kind, value in ((RTA_SPORT, sport), (RTA_DPORT, dport)):
            if value:
                body += _attribute(kind, struct.pack("!H", value))
        self.socket.send(struct.pack("=IHHII", 16 + len(body), RTM_GETROUTE, NLM_F_REQUEST, 1, 0)
                         + body)
        return self._answer(self.socket.recv(8192))

    def _answer(self, data):
        if struct.unpack_from("=H", data, 4)[0] == NLMSG_ERROR:
            number = -struct.unpack_from("=i", data, 16)[0]
            if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EINVAL):
                return BLOCKED
            raise OSError(number, os.strerror(number))
        found = dict(_attributes(data[28:]))
        return self.name(struct.unpack("=I", found[RTA_OIF])[0])

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Events:
    """Every change of a rule or route in the namespace."""

    def __init__(self, namespace):
        self.socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.socket.bind((0, GROUPS))
        self.socket.setblocking(False)

    def _messages(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except BlockingIOError:
                return
            while len(data) >= 16:
                length, kind, _, _, port = struct.unpack_from("=IHHII", data)
                yield kind, port, data[16:length]
                data = data[(length + 3) & ~3:]

    def take(self):
        """[(message type, port id of who did it)] since the last call."""
        return [(kind, port) for kind, port, _ in self._messages()]

    def take_routes(self):
        """[(message type, destination)] since the last call; of a rule: "rule"."""
        found = []
        for kind, _, body in self._messages():
            if kind not in (RTM_NEWROUTE, RTM_DELROUTE):
                found.append((kind, "rule"))
                continue
            address = dict(_attributes(body[12:])).get(RTA_DST)
            text = str(ipaddress.ip_address(address)) if address else "default"
            found.append((kind, f"{text}/{body[1]}"))
        return found

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def routes_of(namespace, family, table):
    """`ip -d -j route show table TABLE` as a list; empty when there is no such table."""
    try:
        return json.loads(numbered(namespace.ip(f"-{family} -d -j route show table {table}"))
                          or "[]")
    except RuntimeError:
        return []


def quiet(namespace, seconds=0.3, limit=20):
    """Until no rule and no route has changed for so long."""
    with Events(namespace) as events:
        since = time.monotonic()

        def still():
            nonlocal since
            if events.take():
                since = time.monotonic()
            return time.monotonic() - since >= seconds
        wait_for(still, limit, f"{namespace.name}: the kernel's rules and routes stay as they are")


TABLE_NAMES = "/etc/iproute2/rt_tables.d/nodecryptor.conf"


def numbered(text):
    """The text of ip(8) with numbers for the tables that an installed package gives names."""
    try:
        with open(TABLE_NAMES, encoding="ascii") as file:
            for line in file:
                if line[0].isdigit():
                    number, name = line.split()
                    text = re.sub(rf"\b{name}(?![\w-])", number, text)
    except FileNotFoundError:
        pass
    return text


def dump(namespace, volatile=("cache", "expires")):
    """(rules, routes): every one of both families, but for the kernel's own table local."""
    rules, routes = [], []
    for family in (4, 6):
        for line in numbered(namespace.ip(f"-{family} -d rule show")).splitlines():
            rules.append(f"{family} {' '.join(line.split())}")
        for route in routes_of(namespace, family, "all"):
            if route.get("table") != "local":
                routes.append(f"{family} " + " ".join(
                    f"{key}={route[key]}" for key in sorted(route) if key not in volatile))
    return rules, sorted(routes)
