#!/usr/bin/python3
"""Every kind of flow between every pair of roles, as it is seen on the wire."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import flowmatrix  # noqa: E402
import netns  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import FAMILIES, WORLD  # noqa: E402
from flows import ENCRYPTED, PLAIN, Flow  # noqa: E402


def run(tap):
    cluster = suite.start(control_planes=2, workers=2)
    sizes = capture.Capture(cluster, sizes=True)
    with capture.Capture(cluster) as watch:
        for row in flowmatrix.measure(cluster, sizes):
            words = sorted({cell.word for cell in row.cells})
            tap.ok(not any(cell.wrong for cell in row.cells), f"{row.name}: {', '.join(words)}")
            for cell in row.cells:
                for flow, result in cell.wrong:
                    tap.note(f"{flow}: {result}, not {flowmatrix.expected(flow)}")
        ports(tap, cluster, sizes)
        seen = watch.take()
        tap.ok(not seen.plain and not seen.lost, f"on the wire: {seen}")
        for one in seen.plain[:10]:
            tap.note(one)
    world(tap, cluster)
    peers(tap, cluster)


def ports(tap, cluster, sizes):
    """Around the exempt ports, and the reply side."""
    control_plane, worker = cluster.control_planes[1], cluster.workers[0]
    cases = [(worker, control_plane, port, 0, ENCRYPTED) for port in (2378, 2381, 6442, 6444)]
    cases += [(worker, cluster.workers[1], 9000, 2380, ENCRYPTED),
              (control_plane, worker, 9000, 2380, PLAIN),
              (worker, control_plane, 9000, 2380, ENCRYPTED)]
    for source, destination, port, source_port, wanted in cases:
        for family in FAMILIES:
            flow = Flow(source, False, destination, False, family, "tcp", port, source_port)
            tap.equal(flow.send(sizes).word, wanted,
                      f"{flow}{f' from port {source_port}' if source_port else ''}")


def world(tap, cluster):
    """What is not the cluster's is not touched."""
    worker = cluster.workers[0]
    for family in FAMILIES:
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with socket.create_server((WORLD[family], 0), family=kind) as server:
            for name, place in (("host", worker.ns), ("pod", worker.pod)):
                if name == "pod":
                    cluster_route(worker, family)
                client = place.socket(kind, socket.SOCK_STREAM)
                client.settimeout(2)
                with client:
                    number = client.connect_ex(server.getsockname())
                    tap.equal(number, 0, f"{name} → the rest of the world IPv{family}")


def peers(tap, cluster):
    """The kernel's own WireGuard tells what its peers carry; of another one nothing is claimed."""
    def seen():
        metrics = cluster.workers[0].daemon.metrics()
        return {name.split('"')[1]: value for name, value in metrics.items()
                if name.startswith("nodecryptor_wireguard_nodes")}

    if wireguard.in_kernel(wireguard.Here):
        wanted = {"carried": len(cluster.nodes) - 1, "missing": 0, "mismatched": 0, "stale": 0}
        tap.run("all nodes are carried by the device's peers", netns.wait_for,
                lambda: seen() == wanted, 15, "the metrics say so")
    else:
        tap.equal(seen(), {}, "of the device's peers nothing is known, nothing claimed")


def cluster_route(node, family):
    """The world knows the way back to the node's pods."""
    netns.run("ip", f"-{family}", "route", "replace", node.prefix[family], "via",
              node.address[family])


if __name__ == "__main__":
    suite.main(run)
