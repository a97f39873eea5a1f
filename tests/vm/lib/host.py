"""The guest as a host of nodecryptor's: installed, and run by systemd.

    host.install()                       # what `meson install` installs
    host.configure('protect = ( "10.244.0.0/16" );')
    host.systemctl("start", "nodecryptor")
    host.show("StatusText")
"""

import os
import subprocess

from netns import run, wait_for

UNIT = "nodecryptor.service"
CONFIGURATION = "/etc/nodecryptor.conf"


class Done:
    """A command that has ended."""

    def __init__(self, *command, seconds=60):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace", check=False, timeout=seconds)
        self.status, self.output, self.errors = done.returncode, done.stdout, done.stderr

    def __str__(self):
        return f"exit {self.status}\n{self.output}{self.errors}"


def unpack():
    """/job/install over /, whose /lib is a link."""
    packed = subprocess.run(["tar", "-C", "/job/install", "--owner=0", "--group=0", "-cf", "-",
                             "."], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-C", "/", "--keep-directory-symlink", "-xf", "-"], input=packed,
                   check=True)


def install():
    """Into a system that runs."""
    unpack()
    run("systemd-sysusers", "nodecryptor.conf")
    run("systemctl", "daemon-reload")
    # The bus has read the policy for a user that did not exist yet, and left it out
    run("systemctl", "try-reload-or-restart", "dbus")


def configure(text):
    """Writes the configuration whole."""
    write(CONFIGURATION + ".new", text)
    os.rename(CONFIGURATION + ".new", CONFIGURATION)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def systemctl(*arguments, seconds=60):
    return Done("systemctl", *arguments, seconds=seconds)


def show(name, unit=UNIT):
    """One property of the unit."""
    return run("systemctl", "show", "-P", name, unit).strip()


def journal(*arguments, unit=UNIT):
    """What the unit has said in this boot."""
    return run("journalctl", "--no-pager", "-b", "-o", "cat", "-u", unit, *arguments)


def says(text, seconds=10, times=1):
    """Until the journal has that so many times."""
    wait_for(lambda: journal().count(text) >= times, seconds, f"the journal says: {text}",
             every=0.1)


def property_becomes(name, wanted, seconds=10, unit=UNIT):
    """False when it is still another after that time."""
    try:
        wait_for(lambda: show(name, unit) == wanted, seconds, f"{unit}: {name}", every=0.1)
    except TimeoutError:
        return False
    return True


def process_status(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Here:
    """The guest's own network namespace, for tests/lib's rtnetlink."""

    @staticmethod
    def ip(arguments, check=True):
        return run("ip", *arguments.split(), check=check)


class Monitor:
    """`ip monitor`: every change of a rule or route, as a line of text."""

    PROBE = "31999"                     # a rule's priority

    def __init__(self):
        self.process = subprocess.Popen(["ip", "-N", "-o", "monitor", "rule", "route"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""
        wait_for(self._listens, 20, "ip monitor listens", every=0.1)

    def _listens(self):
        for verb in ("add", "del"):
            run("ip", "rule", verb, "pref", self.PROBE, "lookup", self.PROBE, "protocol", "77")
        self.lines()
        return self.PROBE in self.text

    def lines(self):
        """All of them since the beginning."""
        while part := self.process.stdout.read():
            self.text += part.decode()
        return [line for line in self.text.splitlines() if self.PROBE not in line]

    def deletions(self):
        return [line.removeprefix("Deleted ") for line in self.lines()
                if line.startswith("Deleted ")]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
