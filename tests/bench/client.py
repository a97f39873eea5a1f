"""Section "client": the API client alone, by follow.c: memory while it lists, and time from an
event to the change. The server is the tests' double (tests/lib/apiserver.py), by TLS on loopback.

Memory is peak RSS in MiB once the list is in and the watch runs. What is file-backed in it are the
libraries' own pages (libcurl alone brings in thirty); the rest is ours: anonymous. `seconds` holds
the double's work too, `cpu` the client's own.
Time is from three moments to the change handed over: `sent`, before the server changes the object
(the double's own work, encryption and the wake-up are in it); `received`, the event's last bytes
came out of the kernel, still encrypted; `fed`, they are at the decoder.
"""

import json
import os
import subprocess
import time

import ciliumnodes
from figures import Table
from server import Server

MEMORY = ("peak", "resident", "anonymous", "file", "malloc_used", "malloc_taken")


class Follower:
    def __init__(self, program, kubeconfig):
        self.process = subprocess.Popen([program, kubeconfig], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def wait(self, event):
        for line in self.process.stdout:
            value = json.loads(line)
            if value["event"] == event:
                return value
        raise RuntimeError(f"follow ended before it said {event!r}")

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure_list(program, server, nodes, gzip):
    server.order({"op": "set", "gzip": gzip})
    with Follower(program, server.kubeconfig) as follower:
        replaced = follower.wait("replaced")
        if replaced["nodes"] != nodes:
            raise RuntimeError(f"{replaced['nodes']} nodes of {nodes}")
        memory = follower.wait("watching")
    return {"nodes": nodes, "gzip": gzip, "seconds": replaced["microseconds"] / 1e6,
            "cpu_seconds": memory["cpu"] / 1e6, **{f"{name}_kb": memory[name] for name in MEMORY}}


def percentiles(values):
    values = sorted(values)
    return {name: values[min(len(values) - 1, int(len(values) * share))] / 1000
            for name, share in (("median", 0.5), ("p99", 0.99), ("maximum", 1.0))}


def measure_events(program, server, nodes, events):
    """One change after the other, so that each is an event of its own; in µs."""
    spans = {"sent": [], "received": [], "fed": []}
    with Follower(program, server.kubeconfig) as follower:
        follower.wait("watching")
        for number in range(events):
            value = ciliumnodes.make(number % nodes)
            value["metadata"]["labels"]["changed"] = str(number)
            sent = time.monotonic_ns()
            version = server.put(value)["metadata"]["resourceVersion"]
            changed = follower.wait("changed")
            if changed["version"] != version:
                raise RuntimeError(f"version {changed['version']} instead of {version}")
            for name in ("received", "fed"):
                spans[name].append(changed["handed"] - changed[name])
            spans["sent"].append(changed["handed"] - sent)
    return {"nodes": nodes, "events": events,
            **{f"{name}_us": percentiles(span) for name, span in spans.items()}}


def measure(setting):
    lists, events = [], []
    for nodes in setting.sizes:
        server = Server(os.path.join(setting.work, f"client-{nodes}"), nodes)
        program = f"{setting.programs}/follow"
        lists += [measure_list(program, server, nodes, gzip) for gzip in (False, True)]
        if nodes == setting.sizes[-1]:
            events.append(measure_events(program, server, nodes, setting.events))
        server.stop()
        setting.progress(f"client: {nodes} nodes")
    return {"lists": lists, "events": events}


def tables(result, short):
    lists = Table("The API client's list, memory in MiB",
                  ["nodes", "gzip", "seconds", "cpu", "peak", "resident", "anonymous", "file",
                   "malloc used", "taken"])
    for row in result["lists"]:
        lists.add(f"{row['nodes']:,}", "yes" if row["gzip"] else "no", f"{row['seconds']:.2f}",
                  f"{row['cpu_seconds']:.2f}",
                  *(f"{row[f'{name}_kb'] / 1024:.1f}" for name in MEMORY))
    events = Table("The API client's events, µs until a change is handed over",
                   ["nodes", "events", "from", "median", "p99", "maximum"])
    for row in result["events"]:
        for name in ("sent", "received", "fed"):
            span = row[f"{name}_us"]
            events.add(f"{row['nodes']:,}", f"{row['events']:,}", name,
                       *(f"{span[key]:.0f}" for key in ("median", "p99", "maximum")))
    return [lists, events]
