#!/usr/bin/python3
"""The first minutes of a node: no snapshot, no node list, no credential, no device."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import WORLD  # noqa: E402
from daemon import Daemon  # noqa: E402
from flows import ENCRYPTED, Flow  # noqa: E402
from rtnetlink import BLOCKED, RouteQuery  # noqa: E402
from suite import steered  # noqa: E402

PROTECT = ["10.244.0.0/16", "fd00:10:244::/48"]


def protected(tap, cluster, node, query):
    """Only the floor is known: what `protect` names, but nothing local or exempt."""
    other = cluster.others(node)[0]
    for family in (4, 6):
        tap.equal(query.ask(other.pod_address[family]), BLOCKED,
                  f"IPv{family}: a remote pod in a protected prefix is blocked")
        tap.equal(query.ask(node.gateway[family]), "lo", f"IPv{family}: our own address is not")
        tap.equal(query.ask(WORLD[family]), "eth0", f"IPv{family}: nor the rest of the world")
    tap.equal(query.ask(cluster.nodes[0].address[4], protocol="tcp", dport=6443), "eth0",
              "nor the API server")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2, daemons=False)
    node = cluster.workers[0]
    daemon = Daemon(node)
    daemon.configure(protect=PROTECT)
    wireguard.down(node.ns)
    kept = node.kubeconfig + ".later"
    os.rename(node.kubeconfig, kept)
    with RouteQuery(node.ns) as query:
        daemon.start("--node-name", node.name).wait_ready()
        tap.ok(True, "READY without a credential, a snapshot and a device")
        tap.note(daemon.status)
        protected(tap, cluster, node, query)
        os.rename(kept, node.kubeconfig)
        daemon.wait(lambda: steered(node, query) == {BLOCKED}, 15,
                    "the credential has come, and with it the nodes")
        tap.ok(True, "the credential appears: the nodes are known, and blocked without a device")
        for family in (4, 6):
            tap.equal(query.ask(node.pod_address[family]), "lxc0",
                      f"IPv{family}: our own pod inside the protected prefix is reached")
        wireguard.up(node.ns)
        daemon.wait(lambda: steered(node, query) == {wireguard.INTERFACE}, 15, "the device")
        tap.ok(True, "the device appears: encrypted")
    daemon.wait_in_sync()
    own_name(tap, node, daemon)
    reach(tap, cluster, node)


def own_name(tap, node, daemon):
    """Without --node-name it is the certificate's."""
    daemon.stop()
    os.unlink(f"{daemon.state}/snapshot.json")
    daemon.start().wait_ready()
    daemon.wait(lambda: f'node="{node.name}"' in daemon.get("/metrics", 8084)[1] or
                node.name in daemon.log, 10, "the node's own name from the certificate")
    daemon.wait_in_sync()
    tap.ok(True, "the node's name is taken from its certificate")


def reach(tap, cluster, node):
    with capture.Capture(cluster, sizes=True) as sizes:
        others = [other for other in cluster.others(node) if other.control_plane is False]
        for other in others:
            Daemon(other).start().wait_ready()
            other.daemon.wait_in_sync()
            word = Flow(node, True, other, True, 4, "tcp", 8080).send(sizes).word
            tap.equal(word, ENCRYPTED, f"pods of {node} and {other} talk")


if __name__ == "__main__":
    suite.main(run)
