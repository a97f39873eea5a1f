"""tests/demo's show. $NODECRYPTOR_BUILD names the folder of the built programs."""

import sys
import time

import capture
import daemon
import flowmatrix
import flows
import netns
import packet
import wireguard
from cluster import Cluster
from screen import Screen

COLOURS = {flows.ENCRYPTED: "green", flows.PLAIN: "yellow", flows.OUT_PLAIN: "yellow",
           flows.BLOCKED: "cyan"}
WORDS = {flows.PLAIN: "PLAIN (exempt)"}
DEAD_SECONDS = 8


class Demo:
    def __init__(self):
        self.screen = Screen()
        self.mistakes = []
        self.cluster = self.sizes = self.watch = None
        self.zero = 0

    # Saying

    def check(self, holds, text):
        if not holds:
            self.mistakes.append(text)
            self.screen.line(f"  WRONG: {text}", "red")
        return holds

    def event(self, text, colour=None):
        self.screen.line(f"  {time.monotonic() - self.zero:6.2f} s  {text}", colour)

    def wire(self, what):
        """What the whole story left on the wire."""
        seen = self.watch.take()
        self.screen.line(f"  on the wire {what}: {seen}")
        self.check(not seen.plain and not seen.lost,
                   f"packets in clear: {'; '.join(map(str, seen.plain[:3]))}")

    # Doing

    def build_cluster(self, relays=False):
        self.screen.progress("starting the cluster")
        self.cluster = cluster = Cluster(control_planes=1, workers=2)
        if relays:
            cluster.nodes[0].server = "127.0.0.1:6443"
            for worker in cluster.workers:
                worker.server = "127.0.0.1:6444"
                worker.start_relay(worker.server, f"{cluster.nodes[0].address[4]}:6443")
        cluster.start_api()
        cluster.start_agents()
        cluster.wait_meshed()
        self.sizes = capture.Capture(cluster, sizes=True)

    def measure(self):
        def progress(row, cell):
            self.screen.progress(f"{row[0]}: {cell.source} → {cell.destination} IPv{cell.family}")
        return flowmatrix.measure(self.cluster, self.sizes, progress=progress)

    def flow(self, source, destination, port, protocol="tcp", pods=False, timeout=1.0):
        return flows.Flow(source, pods, destination, pods, 4, protocol, port).send(
            self.sizes, timeout)

    def show_before(self):
        self.screen.heading("Without nodecryptor")
        results = [result for row in self.measure() for cell in row.cells
                   for result in cell.results]
        plain = sum(result.word == flows.PLAIN for result in results)
        self.screen.line(f"  {plain} of {len(results)} flows between nodes and pods cross the wire "
                         "in clear, though each node has a WireGuard device.")
        self.check(plain == len(results), "the laboratory itself: some flow was not in clear")

    def show_matrix(self):
        self.screen.heading("With nodecryptor on each node")
        took = daemon.start_all(self.cluster)
        for node in self.cluster.nodes:
            node.daemon.wait_in_sync()
        self.screen.line(f"  every daemon READY after {took:.2f} s")
        for node in self.cluster.nodes:
            self.screen.line(f"    {node.name}: {node.daemon.status}")
        self.screen.line()
        self.watch = capture.Capture(self.cluster)
        self.print_matrix(self.measure())
        self.wire("meanwhile")

    def print_matrix(self, rows):
        pairs = flowmatrix.pairs(self.cluster)
        head = ["flow, IPv4 and IPv6", *(f"{flowmatrix.role(source)} → {flowmatrix.role(to)}"
                                         for source, to in pairs)]
        lines, wrong, total = [], [], 0
        for row in rows:
            line = [row.name]
            for source, destination in pairs:
                cells = [cell for cell in row.cells
                         if (cell.source, cell.destination) == (source, destination)]
                line.append(self.describe(cells))
                wrong += [one for cell in cells for one in cell.wrong]
                total += sum(len(cell.results) for cell in cells)
            lines.append(line)
        self.screen.table(["  " + head[0], *head[1:]], [["  " + line[0], *line[1:]]
                                                        for line in lines])
        self.screen.line()
        for flow, result in wrong[:10]:
            self.check(False, f"{flow}: {result}, should be {flowmatrix.expected(flow)}")
        self.check(len(wrong) <= 10, f"{len(wrong)} flows in all")
        if not wrong:
            self.screen.line(f"  {total} flows by tcp, udp and icmp, all as they should be.")

    @staticmethod
    def describe(cells, wanted=None):
        """A table's cell for the two families; `wanted` instead of the policy's answer."""
        words = {cell.word for cell in cells}
        text = " / ".join(WORDS.get(word, word) for word in sorted(words))
        if words != {wanted} if wanted else any(cell.wrong for cell in cells):
            return f"{text} WRONG", "red"
        return text, COLOURS.get(min(words), "red")

    def show_blocked(self):
        self.screen.heading("Without the device on worker-1")
        worker, cp = self.cluster.workers[0], self.cluster.nodes[0]
        wireguard.down(worker.ns)
        worker.daemon.wait(lambda: "dev cilium_wg0" not in worker.ns.ip("route show table all"),
                           5, "the device's routes are gone")
        lines = []
        for row in flowmatrix.ROWS[:6]:
            cells = [flowmatrix.Cell(worker, cp, family, row) for family in (4, 6)]
            for cell in cells:
                self.screen.progress(f"{row[0]} IPv{cell.family}")
                cell.measure(self.sizes, timeout=0.3)
            wanted = flows.PLAIN if cells[0].expected == flows.PLAIN else flows.BLOCKED
            for cell in cells:
                self.check(cell.word == wanted, f"{row[0]} without the device: {cell.word}")
            lines.append(["  " + row[0], self.describe(cells, wanted)])
        self.screen.table(["  flow, IPv4 and IPv6", "worker → CP"], lines)
        wireguard.up(worker.ns)
        self.screen.line()
        netns.wait_for(lambda: self.flow(worker, cp, 8080).word == flows.ENCRYPTED, 10,
                       "encrypted again")
        self.screen.line("  the device is up again: ENCRYPTED again")
        self.wire("meanwhile")

    # The reboot

    def power_off(self):
        cp, worker = self.cluster.nodes[0], self.cluster.workers[0]
        cp.daemon.wait_snapshot()
        self.zero = time.monotonic()
        self.cluster.stop_api()
        cp.power_off()
        self.event("cp-1 loses power: its device, its key, its rules and routes are gone")
        result = self.flow(worker, cp, 8080, timeout=0.3)
        self.event(f"worker-1 → cp-1: {result}")
        self.check(result.word == flows.BLOCKED, f"worker-1 → cp-1 is {result}")

    def boot(self):
        """Until Cilium's agent has made its device and key."""
        cp, worker = self.cluster.nodes[0], self.cluster.workers[0]
        self.zero = time.monotonic()
        old = self.cluster.keys[cp.name]

        def before_network():
            begun = time.monotonic()
            cp.daemon.start().wait_ready()
            self.event(f"cp-1 boots; nodecryptor is READY {(time.monotonic() - begun) * 1000:.0f} "
                       "ms after its start, before there is any network, from its snapshot:")
            self.screen.line(f"            {cp.daemon.status}", "dim")
        cp.boot(before_network)
        cp.add_direct_routes()
        result = self.flow(cp, worker, 8080, timeout=0.3)
        self.event(f"no device yet; cp-1 → worker-1: {result}")
        self.check(result.word == flows.BLOCKED, f"cp-1 → worker-1 without a device is {result}")
        self.cluster.start_api()
        self.event("the kubelet has started the API server")
        cp.start_agent()
        new = cp.ns.run("wg", "show", wireguard.INTERFACE, "public-key").strip()
        self.event(f"Cilium's agent has made the device, with a new key: {old[:8]}… → {new[:8]}…")
        self.check(old != new, "the key is the old one")

    def remember_keys(self):
        self.cluster.keys = {
            node.name: node.ns.run("wg", "show", wireguard.INTERFACE, "public-key").strip()
            for node in self.cluster.nodes}

    def wait_back(self, seconds):
        """Until worker and control plane talk, encrypted, both ways."""
        cp, worker = self.cluster.nodes[0], self.cluster.workers[0]

        def talk():
            return all(self.flow(*ends, 8080, pods=pods, timeout=0.3).word == flows.ENCRYPTED
                       for ends in ((worker, cp), (cp, worker)) for pods in (False, True))
        try:
            self.cluster.wait_meshed(seconds)
            self.event("the workers have the new key from the API server")
            netns.wait_for(talk, seconds, "cp-1 and worker-1 talk")
            return True
        except TimeoutError:
            return False

    def show_reboot(self):
        self.screen.heading("The control plane reboots")
        self.remember_keys()
        self.power_off()
        self.boot()
        api = self.flow(self.cluster.workers[0], self.cluster.nodes[0], 6443)
        self.event(f"worker-1 → cp-1 port 6443: {WORDS.get(api.word, api)}")
        self.check(api.word == flows.PLAIN, f"the API server is {api} for a worker")
        if self.check(self.wait_back(20), "cp-1 did not come back"):
            self.event("cp-1 ↔ worker-1, hosts and pods: ENCRYPTED. It came back by itself.",
                       "green")
        self.wire("through all of it")

    # The same without exemptions

    def show_without(self):
        self.screen.heading("The same without exemptions")
        self.screen.line("  exemptions = ( ), and workers that reach the API server by a relay on "
                         "127.0.0.1, as with k3s and RKE2")
        self.watch.close()
        self.sizes.close()
        self.cluster.destroy()
        self.build_cluster(relays=True)
        daemon.start_all(self.cluster)
        for node in self.cluster.nodes:
            node.daemon.wait_in_sync()
            node.daemon.configure(exemptions=[])
            node.daemon.reload()
        cp, worker = self.cluster.nodes[0], self.cluster.workers[0]
        netns.wait_for(lambda: self.flow(worker, cp, 6443).word == flows.ENCRYPTED, 5,
                       "the API server's port is encrypted as well")
        self.screen.line("  worker-1 → cp-1 port 6443: ENCRYPTED, like everything else")
        self.watch = capture.Capture(self.cluster, exempt=packet.Exempt(()))
        self.remember_keys()
        self.power_off()
        self.boot()
        self.stay_dead(cp, worker)
        self.wire("through all of it")
        self.cure()

    def stay_dead(self, cp, worker):
        begun, tries = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < DEAD_SECONDS:
            self.screen.progress(f"  waiting for worker-1 to reach cp-1: {passed:.0f} s")
            tries += 1
            for port in (6443, 8080):
                result = self.flow(worker, cp, port, timeout=0.5)
                if not self.check(result.word == flows.BLOCKED,
                                  f"worker-1 → cp-1 port {port} is {result}"):
                    return
            if not self.check(not self.cluster.meshed(), "the workers have the new key"):
                return
        self.event(f"dead: in {passed:.0f} s and {tries} tries no worker reached port 6443 of "
                   "cp-1,", "cyan")
        self.event("so none learnt the new key, and the tunnel that would carry it needs that key",
                   "cyan")

    def cure(self):
        """That it was for want of the exemptions, and nothing else."""
        self.zero = time.monotonic()
        for node in self.cluster.nodes:
            node.daemon.configure()
            node.daemon.reload()
        self.event("the default exemptions again, by SIGHUP")
        if self.check(self.wait_back(30), "cp-1 did not come back with exemptions"):
            self.event("cp-1 ↔ worker-1: ENCRYPTED. The exemptions are what it takes.", "green")

    def run(self):
        self.build_cluster()
        kind = "the kernel's" if wireguard.in_kernel(wireguard.Here) else "wireguard-go's"
        self.screen.line(f"one control plane (CP) and two workers, each a network namespace with a "
                         f"pod behind it; {kind} WireGuard")
        self.show_before()
        self.show_matrix()
        self.show_blocked()
        self.show_reboot()
        self.show_without()
        self.screen.line()
        seconds = time.monotonic() - self.screen.begun
        if self.mistakes:
            self.screen.line(f"{len(self.mistakes)} things were not as they should be "
                             f"({seconds:.0f} s)", "red")
            return 1
        self.screen.line(f"All as it should be ({seconds:.0f} s).", "green")
        return 0


def main():
    daemon.program()
    netns.isolate()
    demo = Demo()
    try:
        sys.exit(demo.run())
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, TimeoutError, OSError) as problem:
        demo.screen.line(f"the demonstration stopped: {problem}", "red")
        if demo.cluster:
            demo.screen.line(demo.cluster.dump())
        sys.exit(1)


if __name__ == "__main__":
    main()
