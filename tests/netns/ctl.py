#!/usr/bin/python3
"""`nodecryptorctl` and the daemon: status, peers, resync, observe, enforce; with and without a bus,
a daemon, the right to."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import suite  # noqa: E402
import systembus  # noqa: E402
import wireguard  # noqa: E402
from ctlshell import Shell, value  # noqa: E402
from daemon import Daemon  # noqa: E402
from systembus import NOBODY, OPEN, SystemBus  # noqa: E402

WIDTH = 100
DONE, FAILED, USAGE, AWAY = 0, 1, 2, 3


def fits(text):
    return all(len(line) <= WIDTH for line in text.splitlines())


def away(tap, node, shell):
    """No bus: what the kernel and the disk show is shown all the same."""
    code, out, error = shell.status()
    tap.equal(code, AWAY, "without a bus status says by its exit status that nobody can be asked")
    tap.ok("system bus cannot be reached" in error, f"and why: {error.strip()}")
    metrics = node.daemon.metrics()
    wanted = (f"holds {metrics['nodecryptor_kernel_rules']:.0f} rules and "
              f"{metrics['nodecryptor_kernel_routes']:.0f} routes")
    tap.ok(wanted in value(out, "Kernel"), f"the kernel {wanted}")
    tap.equal(value(out, "Device"), "cilium_wg0: up", "the device")
    tap.ok("2 nodes, saved" in value(out, "Snapshot"), "the snapshot")
    code, out, _ = shell.status("--json")
    tap.equal((code, json.loads(out)["State"], json.loads(out)["Nodes"]), (AWAY, "away", 2),
              "as JSON, too")
    tap.equal([shell(verb)[0] for verb in ("peers", "resync", "observe", "enforce")], [AWAY] * 4,
              "the other verbs")
    code, out, _ = shell.status(prefix=NOBODY)
    tap.ok(code == AWAY and wanted in out, "nobody sees the kernel as well")


def good(tap, node, shell):
    code, out, error = shell.status()
    tap.equal((code, error), (DONE, ""), "status: enforcing")
    tap.note(out)
    tap.ok(fits(out) and len(out.splitlines()) < 25, "on one screen")
    tap.equal(value(out, "Node"), f"{node.name} (worker)", "the node")
    tap.ok(value(out, "State").startswith("enforcing since 20"), "the state")
    tap.equal(value(out, "Mode"), "enforce", "the mode")
    tap.ok(value(out, "API").startswith("watching, last heard "), "the API")
    tap.ok(value(out, "Nodes").startswith("2 (1 control plane), as of ") and
           "2 addresses, 2 pod prefixes; 2 exemptions" in out, "the nodes")
    tap.ok("cilium_wg0 up, MTU " in value(out, "Device"), "the device")
    tap.equal(value(out, "Last repair"), "none needed since the start", "no repair")
    code, seen = shell.json("status")
    tap.equal((code, {name: seen[name] for name in seen if name != "Warnings"}
               | {"LastSync": 0, "APILastContact": 0, "KnowledgeAt": 0}),
              (DONE, systembus.properties() | {"LastSync": 0, "APILastContact": 0,
                                               "KnowledgeAt": 0}), "as JSON: every property")
    tap.equal(shell.status(prefix=NOBODY)[0], DONE, "everybody may ask for the status")


def colours(tap, shell):
    tap.ok("\033[32m" in shell.terminal("status"), "colours on a terminal")
    tap.ok("\033" not in shell.terminal("status", NO_COLOR="1"), "not with NO_COLOR")
    tap.ok("\033" not in shell.terminal("status", TERM="dumb"), "not on a dumb one")
    tap.ok("\033" not in shell("status")[1], "not into a pipe")


def peers(tap, node, shell):
    other = node.cluster.nodes[0]
    code, out, _ = shell("peers")
    tap.note(out)
    tap.ok(code == DONE and fits(out), "peers")
    words = out.split()
    tap.ok(all(word in words for word in (other.name, *other.address.values(),
                                          *other.prefix.values(), "etcd", "kube-apiserver")),
           "the other node, what is steered to it, what is exempt")
    code, seen = shell.json("peers")
    tap.equal((code, [peer["Name"] for peer in seen], seen[0]["ControlPlane"]),
              (DONE, [other.name], True), "as JSON")
    code, _, error = shell("peers", prefix=NOBODY)
    tap.equal((code, error), (FAILED, "nodecryptorctl: only root may do that\n"), "root's alone")


def troubles(tap, node, shell):
    node.ns.ip("-4 rule del pref 202 lookup 51870 protocol kernel")
    node.daemon.wait(lambda: "deleted by ip" in node.daemon.log, 5, "a repair")
    tap.ok("deleted by ip[" in shell.status()[1], "who made the last repair necessary")
    wireguard.down(node.ns)
    node.daemon.wait(lambda: "device cilium_wg0 down" in node.daemon.status, 5, "the device is down")
    code, out, _ = shell.status()
    tap.ok("cannot be used" in value(out, "Device") and "Warning" in out and "→ " in out and
           fits(out), "a device that is down: a warning with a remedy")
    tap.equal([warning["Text"].split(":")[0] for warning in shell.json("status")[1]["Warnings"]],
              ["the device cilium_wg0 cannot be used"], "in JSON, too")
    wireguard.up(node.ns)
    node.daemon.wait(lambda: "device cilium_wg0 up" in node.daemon.status, 5, "the device is up")


def acts(tap, node, shell):
    code, out, error = shell("observe")
    tap.ok(code == DONE and "not maintained" in out, f"observe: {out}{error}")
    code, out, _ = shell.status()
    tap.ok(code == DONE and "on request" in value(out, "Mode") and
           "→ nodecryptorctl enforce" in out, "status says so, and the way back")
    tap.equal(shell("resync")[0], DONE, "resync while observing")
    tap.equal((shell("enforce")[0], value(shell.status()[1], "Mode")), (DONE, "enforce"), "enforce")
    code, out, _ = shell("resync")
    tap.ok(code == DONE and "new list" in out, "resync")
    tap.equal(shell("observe", prefix=NOBODY)[0], FAILED, "not for nobody")
    for verb in ("status", "peers", "resync", "observe"):
        tap.equal(shell(verb, "now")[0], USAGE, f"{verb} takes no argument")
        tap.equal(shell(verb, "--colour")[0], USAGE, f"{verb} has no such option")


def silent(tap, node, shell, bus):
    """A daemon that has ended; one that does not answer; a bus that does not."""
    node.daemon.stop()
    code, out, error = shell.status()
    tap.equal((code, error), (AWAY, "nodecryptorctl: nodecryptor is not on the system bus\n"),
              "the daemon has ended")
    tap.ok("in force without the daemon" in " ".join(out.split()), "its policy has not")
    bus.freeze()
    code, out, error = shell.status()
    tap.ok(code == AWAY and "cannot be reached" in error and "holds" in out, "a bus that hangs")
    bus.thaw()


def run(tap):
    cluster = suite.start(control_planes=1, workers=1, daemons=False)
    node = cluster.workers[0]
    Daemon(node).start().wait_ready()
    node.daemon.wait_in_sync()
    node.daemon.wait_snapshot()
    shell, bus = Shell(node), SystemBus(node.folder)
    away(tap, node, shell)
    bus.start(OPEN)
    systembus.wait_named()
    good(tap, node, shell)
    colours(tap, shell)
    peers(tap, node, shell)
    troubles(tap, node, shell)
    acts(tap, node, shell)
    silent(tap, node, shell, bus)


if __name__ == "__main__":
    suite.main(run)
