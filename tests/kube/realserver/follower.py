"""Our client (../reflect.c) with the node set that its lines amount to."""

import ipaddress
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from fixture import Client, Failure  # noqa: E402


def node(name, index, **spec):
    """A CiliumNode as Cilium writes it, for the API."""
    high, low = divmod(index, 256)
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNode",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {"addresses": [{"type": "InternalIP", "ip": f"172.16.{high}.{low}"},
                                   {"type": "CiliumInternalIP", "ip": f"10.{high}.{low}.1"},
                                   {"type": "InternalIP", "ip": f"fd00::{index + 1:x}"}],
                     "ipam": {"podCIDRs": [f"10.{high}.{low}.0/24"], "pools": {}}, **spec}}


def essence(value):
    """What reflect prints of such a node."""
    spec = value["spec"]
    return {"addresses": [entry["ip"] for entry in spec["addresses"]
                          if entry["type"] == "InternalIP"],
            "prefixes": sorted(str(ipaddress.ip_network(text))
                               for text in spec["ipam"]["podCIDRs"])}


class Follower(Client):
    def __init__(self, program, arguments):
        self.nodes, self.changes, self.versions = {}, 0, []
        super().__init__(program, arguments)

    def read(self):
        for line in self.process.stdout:
            line = json.loads(line)
            self.apply(line)
            self.lines.put(line)

    def apply(self, line):
        if line["event"] == "replaced":
            self.nodes = {entry["name"]: self.shown(entry) for entry in line["nodes"]}
        elif line["event"] == "changed":
            self.changes += 1
            self.nodes[line["node"]["name"]] = self.shown(line["node"])
        elif line["event"] == "removed":
            self.nodes.pop(line["name"], None)

    @staticmethod
    def shown(entry):
        return {"addresses": entry["addresses"], "prefixes": sorted(entry["prefixes"])}

    def in_step(self, admin, seconds=20):
        """Until it holds what the server holds; how long that took."""
        begun = time.monotonic()
        wanted = {value["metadata"]["name"]: essence(value) for value in admin.nodes()}
        while self.nodes != wanted:
            differing = {name for name in {*wanted, *self.nodes}
                         if wanted.get(name) != self.nodes.get(name)}
            if time.monotonic() - begun > seconds:      # only now: recent() takes the lines
                raise Failure(f"not in step after {seconds} s: {len(differing)} of {len(wanted)} "
                              f"nodes differ: {sorted(differing)[:5]}; last lines: {self.recent()}")
            time.sleep(0.05)
        return time.monotonic() - begun

    def recent(self):
        """The last lines, in short."""
        while not self.lines.empty():
            self.seen.append(self.lines.get())
        return "; ".join(json.dumps(line)[:200] for line in self.seen[-6:])

    def drain(self):
        """What comes from now on is new."""
        self.recent()

    def lists(self):
        return self.status()["lists"]
