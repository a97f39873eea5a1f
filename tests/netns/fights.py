#!/usr/bin/python3
"""Others at work: one who takes ours away as fast as it is put back, and what others do for reasons.

test_intruders.c has many more kinds of damage, repaired by the reconciler alone; repair.py deletes
each of our objects. Here the daemon tells a fight from an accident, and the wire is watched while
others do what must not harm.
"""

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import netns  # noqa: E402
import suite  # noqa: E402
from cluster import FAMILIES, LIBRARY  # noqa: E402
from flood import Flood  # noqa: E402
from rtnetlink import RouteQuery  # noqa: E402
from suite import ours, steered  # noqa: E402

LENGTH = 4                              # seconds
OVER = 60                               # after which a fight is over
OK = 'nodecryptor_reconciles_total{result="ok"}'
# A second: 20 repairs at once, then gathered for 0.1 s each; and what is due anyway
REPAIRS = 20 + 11
RULE = (4, 206, 51871)             # that looks up the nodes' table


class Fight:
    """On one node; over() comes much later."""

    def __init__(self, tap, node):
        self.tap, self.node, self.daemon = tap, node, node.daemon
        self.good = ours(node)

    def told(self, what):
        return self.daemon.log.count(what)

    def run(self):
        tap, daemon, before = self.tap, self.daemon, self.daemon.metrics()
        lines = daemon.log.count("\n")
        fighter = self.node.ns.spawn(sys.executable, f"{LIBRARY}/fighter.py", *map(str, RULE),
                                     stdout=subprocess.PIPE, text=True)
        fighter.stdout.readline()
        name = f"fighter[{fighter.pid}]"
        begun = time.monotonic()
        daemon.wait(lambda: "a fight:" in daemon.log, 10, "tells that it is a fight")
        daemon.wait(lambda: f"in a fight with {name}" in daemon.status, 10, f"STATUS has {name}")
        answers = []
        while time.monotonic() < begun + LENGTH:
            asked = time.monotonic()
            answers.append((daemon.get("/healthz")[0], time.monotonic() - asked))
            time.sleep(0.1)
        during = daemon.metrics()
        fighter.terminate()
        taken = int(fighter.stdout.read())
        fighter.wait()
        seconds = time.monotonic() - begun
        self.ended = time.monotonic()

        repairs = during[OK] - before[OK]
        tap.note(f"taken away {taken} times in {seconds:.1f} s, {repairs:.0f} repairs; longest "
                 f"answer of /healthz {max(each for _, each in answers) * 1000:.0f} ms")
        tap.ok(taken > 20 and repairs <= REPAIRS * (seconds + 1), "repaired, but not at any price")
        tap.equal({code for code, _ in answers}, {200}, "it lives, and answers meanwhile")
        tap.equal((during["nodecryptor_fight"], during["nodecryptor_fights_total"]), (1, 1),
                  "the metrics count one fight")
        tap.equal((self.told("a fight:"), name in daemon.log), (1, True),
                  "the journal says it once, and names who")
        tap.ok(daemon.log.count("\n") - lines < 60, "and does not fill up")
        daemon.wait(lambda: ours(self.node) == self.good, 5, "the policy of before")
        tap.ok(True, "all is back when it stops")

    def over(self):
        self.daemon.wait(lambda: "the fight is over" in self.daemon.log,
                         OVER + 15 - (time.monotonic() - self.ended), "over", every=0.2)
        self.tap.ok(time.monotonic() - self.ended > OVER - 2, "over, a minute after it stopped")
        netns.wait_for(lambda: "fight" not in self.daemon.status, 5, "STATUS without a fight")
        metrics = self.daemon.metrics()
        self.tap.equal((metrics["nodecryptor_fight"], metrics["nodecryptor_fights_total"]), (0, 1),
                       "STATUS and metrics know")


def local_rule_moved(node, family):
    """As Cilium's agent does it, and as its clean-up takes it back."""
    node.ns.ip(f"-{family} rule add pref 100 lookup local protocol kernel")
    node.ns.ip(f"-{family} rule del pref 0 lookup local")
    node.ns.ip(f"-{family} rule add pref 0 lookup local protocol kernel")
    node.ns.ip(f"-{family} rule del pref 100 lookup local protocol kernel")


def routes_appended(node, family):
    """Behind ours, so that they do nothing; the repair must not put them in front."""
    other = node.cluster.others(node)[0]
    prefix = other.address[family]
    if family == 4:
        node.ns.ip(f"route append {prefix} dev eth0 scope link proto kernel table 51871")
        node.ns.ip("nexthop replace id 7 dev eth0")
        node.ns.ip(f"route append {prefix} nhid 7 proto kernel table 51871")
        node.ns.ip(f"route append {other.prefix[4]} dev eth0 proto static table 51870")
    else:
        node.ns.ip(f"-6 route add {prefix} dev eth0 metric 4096 table 51871")
        node.ns.ip(f"-6 route add {other.prefix[6]} dev eth0 metric 4096 table 51870")


def cilium_rules(node, family):
    """Its other rules come and go."""
    for text in ("pref 9 fwmark 0x200/0xf00 lookup 2004 protocol kernel",
                 "pref 10 fwmark 0xa00/0xf00 lookup 2005 protocol kernel",
                 "pref 110 from 10.244.2.2 lookup 11 protocol kernel" if family == 4 else
                 "pref 110 from fd00:10:244:2::2 lookup 11 protocol kernel"):
        node.ns.ip(f"-{family} rule add {text}")
        node.ns.ip(f"-{family} rule del {text}")


def harmless(tap, cluster, node):
    """Under a flood, not one packet in clear."""
    good = ours(node)
    watch, flood = capture.Capture(cluster), Flood(cluster, passes=50)
    for change in (local_rule_moved, routes_appended, cilium_rules):
        for _ in range(5):
            for family in FAMILIES:
                change(node, family)
        node.daemon.wait(lambda: ours(node) == good, 10, f"as before after {change.__name__}")
        seen = watch.take()
        tap.equal(([str(one) for one in seen.plain[:5]], seen.lost, seen.encrypted > 0),
                  ([], 0, True), f"{change.__name__.replace('_', ' ')}: nothing in clear: {seen}")
    flood.stop()
    watch.close()


def flushed(tap, node):
    """`ip rule flush` takes even main's rule; `ip route flush` ours. Put back at once, told in few."""
    good = ours(node)
    for family in FAMILIES:
        said = node.daemon.log.count("\n")
        node.ns.ip_batch(["rule flush", "rule add pref 32766 lookup main",
                          *(f"route flush table {table}" for table in suite.PRIVATE_TABLES)],
                         family)
        node.daemon.wait(lambda: ours(node) == good, 5, f"repairs IPv{family}")
        tap.ok(node.daemon.log.count("\n") - said < 60, f"IPv{family} flushed, all is back")
    with RouteQuery(node.ns) as query:
        tap.equal(steered(node, query), {"cilium_wg0"}, "and goes the right way")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2)
    fight = Fight(tap, cluster.workers[0])
    fight.run()
    harmless(tap, cluster, cluster.workers[1])
    flushed(tap, cluster.workers[1])
    fight.over()


if __name__ == "__main__":
    suite.main(run)
