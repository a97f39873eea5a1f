"""Section "daemon": the daemon as it is installed, with the API server's double by TLS.

start      from the start to READY, with a snapshot: into an empty kernel (as after a reboot) and
           over an unchanged one, where it must write nothing
memory     resident, when it is in step with the API server, and after a start from the snapshot
event      from the server's change to the last route of the node that joins or leaves: the double's
           work, TLS and decoding are in it, and for a node that leaves the 100 ms for which the
           daemon gathers such news
idle       wake-ups and processor time while nothing happens
"""

import glob
import os
import time

import ciliumnodes
import daemon
from figures import Table, number, spread
from host import Host
from netns import wait_for
from rtnetlink import Events, dump
from server import Server

RTM_NEWROUTE, RTM_DELROUTE = 24, 25
OBJECTS = 8                             # routes of one node: two families, node and pods, twins
PATIENCE = 120                          # seconds
BAND = range(200, 210)
TABLES = (51870, 51871)


class Machine:
    """What tests/lib/daemon.py takes for a node."""

    def __init__(self, setting, nodes):
        self.nodes, self.daemon = nodes, None
        self.folder = os.path.join(setting.work, f"daemon-{nodes}")
        os.makedirs(self.folder)
        self.host = Host(f"daemon-{nodes}", nodes, setting.programs)
        self.ns = self.host.ns
        self.server = Server(self.folder, nodes, itself=True, namespace=self.ns)
        self.name, self.kubeconfig = self.server.name, self.server.kubeconfig
        daemon.Daemon(self)

    def end(self):
        self.daemon.forget()
        self.server.stop()
        self.host.delete()

    def start(self):
        """Seconds until READY."""
        begin = time.monotonic()
        self.daemon.start().wait(lambda: self.daemon.ready, PATIENCE, "READY", every=0.0005)
        return time.monotonic() - begin

    def wait_in_sync(self):
        self.daemon.wait_in_sync(PATIENCE)
        if self.daemon.metrics()["nodecryptor_kernel_routes"] < OBJECTS * self.nodes:
            raise RuntimeError(f"{self.name}: fewer routes than {self.nodes} nodes need")

    def forget_policy(self):
        """As after a reboot."""
        for family in (4, 6):
            for line in self.ns.ip(f"-{family} rule show").splitlines():
                priority = int(line.partition(":")[0])
                if priority in BAND:
                    self.ns.ip(f"-{family} rule del pref {priority}")
            for table in TABLES:
                self.ns.ip(f"-{family} route flush table {table}", check=False)

    def memory(self):
        """kB of /proc/PID/status, by their names there."""
        with open(f"/proc/{self.daemon.process.pid}/status", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return {name: int(fields[name].split()[0])
                for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile")}

    def expense(self):
        """(voluntary and other context switches, ns on a processor) of all its threads."""
        switches = spent = 0
        for task in glob.glob(f"/proc/{self.daemon.process.pid}/task/*"):
            with open(f"{task}/status", encoding="ascii") as file:
                switches += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
            with open(f"{task}/schedstat", encoding="ascii") as file:
                spent += int(file.read().split()[0])
        return switches, spent


def wait_for_objects(events, kind, wanted):
    """Until so many routes were announced; when the last one was, and how many in the end."""
    seen, last = 0, None

    def done():
        nonlocal seen, last
        taken = [event for event in events.take() if event[0] in (RTM_NEWROUTE, RTM_DELROUTE)]
        if taken:
            last = time.monotonic()
            seen += sum(event[0] == kind for event in taken)
            if len(taken) != sum(event[0] == kind for event in taken):
                raise RuntimeError("other routes than the node's are written")
        return seen >= wanted
    wait_for(done, PATIENCE, f"{wanted} routes", every=0.0002)
    return last, seen


def event_times(machine, count):
    """One node joins and leaves, again and again: ms to the kernel, and how much is written."""
    value = ciliumnodes.make(machine.nodes + 1)
    spans = {"join": [], "leave": []}
    written = set()
    for _ in range(count):
        for step, kind, change in (
                ("join", RTM_NEWROUTE, lambda: machine.server.put(value)),
                ("leave", RTM_DELROUTE, lambda: machine.server.delete(value["metadata"]["name"]))):
            with Events(machine.ns) as events:
                begin = time.monotonic()
                change()
                last, seen = wait_for_objects(events, kind, OBJECTS)
                spans[step].append((last - begin) * 1000)
                time.sleep(0.3)         # what else it writes, and the gathering's end
                written.add(seen + len(events.take()))
    return {"nodes": machine.nodes, "count": count, "written": sorted(written),
            **{f"{step}_ms": spread(values) for step, values in spans.items()}}


def start_times(machine, count):
    """With a snapshot, without an API server."""
    machine.daemon.wait_snapshot(PATIENCE)
    machine.daemon.stop()
    machine.server.order({"op": "stop", "mode": "kill"})
    empty, unchanged, written = [], [], 0
    for _ in range(count):
        machine.forget_policy()
        empty.append(machine.start() * 1000)
        memory = machine.memory()
        before = dump(machine.ns)
        machine.daemon.stop()
        with Events(machine.ns) as events:
            unchanged.append(machine.start() * 1000)
            time.sleep(0.3)
            written += len(events.take())
        if dump(machine.ns) != before:
            raise RuntimeError("a start over an unchanged kernel changes it")
        machine.daemon.stop()
    return {"nodes": machine.nodes, "count": count, "empty_ms": spread(empty),
            "unchanged_ms": spread(unchanged), "unchanged_written": written,
            "memory_kb": memory}


def idle_expense(machine, seconds):
    before = machine.expense()
    time.sleep(seconds)
    after = machine.expense()
    return {"nodes": machine.nodes, "seconds": seconds, "wakeups": after[0] - before[0],
            "cpu_ms": (after[1] - before[1]) / 1e6}


def measure_size(setting, nodes):
    machine = Machine(setting, nodes)
    try:
        machine.start()
        machine.wait_in_sync()
        found = {"memory": {"nodes": nodes, **machine.memory()}}
        found["event"] = event_times(machine, setting.joins)
        if nodes == setting.idle_at:
            time.sleep(min(setting.idle, 12))   # what follows a change has come to its end
            found["idle"] = idle_expense(machine, setting.idle)
        found["start"] = start_times(machine, setting.starts)
    finally:
        machine.end()
    return found


def measure(setting):
    found = []
    for nodes in setting.sizes:
        found.append(measure_size(setting, nodes))
        setting.progress(f"daemon: {nodes} nodes")
    return {kind: [one[kind] for one in found if kind in one]
            for kind in ("start", "memory", "event", "idle")}


def times(value):
    return f"{number(value['median'])} ({number(value['low'])}-{number(value['high'])})"


def tables(result, short):
    start = Table("The daemon: ms from its start with a snapshot to READY",
                  ["nodes", "empty kernel", "unchanged kernel", "written there"])
    for row in result["start"]:
        start.add(f"{row['nodes']:,}", times(row["empty_ms"]), times(row["unchanged_ms"]),
                  row["unchanged_written"])
    event = Table("The daemon: ms from a change at the API server to the last route",
                  ["nodes", "join", "leave", "routes written"])
    for row in result["event"]:
        event.add(f"{row['nodes']:,}", times(row["join_ms"]), times(row["leave_ms"]),
                  ", ".join(map(str, row["written"])))
    memory = Table("The daemon: memory in MiB",
                   ["nodes", "peak", "resident", "anonymous", "file", "resident from a snapshot"])
    for row, other in zip(result["memory"], result["start"]):
        memory.add(f"{row['nodes']:,}", *(f"{row[name] / 1024:.1f}" for name in
                                          ("VmHWM", "VmRSS", "RssAnon", "RssFile")),
                   f"{other['memory_kb']['VmRSS'] / 1024:.1f}")
    idle = Table("The daemon: idle", ["nodes", "seconds", "wake-ups", "ms of processor"])
    for row in result["idle"]:
        idle.add(f"{row['nodes']:,}", row["seconds"], row["wakeups"], f"{row['cpu_ms']:.1f}")
    return [start, event, memory, idle]
