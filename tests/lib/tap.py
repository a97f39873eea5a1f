"""TAP (Test Anything Protocol, version 12) for the Python suites.

    tap = tap.Tap()
    tap.ok(value == 3, "three")          # "ok 1 - three" or "not ok 1 - three"
    tap.equal(seen, wanted, "list")      # the same, and shows both when they differ
    tap.skip("needs root", "netns")      # "ok 2 - netns # SKIP needs root"
    tap.note("text")                     # "# text"
    tap.run("name", function, args…)     # a test that fails by raising
    sys.exit(tap.done())                 # prints the plan; 0 when nothing failed
"""

import sys
import traceback


class Tap:
    def __init__(self, stream=sys.stdout):
        self.stream = stream
        self.number = 0
        self.failed = 0

    def _line(self, text):
        print(text, file=self.stream, flush=True)

    def note(self, text):
        for line in str(text).splitlines() or [""]:
            self._line(f"# {line}")

    def ok(self, condition, name):
        self.number += 1
        if not condition:
            self.failed += 1
        self._line(f"{'ok' if condition else 'not ok'} {self.number} - {name}")
        return bool(condition)

    def equal(self, seen, wanted, name):
        if not self.ok(seen == wanted, name):
            self.note(f"seen:   {seen!r}")
            self.note(f"wanted: {wanted!r}")
            return False
        return True

    def skip(self, reason, name):
        self.number += 1
        self._line(f"ok {self.number} - {name} # SKIP {reason}")

    def run(self, name, function, *arguments):
        """One test: passes when the function returns, fails when it raises."""
        try:
            function(*arguments)
        except Exception as problem:  # a failing test must not end the suite
            self.ok(False, name)
            self.note(f"{type(problem).__name__}: {problem}")
            self.note(traceback.format_exc())
            return False
        return self.ok(True, name)

    def done(self):
        self._line(f"1..{self.number}")
        return 1 if self.failed or not self.number else 0
