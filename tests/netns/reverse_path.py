#!/usr/bin/python3
"""rp_filter 0 and 2 on the underlay: what is exempt lives on while the device is away for longer than
neighbours live, and nothing steered leaves in clear. 1: found, said with its remedy, and forgotten."""

import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import daemon  # noqa: E402
import netns  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import API_PORT, ETCD_PORTS, FAMILIES  # noqa: E402
from rtnetlink import routes_of  # noqa: E402

LINK = "lo-nodecryptor"
NODES = suite.PRIVATE_TABLES[1]
SINK_METRIC = 4294967293
PORT = ETCD_PORTS[0]
# A neighbour is asked again after a fraction of a second, and given up after one question
NEIGHBOURS = {"base_reachable_time_ms": 300, "gc_stale_time": 1, "delay_first_probe_time": 1,
              "retrans_time_ms": 100, "ucast_solicit": 1, "mcast_solicit": 3}
AWAY = 2 if suite.FAST else 4           # seconds: many times that


def link(node):
    """(alias, is it up, has it an address) of the sink link; None when there is none."""
    found = json.loads(node.ns.ip(f"-j -d addr show {LINK}", check=False) or "[]")
    if not found:
        return None
    return found[0].get("ifalias"), "UP" in found[0]["flags"], bool(found[0]["addr_info"])


OURS = ("nodecryptor", True, False)


def sinks(node):
    """The destinations of the routes into the sink."""
    return sorted(route["dst"] for route in routes_of(node.ns, 4, NODES)
                  if route.get("metric") == SINK_METRIC and route.get("dev") == LINK)


def set_filter(node, number, device="eth0"):
    node.ns.sysctl(f"net.ipv4.conf.{device}.rp_filter", number)


def forget_neighbours(nodes):
    for node in nodes:
        for family in FAMILIES:
            node.ns.ip(f"-{family} neigh flush dev eth0", check=False)


def echo(listener):
    """Sends back what comes, on every connection."""
    def serve(connection):
        with connection:
            try:
                while data := connection.recv(4096):
                    connection.sendall(data)
            except OSError:
                pass
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def connect(node, address, port, seconds):
    """A connection from the node, that echoes; OSError within the time."""
    client = node.ns.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                            socket.SOCK_STREAM)
    client.settimeout(seconds)
    try:
        client.connect((address, port))
        speak(client)
    except OSError:
        client.close()
        raise
    return client


def speak(client):
    client.sendall(b"hello")
    if client.recv(16) != b"hello":
        raise OSError("no echo")


class Exempt:
    """Exempt traffic from each of `sources` to each control plane: old connections and fresh ones."""

    def __init__(self, cluster):
        self.flows = [(node, address) for node in cluster.nodes
                      for plane in cluster.control_planes if plane is not node
                      for address in plane.address.values()]
        for plane in cluster.control_planes:
            listener = plane.ns.socket(socket.AF_INET6, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("::", PORT))
            listener.listen(64)
            threading.Thread(target=echo, args=(listener,), daemon=True).start()
        self.old = [(node, address, connect(node, address, PORT, 10))
                    for node, address in self.flows]

    def fresh(self, seconds=10):
        """[what failed] of a new connection for each."""
        failed = []
        for node, address in self.flows:
            try:
                connect(node, address, PORT, seconds * netns.PATIENCE).close()
            except OSError as problem:
                failed.append(f"{node} → {address}: {problem}")
        return failed

    def alive(self):
        """[what failed] of the connections from the beginning."""
        failed = []
        for node, address, client in self.old:
            try:
                speak(client)
            except OSError as problem:
                failed.append(f"{node} → {address}: {problem}")
        return failed

    def close(self):
        for _, _, client in self.old:
            client.close()


class Case:
    def __init__(self, tap):
        self.tap = tap
        self.kernel = wireguard.in_kernel(wireguard.Here)
        self.cluster = suite.start(control_planes=2, workers=1)
        self.worker = self.cluster.workers[0]
        for node in self.cluster.nodes:
            node.stop_agent()
            for key, value in NEIGHBOURS.items():
                for family in ("ipv4", "ipv6"):
                    node.ns.sysctl(f"net.{family}.neigh.eth0.{key}", value)
        self.exempt = Exempt(self.cluster)
        self.watch = capture.Capture(self.cluster)

    def becomes(self, node, wanted_link, wanted_sinks, name):
        def seen():
            return link(node), sinks(node)
        try:
            netns.wait_for(lambda: seen() == (wanted_link, wanted_sinks), 10, name, every=0.05)
        except TimeoutError:
            pass                        # equal() shows what there is instead
        return self.tap.equal(seen(), (wanted_link, wanted_sinks), name)

    def addresses(self, node):
        return sorted(other.address[4] for other in self.cluster.others(node))

    def has_sinks(self, node, name):
        return self.becomes(node, OURS, self.addresses(node), name)

    def has_none(self, node, name):
        return self.becomes(node, None, [], name)

    def steered(self, node):
        """What a steered flow meets: the errno's name, or "sent"."""
        client = node.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            client.sendto(b"x" * 100, (self.cluster.others(node)[0].address[4], 9))
            return "sent"
        except OSError as problem:
            return os.strerror(problem.errno)
        finally:
            client.close()

    def nothing_in_clear(self, name):
        seen = self.watch.take()
        self.tap.equal(([str(one) for one in seen.plain[:5]], seen.lost), ([], 0), name)
        self.tap.ok(len(seen.exempt) > 100, f"{name}: and there was exempt traffic")

    def all_live(self, name):
        """Neighbours are forgotten and asked again, over and over."""
        failed, until, rounds = [], time.monotonic() + AWAY, 0
        while time.monotonic() < until and not failed:
            forget_neighbours(self.cluster.nodes)
            failed = self.exempt.fresh() + self.exempt.alive()
            rounds += 1
            time.sleep(0.2)
        time.sleep(2)                   # and once by their own age
        failed = failed or self.exempt.fresh() + self.exempt.alive()
        self.tap.equal(failed, [], name)
        self.tap.note(f"neighbours forgotten {rounds} times")

    def away(self, number):
        """With rp_filter that, the devices of all nodes down, then deleted."""
        texts = {}
        expected = "No route to host" if number == 0 else "sent"
        for node in self.cluster.nodes:
            texts[node] = wireguard.show_configuration(node.ns)
            wireguard.down(node.ns)
        self.tap.equal(self.steered(self.worker), expected,
                       f"rp_filter {number}, devices down: a steered packet")
        self.all_live(f"rp_filter {number}, devices down: exempt traffic lives on")
        for node in self.cluster.nodes:
            wireguard.delete(node.ns)
        self.all_live(f"rp_filter {number}, devices deleted: exempt traffic lives on")
        self.tap.equal(self.steered(self.worker), expected,
                       f"rp_filter {number}, devices deleted: a steered packet")
        self.nothing_in_clear(f"rp_filter {number}: nothing steered in clear")
        return texts

    def back(self, texts):
        for node, text in texts.items():
            wireguard.create(node.ns, self.kernel)
            wireguard.synchronise(node.ns, text)
            wireguard.up(node.ns)
        for node in texts:
            node.daemon.wait(lambda: "device cilium_wg0 up" in node.daemon.status, 10, "the device")


def filters(case):
    """0, then 2, each with the device away; and 0 → 2 → 0 while it is away."""
    tap, nodes = case.tap, case.cluster.nodes
    for node in nodes:
        case.has_none(node, f"{node}: with rp_filter 0 there is no sink")
    case.back(case.away(0))
    for node in nodes:
        set_filter(node, 2)
    for node in nodes:
        case.has_sinks(node, f"{node}: with rp_filter 2 there is a sink under each node's address")
    texts = case.away(2)
    set_filter(case.worker, 0)
    case.has_none(case.worker, "0 while the device is away: the sink goes")
    tap.equal(case.steered(case.worker), "No route to host", "and senders are told again")
    set_filter(case.worker, 2, "all")
    case.has_sinks(case.worker, "2 by \"all\" while the device is away: the sink comes")
    case.all_live("and exempt traffic lives on")
    set_filter(case.worker, 0, "all")
    case.has_none(case.worker, "and goes")
    set_filter(case.worker, 2)
    case.has_sinks(case.worker, "and comes")
    case.nothing_in_clear("nothing steered in clear through all that")
    case.back(texts)


def unanswered(case):
    """What it is for: without the sink the worker's ARP replies stop. The test can fail."""
    worker, plane = case.worker, case.cluster.control_planes[0]
    worker.daemon.stop()
    wireguard.down(worker.ns)
    worker.ns.ip(f"link del {LINK}")
    # By asking itself it would make itself known: so it is the other one who has to ask
    hardware = json.loads(plane.ns.ip("-j link show eth0"))[0]["address"]
    known = f"{plane.address[4]} lladdr {hardware} dev eth0"
    worker.ns.ip(f"neigh replace {known} nud permanent")

    def arrives(seconds):
        forget_neighbours([plane])
        try:
            connect(worker, plane.address[4], PORT, seconds).close()
            return True
        except OSError:
            return False
    case.tap.ok(not arrives(1), "without daemon and sink an exempt connection does not come to be")
    case.tap.equal(case.steered(worker), "No route to host", "and what is steered stays blocked")
    worker.daemon.start().wait_ready()
    case.has_sinks(worker, "the daemon starts, the sink is there")
    case.tap.ok(arrives(10), "and exempt connections come to be again")
    worker.ns.ip(f"neigh del {known}")
    wireguard.up(worker.ns)
    worker.daemon.wait_in_sync()


def damage(case):
    """Somebody deletes the link, or puts it down, changes or deletes its routes."""
    worker = case.worker
    other = case.addresses(worker)[0]
    wireguard.down(worker.ns)
    for name, command in (
            ("deleted", f"link del {LINK}"), ("put down", f"link set {LINK} down"),
            ("a route of it deleted", f"route del {other} dev {LINK} table {NODES}"),
            ("a route of it led elsewhere",
             f"route replace {other} dev eth0 table {NODES} metric {SINK_METRIC}")):
        worker.ns.ip(command)
        case.has_sinks(worker, f"{name} by somebody: it is repaired")
    worker.daemon.wait_in_sync()
    wireguard.up(worker.ns)
    worker.daemon.wait_in_sync()
    worker.daemon.stop()
    worker.daemon.start().wait_ready()
    case.tap.ok("as they stood" in worker.daemon.log, "a restart writes nothing")


def explained(case):
    """To the operator the sink is what it is: blocked."""
    worker = case.worker
    worker.daemon.wait_in_sync()
    wireguard.down(worker.ns)
    arguments = [daemon.program("nodecryptorctl"), "explain", case.addresses(worker)[0],
                 "--config", worker.daemon.config, "--state-directory", worker.daemon.state]
    worker.daemon.wait_snapshot()
    said = worker.ns.run(*arguments)    # exit status 0: the kernel and the policy agree
    case.tap.ok(f"BLOCKED, dropped by {LINK}" in said and "DISAGREE" not in said,
                "explain calls it blocked")
    wireguard.up(worker.ns)
    worker.daemon.wait_in_sync()


def reload(node, **settings):
    told = node.daemon.log.count("configuration reloaded")
    node.daemon.configure(**settings)
    node.daemon.reload()
    node.daemon.wait(lambda: node.daemon.log.count("configuration reloaded") > told, 10,
                     "the configuration in force")


def settings(case):
    """Where nothing is blocked no sink is needed; what is protected is under one, too."""
    worker = case.worker
    reload(worker, on_tunnel_down="bypass")
    case.has_none(worker, "on_tunnel_down = \"bypass\": no sink")
    reload(worker, protect=["10.77.0.0/16"])
    case.becomes(worker, OURS, sorted([*case.addresses(worker), "10.77.0.0/16"]),
                 "a protected prefix is under a sink, for nodes not known yet")
    reload(worker, table_base=60000)
    worker.daemon.wait(lambda: sinks(worker) == [], 10, "the old tables are left")
    case.tap.equal(link(worker), OURS, "other tables: the link stays")
    reload(worker)
    case.has_sinks(worker, "and back")


def foreign(case):
    """A link of that name that is somebody else's."""
    worker = case.worker
    worker.daemon.stop()
    worker.ns.ip(f"link del {LINK}")
    worker.ns.ip_batch([f"link add {LINK} type bridge", f"link set {LINK} alias mine"])
    theirs = link(worker)
    worker.daemon.start().wait_in_sync()
    case.tap.ok("not ours" in worker.daemon.log and "rename that link" in worker.daemon.log,
                "a link of that name that is not ours: it is said")
    case.tap.equal((link(worker), sinks(worker)), (theirs, []), "and left alone")
    case.tap.ok("1 findings" in worker.daemon.status, f"and in the status: {worker.daemon.status}")
    worker.ns.ip(f"link del {LINK}")
    case.has_sinks(worker, "when it is gone ours comes")
    case.tap.ok("findings" not in worker.daemon.status, "and the finding is gone")


def strict(case):
    """Everything is broken then, and the operator is told what mends it."""
    tap, node, worker = case.tap, case.worker.daemon, case.worker
    metric = "nodecryptor_rp_filter_strict_links"
    worker.daemon.wait_in_sync()
    set_filter(worker, 0)
    set_filter(worker, 1, "lxc0")
    case.has_none(worker, "strict on a link to pods: no sink")
    tap.equal((node.metrics()[metric], "strict" in node.log), (0, False), "and nothing to tell")
    set_filter(worker, 1)
    node.wait(lambda: "Degraded" in node.status, 10, "told")
    remedy = "sysctl -w net/ipv4/conf/eth0/rp_filter=2"
    tap.ok(remedy in node.log, "strict on the underlay: the journal has the remedy")
    tap.ok("strict" in node.status and remedy in node.status, f"and the status: {node.status}")
    tap.equal(node.metrics()[metric], 1, "and the metric")
    worker.ns.run("sysctl", "-qw", remedy.split()[-1])
    node.wait(lambda: "Enforcing" in node.status, 10, "mended")
    case.has_sinks(worker, "the remedy works: loose, with a sink")
    tap.equal(node.metrics()[metric], 0, "the metric says so")
    set_filter(worker, 0)
    set_filter(worker, 1, "all")
    node.wait(lambda: "Degraded" in node.status, 10, "told")
    tap.ok(True, "strict by \"all\" is found as well")
    set_filter(worker, 0, "all")
    set_filter(worker, 0, "lxc0")
    node.wait(lambda: "Enforcing" in node.status, 10, "mended")
    set_filter(worker, 2)


def observing(case):
    """Nothing is made; what would be is counted."""
    worker = case.worker
    worker.daemon.wait_in_sync()
    set_filter(worker, 0)
    case.has_none(worker, "no sink")
    reload(worker, mode="observe")
    set_filter(worker, 2)
    # A sink for each other node is what is missing
    worker.daemon.wait(lambda: worker.daemon.metrics()["nodecryptor_in_sync"] == 0, 10, "a lack")
    case.has_none(worker, "in observe mode no sink is made")
    reload(worker)
    case.has_sinks(worker, "in enforce mode it is")


def run(tap):
    case = Case(tap)
    for part in (filters, unanswered, damage, explained, settings, foreign, strict, observing):
        part(case)
    for node in case.cluster.nodes:
        tap.ok(node.daemon.running, f"{node}: nodecryptor still runs")
    case.exempt.close()


if __name__ == "__main__":
    suite.main(run)
