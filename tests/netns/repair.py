#!/usr/bin/python3
"""Each single rule and route of ours, deleted by somebody else, comes back; and how fast."""

import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import netns  # noqa: E402
import suite  # noqa: E402
from cluster import FAMILIES  # noqa: E402
from rtnetlink import Events, RouteQuery, routes_of  # noqa: E402
from suite import ALL_TABLES, BAND, PRIVATE_TABLES, ours  # noqa: E402

SECONDS = 5                             # after which it counts as not repaired
PAUSE = 0.06                            # between two: more than 20 a second count as a fight


def rule_deletions(node):
    """[(family, `ip` arguments)], one for each rule of ours."""
    found = []
    for family in FAMILIES:
        for line in node.ns.ip(f"-{family} rule show").splitlines():
            priority, _, text = line.partition(":")
            if int(priority) in BAND:
                text = text.strip().replace(" proto kernel", "")
                found.append((family, f"rule del pref {priority} {text} protocol kernel"))
    return found


def route_deletions(node):
    found = []
    for family in FAMILIES:
        for table in ALL_TABLES:
            for route in routes_of(node.ns, family, table):
                kind = route.get("type", "unicast")
                metric = f"metric {route['metric']}" if "metric" in route else ""
                device = f"dev {route['dev']}" if kind == "unicast" else ""
                found.append((family, f"route del {kind} {route['dst']} {device} "
                                      f"table {table} {metric}"))
    return found


class Repairs:
    """Does damage to one node and waits until all is as it was."""

    def __init__(self, tap, node):
        self.tap, self.node = tap, node
        self.good = ours(node)
        self.times = []
        self.events = Events(node.ns)
        self.changed = 0.0              # when the kernel told of the last change

    def is_good(self):
        """Looks only when something has changed, and remembers when that was."""
        if not self.events.take():
            return False
        self.changed = time.monotonic()
        return ours(self.node) == self.good

    def damage(self, name, *commands):
        """True when every command worked and the daemon has undone it."""
        time.sleep(PAUSE)
        self.events.take()
        begun = time.monotonic()
        for family, command in commands:
            self.node.ns.ip(f"-{family} {command}")
        try:
            netns.wait_for(self.is_good, SECONDS, name, every=0.0005)
        except TimeoutError:
            self.tap.note(f"{name}: {self.difference()}")
            return False
        self.times.append(self.changed - begun)
        return True

    def difference(self):
        seen, texts = ours(self.node), []
        for good, now in zip(self.good, seen):
            texts += [f"missing: {line}" for line in good if line not in now]
            texts += [f"too much: {line}" for line in now if line not in good]
        return "; ".join(texts) or "repaired, but too late"

    def each(self, name, deletions):
        """One test: each of them by itself."""
        self.times = []
        failed = [command for family, command in deletions
                  if not self.damage(command, (family, command))]
        holds = self.tap.ok(deletions and not failed,
                            f"{self.node}: each of {len(deletions)} {name} repaired")
        if self.times:
            self.tap.note(f"{name}: median {statistics.median(self.times) * 1000:.1f} ms, longest "
                          f"{max(self.times) * 1000:.1f} ms, with the command that deletes")
        return holds

    def one(self, name, *commands):
        self.times = []
        time.sleep(1)                   # a fight, if that was one, is over
        self.tap.ok(self.damage(name, *commands), f"{self.node}: {name}")
        if self.times:
            self.tap.note(f"{self.times[0] * 1000:.1f} ms")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2, protect=["10.244.0.0/16"])
    for node in (cluster.nodes[0], cluster.workers[0]):
        repairs = Repairs(tap, node)
        tap.ok(all(repairs.good), f"{node}: there is a policy to damage")
        repairs.each("rules deleted from outside", rule_deletions(node))
        repairs.each("routes deleted from outside", route_deletions(node))
        tap.ok("eleted" in node.daemon.log, f"{node}: the daemon's log says so")
        many(cluster, node, repairs)


def many(cluster, node, repairs):
    other = cluster.others(node)[0]
    repairs.one("every rule deleted at once", *rule_deletions(node))
    repairs.one("every route flushed",
                *((family, f"route flush table {table}") for family in FAMILIES
                  for table in PRIVATE_TABLES))
    repairs.one("a route of ours led elsewhere",
                (4, f"route replace {other.address[4]} dev eth0 scope link "
                    f"table {PRIVATE_TABLES[1]}"))
    repairs.one("a better route beside ours",
                (6, f"route add {other.address[6]} dev eth0 metric 10 table {PRIVATE_TABLES[1]}"))
    repairs.one("a route that is more specific, in what we steer",
                (4, f"route add {other.pod_address[4]} via {other.address[4]} dev eth0 "
                    f"table {PRIVATE_TABLES[0]}"))
    repairs.one("a duplicate of a rule of ours, of another protocol, is left alone, ours stays",
                *with_duplicate(node))
    with RouteQuery(node.ns) as query:
        for family in FAMILIES:
            repairs.tap.equal(query.ask(other.address[family]), "cilium_wg0",
                              f"{node}: IPv{family} goes the right way in the end")


def with_duplicate(node):
    """Ours deleted while the same rule, made by somebody else, is there."""
    family, command = rule_deletions(node)[-1]
    text = command[len("rule del "):].replace(" protocol kernel", "")
    return [(family, f"rule add {text} protocol static"), (family, command),
            (family, f"rule del {text} protocol static")]


if __name__ == "__main__":
    suite.main(run)
