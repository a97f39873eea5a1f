"""Section "paths": what a policy costs each packet, by paths.c.

    rows, policies = measure(setting)

Each row is one meter on one course: the nanoseconds of a packet under each contender, and the ratio
to "rule", round by round in the same run. Where the packets leave is checked.
"a node" is always the same one, "any node" another one each time: then the routes of all of them have
to come out of the caches, where without a policy there is one route for all.
"""

import json

from figures import Table, number, ratio_text, spread
from host import DEVICE, UPLINK, Host

CONTENDERS = ("none", "rule", "original", "nodecryptor", "many")
STEERING = CONTENDERS[2:]
METERS = {"lookup": "ns a route lookup (forwarded packet, bpf_fib_lookup)",
          "sent": "ns a packet sent (UDP, unconnected)",
          "forwarded": "ns a packet forwarded (UDP)"}
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
    return rows, policies


def tables(rows, policies, families):
    shown = []
    for meter, title in METERS.items():
        table = Table(title, ["to", "nodes", *CONTENDERS, "nodecryptor : rule", "many : rule"])
        for row in rows:
            if row["meter"] == meter and row["family"] in families:
                table.add(f"{TITLES[row['course']]}, IPv{row['family']}", f"{row['nodes']:,}",
                          *(number(row["ns"].get(name, {}).get("median")) for name in CONTENDERS),
                          ratio_text(row["ratio"]["nodecryptor"]), ratio_text(row["ratio"]["many"]))
        shown.append(table)
    table = Table("Rules in the kernel, both families", ["nodes", *CONTENDERS])
    for nodes in dict.fromkeys(policy["nodes"] for policy in policies):
        rules = {policy["contender"]: policy["rules"] for policy in policies
                 if policy["nodes"] == nodes}
        table.add(f"{nodes:,}", *(rules.get(name, "-") for name in CONTENDERS))
    return [*shown, table]
