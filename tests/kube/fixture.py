"""One client (reflect.c) against one API server double, in a folder of their own."""

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from apiserver import ApiServer  # noqa: E402
from pki import Authority, write_kubeconfig  # noqa: E402


class Failure(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Failure(text)


CASES = []

# The lines of the recorded table of real servers' behaviour; "-": not in it.
LINES = ("list body", "paging", "continue after compaction", "too old watch",
         "a version from the future", "a garbage version", "timeoutSeconds", "idle connection",
         "bookmarks", "WatchList", "expired or unknown client certificate",
         "no certificate, no RBAC", "certificate expires on an open connection", "CRD absent",
         "CRD deleted mid-watch", "CRD edited, server restarted", "overload", "starting",
         "SIGTERM to the server", "SIGKILL", "slow reader", "framing", "gzip", "5,000 nodes", "-")


def case(server, client, line):
    """A row of the suite: what the server does, what the client must do, and the line of the
    recorded table that it comes from (LINES)."""
    def register(test):
        test.server, test.client, test.line = server, client, line
        CASES.append(test)
        return test
    return register


def names(line):
    return [entry["name"] for entry in line["nodes"]]


def node(name, index, **spec):
    """A CiliumNode as Cilium writes it."""
    return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name},
                         "annotations": {}},
            "spec": {"addresses": [{"type": "InternalIP", "ip": f"10.0.0.{index}"},
                                   {"type": "CiliumInternalIP", "ip": f"10.244.{index}.1"},
                                   {"type": "InternalIP", "ip": f"fd00::{index}"}],
                     "ipam": {"podCIDRs": [f"10.244.{index}.0/24"], "pools": {}}, **spec}}


class Pki:
    """Made once for the whole run: certificates take time."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="kube-pki-")
        self.authority = Authority(os.path.join(self.folder, "ca"))
        self.other = Authority(os.path.join(self.folder, "other"))
        self.server = self.authority.server("apiserver", ["127.0.0.1", "localhost", "::1"])
        self.foreign_server = self.other.server("apiserver", ["127.0.0.1", "localhost"])
        self.named_server = self.authority.server("named", ["kubernetes.internal"])

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Client:
    """The reflect program, and the lines it has printed."""

    def __init__(self, program, arguments, environment=None):
        environment = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen([program, *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env=environment)
        self.lines, self.seen = queue.Queue(), []
        self.errors = []
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.read_errors, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.rstrip())

    def wait(self, event, timeout=8.0, where=lambda line: True):
        """The next line of that event that fits; what comes before it is kept in `seen`."""
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                line = self.lines.get(timeout=max(0.0, left))
            except queue.Empty:
                last = "; ".join(json.dumps(entry)[:160] for entry in self.seen[-4:])
                raise Failure(f"no {event} within {timeout} s; last: {last}; "
                              f"{' '.join(self.errors[-20:])}") from None
            self.seen.append(line)
            if line["event"] == event and where(line):
                return line

    def state(self, name, **options):
        return self.wait("state", where=lambda line: line["state"] == name, **options)

    def none(self, event, seconds):
        """Nothing of that event for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return
            self.seen.append(line)
            check(line["event"] != event, f"there was a {event}: {line}")

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def status(self):
        self.say("status")
        return self.wait("status")

    def close(self):
        """Ends it; anything but a clean end is a failure (a sanitizer's report, for instance)."""
        if self.process.poll() is None:
            try:
                self.say("quit")
            except OSError:
                pass
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("the client did not end when told to") from None
        check(code == 0, f"the client ended with {code}: {' '.join(self.errors[-40:])}")


class Fixture:
    def __init__(self, program, pki):
        self.program, self.pki = program, pki
        self.folder = tempfile.mkdtemp(prefix="kube-test-")
        self.servers, self.clients = [], []
        self.api = None

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def serve(self, nodes=3, listen="127.0.0.1", server=None, **options):
        cert, key = server or self.pki.server
        self.api = ApiServer([(listen, 0)], cert, key, self.pki.authority.cert, **options).start()
        self.servers.append(self.api)
        for index in range(1, nodes + 1):
            self.put(f"n{index}", index)
        return self.api

    def put(self, name, index, **spec):
        return self.order("put", object=node(name, index, **spec))["object"]

    def put_object(self, value, name=None):
        return self.order("put", object=value, name=name)["object"]

    def order(self, op, **arguments):
        answer = self.api.command({"op": op, **arguments})
        check(answer["ok"], f"the double: {op}: {answer.get('error')}")
        return answer

    def behave(self, match, times=1, **action):
        action = {name.replace("_", "-"): value for name, value in action.items()}
        self.order("behave", match=match, times=times, action=action)

    def requests(self, kind=None):
        seen = self.order("requests")["requests"]
        return [entry for entry in seen if kind in (None, entry["kind"])]

    def until(self, condition, text, timeout=8.0):
        deadline = time.monotonic() + timeout
        while not condition():
            check(time.monotonic() < deadline, text)
            time.sleep(0.02)

    def kubeconfig(self, server=None, name="kubelet.conf", client=None, **options):
        """A kubelet's kubeconfig with its certificate behind a symlink, unless told otherwise."""
        if client is None and "token" not in options and "token_file" not in options:
            pair = self.pki.authority.kubelet(self.path("pki"), "w1")
            options = {"cert": pair, "key": pair, **options}
        options.setdefault("ca", self.pki.authority.cert)
        return write_kubeconfig(self.path(name), server or f"https://127.0.0.1:{self.api.port}",
                                **options)

    def client(self, *arguments, environment=None, **timings):
        if not any(argument.startswith("--kubeconfig") or argument.startswith("--root")
                   for argument in arguments):
            arguments = (f"--kubeconfig={self.path('kubelet.conf')}", *arguments)
        # Tests end watches early; only the one about that wants it to be a failure.
        timings = {"short_watch": 1, **timings}
        settings = [f"--set={name}={value}" for name, value in timings.items()]
        client = Client(self.program, [*arguments, *settings], environment)
        self.clients.append(client)
        return client

    def watching(self, *arguments, nodes=3, environment=None, **timings):
        """Server, kubeconfig, and a client that has listed and watches."""
        if not self.api:
            self.serve(nodes)
        if not os.path.exists(self.path("kubelet.conf")):
            self.kubeconfig()
        client = self.client(*arguments, environment=environment, **timings)
        client.wait("replaced")
        client.state("watching")
        return client

    def close(self):
        try:
            for client in self.clients:
                client.close()
        finally:
            for server in self.servers:
                server.stop()
            shutil.rmtree(self.folder, ignore_errors=True)
