#!/usr/bin/python3
"""The API client against the API server double: "server does X, client must do Y". Prints TAP.

    run.py [PROGRAM [PART-OF-A-NAME]]    PROGRAM: tests/kube/reflect of the build in $NODECRYPTOR_BUILD
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from fixture import CASES, Fixture, Pki  # noqa: E402  (puts ../lib into the path)
import credentials  # noqa: E402
import halfopen  # noqa: E402,F401
import resuming  # noqa: E402,F401
import watching  # noqa: E402
import streaming  # noqa: E402,F401
import whole  # noqa: E402,F401  (registers its cases)
from tap import Tap  # noqa: E402


def one(test, program, pki):
    fixture = Fixture(program, pki)
    try:
        test(fixture)
    finally:
        fixture.close()


def main(program=None, part=""):
    program = program or os.path.join(os.environ["NODECRYPTOR_BUILD"], "tests", "kube", "reflect")
    tap = Tap()
    pki = Pki()
    try:
        for test in watching.TESTS + credentials.TESTS + CASES:
            if part in test.__name__:
                tap.run(test.__name__.replace("_", " "), one, test, program, pki)
    finally:
        pki.remove()
    return tap.done()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
