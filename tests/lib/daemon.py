"""nodecryptor itself, in a node's namespaces.

    daemon = Daemon(node)                # its program from $NODECRYPTOR_BUILD
    daemon.configure(protect=["10.244.0.0/16"], mode="observe")
    daemon.start()
    daemon.wait_ready()                  # READY=1 through NOTIFY_SOCKET
    daemon.status                        # the last STATUS=
    daemon.reload(); daemon.kill(); daemon.stop()

With $NODECRYPTOR_CONFINED it runs as its unit would have it run: see confine.py.
"""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from netns import wait_for
from rtnetlink import quiet

HERE = os.path.dirname(os.path.abspath(__file__))
CONFINED = "NODECRYPTOR_CONFINED" in os.environ
HEALTH, METRICS = 8083, 8084
GATHERED = 0.15                         # seconds; the daemon gathers news for at most 0.1


def build_folder():
    """Where the programs under test are: $NODECRYPTOR_BUILD."""
    folder = os.environ.get("NODECRYPTOR_BUILD")
    if not folder:
        raise SystemExit("NODECRYPTOR_BUILD does not name a build folder; tests/run sets it")
    return folder


def program(name="nodecryptor"):
    part = {"nodecryptor": "daemon", "nodecryptorctl": "ctl"}[name]
    return os.path.join(build_folder(), "src", part, name)


def confined(command, *folders):
    """The command line that runs it in the unit's sandbox, when that is asked for."""
    if not CONFINED:
        return command
    unit = os.path.join(build_folder(), "units", "nodecryptor.service")
    return [sys.executable, f"{HERE}/confine.py", unit, *folders, "--", *command]


def _value(value):
    """In libconfig's syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{ " + " ".join(f"{key} = {_value(one)};" for key, one in value.items()) + " }"
    return "( " + ", ".join(map(_value, value)) + " )"


class Daemon:
    def __init__(self, node):
        self.node = node
        node.daemon = self
        self.config = f"{node.folder}/nodecryptor.conf"
        self.state = f"{node.folder}/state"
        self.snapshot = f"{self.state}/snapshot.json"
        self.log_path = f"{node.folder}/daemon.log"
        self.process = None
        self.wrapper = ()               # the command that runs it, such as env VARIABLE=VALUE
        self.messages = []              # every line that came through NOTIFY_SOCKET
        self.notify = None
        self.seen = 0                   # length of the log when it was started last
        os.makedirs(self.state, exist_ok=True)
        if not os.path.exists(self.config):
            self.configure()

    def configure(self, **settings):
        """Writes the configuration whole: these settings and nothing else."""
        self.write("".join(f"{key} = {_value(value)};\n" for key, value in settings.items()))

    def write(self, text):
        with open(self.config + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.config + ".new", self.config)

    def command(self, *options):
        return [program(), "--config", self.config, "--state-directory", self.state,
                "--kubeconfig", self.node.kubeconfig, *options]

    def inside(self, command, *folders):
        """A wrapper brings what the sandbox would not let it do."""
        return [*self.wrapper, *command] if self.wrapper else confined(command, *folders)

    def start(self, *options, kubeconfig=True, environment=()):
        self.messages = []
        path = f"{self.node.folder}/notify"
        if os.path.exists(path):
            os.unlink(path)
        if self.notify:
            self.notify.shutdown(socket.SHUT_RDWR)
            self.notify.close()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        os.chmod(path, 0o777)           # as systemd's own
        threading.Thread(target=self._receive, args=(self.notify, self.messages),
                         daemon=True).start()
        variables = {**os.environ, "NOTIFY_SOCKET": path, "ASAN_OPTIONS": "detect_leaks=1:verify_asan_link_order=0",
                     **dict(environment)}
        command = self.command(*options)
        if not kubeconfig:
            place = command.index("--kubeconfig")
            del command[place:place + 2]
        folders = [self.state]
        if runtime := variables.get("RUNTIME_DIRECTORY"):
            folders.append(runtime)
        with open(self.log_path, "ab") as log:
            self.seen = log.tell()
            self.process = self.node.ns.spawn(*self.inside(command, *folders), env=variables,
                                              stdout=log, stderr=log)
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def log(self):
        """What it said since its last start."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(self.seen)
            return file.read()

    @staticmethod
    def _receive(notify, messages):
        """A service manager reads at once: the kernel keeps a few datagrams only."""
        try:
            while text := notify.recv(8192):
                messages += text.decode(errors="replace").splitlines()
        except OSError:
            pass                        # closed: another start

    @property
    def ready(self):
        return "READY=1" in self.messages

    @property
    def status(self):
        lines = [line for line in self.messages if line.startswith("STATUS=")]
        return lines[-1][len("STATUS="):] if lines else ""

    def wait(self, predicate, seconds, what, every=0.01):
        """As wait_for(), and a daemon that has ended is an error at once."""
        def holds():
            if not self.running:
                raise RuntimeError(f"{self.node.name}: nodecryptor ended with "
                                   f"{self.process.returncode}:\n{self.log[-3000:]}")
            return predicate()
        try:
            return wait_for(holds, seconds, f"{self.node.name}: {what}", every)
        except TimeoutError as problem:
            raise TimeoutError(f"{problem}\nstatus: {self.status}\n{self.log[-3000:]}") from None

    def wait_ready(self, seconds=10):
        self.wait(lambda: self.ready, seconds, "READY")
        return self

    @property
    def watching(self):
        """It has the API server's list, and the kernel holds what follows from it."""
        return "API watching" in self.status and self.get("/readyz")[0] == 200

    def wait_in_sync(self, seconds=20):
        """Until that is so, and what was gathered in the meantime is in the kernel as well."""
        self.wait(lambda: self.watching, seconds, "a watch, and /readyz", every=0.02)
        quiet(self.node.ns, GATHERED)
        return self

    def wait_snapshot(self, seconds=20):
        """Until what it knows is on the disk."""
        self.wait(lambda: os.path.exists(self.snapshot), seconds, "a snapshot")

    def get(self, path, port=HEALTH):
        """(status, body) of its own HTTP service; status 0 when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        connection.sock = self.node.ns.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.sock.settimeout(2)
        try:
            connection.sock.connect(("127.0.0.1", port))
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def metrics(self):
        """{name with labels: value}."""
        lines = self.get("/metrics", METRICS)[1].splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
                for line in lines if line and not line.startswith("#")}

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self):
        self.signal(signal.SIGHUP)

    def stop(self, seconds=10):
        """SIGTERM; anything but success, such as a sanitizer's report, is an error."""
        self.signal(signal.SIGTERM)
        if self.process.wait(seconds):
            raise RuntimeError(f"{self.node.name}: nodecryptor ended with "
                               f"{self.process.returncode}:\n{self.log[-3000:]}")
        return 0

    def kill(self):
        self.process.kill()
        self.process.wait()

    def forget(self):
        """SIGKILL when it runs."""
        if self.running:
            self.kill()


def start_all(cluster, **settings):
    """A daemon on every node, ready."""
    started = time.monotonic()
    for node in cluster.nodes:
        daemon = node.daemon or Daemon(node)
        daemon.configure(**settings)
        daemon.start()
    for node in cluster.nodes:
        node.daemon.wait_ready()
    return time.monotonic() - started


def check(*arguments):
    """`nodecryptor ARGUMENTS` to its end: (exit status, stdout, stderr)."""
    done = subprocess.run([program(), *arguments], capture_output=True, text=True, check=False,
                          timeout=30)
    return done.returncode, done.stdout, done.stderr
