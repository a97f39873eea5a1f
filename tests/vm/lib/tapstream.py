"""Another program's TAP, passed on as a part of our own.

    done = tapstream.run(tap, "kernel", ["./test_kernel"])
    done.notes                           # its lines that are not tests

Each test becomes one of `tap` (a tap.Tap), named "kernel: …". A program that ends before its plan,
prints none, or ends with a failure that no test tells of, is a failed test of its own.
"""

import re
import subprocess
import time

_TEST = re.compile(r"(not )?ok\b\s*\d*\s*-?\s*(.*?)\s*(?:#\s*SKIP\s*(.*))?", re.I)
_PLAN = re.compile(r"1\.\.(\d+)(?:\s*#\s*SKIP\s*(.*))?", re.I)


class Stream:
    def __init__(self, tap, name):
        self.tap, self.name = tap, name
        self.seen, self.failed, self.plan, self.bail = 0, 0, None, None
        self.notes = []

    def line(self, text):
        if found := _PLAN.fullmatch(text):
            self.plan = int(found[1])
            if self.plan == 0:
                self.tap.skip(found[2] or "no reason given", f"{self.name}: all of it")
        elif found := _TEST.fullmatch(text):
            self.test(*found.groups())
        elif text.startswith("Bail out!"):
            self.bail = text
        else:
            text = text.removeprefix("#").removeprefix(" ")
            self.notes.append(text)
            self.tap.note(text)

    def test(self, failed, name, reason):
        self.seen += 1
        if reason is not None and not failed:
            self.tap.skip(reason, f"{self.name}: {name}")
        else:
            self.failed += bool(failed)
            self.tap.ok(not failed, f"{self.name}: {name}")

    def end(self, status):
        problem = None
        if self.bail:
            problem = self.bail
        elif self.plan is None:
            problem = f"ended with status {status} before its plan"
        elif self.plan != self.seen:
            problem = f"ran {self.seen} tests of {self.plan}, status {status}"
        elif status and not self.failed:
            problem = f"ended with status {status}"
        if problem:
            self.tap.ok(False, f"{self.name}: {problem}")


def feed(tap, name, text, status):
    """The whole output of a program that has ended with this status. Returns the Stream."""
    stream = Stream(tap, name)
    for line in text.splitlines():
        stream.line(line.rstrip())
    stream.end(status)
    return stream


def run(tap, name, command, **options):
    """The program to its end; its standard error is among the notes. Returns the Stream."""
    stream = Stream(tap, name)
    begun = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", **options)
    with process:
        for line in process.stdout:
            stream.line(line.rstrip())
    stream.end(process.returncode)
    tap.note(f"{name}: {time.monotonic() - begun:.0f} s")
    return stream
