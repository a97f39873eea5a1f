#!/usr/bin/python3
"""Stopping, starting, reloading: what the kernel holds stays, and nothing is written for nothing."""

import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import pki  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from flows import ENCRYPTED, Flow  # noqa: E402
from rtnetlink import BLOCKED, Events, RouteQuery, dump  # noqa: E402
from suite import ours, quiet, steered  # noqa: E402


def unchanged(tap, cluster, node):
    """A restart over an unchanged kernel."""
    with Events(node.ns) as events:
        for name, end in (("SIGTERM", node.daemon.stop), ("SIGKILL", node.daemon.kill)):
            events.take()
            before = dump(node.ns)
            end()
            tap.equal((len(events.take()), dump(node.ns) == before), (0, True),
                      f"{name}: nothing is written, the policy stays")
            node.daemon.start().wait_ready()
            node.daemon.wait_in_sync()
            quiet(node)
            tap.equal((len(events.take()), dump(node.ns) == before), (0, True),
                      f"{name}: the start after it writes nothing")


def stopped(tap, cluster, node):
    with capture.Capture(cluster, sizes=True) as sizes:
        status = node.daemon.stop()
        tap.equal(status, 0, "SIGTERM ends it with status 0")
        other = cluster.others(node)[0]
        for family in (4, 6):
            word = Flow(node, False, other, True, family, "tcp", 8080).send(sizes).word
            tap.equal(word, ENCRYPTED, f"stopped, IPv{family} is still encrypted")
        wireguard.down(node.ns)
        with RouteQuery(node.ns) as query:
            tap.equal(steered(node, query), {BLOCKED},
                      "stopped, and the device down: blocked")
        wireguard.up(node.ns)
    node.daemon.start().wait_ready()
    node.daemon.wait_in_sync()
    with RouteQuery(node.ns) as query:
        tap.equal(steered(node, query), {wireguard.INTERFACE}, "the next start puts it right")


def rebooted(tap, cluster, node):
    """The snapshot is applied before there is a network, an API server or a device."""
    cluster.stop_api()
    node.power_off()
    node.boot(lambda: node.daemon.start().wait_ready())
    node.add_direct_routes()
    with RouteQuery(node.ns) as query:
        tap.equal(steered(node, query), {BLOCKED},
                  "after a reboot, without API server and device: blocked at READY")
        tap.equal(query.ask(cluster.nodes[0].address[4], protocol="tcp", dport=6443), "eth0",
                  "and the exempt port open")
    cluster.start_api()
    node.start_agent()
    cluster.wait_meshed()
    node.daemon.wait_in_sync()
    with RouteQuery(node.ns) as query:
        node.daemon.wait(lambda: steered(node, query) == {wireguard.INTERFACE}, 10, "steered")
        tap.ok(True, "with API server and device: encrypted")


def forgotten(tap, cluster, node):
    """The snapshot is lost, the API server away, and the kernel holds the policy of before."""
    before = ours(node)
    node.daemon.stop()
    os.unlink(node.daemon.snapshot)
    cluster.stop_api()
    with RouteQuery(node.ns) as query:
        node.daemon.start().wait_ready()
        quiet(node)
        tap.equal(ours(node), before, "without any knowledge the policy in the kernel stays")
        tap.equal(steered(node, query), {wireguard.INTERFACE}, "and nothing is in clear")
        wireguard.down(node.ns)
        tap.equal(steered(node, query), {BLOCKED}, "nor without the device")
        wireguard.up(node.ns)
        cluster.start_api()
        node.daemon.wait_in_sync(40)
        node.daemon.wait(lambda: ours(node) == before, 10, "the policy of before")
        tap.ok(True, "with the API server's list it is as before")
    node.daemon.wait_snapshot()


def damaged(tap, cluster, node):
    """A snapshot that cannot be believed."""
    node.daemon.stop()
    path = node.daemon.snapshot
    with open(path, "rb") as file:
        good = file.read()
    for name, bad in (("cut off", good[:len(good) // 2]), ("empty", b""),
                      ("with another byte", good.replace(b"10.0.0.11", b"10.0.0.99")),
                      ("garbage", os.urandom(1000))):
        with open(path, "wb") as file:
            file.write(bad)
        node.daemon.start().wait_ready()
        aside = glob.glob(f"{path}.bad*")
        tap.ok(aside and open(aside[0], "rb").read() == bad, f"a snapshot {name} is set aside")
        tap.ok("snapshot" in node.daemon.log, "and the log says so")
        node.daemon.wait_in_sync()
        node.daemon.wait_snapshot()
        node.daemon.stop()
        for left in aside:
            os.unlink(left)
    node.daemon.start().wait_ready()
    node.daemon.wait_in_sync()


def other_cluster(tap, cluster, node):
    """The same machine, joined to another cluster: its old snapshot is not for it."""
    node.daemon.stop()
    cluster.stop_api()
    before = node.kubeconfig
    authority = pki.Authority("/run/lab/other-pki")
    pair = authority.kubelet("/run/lab/other-pki/node", node.name)
    node.kubeconfig = pki.write_kubeconfig("/run/lab/other.conf", "https://10.0.0.77:6443",
                                           authority.cert, pair, pair)
    fresh_kernel(node)
    node.daemon.start().wait_ready()
    quiet(node)
    routes = [route for route in ours(node)[1] if "dst=10.0.0.11" in route]
    tap.equal(routes, [], "a snapshot of another cluster is not applied")
    tap.ok("cluster" in node.daemon.log, "and the log says so")
    node.daemon.stop()
    node.kubeconfig = before
    cluster.start_api()
    node.daemon.start().wait_ready()
    node.daemon.wait_in_sync()


def fresh_kernel(node):
    """Without rules and routes of ours, as after a reboot."""
    for family in (4, 6):
        for line in node.ns.ip(f"-{family} rule show").splitlines():
            priority = line.partition(":")[0]
            if int(priority) in suite.BAND:
                node.ns.ip(f"-{family} rule del pref {priority}")
        for table in suite.PRIVATE_TABLES:
            node.ns.ip(f"-{family} route flush table {table}")


def reloaded(tap, cluster, node):
    """SIGHUP with a configuration that cannot be used, and then with one that can."""
    before = ours(node)
    for text, hint in (('mode = "enforce', "string"), ('moed = "enforce";', "moed"),
                       ("exemptions = 5;", "exemptions"),
                       ('protect = ( "10.244.0.1/16" );', "protect"),
                       ("table_base = -1;", "table_base")):
        node.daemon.write(text + "\n")
        said = len(node.daemon.log)
        node.daemon.reload()
        node.daemon.wait(lambda: f"{node.daemon.config}:1" in node.daemon.log[said:], 5,
                         f"a complaint about {text}")
        tap.ok(hint in node.daemon.log[said:] and ours(node) == before,
               f"reload with {text}: said where, the policy stays")
    node.daemon.configure(protect=["10.99.0.0/16"])
    node.daemon.reload()
    with RouteQuery(node.ns) as query:
        node.daemon.wait(lambda: query.ask("10.99.1.1") == BLOCKED, 5, "protect from a reload")
        tap.ok(True, "a good one is taken")
        node.daemon.configure()
        node.daemon.reload()
        node.daemon.wait(lambda: query.ask("10.99.1.1") == "eth0", 5, "without it again")
    node.daemon.wait(lambda: ours(node) == before, 5, "the policy of before")
    tap.ok(True, "and what it added goes when it is gone")


def observing(tap, cluster, node):
    """Mode "observe" changes nothing, whether there is a policy or not."""
    node.daemon.stop()
    for name, prepare in (("beside our own policy", lambda: None),
                          ("in a fresh kernel", lambda: fresh_kernel(node))):
        prepare()
        before = dump(node.ns)
        with Events(node.ns) as events:
            node.daemon.configure(mode="observe", protect=["10.99.0.0/16"])
            node.daemon.start().wait_ready()
            node.daemon.wait(lambda: "API watching" in node.daemon.status, 10, "it watches")
            wireguard.down(node.ns)
            wireguard.up(node.ns)
            quiet(node)
            own = [event for event in events.take() if event[1] == node.daemon.process.pid]
            after = dump(node.ns)
        holds = [line for line in after[0] + after[1] if line not in before[0] + before[1]]
        tap.equal((own, holds), ([], []), f"observe changes nothing {name}")
        node.daemon.stop()
    node.daemon.configure()
    node.daemon.start().wait_ready()
    node.daemon.wait_in_sync()


def bypassing(tap, cluster, node):
    """The operator's explicit choice of plaintext while the device is away."""
    node.daemon.configure(on_tunnel_down="bypass")
    node.daemon.reload()
    with RouteQuery(node.ns) as query:
        wireguard.down(node.ns)
        node.daemon.wait(lambda: steered(node, query) == {"eth0"}, 10, "bypass")
        tap.ok(True, "on_tunnel_down = bypass: the main table while the device is down")
        wireguard.up(node.ns)
        node.daemon.wait(lambda: steered(node, query) == {wireguard.INTERFACE}, 10, "device")
        tap.ok(True, "and the device when it is up again")
        node.daemon.configure()
        node.daemon.reload()
        node.daemon.wait_in_sync()
        wireguard.down(node.ns)
        node.daemon.wait(lambda: steered(node, query) == {BLOCKED}, 10, "block again")
        tap.ok(True, "block again after the next reload")
        wireguard.up(node.ns)
        node.daemon.wait(lambda: steered(node, query) == {wireguard.INTERFACE}, 10, "device")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2)
    node = cluster.workers[0]
    for part in (unchanged, stopped, reloaded, observing, bypassing, forgotten, damaged, rebooted,
                 other_cluster):
        tap.note(part.__name__)
        part(tap, cluster, node)


if __name__ == "__main__":
    suite.main(run)
