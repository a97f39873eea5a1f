"""The tests' double of an API server with as many CiliumNodes as wanted, for measurements.

    server = Server(folder, nodes=5000)              # ourselves is one more: number 5000
    server.put(ciliumnodes.make(7))
    server.kubeconfig                                # a kubelet's
"""

import contextlib
import os

import ciliumnodes
from apiserver import ApiServer
from pki import Authority, write_kubeconfig


class Server:
    def __init__(self, folder, nodes, itself=False, namespace=None):
        """`itself`: the node whose kubelet's credential it is, is one of the nodes."""
        authority = Authority(os.path.join(folder, "ca"))
        cert, key = authority.server("apiserver", ["127.0.0.1"])
        # A socket stays in the namespace in which it was made
        with namespace.entered() if namespace else contextlib.nullcontext():
            self.api = ApiServer([("127.0.0.1", 0)], cert, key, authority.cert).start()
        for number in range(nodes + itself):
            self.put(ciliumnodes.make(number))
        self.name = ciliumnodes.make(nodes)["metadata"]["name"] if itself else "w1"
        pair = authority.kubelet(os.path.join(folder, "pki"), "w1",
                                 name=f"system:node:{self.name}")
        self.kubeconfig = write_kubeconfig(os.path.join(folder, "kubelet.conf"),
                                           f"https://127.0.0.1:{self.api.port}", authority.cert,
                                           pair, pair)

    def put(self, value):
        return self.order({"op": "put", "object": value})["object"]

    def delete(self, name):
        return self.order({"op": "delete", "name": name})

    def order(self, command):
        answer = self.api.command(command)
        if not answer["ok"]:
            raise RuntimeError(answer["error"])
        return answer

    def stop(self):
        self.api.stop()
