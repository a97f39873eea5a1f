#!/usr/bin/python3
"""`nodecryptorctl explain`: which way a flow goes and why, and that it says when kernel and policy
disagree."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import daemon  # noqa: E402
import suite  # noqa: E402
import systembus  # noqa: E402
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


def replies(tap, worker, other, plane):
    """What comes back, by the peer's policy."""
    for family in (4, 6):
        host, pod = other.address[family], other.pod_address[family]
        bracketed = plane.address[family] if family == 4 else f"[{plane.address[family]}]"
        says(tap, worker, host, 0, f"reply:   ENCRYPTED, by the policy of {other.name}, which sends it",
             f"it is the address of node {worker.name}", "mtu:     1420 bytes")
        says(tap, worker, pod, 0, "reply:   ENCRYPTED", "which forwards it")
        says(tap, worker, f"{bracketed}:6443", 0, "reply:   PLAIN (exempt)",
             f'exemption "kube-apiserver" selects that node ({plane.name}), and this is a reply',
             "mtu:     1500 bytes")
        says(tap, worker, f"{bracketed}:6443 --from {worker.pod_address[family]}", 0, "PLAIN, out of",
             "reply:   ENCRYPTED", f"a pod prefix of node {worker.name}")


def agrees_with_peer(tap, worker, other, plane):
    """What is said of the peer's side is what the peer says and does itself."""
    for port in ("", ":6443", ":80"):
        for peer in (other, plane):
            status, text = explain(worker, f"{peer.address[4]}{port}", "--json")
            reply = json.loads(text)["Reply"]
            source = f"{peer.address[4]}{port}"
            seen_status, seen = explain(peer, worker.address[4], "--from", source, "--json")
            seen = json.loads(seen)
            tap.equal((status, seen_status, reply["Verdict"], reply["Reason"]),
                      (0, 0, seen["Policy"]["Verdict"], seen["Policy"]["Reason"]),
                      f"the reply of {peer.name}{port} is as it says itself: {reply['Verdict']}")


def through_namespaces(tap, worker, other, plane):
    """A pod's flow: its way out, and on by this host."""
    sleeper = worker.pod.spawn("sleep", "600")
    pod = f"--netns /proc/{sleeper.pid}/ns/net"
    for family in (4, 6):
        says(tap, worker, f"{other.pod_address[family]} {pod}", 0,
             f"inside:  out of eth0 via {worker.gateway[family]} from {worker.pod_address[family]}",
             f"forwarded tcp {worker.pod_address[family]}", "ENCRYPTED, out of cilium_wg0",
             "1500 inside the namespace", "reply:   ENCRYPTED")
        says(tap, worker, f"{worker.pod_address[family]} {pod}", 0, "inside:  LOCAL")
    says(tap, worker, f"{plane.address[4]}:6443 --pid {sleeper.pid}", 0, "inside:  out of eth0",
         "PLAIN, out of eth0", "reply:   ENCRYPTED")
    worker.pod.ip("route del default")
    says(tap, worker, f"{other.address[4]} {pod}", 0, "inside:  BLOCKED (Network is unreachable)")
    worker.pod.ip(f"route add default via {worker.gateway[4]}")
    sleeper.kill()
    says(tap, worker, f"{other.address[4]} --pid {os.getpid()}", 0, "forwarded tcp 10.0.0.1")
    says(tap, worker, f"{other.address[4]} --pid {worker.ns.holder.pid}", 0, "from this host",
         "ENCRYPTED")
    says(tap, worker, f"{other.address[4]} --pid none", 2, "not a process")
    says(tap, worker, f"{other.address[4]} --netns no-such", 1, "No such file")
    says(tap, worker, f"{other.address[4]} --netns /proc/self/status", 1, "entering")
    says(tap, worker, f"{other.address[4]} --netns a --pid 1", 2, "two ways")


def peers(tap, worker, other, plane):
    says(tap, worker, other.name, 0, f"peer:    {other.name}: not known (the system bus")
    other.daemon.stop()                 # or it would take the name
    plane.daemon.stop()
    bus = systembus.SystemBus(worker.folder)
    bus.start()
    systembus.wait_named()
    says(tap, worker, other.name, 0, "only a WireGuard device of the kernel can be asked")
    status, text = explain(worker, other.name, "--json")
    seen = json.loads(text)
    tap.equal((status, seen["Peer"]["Name"], seen["Peer"]["Carriage"]), (0, other.name, "unknown"),
              "as JSON: the peer")
    tap.equal({name: seen["Kernel"][name] for name in ("Way", "Interface", "Source", "Table")},
              {"Way": "encrypted", "Interface": "cilium_wg0", "Source": worker.address[4],
               "Table": 51871}, "the kernel")
    tap.equal((seen["Policy"]["Reason"], seen["Policy"]["Node"], seen["Agree"], seen["MTU"]),
              ("nodes", other.name, True, 1420), "the policy, and the MTU")
    tap.ok("Peer" not in json.loads(explain(worker, f"{plane.address[4]}:6443", "--json")[1]),
           "what is exempt has no peer")
    bus.stop()


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

    for part in (replies, agrees_with_peer, through_namespaces, peers):
        part(tap, worker, other, plane)

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
