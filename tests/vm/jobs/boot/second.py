"""The node, a control plane, reboots; then its disk lets it down."""

import json
import os

import host
import kubernetes
import neighbour
import story
import wireguard
from first import monotonic, tells
from netns import run, wait_for

SNAPSHOT = f"{story.STATE}/snapshot.json"
BEFORE = (("network-pre.target", "before the network comes up"),
          ("cable.service", "and before its first packet"),
          ("kubelet.service", "and before the kubelet starts"))


@tells("applying the snapshot", "The last known nodes on the disk", "cannot be watched",
       "At boot, before the network is up")
def reboots(node):
    """It has rebooted; the API server is away all the time."""
    tap = node.tap
    ready = monotonic(host.UNIT, "ActiveEnterTimestampMonotonic")
    for unit, what in BEFORE:
        name = "InactiveExitTimestampMonotonic" if unit.endswith("service") else \
            "ActiveEnterTimestampMonotonic"
        then = monotonic(unit, name)
        tap.ok(0 < ready < then, f"{what}: ready at {ready:.2f} s, {unit} at {then:.2f} s")
    text = host.show("StatusText")
    tap.ok("3 nodes" in text and "(snapshot)" in text and "Failed to connect" in text,
           f"status: {text}")
    tap.equal({story.way(address) for address in
               story.NEIGHBOUR.addresses + story.NEIGHBOUR.pods}, {"blocked"},
              "everything to the other nodes is blocked")
    tap.equal(str(host.Done("nodecryptorctl", "wait", "--enforcing", "--timeout=5").status), "0",
              "nodecryptorctl wait, which a kubelet may be told to do first, lets it start")
    node.not_clear("no packet of it or to it was in clear since the network came up", True)


@tells("watching the API server", "came, went or changed")
def returns(node):
    """The API server comes, and Cilium with a new key."""
    tap = node.tap
    pid = host.show("MainPID")
    node.start_api()
    node.becomes("API watching", "the API server comes: it is watched")
    node.start_cilium()
    wait_for(lambda: neighbour.handshakes() == [node.public_key()], 30, "the two shake hands",
             every=0.5)
    for name in ("there", "back"):
        node.cable.encrypted(name)
    key = node.public_key()
    tap.ok(key != node.kept["key"] and neighbour.handshakes() == [key],
           "its new key came to the other node through the exempt port, and is used")
    node.unchanged(pid, "all of it without a restart")
    seen = node.cable.read()
    tap.ok(seen["there"]["exempt"] > 0 and seen["back"]["exempt"] > 0,
           f"on the cable {node.cable}")
    node.not_clear("and since the network came up no packet in clear, of either node", True)


def saved():
    """The names of the nodes in the snapshot."""
    with open(SNAPSHOT, encoding="utf-8") as file:
        return {item["name"] for item in json.loads(file.readlines()[1])["nodes"]}


def appears(node, index):
    """A node that was not there before; it is steered."""
    other = kubernetes.Node(f"worker-{index}", index)
    node.api.command("put", object=other.object())
    wait_for(lambda: story.way(other.addresses[0]) == wireguard.INTERFACE, 30,
             f"{other.name} is steered", every=0.2)
    return other.name


@tells("No space left on device", "repair the disk", "can be written again")
def full_disk(node):
    """Its disk is full."""
    tap = node.tap
    host.systemctl("stop", host.UNIT)
    kept = f"{story.STATE}.kept"
    run("cp", "-a", story.STATE, kept)
    run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "small", story.STATE)
    run("cp", "-a", f"{kept}/.", story.STATE)
    filler = f"{story.STATE}/filler"
    host.Done("dd", "if=/dev/zero", f"of={filler}")
    node.works(host.systemctl("start", host.UNIT), "systemctl start")
    before, pid = saved(), host.show("MainPID")
    name = appears(node, 4)
    tap.ok(True, f"it runs, and follows: {name}")
    host.says("No space left on device", 30)
    tap.equal(saved(), before, "the snapshot is the old one, whole")
    node.becomes("No space left on device", "status")
    os.unlink(filler)
    name = appears(node, 5)
    host.says("can be written again", 30)
    tap.ok(name in saved(), "with room again the snapshot is written")
    node.unchanged(pid, "all of it without a restart")
    host.systemctl("stop", host.UNIT)
    run("umount", story.STATE)


@tells("Read-only file system", "repair the disk")
def read_only(node):
    """/var is read-only."""
    tap = node.tap
    run("mount", "--bind", "/var", "/var")
    run("mount", "-o", "remount,bind,ro", "/var")
    node.works(host.systemctl("start", host.UNIT), "systemctl start")
    before = saved()
    name = appears(node, 6)
    tap.ok(True, f"it runs, and follows: {name}")
    host.says("Read-only file system", 30)
    node.becomes("Read-only file system", "status")
    tap.equal(saved(), before, "the snapshot is the old one, whole")
    host.systemctl("stop", host.UNIT)
    run("umount", "/var")
    node.works(host.systemctl("start", host.UNIT), "systemctl start, /var is well again")
    node.cable.encrypted("there")
    node.not_clear("no packet was in clear since the boot", True)


PARTS = (reboots, returns, full_disk, read_only)
