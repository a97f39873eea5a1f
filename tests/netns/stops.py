#!/usr/bin/python3
"""SIGKILL before the first, the second, … write of a change, of the real daemon under a flood.

test_stops.c does it for many more changes, with the reconciler alone. Here the whole program is
killed by tests/lib/faults.c, which cuts the batch it was about to send; the kernel is asked all the
time, and the next start must bring the change to its end.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import netns  # noqa: E402
import paper  # noqa: E402
import suite  # noqa: E402
from faults import Faults  # noqa: E402
from flood import Flood  # noqa: E402
from watcher import Watcher, flows_between, in_clear, not_open  # noqa: E402

STEP = 5 if suite.FAST else 1
MOVED = 52000                           # other tables


class Test:
    def __init__(self, tap):
        self.tap = tap
        self.cluster = suite.start(control_planes=1, workers=2, daemons=False)
        self.node = self.cluster.workers[0]
        self.daemon = suite.daemon.Daemon(self.node)
        self.faults = Faults(self.daemon)
        self.cluster.put(paper.node(0, control_plane=True))
        suite.start_daemons(self.cluster)
        self.moved = False

    def flows(self):
        item = paper.node(0, control_plane=True)
        steered = paper.addresses(item) + [paper.inside(prefix) for prefix in paper.prefixes(item)]
        return (flows_between(self.node)
                + [(in_clear, {"destination": address}) for address in steered]
                + [(not_open, {"destination": address, "protocol": "tcp", "dport": 6443})
                   for address in paper.addresses(item)])

    def tables(self):
        return ("52000", "52001") if self.moved else suite.PRIVATE_TABLES

    def converged(self):
        wanted = {(self.tables()[suite.PRIVATE_TABLES.index(table)], *rest) for table, *rest in
                  paper.wanted_routes(self.cluster.objects(), self.node.name)}
        held = set()
        for tables in (suite.PRIVATE_TABLES, ("52000", "52001")):
            held |= paper.held_routes(self.node.ns, tables)
        return held == wanted

    def start(self):
        self.faults.clear()
        self.daemon.start().wait_ready()
        self.daemon.wait(self.converged, 30, "the kernel holds what is wanted", every=0.02)

    def each_write(self, name, change, stride=1):
        """The change over and over, killed before another write each time, until it has no more."""
        stops, number = 0, 1
        while True:
            before = self.faults.get("writes")
            self.faults.kill_in(number)
            change()
            netns.wait_for(lambda: not self.daemon.running or self.converged(), 20,
                           f"{name}: killed before write {number}, or done", every=0.005)
            if self.daemon.running:         # what was written last is no route
                suite.quiet(self.node)
            if self.daemon.running:
                break
            stops += 1
            self.start()
            number += stride * STEP
        self.faults.clear()
        self.daemon.wait_in_sync()
        self.tap.ok(stops > 0, f"{name}: killed before {stops} writes, and converged each time")
        self.tap.note(f"{self.faults.get('writes') - before} writes in the end")

    def join_or_leave(self):
        name = "paper-7"
        if any(item["metadata"]["name"] == name for item in self.cluster.objects()):
            self.cluster.command("delete", name=name)
        else:
            self.cluster.put(paper.node(7))

    def change_role(self):
        """Of one that is not watched."""
        self.version = getattr(self, "version", 0) + 1
        self.cluster.put(paper.node(8, self.version, self.version % 2 == 0))

    def move_tables(self):
        self.moved = not self.moved
        self.daemon.configure(**({"table_base": MOVED} if self.moved else {}))
        self.daemon.reload()

    def run(self):
        watch, flood = capture.Capture(self.cluster), Flood(self.cluster, passes=20)
        with Watcher(self.node, self.flows()) as watcher:
            self.each_write("a node joins or leaves", self.join_or_leave)
            self.each_write("another address and role", self.change_role, stride=3)
            self.each_write("other tables", self.move_tables, stride=11)
            wrong = watcher.end()
        counters, seen = flood.stop(), watch.take()
        self.tap.note(f"{watcher.asked} answers of the kernel, {counters.sent} packets of the "
                      f"flood; {seen}")
        self.tap.equal(wrong, [], "no answer was laxer, no exempt flow was cut off")
        self.tap.equal(([str(one) for one in seen.plain[:5]], seen.lost), ([], 0),
                       "not one clear packet")
        self.tap.ok(seen.encrypted > 0, "there was a flood")


if __name__ == "__main__":
    suite.main(lambda tap: Test(tap).run())
