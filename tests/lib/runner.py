"""tests/run's work: builds, runs every suite, adds up their TAP.

Each test program prints TAP. A program that crashes, ends before its plan, prints none, or runs
over its time is a failure of its own.
"""

import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import lint

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = "/usr/bin/python3"
FOLDERS = ("kube", "netns", "bench", "package", "vm")   # below tests/, with programs of TAP
LIMIT, VM_LIMIT = 600, 1200             # seconds for one program
# Builds kube-apiserver at its first run, which takes ten minutes: on demand only
REAL_API_SERVER = ("kube/realserver", os.path.join(REPOSITORY, "tests/kube/realserver/run.py"))
REAL_API_SERVER_LIMIT = 2400
# How long things take is measured without sanitizers
MEASURED = ("flaps", "repair")
# Not run a second time inside the unit's sandbox: these wrap the daemon, need none, or wait for long
# and have it do nothing there that the others do not
UNCONFINED = ("fights", "laboratory", "plan", "refusals", "stops", "vip")
BUILDS = {                              # name: (compiler, meson options)
    "gcc": ("gcc", ["-Dwerror=true"]),
    "clang": ("clang", ["-Dwerror=true"]),
    "sanitized": ("gcc", ["-Dsanitize=true", "-Dwerror=true"]),
}
LINE = re.compile(r"(not )?ok\b\s*(\d+)?\s*-?\s*(.*?)\s*(?:#\s*(SKIP|TODO)\S*\s*(.*))?$", re.I)


class Results:
    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []

    def add(self, suite, name, holds, skip=None):
        if skip is not None:
            self.skipped.append(f"{suite}: {name}: {skip or 'no reason given'}")
        elif holds:
            self.passed += 1
        else:
            self.failed.append(f"{suite}: {name}")

    def own(self, suite, name, holds, text=""):
        """A test of the runner itself."""
        print(f"{'ok' if holds else 'not ok'} - {name}", flush=True)
        if not holds and text:
            print("\n".join("# " + line for line in text.splitlines()[-60:]), flush=True)
        self.add(suite, name, holds)
        return holds

    def report(self):
        for title, lines in (("skipped", self.skipped), ("failed", self.failed)):
            if lines:
                print(f"\n{title}:")
                print("\n".join("  " + line for line in lines))
        text = f"{self.passed} passed, {len(self.failed)} failed"
        print("\n" + text + (f", {len(self.skipped)} skipped" if self.skipped else ""), flush=True)
        return 1 if self.failed or not self.passed else 0


class Program:
    """One test program, and its TAP as it comes."""

    def __init__(self, suite, command, environment, results, limit=LIMIT):
        self.suite, self.command, self.results, self.limit = suite, command, results, limit
        self.environment = environment
        self.seen, self.failed, self.plan, self.bail = 0, 0, None, None

    def line(self, text):
        print(text, flush=True)
        if found := re.fullmatch(r"1\.\.(\d+)(\s*#\s*SKIP\s*(.*))?", text, re.I):
            self.plan = int(found[1])
            if self.plan == 0 and found[2]:
                self.results.add(self.suite, "all of it", True, found[3])
        elif text.startswith("Bail out!"):
            self.bail = text
        elif found := LINE.fullmatch(text):
            self.seen += 1
            holds = not found[1]
            self.failed += not holds
            skip = found[5] if holds and (found[4] or "").upper() == "SKIP" else None
            self.results.add(self.suite, found[3] or f"test {self.seen}", holds, skip)

    def run(self):
        process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   text=True, errors="replace", env=self.environment,
                                   cwd=REPOSITORY, start_new_session=True)
        Program.current = process
        Program.number += 1
        over = threading.Event()

        def end():
            over.set()
            os.killpg(process.pid, signal.SIGKILL)
        timer = threading.Timer(self.limit, end)
        timer.start()
        try:
            for line in process.stdout:
                self.line(line.rstrip("\n"))
            status = process.wait()
        finally:
            timer.cancel()
            Program.current = None
        self.judge(status, over.is_set())

    current, number = None, 0           # the one that runs, how many have run

    def judge(self, status, over):
        problem = None
        if over:
            problem = f"ran for more than {self.limit} s"
        elif status < 0:
            problem = f"died by signal {-status}"
        elif self.bail:
            problem = self.bail
        elif self.plan is None:
            problem = f"ended with status {status} before its plan"
        elif self.plan != self.seen:
            problem = f"ran {self.seen} tests of {self.plan}"
        elif status and not self.failed:
            problem = f"ended with status {status}"
        if problem:
            self.results.own(self.suite, problem, False)


class Run:
    def __init__(self, options):
        self.options, self.results = options, Results()
        self.folders = {}               # build name: its folder, or None when it failed

    def wants(self, *names):
        return not self.options.suite or any(name in self.options.suite for name in names)

    def build(self, name):
        """The folder of that build; None when it cannot be built."""
        if name in self.folders:
            return self.folders[name]
        folder = os.path.join(self.options.work, name)
        compiler, options = BUILDS[name]
        begun = time.monotonic()
        log = ""
        for command in (["meson", "setup", *options, folder, REPOSITORY], ["ninja", "-C", folder]):
            done = subprocess.run(command, env={**os.environ, "CC": compiler}, text=True,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, errors="replace", check=False)
            log += done.stdout
            if done.returncode:
                break
        # Without a warning, also from the linker and from meson itself
        holds = done.returncode == 0
        self.results.own("build", f"build with {name} ({time.monotonic() - begun:.0f} s)",
                         holds, log)
        self.folders[name] = folder if holds else None
        return self.folders[name]

    def programs(self):
        """[(suite, file name, path)] of the Python suites."""
        found = []
        for group in FOLDERS:
            for path in sorted(glob.glob(os.path.join(REPOSITORY, "tests", group, "*.py"))):
                if os.access(path, os.X_OK):
                    name = os.path.basename(path)[:-3]
                    found.append((group, group if name in ("run", "suite") else name, path))
        return found

    def environment(self, build):
        variables = {**os.environ, "NODECRYPTOR_BUILD": build,
                     "ASAN_OPTIONS": "abort_on_error=1:disable_coredump=1",
                     "UBSAN_OPTIONS": "print_stacktrace=1"}
        # The Debian package, built once for all that look at it
        variables["NODECRYPTOR_PACKAGES"] = os.path.join(self.options.work, "packages")
        if self.options.fast:
            variables["NODECRYPTOR_FAST"] = "1"
        return variables

    def is_for_now(self, group, name):
        """VMs and packages take long: in a fast run only when they are asked for."""
        return (not self.options.fast or group not in ("vm", "package") or
                name in self.options.suite)

    def run_real_api_server(self):
        suite, path = REAL_API_SERVER
        folder = self.build("sanitized")
        if folder:
            self.heading(suite)
            Program(suite, [PYTHON, path], self.environment(folder), self.results,
                    REAL_API_SERVER_LIMIT).run()

    def heading(self, text):
        print(f"\n# {text}", flush=True)

    def run_unit(self):
        """Every C program that meson knows as a test, under sanitizers."""
        folder = self.build("sanitized")
        if not folder:
            return
        listed = subprocess.run(["meson", "introspect", "--tests", folder], check=True,
                                capture_output=True, text=True).stdout
        for test in json.loads(listed):
            groups = [group.rpartition(":")[2] for group in test["suite"]]
            if self.wants(test["name"], *groups):
                self.heading(f"{groups[0]}: {test['name']}")
                Program(f"{groups[0]}/{test['name']}", test["cmd"],
                        {**self.environment(folder), **test["env"]}, self.results,
                        max(test["timeout"], 30)).run()

    def run_programs(self):
        for group, name, path in self.programs():
            if self.wants(group, name) and self.is_for_now(group, name):
                # A VM has no libraries for sanitizers
                plain = group in ("vm", "package") or name in MEASURED and not self.options.fast
                if not plain:
                    self.run_program(group, name, path, "sanitized")
                if plain or (group == "netns" and not self.options.fast and
                             name not in UNCONFINED):
                    self.run_program(group, name, path, "gcc")

    def run_program(self, group, name, path, build):
        folder = self.build(build)
        if not folder:
            return
        environment, title = self.environment(folder), name
        if group == "netns" and build == "gcc" and not self.options.fast:
            # As its unit would have it run: sanitizers would not have their way there
            environment["NODECRYPTOR_CONFINED"] = "yes"
            title += " (confined)"
        self.heading(f"{group}: {title}")
        Program(f"{group}/{title}", [PYTHON, path], environment, self.results,
                VM_LIMIT if group == "vm" else LIMIT).run()

    def run(self):
        begun = time.monotonic()
        if self.options.real_apiserver:
            self.run_real_api_server()
            return self.results.report()
        if self.wants("build") and not self.options.fast:
            self.heading("build")
            for name in BUILDS:
                self.build(name)
        if self.wants("lint") and not self.options.fast:
            self.heading("lint")
            lint.run(REPOSITORY, lambda: self.build("clang"), self.results)
        self.run_unit()
        self.run_programs()
        print(f"\n# {time.monotonic() - begun:.0f} s")
        suites = set(self.options.suite)
        if suites and not Program.number and not suites & {"build", "lint"}:
            self.results.own("run", f"a suite of that name; there are {', '.join(self.names())}",
                             False)
        return self.results.report()

    def names(self):
        return ["build", "lint", "unit", *FOLDERS,
                *(name for group, name, _ in self.programs() if name != group)]


def leave(number, frame):
    if Program.current:
        os.killpg(Program.current.pid, signal.SIGTERM)
    sys.exit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description="builds and tests nodecryptor")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--real-apiserver", action="store_true")
    parser.add_argument("--work", required=True, help=argparse.SUPPRESS)
    run = Run(parser.parse_args())
    if run.options.list:
        print("\n".join(run.names()))
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
    return run.run()


if __name__ == "__main__":
    sys.exit(main())
