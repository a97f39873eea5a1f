"""`nodecryptorctl` on a node of the laboratory."""

import json
import os
import pty
import re
import subprocess

from daemon import program


class Shell:
    """Runs nodecryptorctl on the node."""

    def __init__(self, node):
        self.node = node
        self.places = ("--config", node.daemon.config, "--state-directory", node.daemon.state)

    def __call__(self, *arguments, prefix=(), **variables):
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", **variables}
        done = subprocess.run(
            self.node.ns.command(*prefix, program("nodecryptorctl"), *arguments),
            capture_output=True, text=True, check=False, env=environment, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def status(self, *options, **variables):
        return self("status", *self.places, *options, **variables)

    def json(self, *arguments):
        code, out, _ = self(*arguments, "--json")
        return code, json.loads(out)

    def terminal(self, *arguments, **variables):
        """What it writes to a terminal."""
        parent, child = pty.openpty()
        subprocess.run(self.node.ns.command(program("nodecryptorctl"), *arguments), stdout=child,
                       stdin=subprocess.DEVNULL, check=False,
                       env={**os.environ, "TERM": "xterm", **variables})
        os.close(child)
        seen = b""
        try:
            while chunk := os.read(parent, 65536):
                seen += chunk
        except OSError:
            pass                        # the end of a terminal whose other side is closed
        os.close(parent)
        return seen.decode()


def value(text, label):
    """The line of that label."""
    found = re.search(rf"^ *{label}  (.*)$", text, re.M)
    return found[1] if found else None
