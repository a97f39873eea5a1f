#!/usr/bin/python3
"""The bench still works: it runs, its JSON has every figure, and the policies that it compares are
in the kernel as they are meant to be. No figure decides anything here.
"""

import ipaddress
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import host as host_module  # noqa: E402
import paths  # noqa: E402
import programming  # noqa: E402
import suite  # noqa: E402
from host import DEVICE, node_address, pod_prefix  # noqa: E402
from rtnetlink import dump, routes_of  # noqa: E402

NODES = 10                              # what --quick takes
CONTROL_PLANES = 3
PODS_TABLE, NODES_TABLE, ORIGINAL_TABLE = 51870, 51871, 100
TWIN_METRIC = 4294967294
OWN = 8 * NODES                         # routes: two families, node and pods, twins


def programs():
    return os.path.join(os.environ["NODECRYPTOR_BUILD"], "tests", "bench")


def short(prefix):
    """As ip(8) writes it: a host's without its length."""
    return str(ipaddress.ip_network(prefix)).removesuffix("/32").removesuffix("/128")


def original_rules(family):
    """The script's, in the kernel's order, as text of ip(8)."""
    lines = ["0: from all fwmark 0xe00 lookup main"]
    nodes = [(node_address(family, number), number < CONTROL_PLANES) for number in range(NODES)]
    lines += [f"200: from all to {short(pod_prefix(family, number))} lookup {ORIGINAL_TABLE}"
              for number in range(NODES)]
    for address, control_plane in nodes:
        lines += [f"210: from all to {address} dport {ports} lookup main"
                  for ports in ("2379-2380", "6443") if control_plane]
    return lines + [f"220: from all to {address} lookup {ORIGINAL_TABLE}" for address, _ in nodes]


def rules_of(ns, family):
    """Those of no distribution's."""
    lines = [" ".join(line.split()).removesuffix(" proto boot")
             for line in ns.ip(f"-{family} rule show").splitlines()]
    return [line for line in lines
            if not line.startswith(("32766:", "32767:", "0: from all lookup local"))]


def steered(ns, family, table):
    """{(destination, what)} of a table; the destination as ip(8) has it."""
    found = set()
    for route in routes_of(ns, family, table):
        if route["type"] == "unreachable" and route["metric"] == TWIN_METRIC:
            found.add((route["dst"], "twin"))
        elif route["type"] == "unicast" and route["dev"] == DEVICE:
            found.add((route["dst"], f"device from {route['prefsrc']}"))
        else:
            found.add((route["dst"], str(route)))
    return found


def wanted_routes(family, destinations):
    own = node_address(family, NODES)
    return {(destination, what) for destination in destinations
            for what in ("twin", f"device from {own}")}


def policies(tap):
    hosts = {name: host_module.Host(f"smoke-{name}", NODES, programs())
             for name in ("none", "rule", "original", "nodecryptor", "many")}
    empty = dump(hosts["none"].ns)
    written = {name: one.write(name) for name, one in hosts.items()}
    tap.equal(dump(hosts["none"].ns), empty, "none: nothing is written")
    for family in (4, 6):
        tap.equal(rules_of(hosts["rule"].ns, family), ["200: from all fwmark 0xe00 lookup main"],
                  f"rule, IPv{family}")
        tap.equal(rules_of(hosts["original"].ns, family), original_rules(family),
                  f"original: the script's rules, IPv{family}")
        ours = hosts["nodecryptor"].ns
        nodes = [node_address(family, number) for number in range(NODES)]
        pods = [short(pod_prefix(family, number)) for number in range(NODES)]
        tap.ok(wanted_routes(family, nodes) <= steered(ours, family, NODES_TABLE),
               f"nodecryptor: every node's routes, IPv{family}")
        tap.ok(wanted_routes(family, pods) <= steered(ours, family, PODS_TABLE),
               f"nodecryptor: every pod prefix's routes, IPv{family}")
        exempt = [line for line in rules_of(ours, family) if "dport" in line]
        tap.ok(sum(f"to {address} " in line for address in nodes[:CONTROL_PLANES]
                   for line in exempt) == 2 * CONTROL_PLANES,
               f"nodecryptor: the exemptions, IPv{family}")
        tap.ok(any("9100" in line for line in rules_of(hosts["many"].ns, family)),
               f"many: one more exemption, IPv{family}")
    tap.ok(written["nodecryptor"]["routes"] >= OWN, "what was written is counted")
    for one in hosts.values():
        one.delete()


def quick(tap):
    """The whole bench in a process of its own; its JSON."""
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "bench.json")
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "bench.py"), "--quick", "--work", work, "--build",
             os.environ["NODECRYPTOR_BUILD"], "--json", path], capture_output=True, text=True,
            check=False)
        if not tap.equal(done.returncode, 0, "bench --quick runs"):
            tap.note(done.stdout[-3000:] + done.stderr[-3000:])
            return None
        tap.ok("nodecryptor : rule" in done.stdout, "and prints tables")
        with open(path, encoding="utf-8") as file:
            return json.load(file)


def is_spread(value):
    return 0 < value["low"] <= value["median"] <= value["high"]


def figures(tap, results):
    rows = results["paths"]["rows"]
    wanted = {(meter, family, course) for meter in paths.METERS for family in (4, 6)
              for course in paths.COURSES}
    tap.equal({(row["meter"], row["family"], row["course"]) for row in rows}, wanted,
              "paths: every meter, family and course")
    tap.ok(all(is_spread(row[kind][name]) for row in rows for kind in ("ns", "ratio")
               for name in paths.CONTENDERS), "paths: a figure and a ratio for every contender")
    steps = {row["step"]: row for row in results["programming"]}
    tap.equal(set(steps), set(programming.STEPS), "programming: every step")
    tap.ok(all(is_spread(row["ms"]["nodecryptor"]) and is_spread(row["whole_ms"])
               for row in steps.values())
           and all(is_spread(steps[step]["ratio"])
                   for step in ("first", "join", "leave", "device")),
           "programming: a figure and a ratio to the floor for every step")
    tap.equal([steps[step]["messages"]["nodecryptor"]
               for step in ("restart", "join", "leave", "device")], [0, 8, 8, 4 * NODES],
              "programming: a restart writes nothing, a step no more than its objects")
    found = results["daemon"]
    tap.ok(all(is_spread(found[kind][0][name]) for kind, name in (
        ("start", "empty_ms"), ("start", "unchanged_ms"), ("event", "join_ms"),
        ("event", "leave_ms"))), "daemon: start and events")
    tap.equal((found["start"][0]["unchanged_written"], found["event"][0]["written"]), (0, [8]),
              "daemon: a restart writes nothing, a join and a leave one node's routes")
    tap.ok(found["memory"][0]["VmRSS"] > 1000 and found["idle"][0]["seconds"] > 0,
           "daemon: memory and idling")
    tap.ok(results["client"]["lists"][0]["peak_kb"] > 1000
           and results["client"]["events"][0]["fed_us"]["median"] > 0, "client: memory and events")


def run(tap):
    policies(tap)
    results = quick(tap)
    if results:
        figures(tap, results)


suite.main(run)
