"""The frame of a cluster test: tests/netns/NAME.py.

    def run(tap):
        cluster = suite.start(control_planes=1, workers=2, protect=["10.244.0.0/16"])
        …
    suite.main(run)
"""

import os
import random
import sys
import traceback

import daemon
import netns
import rtnetlink
import tap as tap_module
from cluster import Cluster
from rtnetlink import dump

FAST = "NODECRYPTOR_FAST" in os.environ
PRIVATE_TABLES = ("51870", "51871")
ALL_TABLES = tuple(str(51870 + number) for number in range(10))     # with the complements
BAND = range(200, 210)

_clusters = []


def start(control_planes=1, workers=2, daemons=True, agents=True, **settings):
    """A cluster whose nodes talk, with a daemon in sync on each."""
    cluster = Cluster(control_planes, workers)
    know(cluster)
    cluster.start_api()
    if agents:
        cluster.start_agents()
        cluster.wait_meshed()
    if daemons:
        start_daemons(cluster, **settings)
    return cluster


def know(cluster):
    """What its helpers said is shown when a test has failed."""
    _clusters[:] = [cluster]


def start_daemons(cluster, **settings):
    daemon.start_all(cluster, **settings)
    for node in cluster.nodes:
        node.daemon.wait_in_sync()


def seed(tap):
    """Random numbers that a failed run can have again: $NODECRYPTOR_SEED."""
    number = int(os.environ.get("NODECRYPTOR_SEED", random.randrange(1 << 32)))
    tap.note(f"seed {number} (NODECRYPTOR_SEED)")
    return random.Random(number)


def ours(node):
    """(rules, routes) of ours on the node, as rtnetlink.dump() writes them, sorted.

    Rules of one priority all have the same action, so their order does not matter.
    """
    rules, routes = dump(node.ns)
    return (sorted(rule for rule in rules if int(rule.split()[1].rstrip(":")) in BAND),
            [route for route in routes
             if any(f"table={table}" in route.split() for table in ALL_TABLES)])


def quiet(node, seconds=0.3):
    """Until no rule and no route of the node has changed for so long; for what follows a start."""
    rtnetlink.quiet(node.ns, seconds)


def steered(node, query):
    """The answers for plain flows to every other node: a set such as {"cilium_wg0"}."""
    destinations = [address for other in node.cluster.others(node)
                    for ends in (other.address, other.pod_address) for address in ends.values()]
    return {query.ask(address) for address in destinations}


def main(run):
    """Runs it in namespaces of its own, and ends the program."""
    if os.geteuid() != 0:
        print("1..0 # SKIP network namespaces need root", flush=True)
        sys.exit(0)
    netns.isolate()
    results = tap_module.Tap()
    try:
        run(results)
    except Exception as problem:        # what it printed so far is worth having
        results.ok(False, f"the suite runs to its end: {type(problem).__name__}")
        results.note(traceback.format_exc())
    if results.failed:
        for cluster in _clusters:
            results.note(cluster.dump())
    sys.exit(results.done())
