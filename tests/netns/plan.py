#!/usr/bin/python3
"""`nodecryptorctl plan` and the daemon agree: its commands, run in a fresh namespace, make what the
daemon made on the node."""

import os
import sys
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import suite  # noqa: E402
from netns import Namespace  # noqa: E402
from plans import node_list, plan  # noqa: E402

TUNNEL = "cilium_wg0"
SINK = "lo-nodecryptor"


def replay(node, commands):
    """Runs them in a fresh namespace that has the device and the node's addresses."""
    fresh = Namespace(f"{node.name}.plan")
    fresh.ip_batch([f"tuntap add {TUNNEL} mode tun", f"link set {TUNNEL} up",
                    f"addr add {node.address[4]}/32 dev lo",
                    f"addr add {node.address[6]}/128 dev lo nodad"])
    fresh.run("sh", "-e", "-c", commands)
    return fresh


def held(node):
    """Rules and routes; whether the device has a carrier is not the policy's affair."""
    rules, routes = suite.ours(node)
    return rules, [" ".join(word for word in line.split() if not word.startswith("flags="))
                   for line in routes]


def sinks_only(lines, node):
    """The link, and a sink for each other node and the protected prefix."""
    routes = {line for line in lines if line.startswith("ip -4 route replace ")}
    wanted = {f"{other.address[4]}/32" for other in node.cluster.others(node)} | {"10.244.0.0/16"}
    return {line.split()[4] for line in routes} == wanted and all(
        f"dev {SINK} scope link" in line and "metric 4294967293" in line for line in routes) and all(
        line.startswith("ip link ") and SINK in line for line in lines - routes)


def agree(tap, node, nodes):
    config = ("--config", node.daemon.config)
    with_device = plan(node, nodes, "--api-endpoint", node.server, *config)
    fresh = replay(node, with_device)
    wanted, made = held(node), held(types.SimpleNamespace(ns=fresh))
    tap.equal(made[0], wanted[0], f"{node.name}: the same rules ({len(wanted[0])})")
    tap.equal(made[1], wanted[1], f"{node.name}: the same routes ({len(wanted[1])})")
    fresh.delete()

    without = plan(node, nodes, "--api-endpoint", node.server, "--without-device", *config)
    tap.equal(sorted(set(with_device.splitlines()) - set(without.splitlines())),
              sorted(line for line in with_device.splitlines() if f"dev {TUNNEL}" in line),
              f"{node.name}: without the device its routes are missing, and nothing else")


def loosened(tap, node, nodes):
    options = ("--api-endpoint", node.server, "--config", node.daemon.config)
    strict, loose = plan(node, nodes, *options), plan(node, nodes, "--loose-rp-filter", *options)
    tap.ok(sinks_only(set(loose.splitlines()) - set(strict.splitlines()), node),
           f"{node.name}: with a loose rp_filter the sinks come to it, and nothing else")


def run(tap):
    exemption = {"name": "ssh", "nodes": "zone=a", "protocol": "udp", "ports": "22,100-200"}
    cluster = suite.start(control_planes=2, workers=2, daemons=False)
    for node in cluster.nodes[::2]:
        cluster.command("patch", name=node.name, patch={"metadata": {"labels": {"zone": "a"}}})
    suite.start_daemons(cluster, protect=["10.244.0.0/16"], exclude=["10.244.99.0/24"],
                        exemptions=[exemption])
    nodes = node_list(cluster)
    for node in cluster.nodes:
        agree(tap, node, nodes)
        loosened(tap, node, nodes)

    result = plan(cluster.nodes[0], nodes, "--node-name", "nobody", check=False)
    tap.ok(result.returncode == 1 and "nobody" in result.stderr, "an unknown node is an error")
    with open(nodes, "w", encoding="utf-8") as file:
        file.write('{"kind": "List", "items": [')
    result = plan(cluster.nodes[0], nodes, check=False)
    tap.ok(result.returncode == 1 and nodes in result.stderr, "a list cut off is an error")


if __name__ == "__main__":
    suite.main(run)
