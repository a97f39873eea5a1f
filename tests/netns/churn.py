#!/usr/bin/python3
"""Nodes that join, leave and change among hundreds of others: each time the daemon writes that
node's objects and nothing else, and the kernel then holds what a fresh `nodecryptorctl plan` says."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import daemon  # noqa: E402
import paper  # noqa: E402
import suite  # noqa: E402
from cluster import CONTROL_PLANE_LABEL, FAMILIES  # noqa: E402
from daemon import Daemon  # noqa: E402
from netns import Namespace  # noqa: E402
from rtnetlink import Events  # noqa: E402
from suite import ours  # noqa: E402

NODES = 300
FOLLOWS = 10                            # seconds from a partial run to a whole one
TUNNEL = "cilium_wg0"


class Laboratory:
    """One worker under test; `items` is what the API server should hold."""

    def __init__(self, tap):
        self.tap = tap
        self.cluster = suite.start(control_planes=1, workers=1, daemons=False)
        self.node = self.cluster.workers[0]
        self.cluster.commands({"op": "put", "object": paper.node(number)}
                              for number in range(NODES))
        self.daemon = Daemon(self.node)
        self.daemon.configure(protect=["10.244.0.0/16"])
        self.daemon.start()
        self.daemon.wait_ready().wait_in_sync()
        self.fresh = Namespace("plan")
        self.fresh.ip_batch([f"tuntap add {TUNNEL} mode tun", f"link set {TUNNEL} up",
                             f"addr add {self.node.address[4]}/32 dev lo",
                             f"addr add {self.node.address[6]}/128 dev lo nodad"])
        self.path = f"{self.node.folder}/nodes.json"
        self.events = Events(self.node.ns)
        self.since = None               # of the first partial run after a whole one

    def planned(self):
        """What `plan` says of the API server's objects, made in a namespace that has nothing."""
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump({"apiVersion": "v1", "kind": "List", "items": self.cluster.objects()}, file)
        text = subprocess.run(
            [daemon.program("nodecryptorctl"), "plan", "--nodes", self.path, "--node-name",
             self.node.name, "--api-endpoint", self.node.server, "--config", self.daemon.config],
            capture_output=True, text=True, check=True).stdout
        for family in FAMILIES:
            self.fresh.ip_batch([line.removeprefix(f"ip -{family} ") for line in text.splitlines()
                                 if line.startswith(f"ip -{family} ")], family)
        found = held(self.fresh)
        for family in FAMILIES:
            for table in suite.PRIVATE_TABLES:
                self.fresh.ip(f"-{family} route flush table {table}")
            for rule in json.loads(self.fresh.ip(f"-{family} -j rule")):
                if rule["priority"] in suite.BAND:
                    self.fresh.ip(f"-{family} rule del pref {rule['priority']}")
        return found

    def runs(self):
        """(partial, whole) ones up to now."""
        metrics = self.daemon.metrics()
        partial = metrics["nodecryptor_partial_reconciles_total"]
        return partial, metrics['nodecryptor_reconciles_total{result="ok"}'] - partial

    def let_follow(self):
        """The whole run that follows partial ones must not fall into the next change."""
        if self.since and time.monotonic() - self.since > FOLLOWS / 2:
            self.wait_whole()

    def wait_whole(self):
        whole = self.runs()[1]
        self.daemon.wait(lambda: self.runs()[1] > whole, FOLLOWS * 2, "a whole run")
        self.since = None

    def change(self, name, partial, touched, *commands):
        """`touched`: the destinations that are written, "rule" for any rule."""
        self.tap.note(name)
        self.let_follow()
        suite.quiet(self.node)
        self.events.take_routes()
        runs = self.runs()
        self.cluster.commands(commands)
        self.daemon.wait(lambda: self.runs() != runs, 10, name)
        suite.quiet(self.node, 0.3)
        runs = [after - before for after, before in zip(self.runs(), runs)]
        self.since = None if runs[1] else self.since or time.monotonic()
        self.tap.ok(runs[0] > 0 and runs[1] == 0 if partial else runs[1] > 0,
                    f"{name}: looked at {'these nodes only' if partial else 'as a whole'}")
        written = {destination for kind, destination in self.events.take_routes()}
        self.tap.equal(written, set(touched), f"{name}: their routes are written and no others")
        made, wanted = held(self.node.ns), self.planned()
        if not self.tap.ok(made == wanted, f"{name}: the kernel holds what a fresh plan says"):
            for own, other in zip(made, wanted):
                self.tap.note(f"too much: {[line for line in own if line not in other][:5]}; "
                              f"missing: {[line for line in other if line not in own][:5]}")


def held(place):
    """Rules and routes, but for whether the device has a carrier."""
    class Place:
        ns = place
    rules, routes = suite.ours(Place)
    return rules, [" ".join(word for word in line.split() if not word.startswith("flags="))
                   for line in routes]


def destinations(*items):
    """As routes have them."""
    found = {prefix for item in items for prefix in paper.prefixes(item)}
    for item in items:
        found |= {f"{address}/{128 if ':' in address else 32}" for address in paper.addresses(item)}
    return found


def put(item):
    return {"op": "put", "object": item}


def delete(item):
    return {"op": "delete", "name": item["metadata"]["name"]}


def labelled(item, **labels):
    return {**item, "metadata": {**item["metadata"], "labels": labels}}


def with_addresses(item, other):
    """The one's name with the other's addresses."""
    return {**item, "spec": {**item["spec"], "addresses": other["spec"]["addresses"]}}


def single(laboratory):
    new, moved = paper.node(NODES), paper.node(NODES, version=1)
    laboratory.change("a node joins", True, destinations(new), put(new))
    laboratory.change("its address changes", True, destinations(new, moved), put(moved))
    laboratory.change("it is relabelled", True, [], put(labelled(moved, zone="a")))
    laboratory.change("it leaves", True, destinations(moved), delete(moved))


def several(laboratory):
    one, other = paper.node(10), paper.node(11)
    laboratory.change("two swap their addresses", True, [], put(with_addresses(one, other)),
                      put(with_addresses(other, one)))
    laboratory.change("they swap back", True, [], put(other), put(one))
    twin = with_addresses(paper.node(NODES + 1), one)
    laboratory.change("one lists another's address too", True,
                      set(paper.prefixes(twin)), put(twin))
    laboratory.change("that other leaves", True, set(paper.prefixes(one)), delete(one))
    laboratory.change("and comes back while the one leaves", True,
                      set(paper.prefixes(one)) | set(paper.prefixes(twin)), delete(twin), put(one))
    some = [paper.node(NODES + number) for number in range(2, 22)]
    laboratory.change("twenty join", True, destinations(*some), *map(put, some))
    laboratory.change("twenty leave", True, destinations(*some), *map(delete, some))


def roles(laboratory):
    item = paper.node(20)
    laboratory.change("a worker becomes a control plane", False, ["rule"],
                      put(labelled(item, **{CONTROL_PLANE_LABEL: ""})))
    laboratory.change("and a worker again", False, ["rule"], put(item))
    control_plane = paper.node(NODES + 30, control_plane=True)
    touched = destinations(control_plane) | {"rule"}
    laboratory.change("a control plane joins", False, touched, put(control_plane))
    laboratory.change("and leaves", False, touched, delete(control_plane))
    own = next(item for item in laboratory.cluster.objects()
               if item["metadata"]["name"] == laboratory.node.name)
    laboratory.change("our own node is relabelled", False, [], put(labelled(own, zone="b")))


BY_FAMILY = [f'{name}{{family="{family}",role="{role}"}}'
             for name in ("pod_prefixes", "node_addresses") for family in ("ipv4", "ipv6")
             for role in ("worker", "control_plane")]


def told(laboratory):
    """Numbers, and no more lines than whole runs write."""
    tap, process = laboratory.tap, laboratory.daemon
    suite.quiet(laboratory.node)
    before, seen = process.metrics(), len(process.log)
    new = paper.node(NODES)
    laboratory.change("one more joins", True, destinations(new), put(new))
    after = process.metrics()
    grown = {name: after[f"nodecryptor_{name}"] - before[f"nodecryptor_{name}"] for name in (
        'nodes{role="worker"}', 'nodes{role="control_plane"}', *BY_FAMILY, "kernel_routes",
        "kernel_rules", "policy_generation_total", "objects_written_total")}
    tap.equal(grown, {'nodes{role="worker"}': 1, 'nodes{role="control_plane"}': 0,
                      **{name: 1 if "worker" in name else 0 for name in BY_FAMILY},
                      "kernel_routes": 8, "kernel_rules": 0, "policy_generation_total": 1,
                      "objects_written_total": 8}, "the metrics have counted it")
    tap.equal((after["nodecryptor_in_sync"], process.get("/readyz")[0]), (1, 200), "in sync")
    lines = process.log[seen:].splitlines()
    tap.ok(len(lines) == 1 and "generation" in lines[0], "the log has a line for it")
    laboratory.wait_whole()
    tap.ok(True, "a whole run follows")
    tap.equal([process.metrics()[name] - after[name] for name in
               ("nodecryptor_kernel_routes", "nodecryptor_objects_written_total",
                'nodecryptor_nodes{role="worker"}', "nodecryptor_findings")], [0, 0, 0, 0],
              "and finds all as it was told")


def taken(laboratory):
    """Somebody else has put something into the place of a node that joins."""
    node, new = laboratory.node, paper.node(NODES + 40)
    address = paper.addresses(new)[0]
    node.ns.ip(f"route add blackhole {address} table {suite.PRIVATE_TABLES[1]} metric 77")
    suite.quiet(node)
    laboratory.cluster.commands([put(new)])
    laboratory.daemon.wait(lambda: ours(node)[1] and any(
        address in line and TUNNEL in line for line in ours(node)[1]), 10, "the node")
    node.ns.ip(f"route del blackhole {address} table {suite.PRIVATE_TABLES[1]} metric 77",
               check=False)
    suite.quiet(node)
    laboratory.tap.ok(held(node.ns) == laboratory.planned(),
                      "a node whose place somebody had taken: as planned in the end")


def run(tap):
    laboratory = Laboratory(tap)
    tap.ok(held(laboratory.node.ns) == laboratory.planned(), f"{NODES} nodes are as planned")
    single(laboratory)
    several(laboratory)
    roles(laboratory)
    told(laboratory)
    taken(laboratory)
    laboratory.daemon.stop()


if __name__ == "__main__":
    suite.main(run)
