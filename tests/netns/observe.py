#!/usr/bin/python3
"""Observe mode: nothing in the kernel is changed, whatever happens; status, /readyz, /metrics, the
journal and D-Bus say what would be."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import suite  # noqa: E402
import systembus  # noqa: E402
import wireguard  # noqa: E402
from ctlshell import Shell, value  # noqa: E402
from daemon import Daemon  # noqa: E402
from systembus import SystemBus  # noqa: E402

PROTECT = ["10.99.0.0/16"]
# Of each of the two other nodes, and each family: an address and a pod prefix.
STEERED = 2 * 2 * 2


def kernel(node):
    """Everything there is: rules, routes, links and addresses, sysctls of routing."""
    texts = [node.ns.ip(f"-{family} {what}") for family in (4, 6)
             for what in ("rule show", "route show table all", "address show")]
    texts.append(node.ns.ip("-d link show"))
    texts.append(node.ns.run("sysctl", "-a", "--pattern", "rp_filter|forwarding|fwmark"))
    return [" ".join(word for word in line.split() if not word.endswith("sec"))
            for text in texts for line in text.splitlines()]


def foretold(node):
    metrics = node.daemon.metrics()
    return [int(metrics[f'nodecryptor_observed_destinations{{effect="{effect}"}}'])
            for effect in ("move", "block", "release")]


def wait_foretold(tap, node, wanted, what):
    node.daemon.wait(lambda: foretold(node) == wanted, 15, f"{what}: {wanted}")
    tap.equal(foretold(node), wanted, what)


def says(tap, node, shell):
    """The same in every place, while the device is up."""
    words = [f"{STEERED} destinations would move into cilium_wg0 (", ", …)",
             "1 would be blocked (10.99.0.0/16)"]
    code, body = node.daemon.get("/readyz")
    seen = systembus.properties()
    texts = {"/readyz": body, "the status line": node.daemon.status, "the journal": node.daemon.log,
             "D-Bus": seen["Preview"], "nodecryptorctl status": shell("status")[1]}
    for place, text in texts.items():
        flat = " ".join(text.split())
        tap.ok(all(word in flat for word in words), f"{place} says what would be")
        if not all(word in flat for word in words):
            tap.note(text)
    tap.equal((code, [seen[name] for name in ("WouldMove", "WouldBlock", "WouldRelease")]),
              (503, [STEERED, 1, 0]), "in numbers")
    tap.ok(node.cluster.nodes[0].name in seen["Preview"], f"by name: {seen['Preview']}")
    tap.ok(value(shell("status")[1], "State").startswith("observing"), "the state")


def events(tap, cluster, node):
    """Everything that makes the daemon run."""
    other = cluster.nodes[0]
    wireguard.down(node.ns)
    wait_foretold(tap, node, [0, STEERED + 1, 0], "without the device all would be blocked")
    wireguard.up(node.ns)
    wait_foretold(tap, node, [STEERED, 1, 0], "with it, they would move")
    item = other.object()
    item["metadata"]["name"], item["metadata"]["uid"] = "another", "another"
    item["spec"] = {"addresses": [{"type": "InternalIP", "ip": "10.0.0.77"}], "ipam": {"podCIDRs": []}}
    cluster.put(item)
    wait_foretold(tap, node, [STEERED + 1, 1, 0], "a node that joins would move, too")
    cluster.command("delete", name="another")
    wait_foretold(tap, node, [STEERED, 1, 0], "until it is gone")
    node.daemon.reload()
    node.daemon.wait(lambda: "configuration reloaded" in node.daemon.log, 10, "a reload")


def from_and_to_enforcing(tap, node, shell):
    """On request, and back: what stands is not to be told, what was taken away is."""
    shell("enforce")
    node.daemon.wait_in_sync()
    tap.ok("nodecryptor_observed" not in str(node.daemon.metrics()), "enforcing: nothing is foretold")
    tap.equal(systembus.properties()["Preview"], "", "not over D-Bus either")
    shell("observe")
    tap.equal(foretold(node), [0, 0, 0], "observing what stands: nothing would change")
    tap.ok("nothing else" in value(shell("status")[1], "Would be"), "status says so")
    node.ns.ip("-4 rule del pref 202 lookup 51870 protocol kernel")
    wait_foretold(tap, node, [2, 0, 0], "without the rule two pod prefixes of IPv4 would move")
    node.daemon.configure(mode="observe", protect=PROTECT, exclude=["10.0.0.0/24"])
    node.daemon.reload()
    wait_foretold(tap, node, [2, 0, 2], "with an exclude two addresses would be left alone")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2, daemons=False)
    node = cluster.workers[0]
    before = kernel(node)
    bus = SystemBus(node.folder)
    bus.start()
    Daemon(node).configure(mode="observe", protect=PROTECT)
    node.daemon.start().wait_ready()
    systembus.wait_named()
    shell = Shell(node)
    node.daemon.wait(lambda: "API watching" in node.daemon.status, 20, "a watch")
    wait_foretold(tap, node, [STEERED, 1, 0], "a host without any policy")
    says(tap, node, shell)
    events(tap, cluster, node)
    suite.quiet(node)
    tap.equal(kernel(node), before, "nothing in the kernel has changed")
    tap.ok(node.daemon.log.count("were the policy in force") <= 8, "the journal tells what is new")
    from_and_to_enforcing(tap, node, shell)
    node.daemon.stop()


if __name__ == "__main__":
    suite.main(run)
