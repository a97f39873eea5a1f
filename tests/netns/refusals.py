#!/usr/bin/python3
"""The kernel refuses: what stands stays, the cause is said once, and it is tried again until it works.

Status, /readyz, /metrics and the journal tell the same truth meanwhile. The refusals are put between
the daemon and the kernel by tests/lib/faults.c.
"""

import errno
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import netns  # noqa: E402
import paper  # noqa: E402
import suite  # noqa: E402
from faults import Faults  # noqa: E402
from suite import ours, quiet  # noqa: E402
from watcher import Watcher, flows_between  # noqa: E402

COMPLAINT = "the kernel is not as it should be"
FAILED = 'nodecryptor_reconciles_total{result="failed"}'
DEGRADED = 'nodecryptor_state{state="degraded"}'
RECOVERY = 40                           # seconds; tries are up to 30 apart, fewer so early


class Test:
    def __init__(self, tap):
        self.tap = tap
        self.cluster = suite.start(control_planes=1, workers=1, daemons=False)
        self.node = self.cluster.workers[0]
        self.daemon = suite.daemon.Daemon(self.node)
        self.faults = Faults(self.daemon)
        self.daemon.start().wait_ready()
        self.daemon.wait_in_sync()
        self.number = 0

    def news(self):
        """A node more, which the kernel does not have yet."""
        self.number += 1
        self.cluster.put(paper.node(self.number))

    def has_all(self):
        wanted = paper.wanted_routes(self.cluster.objects(), self.node.name)
        return wanted == paper.held_routes(self.node.ns)

    def recover(self, name):
        self.faults.clear()
        self.daemon.wait(lambda: self.has_all() and self.daemon.get("/readyz")[0] == 200, RECOVERY,
                         f"recovers after {name}", every=0.05)

    def refused(self, name, hint, **settings):
        """One kind of refusal, for as long as it takes to see three tries fail."""
        tap, daemon = self.tap, self.daemon
        before, said = ours(self.node), len(daemon.log)
        failed = daemon.metrics()[FAILED]
        if "refuse" in settings:
            self.faults.refuse(*settings["refuse"])
        else:
            self.faults.set(**settings)
        self.news()
        daemon.wait(lambda: daemon.metrics().get(FAILED, 0) >= failed + 3, 30, f"tries: {name}",
                    every=0.05)
        code, body = daemon.get("/readyz")
        tap.ok(code == 503 and hint in body, f"{name}: /readyz says why: {body.strip()}")
        tap.ok("Degraded" in daemon.status and hint in daemon.status, f"{name}: so does STATUS")
        metrics = daemon.metrics()
        tap.equal((metrics[DEGRADED], metrics["nodecryptor_in_sync"]), (1, 0),
                  f"{name}: so do the metrics")
        log = daemon.log[said:]
        tap.equal((log.count(COMPLAINT), hint in log), (1, True), f"{name}: the journal, once")
        lost = [line for old, new in zip(before, ours(self.node)) for line in old
                if line not in new]
        tap.equal(lost, [], f"{name}: what stood stands")
        self.recover(name)
        tap.ok(True, f"{name}: recovers by itself")

    def run(self):
        with Watcher(self.node, flows_between(self.node)) as watcher:
            self.refusals()
            self.lost_answers()
            self.unknown_attributes()
            self.tap.equal(watcher.end(), [], f"{watcher.asked} answers of the kernel, none laxer, "
                                              "and exempt flows were open")
        self.lost_events()
        self.old_kernel()
        self.no_capability()

    def refusals(self):
        words = os.strerror
        self.refused("no room for routes", words(errno.ENOBUFS),
                     refuse=("NEWROUTE", errno.ENOBUFS))
        self.refused("no memory", words(errno.ENOMEM), refuse=("NEWROUTE", errno.ENOMEM))
        self.refused("not permitted", words(errno.EPERM), send_errno=errno.EPERM)
        self.refused("the device is gone, says the kernel", words(errno.ENODEV),
                     refuse=("NEWROUTE", errno.ENODEV))
        self.refused("there is one already, says the kernel", words(errno.EEXIST),
                     refuse=("NEWROUTE", errno.EEXIST))
        self.refused("dumps that are cut", words(errno.EMSGSIZE), cut_dumps=1)
        self.refused("dumps that are always interrupted", "while it was read", interrupt_dumps=1)

    def lost_answers(self):
        """They cost a look at what came of it, and nothing else."""
        failed = self.daemon.metrics()[FAILED]
        self.faults.set(lose_answers=2)
        self.news()
        self.daemon.wait(self.has_all, 10, "a node whose answers were lost", every=0.02)
        self.daemon.wait(lambda: self.daemon.get("/readyz")[0] == 200, 10, "/readyz")
        self.tap.equal((self.faults.get("lose_answers") < 2, self.daemon.metrics()[FAILED]),
                       (True, failed), "answers lost: what the kernel holds is what counts")
        self.faults.clear()

    def lost_events(self):
        """A rule and a route are deleted, and the announcement is lost."""
        good = ours(self.node)
        for arguments in ("rule del pref 206", "-6 route flush table 51871"):
            self.faults.set(lose_events=1)
            self.node.ns.ip(arguments)
            self.daemon.wait(lambda: ours(self.node) == good, 10, f"repairs {arguments}")
            self.tap.equal(self.faults.get("lose_events"), 0,
                           f"{arguments}, announcements lost: repaired all the same")

    def unknown_attributes(self):
        """A kernel from the future tells more of each rule and route."""
        held = ours(self.node)[0]
        for value in (0, 0xffffffff):
            failed = self.daemon.metrics()[FAILED]
            self.faults.set(unknown=1, unknown_value=value)
            self.news()
            self.daemon.wait(self.has_all, 10, "a node, told with an attribute more")
            self.daemon.signal(signal.SIGHUP)
            quiet(self.node)
            self.tap.equal((ours(self.node)[0], self.daemon.metrics()[FAILED]), (held, failed),
                           f"attributes that nobody knows, of {value:#x}: nothing to do")
        said = len(self.daemon.log)
        self.faults.set(unknown_value=7)
        self.news()
        self.daemon.signal(signal.SIGHUP)
        self.daemon.wait(lambda: self.daemon.metrics()[FAILED] >= failed + 3, 30, "three tries")
        self.tap.equal(ours(self.node)[0], held,
                       "with a value: who knows what it means; no rule is added twice")
        self.tap.equal(self.daemon.log[said:].count(COMPLAINT), 1, "and the journal says it once")
        self.recover("unknown attributes")

    def old_kernel(self):
        """Without strict checking a dump has every table; what is not ours is not looked at."""
        node = self.node
        self.daemon.stop()
        lines = [f"route add 198.18.{number >> 8}.{number & 255} dev lxc0 table {table}"
                 for number in range(1000) for table in (77, 100000)]
        node.ns.ip_batch(lines)
        before = ours(node)
        self.faults.set(no_strict=1)
        self.daemon.start().wait_ready()
        self.daemon.wait_in_sync()
        self.news()
        self.daemon.wait(self.has_all, 10, "in step without strict checking")
        others = node.ns.ip("route show table 77").count("198.18.")
        self.tap.equal((others, ours(node)[0]), (1000, before[0]),
                       "a kernel without strict checking: in step, other tables as they were")
        self.daemon.stop()
        self.faults.clear()

    def no_capability(self):
        """CAP_NET_ADMIN is missing from the start."""
        node, daemon = self.node, self.daemon
        before, wrapper = ours(node), daemon.wrapper
        node.ns.ip("rule del pref 206")
        daemon.wrapper = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
        daemon.start()
        daemon.wait(lambda: COMPLAINT in daemon.log, 10, "says that it may not")
        netns.wait_for(lambda: "Degraded" in daemon.status, 10, "STATUS")
        self.tap.ok(os.strerror(errno.EPERM) in daemon.status and not daemon.ready,
                    f"without CAP_NET_ADMIN: {daemon.status}")
        code, body = daemon.get("/readyz")
        self.tap.equal((code, os.strerror(errno.EPERM) in body), (503, True), "/readyz says so")
        daemon.stop()
        daemon.wrapper = wrapper
        daemon.start().wait_ready()
        daemon.wait_in_sync()
        quiet(node)
        self.tap.equal(ours(node), before, "with it: in step")


if __name__ == "__main__":
    suite.main(lambda tap: Test(tap).run())
