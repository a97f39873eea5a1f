"""A cluster of network namespaces: nodes on one cable, a pod behind each, an API server.

    netns.isolate()
    cluster = Cluster(control_planes=1, workers=2)
    cluster.start_api()
    cluster.start_agents()
    cluster.wait_meshed()

The main tables are those of Cilium's native routing with direct node routes: without a policy,
all traffic between nodes and their pods leaves in clear. The program itself is in the underlay's
namespace; 10.0.0.1 there stands for the rest of the world.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import apiserver
import packet
import pki
import wireguard
from agent import ANNOTATION
from netns import Namespace, run, wait_for

LIBRARY = os.path.dirname(os.path.abspath(__file__))
FOLDER = "/run/lab"
API_PORT, ETCD_PORTS = 6443, (2379, 2380)
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
WORLD = {4: "10.0.0.1", 6: "fd00::1"}
FAMILIES = (4, 6)


class Node:
    """`cable` is the underlay's end of its eth0; dictionaries are by family, 4 or 6."""

    def __init__(self, cluster, name, index, control_plane):
        self.cluster, self.name, self.control_plane = cluster, name, control_plane
        self.cable = f"to-{name}"
        self.address = {4: f"10.0.0.{10 + index}", 6: f"fd00::{10 + index}"}
        self.prefix = {4: f"10.244.{index}.0/24", 6: f"fd00:10:244:{index}::/64"}
        self.gateway = {4: f"10.244.{index}.1", 6: f"fd00:10:244:{index}::1"}
        self.pod_address = {4: f"10.244.{index}.2", 6: f"fd00:10:244:{index}::2"}
        self.folder = f"{FOLDER}/{name}"
        self.key_file = f"{self.folder}/cilium_wg0.key"
        self.kubeconfig = f"{self.folder}/kubelet.conf"
        self.pair = None
        self.server = f"10.0.0.11:{API_PORT}"       # what its kubeconfig names
        self.agent = None
        self.daemon = None
        self.ns = self.pod = None
        os.makedirs(self.folder)
        run("ip", "link", "add", self.cable, "up", "master", "underlay", "type", "veth",
            "peer", "name", f"of-{name}")

    def boot(self, before_network=None):
        """Namespaces; then what a unit before network-pre.target does; then the network."""
        self.ns = Namespace(self.name, mounts=True)
        self.pod = Namespace(f"{self.name}.pod")
        for key, value in (("ipv4.ip_forward", 1), ("ipv6.conf.all.forwarding", 1),
                           ("ipv4.conf.all.rp_filter", 0), ("ipv4.conf.default.rp_filter", 0)):
            self.ns.sysctl(f"net.{key}", value)
        run("ip", "link", "set", f"of-{self.name}", "netns", self.name, "name", "eth0")
        if before_network:
            before_network()
        self.ns.ip_batch([
            "link set eth0 up", f"addr add {self.address[4]}/24 dev eth0",
            f"addr add {self.address[6]}/64 dev eth0 nodad",
            f"route add default via {WORLD[4]}", f"route add default via {WORLD[6]}",
            f"link add lxc0 type veth peer name eth0 netns {self.pod.name}", "link set lxc0 up",
            f"addr add {self.gateway[4]}/24 dev lxc0", f"addr add {self.gateway[6]}/64 dev lxc0 nodad"])
        self.pod.ip_batch([
            "link set eth0 up", f"addr add {self.pod_address[4]}/24 dev eth0",
            f"addr add {self.pod_address[6]}/64 dev eth0 nodad",
            f"route add default via {self.gateway[4]}", f"route add default via {self.gateway[6]}"])

    def add_direct_routes(self):
        """Cilium's auto-direct-node-routes, in the main table."""
        self.ns.ip_batch([f"route replace {other.prefix[family]} via {other.address[family]} dev eth0"
                          for other in self.cluster.others(self) for family in FAMILIES])

    def power_off(self):
        """Everything that runs on it ends; what a reboot forgets is forgotten, the disk stays."""
        if self.daemon:
            self.daemon.forget()
        for pid in run("ip", "netns", "pids", self.name).split():
            if int(pid) not in (os.getpid(), self.ns.holder.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        self.agent = None
        if os.path.exists(self.key_file):
            os.unlink(self.key_file)
        self.ns.ip(f"link set eth0 down netns {os.getpid()} name of-{self.name}")
        self.pod.delete()
        self.ns.delete()

    def write_kubeconfig(self):
        pki.write_kubeconfig(self.kubeconfig, f"https://{self.server}",
                             self.cluster.authority.cert, self.pair, self.pair)

    def start_relay(self, listen, target):
        """A TCP relay on the node; it ends with the node."""
        relay = self.ns.spawn(sys.executable, f"{LIBRARY}/relay.py", listen, target,
                              stdout=subprocess.PIPE)
        if relay.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{self.name}: no relay at {listen}")
        return relay

    def start_agent(self):
        """Cilium's agent; returns when the device is up."""
        self.agent = self.ns.spawn(
            sys.executable, f"{LIBRARY}/agent.py", "--node", self.name, "--server", self.server,
            "--ca", self.cluster.authority.cert, "--pair", self.pair,
            "--key-file", self.key_file, stdout=subprocess.PIPE,
            stderr=open(f"{self.folder}/agent.log", "ab"))
        if self.agent.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{self.name}: the agent's stand-in did not start")

    def stop_agent(self):
        """The device and the key stay."""
        self.agent.kill()
        self.agent.wait()
        self.agent = None

    def place(self, pod):
        """The namespace of the node, or of its pod."""
        return self.pod if pod else self.ns

    def object(self):
        """Its CiliumNode, before the agent has published anything."""
        return {"metadata": {"name": self.name, "uid": f"uid-{self.name}", "annotations": {},
                             "labels": {CONTROL_PLANE_LABEL: ""} if self.control_plane else {}},
                "spec": {"addresses": [{"type": "InternalIP", "ip": self.address[family]}
                                       for family in FAMILIES] +
                         [{"type": "CiliumInternalIP", "ip": self.gateway[4]}],
                         "ipam": {"podCIDRs": [self.prefix[family] for family in FAMILIES],
                                  "pools": {}}}}

    def __repr__(self):
        return self.name


class Cluster:
    def __init__(self, control_planes=1, workers=2):
        os.makedirs(FOLDER)
        run("ip", "link", "add", "underlay", "up", "type", "bridge", "mcast_snooping", "0")
        for family, length in ((4, 24), (6, 64)):
            run("ip", "addr", "add", f"{WORLD[family]}/{length}", "dev", "underlay", "nodad")
        names = [(f"cp-{i + 1}", True) for i in range(control_planes)]
        names += [(f"worker-{i + 1}", False) for i in range(workers)]
        self.nodes = [Node(self, name, 1 + index, control_plane)
                      for index, (name, control_plane) in enumerate(names)]
        for node in self.nodes:
            node.boot()
        for node in self.nodes:
            node.add_direct_routes()
        self.control = f"{FOLDER}/api.control"
        self.api = None
        self.authority = None
        self.saved = None           # the API server's objects while it is away
        self.keys = {}              # for the demonstration: of before the reboot

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    @property
    def control_planes(self):
        return [node for node in self.nodes if node.control_plane]

    @property
    def workers(self):
        return [node for node in self.nodes if not node.control_plane]

    @property
    def exempt(self):
        """The flows that the default exemptions leave in clear."""
        return packet.Exempt((address, port) for node in self.control_planes
                             for address in node.address.values()
                             for port in (API_PORT, *ETCD_PORTS))

    # The API server, on the first control plane

    def make_credentials(self):
        """A CA, the server's certificate, and a kubelet's credential for each node."""
        self.authority = pki.Authority(f"{FOLDER}/pki")
        names = ["127.0.0.1", "::1", "kubernetes", "10.0.0.100", "fd00::100"]
        names += [address for node in self.nodes for address in node.address.values()]
        self.authority.server("apiserver", names)
        for node in self.nodes:
            node.pair = self.authority.kubelet(f"{node.folder}/pki", node.name)
            node.write_kubeconfig()

    def start_api(self, objects=True):
        """The double on every address of the first control plane, with what it held before."""
        if not self.authority:
            self.make_credentials()
        self.api = self.nodes[0].ns.spawn(
            sys.executable, f"{LIBRARY}/apiserver.py", "--listen", f"[::]:{API_PORT}",
            "--cert", self.authority.path("apiserver.pem"),
            "--key", self.authority.path("apiserver.key"), "--client-ca", self.authority.cert,
            "--control", self.control, "--log", f"{FOLDER}/api.log", stdout=subprocess.PIPE)
        while (line := self.api.stdout.readline()) != b"ready\n":
            if not line:
                raise RuntimeError("the API server's double did not start")
        if self.saved:
            self.command("rewind", version=self.saved["version"])
            for item in self.saved["objects"]:
                self.put(item)
            self.command("compact")
        elif objects:
            for node in self.nodes:
                self.put(node.object())

    def stop_api(self):
        """What it holds is kept, as etcd keeps it on disk."""
        self.saved = {"objects": self.objects(), "version": self.command("version")["version"]}
        self.api.kill()
        self.api.wait()
        self.api = None

    def command(self, operation, **arguments):
        return apiserver.control(self.control, {"op": operation, **arguments})

    def commands(self, commands):
        """Many in a row, over one connection."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(self.control)
            with connection.makefile("rw") as file:
                for command in commands:
                    file.write(json.dumps(command) + "\n")
                    file.flush()
                    answer = json.loads(file.readline())
                    if not answer["ok"]:
                        raise RuntimeError(f"{command['op']}: {answer['error']}")

    def put(self, item):
        return self.command("put", object=item)["object"]

    def objects(self):
        return self.command("list")["objects"]

    # Cilium's part

    def start_agents(self, nodes=None):
        for node in nodes or self.nodes:
            node.start_agent()

    def meshed(self, nodes=None):
        """True when each device has the published key of each other node, and that is the right one."""
        published = {item["metadata"]["name"]: item["metadata"].get("annotations", {}).get(ANNOTATION)
                     for item in self.objects()}
        nodes = nodes or self.nodes
        for node in nodes:
            own = node.ns.run("wg", "show", wireguard.INTERFACE, "public-key", check=False).strip()
            others = {published[other.name] for other in nodes if other is not node}
            if own != published[node.name] or not others <= set(wireguard.peers(node.ns)):
                return False
        return True

    def wait_meshed(self, seconds=20, nodes=None):
        wait_for(lambda: self.meshed(nodes), seconds, "every node knows every other's key",
                 every=0.05)

    def destroy(self):
        """For a program that builds another one after it."""
        for node in self.nodes:
            node.power_off()
            run("ip", "link", "del", node.cable)
        run("ip", "link", "del", "underlay")
        shutil.rmtree(FOLDER)

    def dump(self):
        """For a failed test: what the helpers said."""
        text = ""
        for node in self.nodes:
            for name in ("agent.log", "daemon.log"):
                path = f"{node.folder}/{name}"
                if os.path.exists(path) and os.path.getsize(path):
                    with open(path, encoding="utf-8", errors="replace") as file:
                        text += f"--- {node.name} {name}\n" + "".join(file.readlines()[-30:])
        return text


