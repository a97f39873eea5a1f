#!/usr/bin/python3
"""An exemption that selects many nodes, with the daemon: rules that do not grow, what is encrypted
and what is not, repair, restart, and the two programs that explain it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import daemon  # noqa: E402
import paper  # noqa: E402
import suite  # noqa: E402
from cluster import FAMILIES  # noqa: E402
from plan import agree  # noqa: E402
from plans import node_list  # noqa: E402
from repair import Repairs, route_deletions, rule_deletions  # noqa: E402
from rtnetlink import Events, RouteQuery, dump  # noqa: E402
from suite import ours, quiet  # noqa: E402

MANY = {"name": "many", "nodes": "zone=many", "protocol": "tcp", "ports": "9000-9001,9100"}
TABLE = "51872"


def selected(number):
    item = paper.node(number)
    item["metadata"]["labels"]["zone"] = "many"
    return item


def decide(tap, worker, query, items, name):
    """Every node of the list, at ports in and beside the exemption."""
    wrong = []
    for item in items:
        exempt = "zone" in item["metadata"]["labels"]
        for address in paper.addresses(item):
            for port in (8999, 9000, 9001, 9100):
                wanted = "eth0" if exempt and port != 8999 else "cilium_wg0"
                if query.ask(address, protocol="tcp", dport=port) != wanted:
                    wrong.append((address, port))
            if query.ask(address, protocol="udp", dport=9000) != "cilium_wg0":
                wrong.append((address, "udp"))
    tap.equal(wrong, [], f"{name}: {len(items)} nodes, each flow as it should be")


def rules(node):
    return [line for line in ours(node)[0] if "[unresolved]" not in line]


def explained(tap, cluster, node, item):
    address = paper.addresses(item)[0]
    command = [daemon.program("nodecryptorctl"), "explain", "--config", node.daemon.config,
               "--state-directory", node.daemon.state]
    node.daemon.wait_snapshot()
    text = node.ns.run(*command, f"{address}:9000")
    for part in ("PLAIN, out of eth0", 'exemption "many" selects node', "priority 205",
                 "dport 9000-9001 goto 207", "priority 32766"):
        tap.ok(part in text, f"explain names {part}") or tap.note(text)
    other = cluster.others(node)[0]
    text = node.ns.run(*command, f"{other.address[4]}:9100")
    tap.ok("ENCRYPTED" in text and f"dport 9100 lookup {TABLE}" in text,
           "explain names the complement table for a node that is not selected") or tap.note(text)


def run(tap):
    cluster = suite.start(control_planes=1, workers=2, daemons=False)
    worker = cluster.workers[0]
    items = [selected(number) for number in range(40)] + [paper.node(40 + n) for n in range(10)]
    cluster.commands([{"op": "put", "object": item} for item in items])
    suite.start_daemons(cluster, exemptions=[MANY], protect=["10.1.0.0/16"])

    with RouteQuery(worker.ns) as query:
        decide(tap, worker, query, items, "forty of fifty are exempt")
        before = rules(worker)
        tap.equal(sum(" goto 207" in line for line in before), 4, "two gotos for each family")
        tap.equal(sum(line.split()[-1] == "nop" or " nop " in line for line in before), 2,
                  "and one place for them to lead to")

        more = [selected(number) for number in range(100, 160)]
        cluster.commands([{"op": "put", "object": item} for item in more])
        items += more
        worker.daemon.wait(lambda: query.ask(paper.addresses(more[-1])[0], protocol="tcp",
                                             dport=22) == "cilium_wg0", 10, "the new nodes")
        worker.daemon.wait_in_sync()
        tap.equal(rules(worker), before, "sixty more add no rule")
        decide(tap, worker, query, items, "a hundred of 110")

        agree(tap, worker, node_list(cluster))
        explained(tap, cluster, worker, items[0])
        joined(tap, cluster, worker, query, items)
        restarted(tap, worker)
        repairs = Repairs(tap, worker)
        repairs.each("rules deleted from outside", rule_deletions(worker))
        deletions = [(family, command) for family, command in route_deletions(worker)
                     if f"table {TABLE}" in command]
        repairs.each("routes of the complement table, some of them", deletions[::40])
        repairs.one("every rule deleted at once", *rule_deletions(worker))
        repairs.one("the complement table flushed",
                    *((family, f"route flush table {TABLE}") for family in FAMILIES))
        decide(tap, worker, query, items, "after all that")

        cluster.commands([{"op": "patch", "name": item["metadata"]["name"],
                           "patch": {"metadata": {"labels": {"zone": None}}}}
                          for item in items[:40] + more[:50]])
        for item in items[:40] + more[:50]:
            del item["metadata"]["labels"]["zone"]
        worker.daemon.wait(lambda: not any(" goto " in line for line in rules(worker)), 10,
                           "ten are few: rules")
        worker.daemon.wait_in_sync()
        quiet(worker)
        decide(tap, worker, query, items, "ten of 110")
        tap.equal([line for line in ours(worker)[1] if f"table={TABLE}" in line.split()], [],
                  "the complement table is empty")


def joined(tap, cluster, worker, query, items):
    """Nodes that no exemption selects: written by themselves, into the complement table as well."""
    for number in range(300, 310):
        items.append(paper.node(number))
        cluster.put(items[-1])
        address = paper.addresses(items[-1])[0]
        worker.daemon.wait(lambda: query.ask(address, protocol="tcp", dport=22) == "cilium_wg0", 10,
                           "the node")
        if not tap.equal(query.ask(address, protocol="tcp", dport=9000), "cilium_wg0",
                         f"{number} is encrypted at the exempt port, too"):
            return
    for item in items[-5:]:
        cluster.command("delete", name=item["metadata"]["name"])
        del items[-1]
    worker.daemon.wait_in_sync()


def restarted(tap, worker):
    with Events(worker.ns) as events:
        before = dump(worker.ns)
        worker.daemon.stop()
        worker.daemon.start().wait_ready()
        worker.daemon.wait_in_sync()
        quiet(worker)
        tap.equal((len(events.take()), dump(worker.ns) == before), (0, True),
                  "a restart writes nothing")


suite.main(run)
