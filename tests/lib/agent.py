"""A stand-in for the part that Cilium's agent plays for encryption, run in a node's namespaces.

    agent.py --node worker-1 --server 10.0.0.11:6443 --ca ca.pem --pair client.pem --key-file FILE

Makes the WireGuard device as the agent does (port 51871, mark 0xe00, MTU 1420, no address), with
the key in FILE, which is made anew when there is none, as after a reboot: the real one keeps it in
a tmpfs. Publishes the public key as an annotation of its CiliumNode, and gives the device a peer
for each other node that has published one: its first InternalIP of each family and its pod
prefixes. Polls the API server; while that is away the device keeps the peers it has.
"""

import argparse
import http.client
import json
import os
import ssl
import sys
import time

import wireguard

PATIENCE = float(os.environ.get("NODECRYPTOR_PATIENCE", 1))

ANNOTATION = "network.cilium.io/wg-pub-key"
NODES = "/apis/cilium.io/v2/ciliumnodes"


class Api:
    """The API server, over one connection that is made again after every problem."""

    def __init__(self, server, ca, pair):
        self.host, _, port = server.rpartition(":")
        self.host, self.port = self.host.strip("[]"), int(port)
        self.context = ssl.create_default_context(cafile=ca)
        self.context.load_cert_chain(pair)
        self.connection = None

    def request(self, method, path, body=None):
        """The decoded answer; OSError when there is none, or it is not a success."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPSConnection(
                    self.host, self.port, timeout=2 * PATIENCE, context=self.context)
            self.connection.request(
                method, path, json.dumps(body) if body else None,
                {"Content-Type": "application/merge-patch+json"} if body else {})
            response = self.connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise OSError(f"{method} {path}: {response.status}")
            return json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            if self.connection:
                self.connection.close()
            self.connection = None
            raise OSError(str(problem)) from problem


def peer(item):
    """(key, endpoint, prefixes) of a CiliumNode, None when it has no key or no address."""
    key = item["metadata"].get("annotations", {}).get(ANNOTATION)
    first = {}
    for address in item["spec"]["addresses"]:
        if address["type"] == "InternalIP":
            first.setdefault(":" in address["ip"], address["ip"])
    if not key or not first:
        return None
    prefixes = [f"{address}/{128 if six else 32}" for six, address in first.items()]
    prefixes += item["spec"]["ipam"].get("podCIDRs", [])
    return key, first.get(False) or first[True], sorted(prefixes)


class Agent:
    def __init__(self, options):
        self.node, self.key_file = options.node, options.key_file
        self.api = Api(options.server, options.ca, options.pair)
        self.private = self.load_key()
        self.public = wireguard.public_key(self.private)
        self.applied = None

    def load_key(self):
        if not os.path.exists(self.key_file):
            with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT, 0o600), "w",
                      encoding="ascii") as file:
                file.write(wireguard.private_key())
        with open(self.key_file, encoding="ascii") as file:
            return file.read()

    def make_device(self):
        if not wireguard.exists(wireguard.Here):
            wireguard.create(wireguard.Here, wireguard.in_kernel(wireguard.Here))
        self.apply([])
        wireguard.up(wireguard.Here)

    def apply(self, peers):
        if peers != self.applied and wireguard.exists(wireguard.Here):
            wireguard.synchronise(wireguard.Here,
                                  wireguard.configuration(self.private, peers))
            self.applied = peers

    def turn(self):
        """One look at the cluster."""
        items = self.api.request("GET", NODES)["items"]
        others = [item for item in items if item["metadata"]["name"] != self.node]
        self.apply(sorted(filter(None, map(peer, others))))
        own = [item for item in items if item["metadata"]["name"] == self.node]
        if own and own[0]["metadata"].get("annotations", {}).get(ANNOTATION) != self.public:
            self.api.request("PATCH", f"{NODES}/{self.node}",
                             {"metadata": {"annotations": {ANNOTATION: self.public}}})


def main():
    parser = argparse.ArgumentParser(description="stand-in for Cilium's agent")
    for name in ("node", "server", "ca", "pair", "key-file"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--every", type=float, default=0.25)
    options = parser.parse_args()
    agent = Agent(options)
    agent.make_device()
    print("ready", flush=True)
    while True:
        try:
            agent.turn()
        except (OSError, KeyError, RuntimeError) as problem:
            print(problem, file=sys.stderr, flush=True)
        time.sleep(options.every)


if __name__ == "__main__":
    main()
