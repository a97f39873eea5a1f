#!/usr/bin/python3
"""What this machine's kernel or PID 1 may not have, in a VM: the kernel's WireGuard, dummy links,
systemd. Each folder in jobs/ is one boot; what its `run` prints is passed on.

    tests/vm/suite.py [JOB …]

$NODECRYPTOR_BUILD names a build folder (else one is made), $NODECRYPTOR_CACHE where the guest is
kept, $NODECRYPTOR_FAST makes some jobs shorter.
"""

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [os.path.join(HERE, "lib"), os.path.join(REPOSITORY, "tests", "lib"),
                os.path.join(REPOSITORY, "tests", "package")]
import deb  # noqa: E402
import tap as tap_module  # noqa: E402
import tapstream  # noqa: E402

PROGRAMS = ("qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "cpio", "depmod")
LIMIT = 600                             # seconds for one job
SLOW = ("matrix", "kernel", "boot")
PASSED_ON = ("NODECRYPTOR_FAST", "NODECRYPTOR_SEED")
CANNOT_DOWNLOAD = 75                    # tests/vm/build's status


def obstacle():
    """Why no VM can be made here, None when it can."""
    if os.geteuid() != 0:
        return "making the VM's file system needs root"
    if platform.machine() != "x86_64":
        return f"the guest is made for x86_64, this machine is {platform.machine()}"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"{', '.join(missing)}: not installed"
    done = subprocess.run([f"{HERE}/build"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if done.returncode == CANNOT_DOWNLOAD:
        return f"the guest's packages cannot be downloaded: {' '.join(done.stderr.split())}"
    if done.returncode:
        raise RuntimeError(f"tests/vm/build: {done.stderr}")
    return None


def build(work):
    """The folder with the programs under test."""
    folder = os.environ.get("NODECRYPTOR_BUILD")
    if not folder:
        folder = f"{work}/build"
        for command in (["meson", "setup", folder, REPOSITORY], ["ninja", "-C", folder, "-j2"]):
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL)
    with open(f"{folder}/src/daemon/nodecryptor", "rb") as file:
        if b"libasan" in file.read():
            raise SystemExit(f"{folder} is built with sanitizers; the guest lacks their libraries")
    return folder


def stage_common(folder, built):
    """What every job finds in /job: the tests, the programs, and an installation of them."""
    tests = os.path.join(REPOSITORY, "tests")
    for part in ("lib", "netns", "vm/lib"):
        shutil.copytree(f"{tests}/{part}", f"{folder}/tests/{part}",
                        ignore=lambda at, names: [name for name in names
                                                  if not name.endswith(".py")])
    programs = ["src/daemon/nodecryptor", "src/ctl/nodecryptorctl"]
    programs += [f"tests/netns/{name}" for name in os.listdir(f"{built}/tests/netns")
                 if name.startswith("test_")]
    for program in programs:
        if os.path.isfile(f"{built}/{program}"):
            os.makedirs(os.path.dirname(f"{folder}/build/{program}"), exist_ok=True)
            shutil.copy(f"{built}/{program}", f"{folder}/build/{program}")
    subprocess.run(["meson", "install", "-C", built, "--no-rebuild", "--quiet", "--destdir",
                    f"{folder}/install"], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL)
    with open(f"{folder}/environment", "w", encoding="utf-8") as file:
        file.write("export NODECRYPTOR_BUILD=/job/build\n")
        # An emulated machine, on a host that may have other things to do.
        file.write("export NODECRYPTOR_PATIENCE=8\n")
        for name in PASSED_ON:
            if name in os.environ:
                file.write(f"export {name}={os.environ[name]}\n")


def run_as_root(root):
    """A package as it was before the daemon had a user of its own."""
    unit = f"{root}/lib/systemd/system/nodecryptor.service"
    with open(unit, encoding="utf-8") as file:
        lines = [line for line in file
                 if not line.startswith(("User=", "Group=", "AmbientCapabilities="))]
    with open(unit, "w", encoding="utf-8") as file:
        file.writelines(lines)


def stage_packages(folder, work):
    """For the job `package`: this version, and an earlier one."""
    os.makedirs(f"{folder}/packages")
    built = deb.build(os.environ.get("NODECRYPTOR_PACKAGES") or f"{work}/packages")
    shutil.copy(built, f"{folder}/packages/nodecryptor_new.deb")
    deb.reversion(built, f"{folder}/packages", "0.0.9", run_as_root)
    shutil.copytree(f"{REPOSITORY}/debian/tests", f"{folder}/debian-tests")


class Boot(threading.Thread):
    """One VM with one job."""

    over = threading.Event()            # no more of them

    def __init__(self, name, work, places):
        super().__init__(name=name, daemon=True)
        self.job, self.places = f"{work}/{name}", places
        self.process, self.text, self.status, self.seconds = None, "", None, 0
        shutil.copytree(f"{work}/common", self.job, symlinks=True)
        shutil.copytree(f"{HERE}/jobs/{name}", self.job, dirs_exist_ok=True)
        if name == "package":
            stage_packages(self.job, work)

    def run(self):
        with self.places:
            if self.over.is_set():
                return
            begun = time.monotonic()
            self.process = subprocess.Popen(
                [f"{HERE}/run", "-t", str(LIMIT), self.job], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            if self.over.is_set():
                self.process.terminate()
            self.text = self.process.communicate()[0]
            self.status = self.process.returncode
            self.seconds = time.monotonic() - begun

    def end(self):
        self.over.set()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


def run(names):
    """A VM keeps one processor busy: as many at a time as there are. The slow jobs begin."""
    tap = tap_module.Tap()
    places = threading.Semaphore(min(len(os.sched_getaffinity(0)), 4))
    names = sorted(names, key=lambda name: (name not in SLOW, name))
    boots = []
    with tempfile.TemporaryDirectory(prefix="nodecryptor-vm.") as work:
        stage_common(f"{work}/common", build(work))
        try:
            for name in names:
                boots.append(Boot(name, work, places))
                boots[-1].start()
            for boot in boots:
                boot.join()
                tapstream.feed(tap, boot.name, boot.text, boot.status)
                tap.note(f"{boot.name}: {boot.seconds:.0f} s")
        finally:
            for boot in boots:
                boot.end()
    return tap.done()


def leave(number, frame):
    sys.exit(128 + number)


def main():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
    known = sorted(os.listdir(f"{HERE}/jobs"))
    names = sys.argv[1:] or known
    if unknown := set(names) - set(known):
        sys.exit(f"no such job: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    reason = obstacle()
    if reason:
        print(f"1..0 # SKIP {reason}", flush=True)
        return 0
    return run(names)


if __name__ == "__main__":
    sys.exit(main())
