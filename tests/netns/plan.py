#!/usr/bin/python3
"""`nodecryptorctl plan` and the daemon agree: its commands, run in a fresh namespace, make what the
daemon made on the node."""

import json
import os
import subprocess
import sys
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import suite  # noqa: E402
import systembus  # noqa: E402
import wireguard  # noqa: E402
from daemon import program  # noqa: E402
from netns import Namespace  # noqa: E402
from plans import node_list, plan  # noqa: E402
from systembus import SystemBus  # noqa: E402

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


def ctl(node, *arguments):
    """(exit status, lines) of `nodecryptorctl plan` on the node, as root."""
    done = subprocess.run(node.ns.command(program("nodecryptorctl"), "plan", *arguments),
                          capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout or done.stderr).splitlines()


def by_program(tap, node, nodes):
    """--format json: every command whole, and taken apart."""
    options = ("--api-endpoint", node.server, "--config", node.daemon.config, "--loose-rp-filter")
    lines = plan(node, nodes, *options).splitlines()
    seen = json.loads(plan(node, nodes, *options, "--format", "json"))
    tap.equal([one["Command"] for one in seen], lines, "as JSON: every command")
    tap.equal(plan(node, nodes, *options, "--format", "ip").splitlines(), lines, "--format ip")
    rule = next(one for one in seen if one["Command"].startswith("ip -4 rule add priority 200 "))
    tap.equal((rule["Family"], rule["Object"], rule["Action"], rule["Arguments"]),
              (4, "rule", "add", {"priority": 200, "fwmark": "0xe00/0xffffffff", "lookup": "main",
                                  "protocol": "kernel"}), "a rule")
    twin = next(one for one in seen if one["Arguments"].get("type") == "unreachable" and
                one["Object"] == "route" and one["Family"] == 6)
    tap.equal((set(twin["Arguments"]), twin["Arguments"]["metric"]),
              ({"type", "to", "table", "metric", "protocol"}, 4294967294), "a twin")
    link = next(one for one in seen if one["Object"] == "link")
    tap.ok("Family" not in link and link["Arguments"]["dev"] == SINK, "a link")
    tap.equal(sum(one["Arguments"].get("scope") == "link" for one in seen),
              sum(" scope link " in line for line in lines), "device routes")


def differences(tap, cluster, nodes):
    """Of two files: lists of nodes, or plans that were printed."""
    node = cluster.nodes[0]
    common = ("--node-name", node.name, "--config", node.daemon.config)
    with open(nodes, encoding="utf-8") as file:
        fewer = json.load(file)
    gone = fewer["items"].pop()
    with open(f"{node.folder}/fewer.json", "w", encoding="utf-8") as file:
        json.dump(fewer, file)
    tap.equal(ctl(node, "--diff", nodes, nodes, *common), (0, []), "no difference: status 0")
    status, lines = ctl(node, "--diff", nodes, f"{node.folder}/fewer.json", *common)
    destinations = {line.split(" dev ")[0].split()[-1] for line in lines if " dev " in line}
    wanted = {f"{one['ip']}/{128 if ':' in one['ip'] else 32}" for one in gone["spec"]["addresses"]
              if one["type"] == "InternalIP"} | set(gone["spec"]["ipam"]["podCIDRs"])
    tap.equal((status, destinations, {line[:2] for line in lines}), (4, wanted, {"- "}),
              "a node less: status 4, and its routes removed")
    status, backwards = ctl(node, "--diff", f"{node.folder}/fewer.json", nodes, *common)
    tap.equal((status, sorted(backwards)), (4, sorted("+" + line[1:] for line in lines)),
              "the other way round they are added")
    saved = f"{node.folder}/saved.plan"
    with open(saved, "w", encoding="utf-8") as file:
        file.write("# printed before\n" + plan(node, nodes, *common))
    tap.equal(ctl(node, "--diff", saved, nodes, *common), (0, []), "a plan that was printed")
    status, text = ctl(node, "--diff", saved, f"{node.folder}/fewer.json", *common, "--format", "json")
    seen = json.loads("\n".join(text))
    tap.equal((status, ["- " + one["Command"] for one in seen["Removed"]], seen["Added"]),
              (4, lines, []), "as JSON")
    tap.equal([ctl(node, *arguments)[0] for arguments in (
        ("--diff", nodes), ("--diff",), ("--nodes", nodes), ("--format", "yaml"), (nodes,),
        ("--diff", "--nodes", nodes, nodes, nodes))], [2] * 6, "wrong usage: status 2")
    tap.equal(ctl(node, "--diff", node.daemon.config, nodes, *common)[0], 1, "neither nodes nor plan")
    tap.equal(ctl(node, "--diff", nodes, f"{node.folder}/none", *common)[0], 1, "no such file")


def of_daemon(tap, cluster, nodes):
    """The running daemon's policy, and what another configuration or list would change of it."""
    node = cluster.nodes[0]
    for other in cluster.nodes[1:]:
        other.daemon.stop()
    tap.equal(ctl(node)[0], 3, "without a bus: status 3")
    bus = SystemBus(node.folder)
    bus.start()
    systembus.wait_named()
    node.daemon.wait_snapshot()
    places = ("--config", node.daemon.config, "--state-directory", node.daemon.state)
    status, lines = ctl(node)
    tap.equal((status, sorted(lines)), (0, sorted(
        plan(node, nodes, "--api-endpoint", node.server, "--config", node.daemon.config).splitlines())),
        "the daemon's policy is the plan of its nodes and configuration")
    for other in (nodes, "snapshot"):
        for pair in (("daemon", other), (other, "daemon")):
            tap.equal(ctl(node, "--diff", *pair, *places), (0, []), f"{' and '.join(pair[:1])}: the same")
    with open(f"{node.folder}/other.conf", "w", encoding="utf-8") as file:
        file.write('protect = ( "10.77.0.0/16" );\n')
    status, lines = ctl(node, "--diff", "daemon", "snapshot", "--config", f"{node.folder}/other.conf",
                        "--state-directory", node.daemon.state)
    tap.ok(status == 4 and any(line.startswith("+ ip -4 route replace unreachable 10.77.0.0/16 ")
                               for line in lines) and
           any(line.startswith("- ip -4 route replace unreachable 10.244.0.0/16 ") for line in lines)
           and any(line.startswith("- ip -4 rule add") and "udp" in line for line in lines),
           "another configuration: what it would change")
    wireguard.down(node.ns)
    node.daemon.wait(lambda: "device cilium_wg0 down" in node.daemon.status, 10, "the device is down")
    tap.equal(ctl(node, "--diff", "daemon", nodes, *places), (0, []),
              "while the device is down both are planned without")
    bus.stop()


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

    by_program(tap, cluster.nodes[0], nodes)
    differences(tap, cluster, nodes)
    of_daemon(tap, cluster, nodes)

    result = plan(cluster.nodes[0], nodes, "--node-name", "nobody", check=False)
    tap.ok(result.returncode == 1 and "nobody" in result.stderr, "an unknown node is an error")
    with open(nodes, "w", encoding="utf-8") as file:
        file.write('{"kind": "List", "items": [')
    result = plan(cluster.nodes[0], nodes, check=False)
    tap.ok(result.returncode == 1 and nodes in result.stderr, "a list cut off is an error")


if __name__ == "__main__":
    suite.main(run)
