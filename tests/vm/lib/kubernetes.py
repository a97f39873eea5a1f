"""The cluster that the guest belongs to: an API server's double, and a kubelet's credential.

    api = kubernetes.Api()               # on 127.0.0.1:6443, with three nodes
    api.join()                           # /etc/kubernetes/kubelet.conf, as kubeadm writes it

    api = kubernetes.Api("10.0.0.11", FOLDER)   # reached there; what it needs is kept in FOLDER
"""

import os
import subprocess
import sys

import apiserver
import pki
from netns import run

FOLDER = "/run/cluster"
KUBECONFIG = "/etc/kubernetes/kubelet.conf"
LABEL = "node-role.kubernetes.io/control-plane"
PORT = 6443


class Node:
    """Its addresses; `index` makes them."""

    def __init__(self, name, index, control_plane=False):
        self.name, self.control_plane = name, control_plane
        self.addresses = [f"10.0.0.{10 + index}", f"fd00::{10 + index}"]
        self.prefixes = [f"10.244.{index}.0/24", f"fd00:10:244:{index}::/64"]
        self.pods = [f"10.244.{index}.2", f"fd00:10:244:{index}::2"]

    def object(self):
        """Its CiliumNode."""
        return {"metadata": {"name": self.name, "uid": f"uid-{self.name}",
                             "labels": {LABEL: ""} if self.control_plane else {}},
                "spec": {"addresses": [{"type": "InternalIP", "ip": address}
                                       for address in self.addresses],
                         "ipam": {"podCIDRs": self.prefixes, "pools": {}}}}


SELF = Node("vm", 1)
OTHERS = [Node("cp-1", 2, True), Node("worker-2", 3)]


def cable():
    """A network device with the guest's addresses."""
    run("ip", "link", "add", "eth0", "type", "dummy")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "address", "add", f"{SELF.addresses[0]}/24", "dev", "eth0")
    run("ip", "address", "add", f"{SELF.addresses[1]}/64", "dev", "eth0", "nodad")


class Api:
    def __init__(self, address="127.0.0.1", folder=FOLDER, objects=None):
        os.makedirs(folder, exist_ok=True)
        self.address = address
        self.authority = pki.Authority(f"{folder}/pki")
        self.server = self.authority.server("apiserver", [address])
        self.control = f"{folder}/control"
        self.process = None
        self.start()
        for item in objects or [node.object() for node in (SELF, *OTHERS)]:
            self.command("put", object=item)

    def start(self):
        cert, key = self.server
        self.process = subprocess.Popen(
            [sys.executable, apiserver.__file__, "--listen", f"{self.address}:{PORT}", "--cert",
             cert, "--key", key, "--client-ca", self.authority.cert, "--control", self.control],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        while (line := self.process.stdout.readline()) != b"ready\n":
            if not line:
                raise RuntimeError("the API server's double did not start")

    def command(self, operation, **arguments):
        return apiserver.control(self.control, {"op": operation, **arguments})

    def join(self):
        """As after `kubeadm join`: the kubelet has its certificate."""
        pair = self.authority.kubelet("/var/lib/kubelet/pki", SELF.name)
        self.write_kubeconfig(KUBECONFIG, pair)

    def write_kubeconfig(self, path, pair):
        pki.write_kubeconfig(path, f"https://{self.address}:{PORT}", self.authority.cert, pair,
                             pair)
