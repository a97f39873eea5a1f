"""A real kube-apiserver and its etcd, as build.sh has made them, and its administrator.

    server = RealServer(programs, folder)   # keys, certificates, etcd
    server.start()                          # until /readyz
    server.admin.create_file("conf/rbac.yaml")
    server.terminate(); server.kill()
"""

import http.client
import json
import os
import re
import signal
import ssl
import subprocess
import threading

from netns import run, wait_for
from pki import Authority, openssl, write_kubeconfig

HERE = os.path.dirname(os.path.abspath(__file__))
ADDRESS, PORT = "10.99.0.1", 6443       # not of loopback: a client takes it for a host's
URL = f"https://{ADDRESS}:{PORT}"
NODES = "/apis/cilium.io/v2/ciliumnodes"
FLOWCONTROL = "/apis/flowcontrol.apiserver.k8s.io"
# Where a manifest's kind lives
COLLECTIONS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
}


class ApiProblem(Exception):
    def __init__(self, status, body, headers):
        super().__init__(f"{status}: {body[:300]}")
        self.status, self.body, self.headers = status, body, headers


class Person:
    """Requests with one client certificate, over one connection per thread."""

    def __init__(self, authority, cert=None, key=None):
        self.context = ssl.create_default_context(cafile=authority.cert)
        if cert:
            self.context.load_cert_chain(cert, key)
        self.local = threading.local()

    def _exchange(self, method, path, body, headers):
        if not getattr(self.local, "connection", None):
            self.local.connection = http.client.HTTPSConnection(ADDRESS, PORT, timeout=30,
                                                                context=self.context)
        try:
            self.local.connection.request(method, path, body, headers)
            response = self.local.connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException):
            self.local.connection.close()
            self.local.connection = None
            raise

    def ask(self, method, path, body=None, kind="application/json"):
        """(status, headers, body as text)."""
        headers = {"Content-Type": kind} if body is not None else {}
        response, text = self._exchange(method, path, body, headers)
        return response.status, response.headers, text.decode()

    def want(self, method, path, value=None, kind="application/json"):
        """The answer's object; ApiProblem when it is none of success."""
        body = (json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value)
        body = body.encode() if body is not None else None
        status, headers, text = self.ask(method, path, body, kind)
        if status // 100 != 2:
            raise ApiProblem(status, text, headers)
        return json.loads(text)

    def create_file(self, path):
        """Every document of a YAML file, as kubectl create does it."""
        with open(path, encoding="utf-8") as file:
            for document in re.split(r"(?m)^---$", file.read()):
                kind = re.search(r"(?m)^kind: (\w+)$", document)[1]
                self.want("POST", COLLECTIONS[kind], document, "application/yaml")

    def create(self, value):
        return self.want("POST", NODES, value)

    def patch(self, name, patch):
        return self.want("PATCH", f"{NODES}/{name}", patch, "application/merge-patch+json")

    def delete(self, name):
        return self.want("DELETE", f"{NODES}/{name}")

    def nodes(self):
        return self.want("GET", NODES)["items"]


class RealServer:
    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.audit = os.path.join(folder, "audit.log")
        self.etcd = self.process = None
        self.left = []                  # servers that were told to end
        run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        self.authority = Authority(os.path.join(folder, "ca"))
        self.stranger = Authority(os.path.join(folder, "stranger"))
        self.cert, self.key = self.authority.server("apiserver", [ADDRESS, "127.0.0.1"])
        self.tokens = os.path.join(folder, "tokens.key")
        openssl("genrsa", "-out", self.tokens, "2048")
        self.admin = self.person("admin", name="admin", organisation="system:masters")

    def person(self, file_name, **options):
        return Person(self.authority, *self.authority.client(file_name, **options))

    def kubeconfig(self, node, name=None, **options):
        """A kubelet's, with its pair behind a symlink. Again: rotation."""
        pair = self.authority.kubelet(os.path.join(self.folder, name or node, "pki"), node,
                                      **options)
        return write_kubeconfig(os.path.join(self.folder, name or node, "kubelet.conf"),
                                URL, self.authority.cert, pair, pair)

    # Life

    def spawn(self, name, arguments):
        with open(os.path.join(self.folder, f"{name}.log"), "ab") as log:
            return subprocess.Popen([os.path.join(self.programs, name), *arguments],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_etcd(self):
        self.etcd = self.spawn("etcd", [
            f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--advertise-client-urls=http://127.0.0.1:2379"])

    def start(self, timeout=120):
        if not self.etcd:
            self.start_etcd()
        self.process = self.spawn("kube-apiserver", [
            "--etcd-servers=http://127.0.0.1:2379", f"--bind-address={ADDRESS}",
            f"--advertise-address={ADDRESS}", f"--secure-port={PORT}",
            "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.96.0.0/16",
            f"--tls-cert-file={self.cert}", f"--tls-private-key-file={self.key}",
            f"--client-ca-file={self.authority.cert}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.tokens}",
            f"--service-account-signing-key-file={self.tokens}",
            "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
            f"--audit-policy-file={HERE}/audit.yaml", f"--audit-log-path={self.audit}",
            "--audit-log-mode=blocking"])
        wait_for(self.ready, timeout, f"kube-apiserver is ready, see {self.folder}", every=0.1)
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"kube-apiserver ended: {self.log_end()}")
        try:
            return self.admin.ask("GET", "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def terminate(self):
        """SIGTERM: its port is free when this returns, its watches stay open a while."""
        self.process.send_signal(signal.SIGTERM)
        self.left.append(self.process)
        wait_for(lambda: not self.listening(), 10, "the listener is closed")

    def kill(self):
        self.process.kill()
        self.process.wait()

    @staticmethod
    def listening():
        return run("ss", "-Hltn", f"sport = :{PORT}").strip() != ""

    def serves(self, client):
        """Whether the process of that id has a connection to this server, not to one before it."""
        ends = [(line.split()[2], line.split()[3], re.search(r"pid=(\d+)", line))
                for line in run("ss", "-Htnp", "state", "established").splitlines()]
        theirs = {local for local, _, pid in ends if pid and int(pid[1]) == client}
        return any(peer in theirs and pid and int(pid[1]) == self.process.pid
                   for _, peer, pid in ends)

    def stop(self):
        for process in (*self.left, self.process, self.etcd):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def log_end(self):
        path = os.path.join(self.folder, "kube-apiserver.log")
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    # What it has seen

    def audited(self, agent="nodecryptor/"):
        """[{"user":…, "verb":…, "code":…, "uri":…, "time":…}]: our requests that ended."""
        with open(self.audit, encoding="utf-8") as file:
            entries = [json.loads(line) for line in file if line.endswith("\n")]
        return [{"user": entry["user"].get("username"), "verb": entry["verb"],
                 "code": entry.get("responseStatus", {}).get("code"), "uri": entry["requestURI"],
                 "time": entry["requestReceivedTimestamp"]}
                for entry in entries if entry.get("userAgent", "").startswith(agent)]

    def recreate_crd(self):
        self.admin.create_file(os.path.join(HERE, "ciliumnodes.yaml"))
        self.wait_served()

    def wait_served(self, seconds=30):
        wait_for(lambda: self.admin.ask("GET", NODES)[0] == 200, seconds, "CiliumNodes are served")

    def delete_crd(self):
        path = f"{COLLECTIONS['CustomResourceDefinition']}/ciliumnodes.cilium.io"
        self.admin.want("DELETE", path)
        wait_for(lambda: self.admin.ask("GET", path)[0] == 404, 60, "the CRD is gone")

    def edit_crd(self, column):
        """Another column for kubectl: enough for the server to serve it anew."""
        path = f"{COLLECTIONS['CustomResourceDefinition']}/ciliumnodes.cilium.io"
        columns = [{"op": "add", "path": "/spec/versions/0/additionalPrinterColumns",
                    "value": [{"name": column, "type": "string", "jsonPath": ".spec.x"}]}]
        self.admin.want("PATCH", path, columns, "application/json-patch+json")
