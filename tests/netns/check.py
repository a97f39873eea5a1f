#!/usr/bin/python3
"""`nodecryptorctl check` on a node: nothing to say of a good one but what its laboratory lacks; each
thing that is in the way is found, named, and goes with its remedy."""

import json
import os
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import suite  # noqa: E402
import wireguard  # noqa: E402
from daemon import Daemon, program  # noqa: E402

GOOD, FOUND, USAGE = 0, 1, 2
WIDTH = 100
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}


def check(node, *arguments, kubeconfig=None):
    done = subprocess.run(node.ns.command(
        program("nodecryptorctl"), "check", "--config", node.daemon.config, "--state-directory",
        node.daemon.state, "--kubeconfig", kubeconfig or node.kubeconfig, *arguments),
        capture_output=True, text=True, check=False, timeout=60, env=ENVIRONMENT)
    return done.returncode, done.stdout, done.stderr


def findings(node, **arguments):
    code, out, error = check(node, "--json", **arguments)
    report = json.loads(out) if out else {"Findings": [], "Errors": error}
    return code, report


def says(tap, node, severity, topic, *parts, **arguments):
    """A finding of that severity and topic with these parts; errors decide the exit status."""
    code, report = findings(node, **arguments)
    found = [one for one in report["Findings"] if one["Severity"] == severity and
             one["Topic"] == topic and all(part in one["Text"] for part in parts)]
    tap.ok(found and code == (FOUND if report["Errors"] else GOOD),
           f"{severity}: {topic}: {' … '.join(parts)}")
    if not found:
        tap.note(json.dumps(report, indent=1))
    return found[0] if found else {"Remedy": ""}


def good(tap, node, what):
    code, report = findings(node)
    tap.equal((code, [one for one in report["Findings"] if one["Severity"] == "error"]), (GOOD, []),
              what)


def remedied(tap, node, remedy, what):
    """The command that the finding names mends it."""
    for command in remedy.split(", or ")[0].split("; and in ")[0].split(", and =0")[0].split("; "):
        node.ns.run(*shlex.split(command))
    good(tap, node, what)


def rules(tap, node):
    for family, flag, host in ((4, "-4", "10.0.0.13/32"), (6, "-6", "fd00::13/128")):
        name = f"IPv{family} rule"
        node.ns.ip(f"{flag} rule add priority 208 to {host} lookup main")
        found = says(tap, node, "error", "Rules", name, "priority 208", "in our band")
        remedied(tap, node, found["Remedy"], "its remedy helps")
        node.ns.ip(f"{flag} rule add priority 150 to {host} lookup main")
        says(tap, node, "warning", "Rules", name, "priority 150", "comes before ours")
        node.ns.ip(f"{flag} rule del priority 150")
        node.ns.ip(f"{flag} rule add priority 111 to {host} lookup 11")
        says(tap, node, "warning", "Rules", name, "priority 111", "Cilium's (ENI, Azure)")
        node.ns.ip(f"{flag} rule del priority 111")
        node.ns.ip(f"{flag} rule add priority 9 fwmark 0x200/0xf00 lookup 2004")
        says(tap, node, "note", "Rules", name, "priority 9", "proxy")
        node.ns.ip(f"{flag} rule del priority 9")
        node.ns.ip(f"{flag} rule add priority 1000 lookup 51871")
        says(tap, node, "error", "Rules", name, "priority 1000", "uses one of our tables")
        node.ns.ip(f"{flag} rule del priority 1000")
        node.ns.ip(f"{flag} route add {host} dev eth0 table 51872")
        says(tap, node, "error", "Rules", "route", host, "in one of our tables")
        node.ns.ip(f"{flag} route del {host} table 51872")
        node.ns.ip(f"{flag} rule add priority 5000 lookup local")
        node.ns.ip(f"{flag} rule del priority 0 lookup local")
        found = says(tap, node, "error", "Rules", f"IPv{family}", "host's own addresses")
        remedied(tap, node, found["Remedy"], "its remedy helps")
        node.ns.ip(f"{flag} rule del priority 5000")
    good(tap, node, "as it was")


def host(tap, node):
    node.ns.sysctl("net.ipv4.conf.eth0.rp_filter", 1)
    found = says(tap, node, "error", "rp_filter", "strict on eth0")
    tap.ok("sysctl" in found["Remedy"], "and its remedy")
    node.ns.sysctl("net.ipv4.conf.eth0.rp_filter", 2)
    says(tap, node, "ok", "rp_filter", "loose")
    node.ns.sysctl("net.ipv4.conf.eth0.rp_filter", 0)
    says(tap, node, "ok", "rp_filter", "off")
    node.ns.sysctl("net.ipv6.conf.cilium_wg0.disable_ipv6", 1)
    found = says(tap, node, "error", "IPv6", "disable_ipv6 of cilium_wg0")
    remedied(tap, node, found["Remedy"], "its remedy helps")
    wireguard.down(node.ns)
    found = says(tap, node, "error", "Device", "cilium_wg0 is down")
    remedied(tap, node, found["Remedy"], "its remedy helps")
    node.ns.ip("link add cilium_vxlan type bridge")
    node.ns.ip("link set cilium_vxlan up")
    says(tap, node, "error", "Cilium", "routing mode tunnel")
    node.ns.ip("link del cilium_vxlan")


def api(tap, cluster, node):
    says(tap, node, "ok", "API", "can be listed")
    says(tap, node, "error", "API", "nowhere", kubeconfig="/nowhere")
    cluster.command("behave", match="any", times=-1, action={"reason": "Forbidden", "status": 403})
    found = says(tap, node, "error", "API", "may not list CiliumNodes")
    tap.ok("kubectl apply" in found["Remedy"], "and its remedy")
    cluster.command("clear")
    cluster.command("crd", present=False)
    says(tap, node, "error", "API", "knows no CiliumNodes")
    cluster.stop_api()
    says(tap, node, "error", "API", "onnect")


def run(tap):
    cluster = suite.start(control_planes=1, workers=1, daemons=False)
    node = cluster.workers[0]
    Daemon(node).start().wait_ready()
    node.daemon.wait_in_sync()
    node.daemon.wait_snapshot()
    node.daemon.stop()
    before = suite.ours(node)
    good(tap, node, "a good node")
    code, out, _ = check(node)
    tap.note(out)
    tap.ok(code == GOOD and all(len(line) <= WIDTH for line in out.splitlines()), "for people")
    tap.equal(suite.ours(node), before, "nothing was changed")
    rules(tap, node)
    host(tap, node)
    tap.equal(check(node, "now")[0], USAGE, "no argument is taken")
    tap.equal(check(node, "--config", "/nowhere")[0], USAGE, "a configuration that is not there")
    api(tap, cluster, node)


suite.main(run)
