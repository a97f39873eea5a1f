#!/usr/bin/python3
"""nodecryptorctl wait, reload and flush: waiting for the policy, changing it, taking it away."""

import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import daemon  # noqa: E402
import paper  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from daemon import Daemon, program  # noqa: E402
from rtnetlink import BLOCKED, Events, RouteQuery, dump  # noqa: E402
from suite import ours, quiet, steered  # noqa: E402

OTHER_LAYOUT = {"table_base": 61000, "priority_base": 1000}


class Case:
    """A node whose daemon has a folder in /run, and nodecryptorctl on it."""

    def __init__(self, tap):
        self.tap = tap
        self.cluster = suite.start(control_planes=1, workers=1, daemons=False)
        self.node = self.cluster.workers[0]
        self.before = self.host()
        self.daemon = Daemon(self.node)
        self.folder = f"{self.node.folder}/run"
        os.makedirs(self.folder)

    def host(self):
        """Every rule and route, and the links."""
        return dump(self.node.ns), [line.split(":")[1] for line in
                                    self.node.ns.ip("-o link show").splitlines()]

    def start(self):
        return self.daemon.start(environment={"RUNTIME_DIRECTORY": self.folder})

    def start_in_sync(self, **settings):
        self.daemon.configure(**settings)
        self.start().wait_in_sync()
        quiet(self.node)

    def spawn(self, verb, *arguments, runtime=True):
        command = [program("nodecryptorctl"), verb, *arguments]
        if runtime:
            command += ["--runtime-directory", self.folder]
        return self.node.ns.spawn(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True)

    def ctl(self, verb, *arguments, **options):
        """(exit status, output)."""
        process = self.spawn(verb, *arguments, **options)
        output = process.communicate(timeout=60)[0]
        return process.returncode, output

    def flush(self, *arguments):
        return self.ctl("flush", "--config", self.daemon.config, "--state-directory",
                        self.daemon.state, *arguments)

    def fails(self, answer, hint, name):
        if not self.tap.ok(answer[0] == 1 and hint in answer[1], name):
            self.tap.note(answer)

    def works(self, answer, hint, name):
        if not self.tap.ok(answer[0] == 0 and hint in answer[1], name):
            self.tap.note(answer)


def host_status(pid):
    """/proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def waiting(case):
    tap, node = case.tap, case.node
    case.fails(case.ctl("wait", "--enforcing", "--timeout", "1"), "not running",
               "wait: nobody runs: it fails at the time-out and says so")
    tap.equal([case.ctl("wait", *arguments)[0] for arguments in (
        (), ("--enforcing", "--timeout", "0"), ("--enforcing", "--timeout", "1h"),
        ("--enforcing", "more"))], [2] * 4, "wait: wrong usage is status 2")
    waits = case.spawn("wait", "--enforcing", "--timeout", "50")
    case.daemon.configure(protect=["10.99.0.0/16"])
    case.start()
    output = waits.communicate(timeout=60)[0]
    with RouteQuery(node.ns) as query:
        tap.equal((waits.returncode, query.ask("10.99.1.1")), (0, BLOCKED),
                  "wait: it returns when the policy is in force, and it is")
    tap.ok("in force" in output, f"wait: and says what it saw: {output.strip()}")
    case.daemon.wait_in_sync()
    case.daemon.kill()
    tap.ok(os.path.exists(f"{case.folder}/state"), "a killed daemon leaves its state behind")
    case.fails(case.ctl("wait", "--enforcing", "--timeout", "1"), "not running",
               "wait: which is not believed")


def waiting_in_vain(case):
    case.daemon.configure(mode="observe")
    case.start().wait_ready()
    case.fails(case.ctl("wait", "--enforcing", "--timeout", "50"), "observe",
               "wait: in observe mode it fails at once")
    case.daemon.stop()
    case.flush("--yes")
    case.daemon.configure(protect=["10.99.0.0/16"])
    powerless = case.node.ns.spawn(
        "setpriv", "--bounding-set=-net_admin", *case.daemon.command(),
        env={**os.environ, "RUNTIME_DIRECTORY": case.folder}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        answer = case.ctl("wait", "--enforcing", "--timeout", "3")
        case.fails(answer, "degraded: ", "wait: what the kernel refuses is not in force, and why")
        case.tap.note(answer[1].strip())
    finally:
        powerless.terminate()
        powerless.wait()


def one_only(case):
    case.start_in_sync()
    if daemon.CONFINED:
        status = host_status(case.daemon.process.pid)
        case.tap.equal([status[key] for key in ("CapEff", "CapBnd", "Seccomp", "NoNewPrivs")],
                       ["0000000000001004"] * 2 + ["2", "1"], "it runs as the unit says")
    second = case.node.ns.spawn(
        *case.daemon.command(), env={**os.environ, "RUNTIME_DIRECTORY": case.folder},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = second.communicate(timeout=30)[1]
    case.tap.ok(second.returncode == 1 and "another nodecryptor" in errors,
                "a second daemon beside it does not start")
    modes = [oct(os.stat(f"{case.folder}/{name}").st_mode & 0o777) for name in ("lock", "state")]
    case.tap.equal(modes, ["0o644", "0o644"], "everyone may read the state, nobody else write it")
    case.works(case.ctl("wait", "--enforcing", "--timeout", "1"), "", "and the first is not harmed")


def reloading(case):
    tap, daemon = case.tap, case.daemon
    with RouteQuery(case.node.ns) as query:
        for number in range(3):
            address = f"10.{100 + number}.1.1"
            daemon.configure(protect=[f"10.{100 + number}.0.0/16"])
            answer = case.ctl("reload")
            tap.equal((answer[0], query.ask(address)), (0, BLOCKED),
                      "reload: when it returns what it asked for is in force")
        before = ours(case.node)
        daemon.write("moed = \"enforce\";\n")
        case.fails(case.ctl("reload"), f"{daemon.config}:1",
                   "reload: a refusal names file and line")
        tap.equal(ours(case.node), before, "reload: and the policy in force stays")
    daemon.configure()
    case.works(case.ctl("reload"), "reloaded, enforcing", "reload: the good one again")
    daemon.stop()
    case.fails(case.ctl("reload"), "not running", "reload: without a daemon it fails")
    case.flush("--yes")                 # what a start from a snapshot leaves for a while


def many_control_planes(case):
    """So many control planes that their exemption is served by a table; our routes then."""
    for number in range(20):
        case.cluster.put(paper.node(number, control_plane=True))
    case.daemon.wait(lambda: "goto" in " ".join(ours(case.node)[0]), 20, "a complement table")
    quiet(case.node)
    return ours(case.node)[1]


def refusing(case):
    """What flush does not do."""
    tap = case.tap
    case.start_in_sync()
    tables = {word for route in many_control_planes(case) for word in route.split()
              if word.startswith("table=")}
    tap.ok(len(tables) > 2, "flush: there are complement tables as well")
    before = case.host()
    with Events(case.node.ns) as events:
        status, output = case.flush()
        commands = [line for line in output.splitlines() if line.startswith("ip -")]
        mine = ours(case.node)
        tap.equal((status, len(commands)), (0, len(mine[0]) + len(mine[1])),
                  "flush: without --yes it prints one command for each rule and route")
        case.fails(case.flush("--yes"), "is running", "flush: refused while the daemon runs")
        tap.equal((len(events.take()), case.host()), (0, before), "flush: neither changes anything")
    case.works(case.flush("--yes", "--while-running"), "IN CLEAR",
               "flush: --while-running does it all the same")
    case.daemon.wait(lambda: ours(case.node) == mine, 20, "the policy of before")
    tap.ok(True, "flush: and the daemon puts it back")
    case.daemon.stop()
    return commands


class Exempt(threading.Thread):
    """Asks for the exempt port again and again."""

    def __init__(self, node, address):
        super().__init__(daemon=True)
        self.query, self.address = RouteQuery(node.ns), address
        self.answers, self.ended = set(), False

    def run(self):
        while not self.ended:
            self.answers.add(self.query.ask(self.address, protocol="tcp", dport=6443))

    def end(self):
        self.ended = True
        self.join()
        self.query.close()
        return self.answers


def flushing(case, commands):
    """After a stop: the host is as it was before the first start."""
    tap, node = case.tap, case.node
    for command in commands:            # as printed, by hand
        node.ns.run(*command.split())
    tap.equal(case.host(), case.before, "flush: the commands that it prints leave nothing of ours")
    case.start_in_sync()
    case.daemon.stop()
    exempt = Exempt(node, case.cluster.control_planes[0].address[4])
    exempt.start()
    answer = case.flush("--yes")
    tap.equal(exempt.end(), {"eth0"}, "flush: what is exempt is never cut off")
    case.works(answer, "IN CLEAR", "flush: it says what is in clear now")
    tap.note(answer[1].strip())
    tap.equal(case.host(), case.before, "flush: rules, routes and links are as before the start")
    with RouteQuery(node.ns) as query:
        tap.equal(steered(node, query), {"eth0"}, "flush: what was steered goes by the main table")
    case.works(case.flush("--yes"), "0 rules and routes", "flush: again, there is nothing to do")
    tap.ok(not os.path.exists(f"{case.daemon.state}/layouts.json"),
           "flush: what was recorded is forgotten")


def flushing_links(case):
    """With a loose rp_filter there is a link of ours, too."""
    node = case.node
    with node.ns.entered(), open("/proc/sys/net/ipv4/conf/all/rp_filter", encoding="ascii") as file:
        before = file.read()
    node.ns.sysctl("net.ipv4.conf.all.rp_filter", 2)
    case.start_in_sync()
    case.daemon.stop()
    case.tap.ok("lo-nodecryptor" in "".join(case.host()[1]),
                "flush: with rp_filter 2 there is a sink")
    commands = [line for line in case.flush()[1].splitlines() if line.startswith("ip ")]
    case.tap.equal(commands[-1], "ip link del lo-nodecryptor", "flush: it would delete it last")
    case.works(case.flush("--yes"), "IN CLEAR", "flush: with a sink")
    case.tap.equal(case.host(), case.before, "flush: the link is gone as well")
    node.ns.sysctl("net.ipv4.conf.all.rp_filter", before.strip())


def flushing_earlier(case):
    """Tables and priorities of an earlier configuration, and one that cannot be read."""
    case.start_in_sync(**OTHER_LAYOUT)
    case.daemon.kill()
    case.daemon.configure()
    case.works(case.flush("--yes"), "", "flush: tables and priorities of before the last change")
    case.tap.equal(case.host(), case.before, "flush: nothing of them is left")
    case.start_in_sync()
    case.daemon.stop()
    case.daemon.write("this is not a configuration\n")
    case.works(case.flush("--yes"), "going by the defaults", "flush: with a broken configuration")
    case.tap.equal(case.host(), case.before, "flush: nothing is left either")


def sparing(case):
    """What others have in our places."""
    node = case.node
    case.start_in_sync()
    case.daemon.stop()
    added = ("rule add pref 205 to 192.0.2.0/24 lookup 77", "-6 rule add pref 204 lookup 51871 "
             "protocol 99", "route add 198.51.100.0/24 dev eth0 table 51871",
             "link add nodecryptor0 type bridge")
    for command in added:
        node.ns.ip(command)
    case.works(case.flush("--yes"), "", "flush: with objects of others in our places")
    left = case.host()
    for command in ("rule del pref 205", "-6 rule del pref 204", "route flush table 51871",
                    "link del nodecryptor0"):
        node.ns.ip(command)
    case.tap.equal(case.host(), case.before, "flush: theirs stay, ours are gone")
    case.tap.ok(len(left[1]) == len(case.before[1]) + 1 and
                sum(map(len, left[0])) == sum(map(len, case.before[0])) + 3,
                "flush: each of the four was still there")


def run(tap):
    case = Case(tap)
    for part in (waiting, waiting_in_vain, one_only, reloading):
        tap.note(part.__name__)
        part(case)
    flushing(case, refusing(case))
    flushing_links(case)
    flushing_earlier(case)
    sparing(case)
    wireguard.down(case.node.ns)        # nothing steers any more: down or not, it is the main table
    with RouteQuery(case.node.ns) as query:
        tap.equal(steered(case.node, query), {"eth0"}, "the device makes no difference then")


if __name__ == "__main__":
    suite.main(run)
