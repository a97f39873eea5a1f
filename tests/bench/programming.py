"""Section "programming": how long the kernel takes to get a policy, by programming.c.

Milliseconds until the last write, and the ratio of nodecryptor to the floor, round by round in the
same run. "read back" is when nodecryptor has also read back what it wrote, and compared: the floor
does neither.
"""

import collections
import json
import os

from figures import Table, number, ratio_text, spread
from host import Host

STEPS = {"first": "first programming", "restart": "restart, nothing changed",
         "join": "one node joins", "leave": "one node leaves", "device": "the device is back"}
CONTENDERS = ("nodecryptor", "floor", "original")
# What the script does not do by itself when the device comes back is no time to compare with
NOT_DONE = {("original", "device")}


def rounds_for(setting, nodes):
    return setting.rounds if nodes <= 1000 else max(setting.rounds // 3, 3)


def measure_size(setting, nodes):
    host = Host(f"programming-{nodes}", nodes, setting.programs, device=False)
    folder = os.path.join(setting.work, f"record-{nodes}")
    os.makedirs(folder)
    rounds = rounds_for(setting, nodes)
    text = host.ns.run("taskset", "--cpu-list", str(setting.cpu),
                       f"{setting.programs}/programming", str(nodes), str(rounds), folder,
                       *(["original"] if nodes <= setting.original_max else []))
    host.delete()
    steps = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in map(json.loads, text.splitlines()):
        steps[line["step"]][line["contender"]].append(line)
    return [step_row(nodes, rounds, step, steps[step]) for step in STEPS]


def step_row(nodes, rounds, step, found):
    row = {"step": step, "nodes": nodes, "rounds": rounds, "ms": {}, "messages": {}}
    for name in CONTENDERS:
        if name in found and (name, step) not in NOT_DONE:
            row["ms"][name] = spread([line["milliseconds"] for line in found[name]])
            row["messages"][name] = max(line["messages"] for line in found[name])
    row["whole_ms"] = spread([line["whole"] for line in found["nodecryptor"]])
    if "floor" in row["ms"]:
        row["ratio"] = spread([ours["milliseconds"] / floor["milliseconds"]
                               for ours, floor in zip(found["nodecryptor"], found["floor"])])
    return row


def measure(setting):
    rows = []
    for nodes in setting.sizes:
        rows += measure_size(setting, nodes)
        setting.progress(f"programming: {nodes} nodes")
    return rows


def tables(rows, short):
    table = Table("Writing a policy, ms, both families",
                  ["step", "nodes", *CONTENDERS, "nodecryptor : floor", "read back", "written"])
    for step, title in STEPS.items():
        for row in rows:
            if row["step"] == step:
                table.add(title, f"{row['nodes']:,}",
                          *(number(row["ms"].get(name, {}).get("median")) for name in CONTENDERS),
                          ratio_text(row.get("ratio")), number(row["whole_ms"]["median"]),
                          f"{row['messages']['nodecryptor']:,}")
    return [table]
