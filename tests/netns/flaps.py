#!/usr/bin/python3
"""The device goes down, is deleted, is replaced, 100 times under a flood: nothing leaves in clear.

The flood goes from every host and pod to every other one's, by TCP and UDP, IPv4 and IPv6.
"""

import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import capture  # noqa: E402
import netns  # noqa: E402
import suite  # noqa: E402
import wireguard  # noqa: E402
from cluster import FAMILIES  # noqa: E402
from flood import Flood  # noqa: E402
from flows import ENCRYPTED, Flow  # noqa: E402

FLAPS = 20 if suite.FAST else 100


def restore(node, kernel, text):
    wireguard.create(node.ns, kernel)
    wireguard.synchronise(node.ns, text)
    wireguard.up(node.ns)


def down_and_up(node, kernel, pause):
    wireguard.down(node.ns)
    time.sleep(pause)
    wireguard.up(node.ns)


def delete_and_create(node, kernel, pause):
    text = wireguard.show_configuration(node.ns)
    wireguard.delete(node.ns)
    time.sleep(pause)
    restore(node, kernel, text)


def replace(node, kernel, pause):
    """The name is hardly ever without a device, and the new one is another."""
    delete_and_create(node, kernel, 0)


KINDS = (down_and_up, delete_and_create, replace)


def talks(node, other, sizes):
    """True when both families work, encrypted, to the other host and its pod."""
    return all(Flow(node, False, other, pod, family, "udp", 9).send(sizes, 0.3).word == ENCRYPTED
               for pod in (False, True) for family in FAMILIES)


def run(tap):
    random = suite.seed(tap)
    cluster = suite.start(control_planes=1, workers=2)
    kernel = wireguard.in_kernel(wireguard.Here)
    watch, sizes = capture.Capture(cluster), capture.Capture(cluster, sizes=True)
    for node in cluster.nodes:          # the real agent would not make a device again either
        node.stop_agent()
    flood = Flood(cluster)
    plain, lost, encrypted, times = [], 0, 0, {kind: [] for kind in KINDS}

    for number in range(FLAPS):
        kind, node = KINDS[number % len(KINDS)], random.choice(cluster.nodes)
        kind(node, kernel, random.random() * 0.05)
        begun = time.monotonic()
        other = random.choice(cluster.others(node))
        netns.wait_for(lambda: talks(node, other, sizes), 30,
                       f"{node} talks again after {kind.__name__}", every=0)
        times[kind].append(time.monotonic() - begun)
        seen = watch.take()
        plain, lost, encrypted = (plain + seen.plain, lost + seen.lost,
                                  encrypted + seen.encrypted)

    counters = flood.stop()
    tap.note(f"flood: {counters.sent} sent, {counters.refused} refused by the kernel; on the wire "
             f"{encrypted} encrypted, {len(plain)} in clear")
    for kind, seconds in times.items():
        tap.note(f"{kind.__name__}: talks again after {statistics.median(seconds) * 1000:.0f} ms "
                 f"(median), {max(seconds) * 1000:.0f} ms (longest) of {len(seconds)}")
    tap.ok(counters.sent > FLAPS * 100 and encrypted > FLAPS * 100, "there was a flood")
    tap.ok(counters.refused > 0, "the device was really away")
    tap.equal(lost, 0, "the capture lost nothing")
    tap.equal([str(one) for one in plain[:10]], [], f"{FLAPS} flaps, not one clear packet")
    for node in cluster.nodes:
        tap.ok(node.daemon.running, f"{node}: nodecryptor still runs")


if __name__ == "__main__":
    suite.main(run)
