"""What the parts of this job share: the cable, the journal, and what a reboot would lose."""

import json
import os
import subprocess
import sys
import time

import agent
import host
import kubernetes
import tap as tap_module
import wireguard
from netns import run, wait_for

KEPT = "/job/out/kept.json"
STORE = "/var/lib/cluster"              # the API server's keys
KEY = "/run/cilium_wg0.key"             # as Cilium has it: lost by a reboot
CURSOR = "/run/journal.cursor"
FEW = 16                                # lines of its own; a start has five
SELF = kubernetes.Node("vm", 1, control_plane=True)
NEIGHBOUR = kubernetes.OTHERS[1]
STATE = "/var/lib/nodecryptor"


def resume():
    """A Tap that goes on where the last boot's ended."""
    tap = tap_module.Tap()
    if os.path.exists(KEPT):
        with open(KEPT, encoding="utf-8") as file:
            tap.number, tap.failed = json.load(file)["tests"]
    return tap


def keep(tap, node):
    """For resume() and Node, after a reboot."""
    with open(KEPT, "w", encoding="utf-8") as file:
        json.dump({"tests": (tap.number, tap.failed), "objects": node.objects(),
                   "key": node.public_key()}, file)
    with open("/job/reboot", "w", encoding="ascii"):
        pass


def complain(tap):
    tap.note(host.journal())
    tap.note(host.systemctl("status", "--no-pager", host.UNIT, "cable.service"))
    tap.note(run("ip", "rule"))
    if os.path.exists("/var/lib/neighbour/log"):
        tap.note("the neighbour's:")
        tap.note(run("tail", "-n", "30", "/var/lib/neighbour/log"))


def way(destination, *flow):
    """The device it goes by, or "blocked"."""
    done = host.Done("ip", "route", "get", destination, *flow)
    words = done.output.split()
    return "blocked" if done.status else words[words.index("dev") + 1]


class Cable:
    """What was on it since the boot, or since mark()."""

    def __init__(self):
        self.begin = None
        self.mark()

    def read(self):
        """As it is now: packets take a moment from the sender to the file."""
        now = time.monotonic()
        wait_for(lambda: self._file()["at"] > now + 0.3, 30, "a look at the cable", every=0.1)
        return self._file()

    @staticmethod
    def _file():
        with open("/run/cable.json", encoding="utf-8") as file:
            return json.load(file)

    def mark(self):
        self.begin = self.read()

    def encrypted(self, name, more=20, seconds=30):
        """Until so many more are encrypted in this direction."""
        begin = self._file()[name]["encrypted"]
        wait_for(lambda: self._file()[name]["encrypted"] >= begin + more, seconds,
                 f"encrypted packets {name}", every=0.1)

    def clear(self, whole_boot=False):
        """Of both directions: [(direction, destination, packets)]."""
        now = self.read()
        found = []
        for name in ("there", "back"):
            before = {} if whole_boot else self.begin[name]["clear"]
            found += [(name, destination, number - before.get(destination, 0))
                      for destination, number in now[name]["clear"].items()
                      if number > before.get(destination, 0)]
        return found

    def clear_to(self):
        """The destinations of what was in clear since the boot."""
        return {destination for _, destination, _ in self.clear(whole_boot=True)}

    def __str__(self):
        now = self._file()
        return ", ".join(f"{word}: {now[name]['encrypted']} encrypted, {now[name]['exempt']} exempt"
                         for name, word in (("there", "to the other node"), ("back", "from it")))


class Node:
    """The guest."""

    def __init__(self, tap):
        self.tap, self.api, self.cilium = tap, None, None
        self.cable = Cable()
        self.kept = None
        if os.path.exists(KEPT):
            with open(KEPT, encoding="utf-8") as file:
                self.kept = json.load(file)

    def start_api(self):
        """The static pod of the API server, with what is in etcd."""
        os.makedirs(STORE, exist_ok=True)
        objects = self.kept["objects"] if self.kept else \
            [node.object() for node in (SELF, *kubernetes.OTHERS)]
        self.api = kubernetes.Api(SELF.addresses[0], STORE, objects)

    def start_cilium(self):
        """Cilium's agent: the device, and a key that is new after each boot."""
        self.cilium = subprocess.Popen(
            [sys.executable, agent.__file__, "--node", SELF.name, "--server",
             f"{SELF.addresses[0]}:{kubernetes.PORT}", "--ca", f"{STORE}/pki/ca.pem", "--pair",
             "/var/lib/kubelet/pki/kubelet-client-current.pem", "--key-file", KEY],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: wireguard.exists(wireguard.Here), 30, "Cilium's device", every=0.1)

    def objects(self):
        return self.api.command("list")["objects"]

    @staticmethod
    def public_key():
        return run("wg", "show", wireguard.INTERFACE, "public-key").strip()

    def becomes(self, text, name, seconds=30):
        """The unit's status line has this."""
        try:
            wait_for(lambda: text in host.show("StatusText"), seconds, text, every=0.2)
        except TimeoutError:
            pass                        # ok() shows
        status = host.show("StatusText")
        return self.tap.ok(text in status, f"{name}: {status}")

    def works(self, done, name):
        if not self.tap.ok(done.status == 0, name):
            self.tap.note(done)

    def unchanged(self, pid, name):
        """It is the process that it was."""
        self.tap.equal((host.show("ActiveState"), host.show("MainPID")), ("active", pid), name)

    def not_clear(self, name, whole_boot=False):
        if not self.tap.equal(self.cable.clear(whole_boot), [], name):
            self.tap.note(self.cable.read())

    def tell(self, part):
        """What the journal has of this part, and what `journalctl -x` has to say to it."""
        explained = run("journalctl", "--no-pager", "-b", "-x", "-o", "short-monotonic", "-u",
                        host.UNIT, "--cursor-file", CURSOR)
        lines = [line for line in explained.splitlines() if not line.startswith("░░")]
        self.tap.note("\n".join(lines))
        own = [line for line in lines if " nodecryptor[" in line]
        missing = [text for text in getattr(part, "told", ()) if text not in explained]
        self.tap.equal((missing, len(own) <= FEW), ([], True),
                       f"the journal tells it in {len(own)} lines, and explains it")
