#!/usr/bin/python3
"""The API client and the daemon against a real kube-apiserver. Prints TAP; needs root.

    run.py [PART-OF-A-STAGE'S-NAME]

The programs under test are those of the build folder in $NODECRYPTOR_BUILD. The server is built at
the first time, see build.sh; packages lists what that needs. All of it runs in namespaces of its
own, which end with it. A part without the first stage begins on a server with our RBAC manifest.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path[:0] = [HERE, os.path.join(TESTS, "lib"), os.path.join(TESTS, "kube"),
                os.path.join(TESTS, "bench")]
import ciliumnodes  # noqa: E402
import netns  # noqa: E402
import stages  # noqa: E402
from daemon import Daemon, build_folder  # noqa: E402
from follower import Follower, node  # noqa: E402
from server import URL, RealServer  # noqa: E402
from tap import Tap  # noqa: E402


class Host:
    """The node of a Daemon, in the namespaces that we are in already."""

    daemon = None

    def __init__(self, name, folder, kubeconfig):
        self.name, self.folder, self.kubeconfig, self.ns = name, folder, kubeconfig, self

    @staticmethod
    def spawn(*command, **options):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)

    @staticmethod
    def socket(family, kind):
        return netns.socket.socket(family, kind)


class Laboratory:
    def __init__(self, tap, server):
        self.tap, self.server = tap, server
        self.program = os.path.join(build_folder(), "tests", "kube", "reflect")
        self.clients, self.daemons, self.lasting = [], [], None

    def note(self, text):
        self.tap.note(text)

    def client(self, name, *options, kubeconfig=None, **timings):
        kubeconfig = kubeconfig or self.server.kubeconfig(name)
        arguments = [f"--kubeconfig={kubeconfig}", *options,
                     *(f"--set={key}={value}" for key, value in timings.items())]
        self.clients.append(Follower(self.program, arguments))
        return self.clients[-1]

    @property
    def one(self):
        """A client that lives through the stages, watching."""
        if not self.lasting:
            self.lasting = Follower(self.program, [f"--kubeconfig={self.server.kubeconfig('n1')}"])
            self.lasting.wait("replaced", timeout=20)
            self.lasting.state("watching")
        return self.lasting

    def daemon(self, name):
        folder = os.path.join(self.server.folder, name)
        kubeconfig = self.server.kubeconfig(name)
        self.daemons.append(Daemon(Host(name, folder, kubeconfig)))
        return self.daemons[-1]

    def snapshot(self, listed):
        """The options that give a client this list as its snapshot, an hour old."""
        path = os.path.join(self.server.folder, "snapshot.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(listed, file)
        with open(self.server.authority.cert, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        return [f"--snapshot={path}", f"--snapshot-ca={digest}", "--snapshot-age=3600",
                f"--snapshot-server={URL}"]

    @staticmethod
    def route(prefix):
        """Whether one of our private tables has it."""
        return any(netns.run("ip", "route", "show", "table", str(table), prefix, check=False)
                   for table in (51870, 51871))

    @staticmethod
    def realistic(number):
        value = ciliumnodes.make(number)
        # The server keeps these itself
        for key in ("managedFields", "uid", "generation", "creationTimestamp"):
            value["metadata"].pop(key, None)
        return value

    @staticmethod
    def disable_compression(kubeconfig):
        with open(kubeconfig, encoding="utf-8") as file:
            text = file.read()
        with open(kubeconfig, "w", encoding="utf-8") as file:
            file.write(text.replace("    server: ", "    disable-compression: true\n    server: "))

    def end_stage(self):
        """Ends what the stage began; a client that ends badly fails it."""
        clients, self.clients = self.clients, []
        daemons, self.daemons = self.daemons, []
        for daemon in daemons:
            daemon.forget()
        for client in clients:
            client.close()

    def close(self):
        if self.lasting:
            self.lasting.close()


def stage(run, laboratory):
    try:
        run(laboratory)
    finally:
        laboratory.end_stage()


def run_stages(tap, server, part):
    laboratory = Laboratory(tap, server)
    tap.run("kube-apiserver starts", server.start)
    server.recreate_crd()
    for program in ("kube-apiserver", "etcd"):
        tap.note(netns.run(os.path.join(server.programs, program), "--version").splitlines()[0])
    if part not in stages.STAGES[0].__name__:
        server.admin.create_file(os.path.join(stages.MANIFESTS, "rbac.yaml"))
        for index in range(1, stages.STORM_NODES + 1):
            server.admin.create(node(f"n{index}", index))
    for run in stages.STAGES:
        if part in run.__name__:
            tap.run(run.__name__.replace("_", " "), stage, run, laboratory)
    tap.run("the client that lived through all of it ends cleanly", laboratory.close)


def main(part=""):
    if os.geteuid() != 0:
        print("1..0 # SKIP network namespaces need root")
        return 0
    built = subprocess.run([os.path.join(HERE, "build.sh")], stdout=subprocess.PIPE, text=True,
                           check=False)
    if built.returncode:
        print("Bail out! kube-apiserver could not be built")
        return 1
    netns.isolate()
    tap = Tap()
    folder = tempfile.mkdtemp(prefix="nodecryptor-realserver-")
    server = RealServer(built.stdout.strip(), folder)
    try:
        run_stages(tap, server, part)
        if tap.failed:
            tap.note(server.log_end())
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
