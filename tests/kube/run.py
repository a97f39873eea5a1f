#!/usr/bin/python3
"""The API client against the API server double: "server does X, client must Y". Prints TAP.

    run.py [PROGRAM [PART-OF-A-NAME]]    PROGRAM: tests/kube/reflect of the build in $NODECRYPTOR_BUILD
    run.py --table                       the suite as a table: conformance.md
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from fixture import CASES, LINES, Fixture, Pki, check  # noqa: E402  (puts ../lib into the path)
import watching  # noqa: E402,F401  (each registers its cases, in this order)
import whole  # noqa: E402,F401
import streaming  # noqa: E402,F401
import resuming  # noqa: E402,F401
import halfopen  # noqa: E402,F401
import bounds  # noqa: E402,F401
import credentials  # noqa: E402,F401
import plugins  # noqa: E402,F401
from tap import Tap  # noqa: E402

TABLE = os.path.join(HERE, "conformance.md")
HEAD = """# What the API client does when the server does …

Written by `run.py --table`; a test each, by the name in the last column. "Seen in" is the line of
the table of what real API servers were seen to do (kube-apiserver 1.20.2, a CRD server on 1.36.4)
that the server's behaviour comes from; "–" is not in it: a file of ours, the way to the server, or
another's reported defect.

| | the server … | the client must … | seen in | test |
|--:|---|---|---|---|
"""


def table():
    rows = [f"| {number} | {test.server} | {test.client} | "
            f"{'–' if test.line == '-' else test.line} | `{test.__name__}` |\n"
            for number, test in enumerate(CASES, 1)]
    return HEAD + "".join(rows)


def table_is_whole():
    """conformance.md is what the cases say, each of which names a known line of the table."""
    with open(TABLE, encoding="utf-8") as file:
        check(file.read() == table(), "conformance.md is older than the cases: run.py --table")
    unknown = [test.__name__ for test in CASES if test.line not in LINES]
    check(not unknown, f"lines that the recorded table does not have: {unknown}")
    check(len({test.__name__ for test in CASES}) == len(CASES), "two cases of one name")
    unused = [line for line in LINES if not any(test.line == line for test in CASES)]
    check(not unused, f"lines of the recorded table without a case: {unused}")


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
        if not part:
            tap.run("the table is whole", table_is_whole)
        for test in CASES:
            if part in test.__name__:
                tap.run(f"{test.__name__}: server {test.server} -> client must {test.client}",
                        one, test, program, pki)
    finally:
        pki.remove()
    return tap.done()


if __name__ == "__main__":
    if sys.argv[1:] == ["--table"]:
        sys.stdout.write(table())
    else:
        sys.exit(main(*sys.argv[1:]))
