#!/usr/bin/python3
"""`nodecryptorctl explain`: which way a flow goes and why, and that it says when kernel and policy
disagree."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import daemon  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402


def explain(node, *arguments):
    """(exit status, output) on the node, as root there."""
    command = " ".join([daemon.program("nodecryptorctl"), "explain", *arguments, "--config",
                        node.daemon.config, "--state-directory", node.daemon.state])
    *lines, status = node.ns.run("sh", "-c", f"{command} 2>&1; echo $?").splitlines()
    return int(status), "\n".join(lines)


def says(tap, node, arguments, status, *parts):
    seen_status, output = explain(node, *arguments.split())
    missing = [part for part in parts if part not in output]
    tap.ok(seen_status == status and not missing, f"explain {arguments}: {parts[0]}")
    if missing or seen_status != status:
        tap.note(f"exit status {seen_status}, missing {missing} in:\n{output}")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2)
    worker, other, plane = cluster.workers[0], cluster.workers[1], cluster.control_planes[0]
    for node in cluster.nodes:
        node.daemon.wait_snapshot()

    for family in (4, 6):
        host, pod = other.address[family], other.pod_address[family]
        bracketed = plane.address[family] if family == 4 else f"[{plane.address[family]}]"
        says(tap, worker, host, 0, "ENCRYPTED, out of cilium_wg0", "priority 206",
             f"the address of node {other.name}")
        says(tap, worker, pod, 0, "ENCRYPTED, out of cilium_wg0", "priority 202",
             f"a pod prefix of node {other.name}")
        says(tap, worker, f"{pod} --from {worker.pod_address[family]}", 0, "forwarded", "ENCRYPTED")
        says(tap, worker, f"{bracketed}:6443", 0, "PLAIN, out of eth0",
             f'exemption "kube-apiserver" selects node {plane.name}', "priority 203")
        says(tap, worker, f"{bracketed}:6443 --protocol udp", 0, "ENCRYPTED")
        says(tap, plane, f"{host} --from {bracketed}:6443", 0, "PLAIN, out of eth0",
             f'exemption "kube-apiserver" selects this node ({plane.name}), and this is a reply')
        says(tap, worker, worker.address[family], 0, "LOCAL", "NOT OURS")
        says(tap, worker, f"{host} --mark 0xe00", 0, "PLAIN, out of eth0", "the device's own mark",
             "priority 200")
    says(tap, worker, "192.0.2.1", 0, "NOT OURS", "no other node's address or pod prefix")
    says(tap, worker, plane.name, 0, "ENCRYPTED", plane.name)
    says(tap, worker, "no-such-node", 2, "neither an address nor a node")
    says(tap, worker, "10.0.0.1:0", 2, "not a destination")

    worker.daemon.stop()
    worker.ns.ip("rule del priority 206")
    says(tap, worker, other.address[4], 1, "DISAGREE", "PLAIN, out of eth0")
    worker.daemon.start()
    worker.daemon.wait_in_sync()
    says(tap, worker, other.address[4], 0, "ENCRYPTED")
    wireguard.down(worker.ns)
    says(tap, worker, other.address[4], 0, "BLOCKED (No route to host)", "priority 206")
    says(tap, worker, other.pod_address[4], 0, "BLOCKED (No route to host)", "priority 202")


suite.main(run)
