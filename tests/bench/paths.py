"""Section "paths": what a policy costs each packet, by paths.c.

Each row is one meter on one course: the nanoseconds of a packet under each contender, and the ratio
to "rule", round by round in the same run: of lookups the ratio of the times, of packets that of the
rates. Where the packets leave is checked.
"a node" is always the same one, "any node" another one each time: then the routes of all of them
have to come out of the caches, where without a policy there is one route for all.
"""

import json

from figures import Table, number, ratio_text, spread
from host import DEVICE, UPLINK, Host

CONTENDERS = ("none", "rule", "original", "nodecryptor", "many")
STEERING = CONTENDERS[2:]
METERS = {"lookup": "Route lookups of a forwarded packet (bpf_fib_lookup): ns",
          "sent": "Packets sent (UDP, unconnected socket): thousands a second on one core",
          "forwarded": "Packets forwarded (UDP): thousands a second on one core"}
COURSES = ("node", "nodes", "pod", "pods", "internet")
TITLES = {"node": "a node", "nodes": "any node", "pod": "a pod", "pods": "any pod",
          "internet": "internet"}
REFERENCE = "rule"


def contenders(setting, nodes):
    return [name for name in CONTENDERS if name != "original" or nodes <= setting.original_max]


def wanted_link(contender, course):
    return DEVICE if contender in STEERING and course != "internet" else UPLINK


def race(setting, hosts, meter, family, course, nodes):
    """One run of paths; the row."""
    names = list(hosts)
    text = next(iter(hosts.values())).ns.run(
        "taskset", "--cpu-list", str(setting.cpu), f"{setting.programs}/paths", meter, str(family),
        course, str(nodes), str(setting.rounds), str(setting.turn_us),
        *(host.ns.path for host in hosts.values()))
    result = json.loads(text)
    for name, link in zip(names, result["links"]):
        if link != wanted_link(name, course):
            raise RuntimeError(f"{name}: {meter} to a {course}, IPv{family}, leaves by {link}")
    row = {"meter": meter, "family": family, "course": course, "nodes": nodes,
           "rounds": setting.rounds, "ns": {}, "ratio": {}}
    reference = names.index(REFERENCE)
    for i, name in enumerate(names):
        row["ns"][name] = spread([values[i] for values in result["rounds"]])
        row["ratio"][name] = spread([values[i] / values[reference] for values in result["rounds"]])
    return row


def measure(setting):
    rows, policies = [], []
    for nodes in setting.sizes:
        hosts = {name: Host(f"{name}-{nodes}", nodes, setting.programs)
                 for name in contenders(setting, nodes)}
        for name, host in hosts.items():
            policies.append({"nodes": nodes, "contender": name, **host.write(name)})
        for meter in METERS:
            for family in setting.families:
                rows += [race(setting, hosts, meter, family, course, nodes) for course in COURSES]
        setting.progress(f"paths: {nodes} nodes")
        for host in hosts.values():
            host.delete()
    return {"rows": rows, "policies": policies}


def figure(row, name):
    """As it is shown: ns, or thousands a second."""
    if name not in row["ns"]:
        return "-"
    ns = row["ns"][name]["median"]
    return number(ns if row["meter"] == "lookup" else 1e6 / ns)


def ratio(row, name):
    value = row["ratio"][name]
    if row["meter"] != "lookup":
        value = {"median": 1 / value["median"], "low": 1 / value["high"], "high": 1 / value["low"]}
    return ratio_text(value)


def destination(row):
    return TITLES[row["course"]] + (", IPv6" if row["family"] == 6 else "")


def rule_counts(policies):
    table = Table("Rules in the kernel, both families", ["nodes", *CONTENDERS])
    for nodes in dict.fromkeys(policy["nodes"] for policy in policies):
        rules = {policy["contender"]: policy["rules"] for policy in policies
                 if policy["nodes"] == nodes}
        table.add(f"{nodes:,}", *(rules.get(name, "-") for name in CONTENDERS))
    return table


def full_tables(rows):
    shown = []
    for meter, title in METERS.items():
        table = Table(title, ["to", "nodes", *CONTENDERS, "nodecryptor : rule", "many : rule"])
        for row in sorted((row for row in rows if row["meter"] == meter),
                          key=lambda row: (row["family"], COURSES.index(row["course"]))):
            table.add(destination(row), f"{row['nodes']:,}",
                      *(figure(row, name) for name in CONTENDERS), ratio(row, "nodecryptor"),
                      ratio(row, "many"))
        shown.append(table)
    return shown


def short_table(rows):
    """One for people: the larger clusters, IPv6 for one size of them."""
    sizes = sorted({row["nodes"] for row in rows})
    sizes = [nodes for nodes in sizes if nodes >= 1000] or sizes
    table = Table("none / rule / original / nodecryptor",
                  ["to", "nodes", "lookup, ns", "sent, thousands/s", "forwarded, thousands/s"])
    for family in (4, 6):
        for course in COURSES:
            for nodes in sizes if family == 4 else sizes[len(sizes) // 2:][:1]:
                found = {row["meter"]: row for row in rows if row["nodes"] == nodes and
                         (row["family"], row["course"]) == (family, course)}
                cells = [" / ".join(figure(found[meter], name) for name in CONTENDERS[:4])
                         for meter in METERS]
                table.add(destination(found["lookup"]), f"{nodes:,}", *cells)
    return table


def tables(result, short):
    rows = result["rows"]
    return [*([short_table(rows)] if short else full_tables(rows)),
            rule_counts(result["policies"])]
