#!/usr/bin/python3
"""`nodecryptorctl audit`: clean over a policy that stands, with daemon and without; what takes
flows away from it is found and named; and --live sees on the wire what leaves in clear."""

import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import suite  # noqa: E402
import systembus  # noqa: E402
import wireguard  # noqa: E402
from daemon import program  # noqa: E402
from netns import wait_for  # noqa: E402
from systembus import OPEN, SystemBus  # noqa: E402

CLEAN, FOUND, USAGE, UNKNOWN = 0, 1, 2, 3
WIDTH = 100
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}


def command(node, *arguments):
    return node.ns.command(program("nodecryptorctl"), "audit", *arguments, "--config",
                           node.daemon.config, "--state-directory", node.daemon.state)


def audit(node, *arguments):
    done = subprocess.run(command(node, *arguments), capture_output=True, text=True, check=False,
                          timeout=120)
    return done.returncode, done.stdout, done.stderr


def seen(node, *arguments):
    code, out, error = audit(node, *arguments, "--json")
    return code, json.loads(out) if out else {"Result": error}


def clean(tap, node, knowledge, what):
    code, report = seen(node)
    tap.equal((code, report["Result"], report.get("Knowledge"), report.get("Offenders"),
               report.get("Unasked")), (CLEAN, "clean", knowledge, [], 0), what)
    return report


def leaks(tap, node, what, *, rule="", interface="eth0", table=None, missing=None, nodes=()):
    """The leak is found, and what it is by is named."""
    code, report = seen(node)
    found = [one for one in report.get("Offenders", []) if one["Fault"] == "leak"]
    tap.ok(code == FOUND and report["Result"] == "leaks" and found, f"{what}: found")
    wrong = [one for one in found if rule not in one["Rule"] or one["Interface"] != interface or
             (table and one["Table"] != table)]
    tap.ok(found and not wrong, f"{what}: named")
    if wrong or not found:
        tap.note(json.dumps(report, indent=1)[:3000])
    if nodes:
        tap.equal(sorted({one["Node"] for one in found}), sorted(nodes), f"{what}: whose")
    if missing is not None:
        tap.equal(report["MissingRules"], missing, f"{what}: rules that are missing")
    code, out, _ = audit(node)
    tap.ok(code == FOUND and "LEAK: " in out and
           all(len(line) <= WIDTH for line in out.splitlines()), f"{what}: for people")
    if tap.failed:
        tap.note(out)


def intruders(tap, node, other):
    """The daemon is away: nobody repairs."""
    for family, flag in ((4, "-4"), (6, "-6")):
        host, length = other.address[family], 32 if family == 4 else 128
        node.ns.ip(f"{flag} rule del priority 206 lookup 51871 protocol kernel")
        leaks(tap, node, f"IPv{family}: a rule of ours is gone", rule="priority 32766", table=254,
              missing=1, nodes=[one.name for one in node.cluster.others(node)])
        node.ns.ip(f"{flag} rule add priority 206 lookup 51871 protocol kernel")
        clean(tap, node, "snapshot", f"IPv{family}: it is there again")

        node.ns.ip(f"{flag} rule add priority 150 to {host} lookup main")
        leaks(tap, node, f"IPv{family}: a foreign rule before ours", rule="priority 150", table=254,
              missing=0, nodes=[other.name])
        node.ns.ip(f"{flag} rule del priority 150 to {host} lookup main")

        node.ns.ip(f"{flag} rule add priority 151 to {host} tos 0 fwmark 0/0xf00 lookup main")
        leaks(tap, node, f"IPv{family}: one that cannot be read", rule="151")
        node.ns.ip(f"{flag} rule del priority 151 to {host} tos 0 fwmark 0/0xf00 lookup main")

        node.ns.ip(f"{flag} rule add priority 152 from {node.address[family]} lookup main")
        leaks(tap, node, f"IPv{family}: one for who binds our address", rule="priority 152")
        node.ns.ip(f"{flag} rule del priority 152 from {node.address[family]} lookup main")

        node.ns.ip(f"{flag} rule add priority 153 from {node.pod_address[family]} lookup main")
        code, report = seen(node)
        kinds = {one["Kind"] for one in report["Offenders"]}
        tap.equal((code, kinds), (FOUND, {"pod to node", "pod to pod"}),
                  f"IPv{family}: a rule for pods, as Cilium's on ENI")
        node.ns.ip(f"{flag} rule del priority 153 from {node.pod_address[family]} lookup main")

        route = f"{host}/{length} dev eth0 table 51871 metric {1 if family == 6 else 0} proto static"
        if family == 4:
            node.ns.ip(f"route del {host} dev cilium_wg0 table 51871")
        node.ns.ip(f"{flag} route add {route}")
        leaks(tap, node, f"IPv{family}: a foreign route in our table", table=51871,
              nodes=[other.name])
        node.ns.ip(f"{flag} route del {route}")
        if family == 4:
            code, report = seen(node)
            tap.equal((code, report["Leaks"], {one["Fault"] for one in report["Offenders"]}),
                      (CLEAN, 0, {"refused"}), "a route of ours is gone: refused, and no leak")
            node.ns.ip(f"route add {host} dev cilium_wg0 scope link src {node.address[4]} "
                       "table 51871 protocol kernel")
        clean(tap, node, "snapshot", f"IPv{family}: all is well again")


def shut(tap, node):
    """What is exempt, and does not get out, is told, and is no leak."""
    node.ns.ip("-4 rule add priority 201 ipproto tcp dport 6443 lookup 51871")
    code, report = seen(node)
    faults = {one["Fault"] for one in report["Offenders"]}
    tap.equal((code, report["Result"], faults), (CLEAN, "clean", {"shut"}),
              "an exempt port that is shut")
    node.ns.ip("-4 rule del priority 201 ipproto tcp dport 6443 lookup 51871")


def knowledge(tap, node):
    """The daemon is asked when it is there: its exemptions, its nodes."""
    for one in node.cluster.others(node):       # there is one bus, and one may have the name
        one.daemon.stop()
    bus = SystemBus(node.folder)
    bus.start(OPEN)
    node.daemon.start().wait_ready()
    node.daemon.wait_in_sync()
    systembus.wait_named()
    clean(tap, node, "daemon", "as the daemon knows the nodes")
    wireguard.down(node.ns)
    node.daemon.wait(lambda: "device cilium_wg0 down" in node.daemon.status, 5, "the device is down")
    clean(tap, node, "daemon", "clean while the device is down: all is refused")
    wireguard.up(node.ns)
    node.daemon.wait(lambda: "device cilium_wg0 up" in node.daemon.status, 5, "the device is up")
    wait_for(lambda: seen(node)[0] == CLEAN, 5, "clean")
    node.daemon.stop()


def usage(tap, node):
    tap.equal(audit(node, "now")[0], USAGE, "no argument is taken")
    for seconds in ("0", "-1", "x", "1000000"):
        tap.equal(audit(node, "--live", seconds)[0], USAGE, f"--live {seconds}")
    os.rename(node.daemon.snapshot, node.daemon.snapshot + ".away")
    code, _, error = audit(node)
    tap.ok(code == UNKNOWN and "no node is known" in error, "nothing known: it cannot be said")
    os.rename(node.daemon.snapshot + ".away", node.daemon.snapshot)


class Live:
    """audit --live, begun: what is sent from now on is seen."""

    def __init__(self, node, seconds, *arguments):
        self.process = subprocess.Popen(command(node, "--live", str(seconds), *arguments),
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=ENVIRONMENT)
        self.first = self.process.stderr.readline()     # it listens

    def end(self):
        """SIGINT ends it before its time."""
        self.process.send_signal(2)
        out, error = self.process.communicate(timeout=60)
        return self.process.returncode, out, self.first + error


def send(place, family, destination, port, source=None, times=3):
    with place.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as one:
        if source:
            one.bind(source)
        for _ in range(times):
            one.sendto(b"x" * 100, (destination, port))


def live_clean(tap, node, other, plane):
    watch = Live(node, 60, "--json")
    for family in (4, 6):
        node.ns.run("ping", "-c", "2", "-i", "0.2", "-W", "2", other.address[family])
        node.ns.run("ping", "-c", "2", "-i", "0.2", "-W", "2", other.pod_address[family])
    with node.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(5)
        one.connect((plane.address[4], 6443))
    node.ns.ip("neigh flush dev eth0")
    node.ns.run("ping", "-c", "1", "-W", "2", "10.0.0.1")
    code, out, error = watch.end()
    report = json.loads(out)
    nodes = {one["Name"]: one for one in report["Nodes"]}
    tap.equal((code, report["Result"], report["Offenders"]), (CLEAN, "clean", []),
              "live: nothing in clear")
    tap.ok("listening on eth0" in error, "on the underlay's link")
    tap.ok(all(nodes[other.name][way]["WireGuard"] >= 8 for way in ("To", "From")),
           "WireGuard's packets both ways")
    tap.ok(all(nodes[plane.name][way]["Exempt"].get("kube-apiserver", 0) >= 2
               for way in ("To", "From")), "exempt ones both ways, and why")
    tap.ok(report["Control"] > 0 and report["Elsewhere"] > 0, "ARP, and the rest of the world")
    if tap.failed:
        tap.note(out)


def live_plain(tap, node, other):
    """Rules of ours are gone on the one side, and the other side answers in clear."""
    for flag in ("-4", "-6"):
        node.ns.ip(f"{flag} rule del priority 206 lookup 51871 protocol kernel")
        node.ns.ip(f"{flag} rule del priority 202 lookup 51870 protocol kernel")
    watch = Live(node, 60, "--json")
    for family in (4, 6):
        send(node.ns, family, other.address[family], 4000, ("", 4001))
        send(node.ns, family, other.pod_address[family], 4002, ("", 4003), 5)
        send(node.pod, family, other.pod_address[family], 4004, ("", 4005), 1)
        # neither WireGuard's port nor its beginning alone makes a packet WireGuard's
        send(node.ns, family, other.address[family], 51871, ("", 4006), 2)
    code, out, _ = watch.end()
    report = json.loads(out)
    tap.equal((code, report["Result"]), (FOUND, "plain"), "live: packets in clear")
    for family in (4, 6):
        wanted = [(node.address[family], 4001, other.address[family], 4000, 3),
                  (node.address[family], 4003, other.pod_address[family], 4002, 5),
                  (node.pod_address[family], 4005, other.pod_address[family], 4004, 1),
                  (node.address[family], 4006, other.address[family], 51871, 2)]
        flows = [(one["Source"], one["SourcePort"], one["Destination"], one["DestinationPort"],
                  one["Packets"]) for one in report["Offenders"]
                 if one["Direction"] == "to" and one["Protocol"] == socket.IPPROTO_UDP]
        tap.equal([flow for flow in wanted if flow not in flows], [],
                  f"IPv{family}: each flow, and its packets")
    tap.equal({one["Node"] for one in report["Offenders"]}, {other.name}, "the node")
    watch = Live(node, 60)
    send(node.ns, 4, other.address[4], 4000, ("", 4001))
    code, out, _ = watch.end()
    tap.note(out)
    tap.ok(code == FOUND and "PLAIN: " in out and f"{node.address[4]}:4001" in out and
           all(len(line) <= WIDTH for line in out.splitlines()), "for people")
    incoming = Live(other, 60, "--json")
    send(node.ns, 4, other.address[4], 4000, ("", 4001), 4)
    code, out, _ = incoming.end()
    tap.ok(code == FOUND and [one["Packets"] for one in json.loads(out)["Offenders"]
                              if one["Direction"] == "from" and one["SourcePort"] == 4001] == [4],
           "seen at the receiver, too")
    tap.equal(subprocess.run(
        ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw", *command(node, "--live", "1")],
        capture_output=True, check=False).returncode, UNKNOWN, "without CAP_NET_RAW")


def run(tap):
    cluster = suite.start(control_planes=1, workers=2)
    node, other = cluster.workers
    plane = cluster.control_planes[0]
    for one in cluster.nodes:
        one.daemon.wait_snapshot()
        report = clean(tap, one, "snapshot", f"{one.name}: clean")
        tap.ok(report["Flows"] > 200, f"after {report['Flows']} flows")
    live_clean(tap, node, other, plane)
    node.daemon.stop()
    intruders(tap, node, other)
    shut(tap, node)
    usage(tap, node)
    knowledge(tap, node)
    live_plain(tap, node, other)


suite.main(run)
