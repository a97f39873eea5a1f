#!/usr/bin/python3
"""SIGKILL at random moments of a change of 200 nodes: never laxer, and the next start converges.

All the while the kernel is asked, thousands of times a second, for flows whose answer is the same
before and after each change, and a flood runs between the real nodes.
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import paper  # noqa: E402
import suite  # noqa: E402
from flood import Flood  # noqa: E402
from watcher import Watcher, in_clear, not_open  # noqa: E402

ROUNDS = 6 if suite.FAST else 30
STAYING, CHANGING = range(100), range(100, 300)


def watched_flows(cluster, worker):
    """What every change leaves as it is: steered destinations, and exempt ones."""
    items = [paper.node(number, control_plane=number < 3) for number in STAYING]
    items += [other.object() for other in cluster.others(worker)]
    steered = [address for item in items for address in paper.addresses(item)]
    steered += [paper.inside(prefix) for item in items for prefix in paper.prefixes(item)]
    flows = [(in_clear, {"destination": address}) for address in steered]
    control_planes = [item for item in items if item["metadata"]["labels"]]
    flows += [(not_open, {"destination": address, "protocol": "tcp", "dport": port})
              for item in control_planes for address in paper.addresses(item)
              for port in (2379, 6443)]
    return flows


def changes(random, version):
    """200 nodes: some get other addresses or another role, some go, some come."""
    commands = []
    for number in CHANGING:
        fate = random.random()
        if fate < 0.25:
            commands.append({"op": "delete", "name": f"paper-{number}"})
        else:
            item = paper.node(number, version if fate < 0.75 else 0, random.random() < 0.02)
            commands.append({"op": "put", "object": item})
    random.shuffle(commands)
    return commands


class Test:
    def __init__(self, tap):
        self.tap, self.random = tap, suite.seed(tap)
        self.cluster = suite.start(control_planes=1, workers=2)
        self.worker = self.cluster.workers[0]
        self.version = 0
        self.cluster.commands([{"op": "put", "object": paper.node(
            number, control_plane=number in range(3))} for number in (*STAYING, *CHANGING)])
        self.wait_converged()

    def difference(self):
        """(missing, too much) in the kernel."""
        wanted = paper.wanted_routes(self.cluster.objects(), self.worker.name)
        held = paper.held_routes(self.worker.ns)
        return wanted - held, held - wanted

    def wait_converged(self, seconds=30):
        try:
            self.worker.daemon.wait(lambda: self.difference() == (set(), set()), seconds,
                                    "the kernel holds what is wanted", every=0.02)
        except TimeoutError:
            missing, too_much = self.difference()
            self.tap.note(f"{len(missing)} missing, such as {sorted(missing)[:3]}; "
                          f"{len(too_much)} too much, such as {sorted(too_much)[:3]}")
            raise

    def change(self):
        """Begins the change of 200 nodes, in a thread."""
        self.version += 1
        there = {item["metadata"]["name"] for item in self.cluster.objects()}
        commands = [command for command in changes(self.random, self.version)
                    if command["op"] == "put" or command["name"] in there]
        thread = threading.Thread(target=self.cluster.commands, args=(commands,))
        thread.start()
        return thread

    def measure(self):
        """How long an undisturbed change takes, until the kernel holds it."""
        begun = time.monotonic()
        self.change().join()
        self.wait_converged()
        return time.monotonic() - begun

    def kill_in(self, longest):
        """One round: the change, SIGKILL in the middle of it, in some also in the next start."""
        thread = self.change()
        time.sleep(self.random.random() * longest)
        self.worker.daemon.kill()
        if self.random.random() < 0.5:
            self.worker.daemon.start()
            time.sleep(self.random.random() * 0.05)
            self.worker.daemon.kill()
        time.sleep(self.random.random() * 0.1)
        thread.join()
        begun = time.monotonic()
        self.worker.daemon.start().wait_ready()
        self.wait_converged()
        return time.monotonic() - begun

    def run(self):
        longest = self.measure()
        self.tap.note(f"an undisturbed change of 200 nodes takes {longest * 1000:.0f} ms")
        watcher = Watcher(self.worker, watched_flows(self.cluster, self.worker))
        watch, flood = capture.Capture(self.cluster), Flood(self.cluster, passes=50)
        watcher.start()
        times = [self.kill_in(longest * 1.1) for _ in range(ROUNDS)]
        watcher.end()
        counters, seen = flood.stop(), watch.take()
        self.tap.ok(True, f"{ROUNDS} kills, and each time the next start converged")
        self.tap.note(f"converged {max(times) * 1000:.0f} ms after the start at most")
        self.tap.note(f"{watcher.asked} answers of the kernel, {counters.sent} packets of the "
                      f"flood; {seen}")
        self.tap.ok(watcher.asked > 1000 * ROUNDS, "the kernel was asked all the time")
        self.tap.equal(watcher.wrong[:5], [], "no answer was laxer, no exempt flow was cut off")
        self.tap.equal(([str(one) for one in seen.plain[:5]], seen.lost), ([], 0),
                       "not one clear packet")


if __name__ == "__main__":
    suite.main(lambda tap: Test(tap).run())
