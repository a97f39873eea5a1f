"""tests/bench/run's work. It is root, in namespaces of its own that end with it.

Sections, each a module that says what it measures and how:

    paths         lookups and packets under each policy: "none", no policy at all; "rule", one rule
                  of somebody's, which Cilium alone has; "original", the script's rules for every
                  destination; "nodecryptor"; "many", the same with one more exemption, which
                  selects every second node
    programming   writing a policy: nodecryptor, the floor (the same objects from memory, in the
                  best batches), the original's rules in the same batches
    daemon        start, memory, events and idling of the whole daemon
    client        the API client alone

Medians and, in brackets, quartiles. A ratio is of two figures of one round, not of two medians.
"""

import argparse
import json
import os
import platform
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(REPOSITORY, "tests", "lib")]
import client  # noqa: E402
import netns  # noqa: E402
import paths  # noqa: E402
import programming  # noqa: E402
import whole  # noqa: E402

# Each has measure(setting) → what goes into the JSON, and tables(that, short) → [Table]
SECTIONS = {"paths": paths, "programming": programming, "daemon": whole, "client": client}
SIZES = {"paths": (10, 100, 1000, 5000, 20000), "programming": (10, 1000, 5000, 20000),
         "daemon": (10, 5000, 20000), "client": (100, 5000, 20000)}
PROGRAMS = ("tests/bench/follow", "tests/bench/paths", "tests/bench/programming",
            "tests/bench/write", "src/daemon/nodecryptor")


class Setting:
    """What a section is asked for."""

    def __init__(self, options, section, build):
        quick = options.quick
        self.work, self.build = options.work, build
        self.programs = os.path.join(build, "tests", "bench")
        self.sizes = options.sizes or ((10,) if quick else SIZES[section])
        self.families = (4, 6)
        self.cpu = max(os.sched_getaffinity(0))
        self.rounds = 3 if quick else options.rounds
        self.turn_us = 500 if quick else 5000   # of one contender in one round
        self.original_max = options.original_max
        self.joins = 1 if quick else 10
        self.starts = 1 if quick else 7
        self.idle = 1 if quick else 60          # seconds, at one size
        self.idle_at = 5000 if 5000 in self.sizes else self.sizes[-1]
        self.events = 20 if quick else 1000

    @staticmethod
    def progress(text):
        print(f"… {text}", file=sys.stderr, flush=True)


def build_programs(folder):
    for command in (["meson", "setup", "--buildtype=release", folder, REPOSITORY],
                    ["ninja", "-j2", "-C", folder, *PROGRAMS]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def processor():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def describe_host(options):
    return {"processor": processor(), "processors": os.cpu_count(), "kernel": platform.release(),
            "rounds": options.rounds, "load": os.getloadavg()[0],
            "original_max": options.original_max}


def print_head(host):
    print(f"{host['processor']}, Linux {host['kernel']}, {host['rounds']} rounds, load "
          f"{host['load']:.1f} at the start; medians and (quartiles).\nThe original is measured up "
          f"to {host['original_max']:,} nodes: its rules take the kernel the square of their\n"
          "number to write, 40 s at 20,000.\n", flush=True)


def print_section(section, result, options):
    for table in section.tables(result, options.markdown):
        print((table.markdown() if options.markdown else table.text()) + "\n", flush=True)


def write_json(results, path):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="measures nodecryptor")
    parser.add_argument("--build")
    parser.add_argument("--json")
    parser.add_argument("--from", dest="earlier")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sizes", type=lambda text: [int(size) for size in text.split(",")])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--original-max", type=int, default=5000)
    parser.add_argument("--section", action="append", choices=SECTIONS, default=[])
    parser.add_argument("--work", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds = 3
    return options


def print_earlier(options):
    with open(options.earlier, encoding="utf-8") as file:
        results = json.load(file)
    print_head(results["host"])
    for name, section in SECTIONS.items():
        if name in results and (not options.section or name in options.section):
            print_section(section, results[name], options)


def main():
    options = parse_arguments()
    if options.earlier:
        print_earlier(options)
        return 0
    build = os.path.abspath(options.build) if options.build else \
        build_programs(os.path.join(options.work, "build"))
    if options.json:
        options.json = os.path.abspath(options.json)
    os.environ["NODECRYPTOR_BUILD"] = build
    netns.isolate()
    results = {"host": describe_host(options)}
    print_head(results["host"])
    for name, section in SECTIONS.items():
        if options.section and name not in options.section:
            continue
        results[name] = section.measure(Setting(options, name, build))
        print_section(section, results[name], options)
        if options.json:
            write_json(results, options.json)   # what is there stays if a later section fails
    return 0


if __name__ == "__main__":
    sys.exit(main())
