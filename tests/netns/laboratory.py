#!/usr/bin/python3
"""The laboratory itself: it sees what is in clear, and what is not, and loses no packet.

The policy is set by hand here, from the design's description; nodecryptor has no part in it.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import flowmatrix  # noqa: E402
import flows  # noqa: E402
import layout  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from rtnetlink import RouteQuery  # noqa: E402


def words(rows):
    return {result.word for row in rows for cell in row.cells for result in cell.results}


def wrong(rows):
    return [f"{flow}: {result}" for row in rows for cell in row.cells
            for flow, result in cell.wrong]


def run(tap):
    cluster = suite.start(control_planes=2, workers=2, daemons=False)
    worker, control_plane = cluster.workers[0], cluster.nodes[0]
    sizes = capture.Capture(cluster, sizes=True)

    tap.equal(words(flowmatrix.measure(cluster, sizes)), {flows.PLAIN},
              "without a policy every flow is in clear")
    for node in cluster.nodes:
        layout.install(node)
    tap.equal(wrong(flowmatrix.measure(cluster, sizes)), [],
              "with the layout set by hand every flow is as it should be")

    wireguard.down(worker.ns)
    result = flows.Flow(worker, False, control_plane, False, 4, "udp", 9).send(sizes)
    tap.equal(result.word, flows.BLOCKED, "without the device a flow is blocked")
    with RouteQuery(worker.ns) as query:
        tap.equal(query.ask(control_plane.address[4]), "blocked", "and the kernel says so")
        tap.equal(query.ask(control_plane.address[6]), "blocked", "IPv6 too")
        tap.equal(query.ask(control_plane.address[4], protocol="tcp", dport=6443), "eth0",
                  "an exempt port is open")
    wireguard.up(worker.ns)
    layout.apply(worker, layout.routes(worker))

    leak(tap, cluster, worker, control_plane)
    flood(tap, cluster, worker, control_plane)


def leak(tap, cluster, worker, control_plane):
    """One packet in clear is found among what is encrypted."""
    with capture.Capture(cluster) as watch:
        client = worker.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(1000):
            client.sendto(b"x" * 100, (control_plane.address[4], 9))
        worker.ns.ip(f"route replace {control_plane.address[4]} dev eth0 table 51871")
        client.sendto(b"x" * 100, (control_plane.address[4], 9))
        layout.apply(worker, layout.routes(worker))
        client.close()
        seen = watch.take()
        tap.ok(len(seen.plain) >= 1, f"one packet in clear is seen: {seen}")


def flood(tap, cluster, worker, control_plane):
    """What is in clear is all there, even in a flood of it."""
    layout.remove(worker)
    with capture.Capture(cluster) as watch:
        client = worker.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(20000):
            client.sendto(b"x", (control_plane.address[4], 9))
        client.close()
        seen = watch.take()
        mine = [one for one in seen.plain if one.port == worker.name and one.dport == 9]
        tap.equal((len(mine), seen.lost), (20000, 0), "20000 packets in clear, none lost")


if __name__ == "__main__":
    suite.main(run)
