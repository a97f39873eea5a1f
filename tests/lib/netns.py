"""Network namespaces that leave nothing behind.

    netns.isolate()                      # first of all, in the main thread
    node = netns.Namespace("worker-1", mounts=True)
    node.ip("link set lo up")
    node.run("wg", "show")               # in its network and mount namespaces
    with node.entered():                 # this thread only
        listener = socket.create_server(("10.0.0.12", 80))

isolate() moves the program into network, mount and process-id namespaces of its own, with a /run
of its own. Whatever ends the program, SIGKILL included, the kernel then ends every process of the
laboratory and takes its namespaces and files away; the host's network is never touched.
"""

import contextlib
import ctypes
import os
import shlex
import signal
import socket
import subprocess
import sys
import time

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source, target, kind, flags):
    _checked(_libc.mount(source, target, kind, ctypes.c_ulong(flags), None),
             f"mount {target.decode()}")


def isolate():
    """Returns in a child process that lives in namespaces of its own; the caller waits for it."""
    if os.geteuid() != 0:
        sys.exit("this needs root")
    sys.stdout.flush()
    _checked(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID), "unshare")
    _mount(None, b"/", None, MS_REC | MS_PRIVATE)
    child = os.fork()
    if child:
        sys.exit(_wait_for(child))
    _checked(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "prctl")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _mount(b"tmpfs", b"/run", b"tmpfs", MS_NOSUID | MS_NODEV)
    os.makedirs("/run/netns")
    run("ip", "link", "set", "lo", "up")


def _leave(number, frame):
    sys.exit(128 + number)


def _wait_for(child):
    """Waits for the laboratory, handing signals on; its exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, frame: os.kill(child, got))
    signal.signal(signal.SIGINT, lambda got, frame: os.kill(child, got))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    sys.stdout.flush()
    return status if status >= 0 else 128 - status


def run(*command, check=True, text=None):
    """A command to its end; its standard output. RuntimeError with its stderr when it fails."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{shlex.join(command)}: exit {done.returncode}: "
                           f"{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


# How many times as long as usual everything may take: in an emulated machine, a lot.
PATIENCE = float(os.environ.get("NODECRYPTOR_PATIENCE", 1))


def wait_for(predicate, seconds, what, every=0.01):
    """Polls until the predicate holds, and returns what it returned; TimeoutError after that."""
    seconds *= PATIENCE
    deadline = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)


class Namespace:
    """A network namespace, and with `mounts` a mount namespace with a /run/wireguard of its own."""

    def __init__(self, name, mounts=False):
        self.name = name
        self.path = f"/run/netns/{name}"
        run("ip", "netns", "add", name)
        self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.holder = self._hold_mounts() if mounts else None
        # IPv6 addresses are usable at once, no router is asked for more of them
        for key, value in (("accept_dad", 0), ("dad_transmits", 0), ("accept_ra", 0)):
            self.sysctl(f"net.ipv6.conf.all.{key}", value)
            self.sysctl(f"net.ipv6.conf.default.{key}", value)
        self.ip("link set lo up")

    def _hold_mounts(self):
        script = ("mount -t sysfs sysfs /sys && mkdir -p /run/wireguard && "
                  "mount -t tmpfs tmpfs /run/wireguard && echo ready && exec sleep infinity")
        holder = subprocess.Popen(
            ["nsenter", f"--net={self.path}", "unshare", "--mount", "--propagation", "private",
             "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if holder.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{self.name}: no mount namespace")
        return holder

    def command(self, *command):
        """The command line that runs this inside; the process keeps its id."""
        inside = ["nsenter", f"--net={self.path}"]
        if self.holder:
            inside.append(f"--mount=/proc/{self.holder.pid}/ns/mnt")
        return [*inside, "--", *command]

    def run(self, *command, check=True, text=None):
        return run(*self.command(*command), check=check, text=text)

    def spawn(self, *command, **options):
        """A process inside; the laboratory's end ends it."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(*command), **options)

    def ip(self, arguments, check=True):
        """`ip ARGUMENTS` inside."""
        return run("ip", "-n", self.name, *shlex.split(arguments), check=check)

    def ip_batch(self, lines, family=None, force=False):
        """Many `ip` commands in one process; the first that fails ends it unless forced."""
        return run("ip", *([f"-{family}"] if family else []), "-n", self.name, *(["-force"] if force else []),
                   "-batch", "-", check=not force, text="\n".join(lines) + "\n")

    def sysctl(self, key, value):
        path = "/proc/sys/" + key.replace(".", "/")
        with self.entered(), open(path, "w", encoding="ascii") as file:
            file.write(str(value))

    @contextlib.contextmanager
    def entered(self):
        """This thread is in the network namespace; sockets made there stay there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_libc.setns(self._file, CLONE_NEWNET), "setns")
            try:
                yield self
            finally:
                _checked(_libc.setns(home, CLONE_NEWNET), "setns")
        finally:
            os.close(home)

    def socket(self, family, kind, protocol=0):
        with self.entered():
            return socket.socket(family, kind, protocol)

    def delete(self):
        """Ends its holder and drops its name; devices go when the last process in it ends."""
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        os.close(self._file)
        run("ip", "netns", "del", self.name)
