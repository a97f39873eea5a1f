#!/usr/bin/python3
"""The API server on a virtual address that moves between two control planes.

At VIP:6443, and behind a load balancer of the control planes at VIP:8443, IPv4 and IPv6. No peer's
AllowedIPs carry the virtual address, so what is sent from it or to it into the device is lost: the
workers must reach the API server all the same, whether the device has the right key or an old one.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import paper  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import API_PORT, Cluster  # noqa: E402
from flows import BLOCKED, ENCRYPTED, Flow  # noqa: E402
from netns import wait_for  # noqa: E402

ADDRESSES = {4: "10.0.0.100", 6: "fd00::100"}
# The node that loses the address has a connection to itself that nobody ends: keep-alive finds it
SECONDS = 120                           # a dead connection is found, and made again with back-off


class Scenario:
    def __init__(self, tap, family, port):
        self.tap, self.family = tap, family
        self.address, self.port = ADDRESSES[family], port
        host = f"[{self.address}]" if family == 6 else self.address
        self.server = f"{host}:{port}"
        self.papers = 0
        self.holder = None
        self.cluster = Cluster(control_planes=2, workers=2)
        suite.know(self.cluster)
        self.prepare()
        exempt = self.cluster.exempt
        exempt.servers.add((self.address, port))
        self.watch = capture.Capture(self.cluster, exempt=exempt)
        self.sizes = capture.Capture(self.cluster, sizes=True)

    def prepare(self):
        """Something serves the API at the port on either control plane."""
        first, second = self.cluster.control_planes
        for node in self.cluster.nodes:
            node.server = self.server
        self.cluster.start_api()
        second.start_relay(f"[::]:{API_PORT}", f"{first.address[4]}:{API_PORT}")
        if self.port != API_PORT:
            for node in (first, second):
                node.start_relay(f"[::]:{self.port}", f"127.0.0.1:{API_PORT}")
        self.move(first)

    def move(self, node):
        """As keepalived does it; clearing the neighbours stands for its gratuitous ARP."""
        length = 32 if self.family == 4 else 128
        if self.holder:
            self.holder.ns.ip(f"addr del {self.address}/{length} dev eth0")
        option = "nodad" if self.family == 6 else ""
        node.ns.ip(f"addr add {self.address}/{length} dev eth0 {option}")
        self.holder = node
        for other in self.cluster.nodes:
            other.ns.ip(f"-{self.family} neigh flush dev eth0 to {self.address}", check=False)

    def news(self, what):
        """A node that is new to the API server gets to every daemon's kernel."""
        self.papers += 1
        item = paper.node(self.papers)
        self.cluster.put(item)
        wanted = {(paper.NODES, address, True) for address in paper.addresses(item)}
        late, begun = [], time.monotonic()
        for node in self.cluster.nodes:
            try:
                node.daemon.wait(lambda: wanted <= paper.held_routes(node.ns), SECONDS, what,
                                 every=0.05)
            except TimeoutError as problem:
                late.append(node.name)
                self.tap.note(problem)
        self.tap.note(f"the last one after {time.monotonic() - begun:.1f} s")
        self.tap.equal(late, [], f"{self.server}: a change reaches every node {what}")

    def still_in_sync(self, what):
        self.tap.equal([node.name for node in self.cluster.nodes
                        if node.daemon.get("/readyz")[0] != 200], [],
                       f"{self.server}: every node is ready {what}")

    def run(self):
        cluster, tap = self.cluster, self.tap
        first, second = cluster.control_planes
        suite.start_daemons(cluster)
        cluster.start_agents()
        cluster.wait_meshed(SECONDS)
        tap.ok(True, f"{self.server}: the cluster comes up, the policy being there first")
        self.news("with the right keys")
        self.still_in_sync("with the right keys")
        for node in (second, first) if self.port == API_PORT else (second,):
            self.move(node)
            self.news(f"after the address has moved to {node}")
        self.outdated()
        seen = self.watch.take()
        tap.equal([str(one) for one in seen.plain[:5]], [], f"{self.server}: on the wire: {seen}")
        for capturing in (self.watch, self.sizes):
            capturing.close()
        cluster.destroy()

    def outdated(self):
        """The holder has another key than the workers' devices know, as after a reboot."""
        cluster, tap, worker = self.cluster, self.tap, self.cluster.workers[0]
        for node in cluster.nodes:
            node.stop_agent()
        os.unlink(self.holder.key_file)
        self.holder.ns.run("wg", "set", wireguard.INTERFACE, "private-key", "/dev/stdin",
                           text=wireguard.private_key())
        dead = Flow(worker, False, self.holder, False, 4, "tcp", 8080).send(self.sizes)
        tap.equal(dead.word, BLOCKED, f"{self.server}: with an outdated key the tunnel is dead")
        self.news("with an outdated key")
        worker.daemon.stop()
        worker.daemon.start().wait_ready()
        self.news("with an outdated key, and a daemon that starts then")
        cluster.start_agents()
        try:
            cluster.wait_meshed(SECONDS)
            wait_for(lambda: Flow(worker, False, self.holder, False, 4, "tcp", 8080).send(
                self.sizes, 0.3).word == ENCRYPTED, 10, "talks")
            tap.ok(True, f"{self.server}: the new key reaches the workers, and all is encrypted")
        except TimeoutError as problem:
            tap.ok(False, f"{self.server}: the new key reaches the workers: {problem}")


def run(tap):
    scenarios = [(4, API_PORT), (4, 8443), (6, 8443)]
    for family, port in scenarios[:1] if suite.FAST else scenarios:
        Scenario(tap, family, port).run()


if __name__ == "__main__":
    suite.main(run)
