"""The first boot of a node, and its daily life."""

import os
import time

import host
import neighbour
import story
import wireguard
from netns import run, wait_for

WATCHDOG = "/run/systemd/system/nodecryptor.service.d/watchdog.conf"
DROP_IN = "/usr/lib/systemd/networkd.conf.d/50-nodecryptor.conf"
NETWORK = """[Match]
Name=managed*
[Network]
Address=10.9.9.1/24
IPv6AcceptRA=no
LinkLocalAddressing=no
"""


def tells(*texts):
    """What the journal, explained, says of this part."""
    def mark(part):
        part.told = texts
        return part
    return mark


def monotonic(unit, name):
    """A time stamp of the unit's, in seconds."""
    return int(host.show(name, unit)) / 1e6


@tells("no credential yet", "The encryption policy is in force")
def boots(node):
    """The first boot, before any join."""
    tap = node.tap
    tap.equal([host.show(name) for name in ("ActiveState", "NRestarts")], ["active", "0"],
              "it runs")
    took = monotonic(host.UNIT, "ActiveEnterTimestampMonotonic") - \
        monotonic(host.UNIT, "InactiveExitTimestampMonotonic")
    tap.ok(took < 30, f"ready {took:.1f} s after systemd began to start it")
    tap.ok("no credential" in host.show("StatusText"), f"status: {host.show('StatusText')}")
    tap.equal({story.way(address) for address in story.NEIGHBOUR.addresses}, {"eth0"},
              "the other nodes are reached")
    tap.equal({story.way(address) for address in story.NEIGHBOUR.pods}, {"blocked"},
              "what is protected is blocked")
    wanted = {*story.NEIGHBOUR.addresses, *story.SELF.addresses}
    wait_for(lambda: node.cable.clear_to() >= wanted, 60, "the flood", every=0.2)
    tap.equal(node.cable.clear_to(), wanted, "that is also what was on the cable since the boot")


@tells("credential of vm", "The list of nodes")
def joins(node):
    """It joins; the policy follows without a restart."""
    pid = host.show("MainPID")
    node.start_api()
    node.api.join()
    node.becomes("API watching", "a credential appears, and is used")
    node.tap.equal({story.way(address) for address in
                    story.NEIGHBOUR.addresses + story.NEIGHBOUR.pods}, {"blocked"},
                   "the nodes are known, and blocked until there is a device")
    neighbour.admit(node.api)
    node.start_cilium()
    for name in ("there", "back"):
        node.cable.encrypted(name, seconds=60)
    node.cable.mark()
    node.unchanged(pid, "all of it without a restart")
    wait_for(lambda: os.path.exists(f"{story.STATE}/snapshot.json"), 30, "a snapshot", every=0.2)


@tells("Watchdog timeout", "as they stood")
def watchdog(node):
    """The daemon hangs: the watchdog."""
    tap = node.tap
    node.cable.mark()
    host.write(WATCHDOG, "[Service]\nWatchdogSec=15\nLimitCORE=0\n")
    run("systemctl", "daemon-reload")
    host.systemctl("restart", host.UNIT)
    pid, restarts = host.show("MainPID"), int(host.show("NRestarts"))
    begun = time.monotonic()
    with host.Monitor() as monitor:
        run("systemctl", "kill", "--signal=STOP", "--kill-who=main", host.UNIT)
        tap.ok(host.property_becomes("NRestarts", str(restarts + 1), 60) and
               host.property_becomes("ActiveState", "active", 30) and
               host.show("MainPID") != pid, "it is stopped (SIGSTOP): systemd starts another, "
               f"{time.monotonic() - begun:.0f} s later")
        tap.equal(monitor.lines(), [], "not one rule or route was touched")
    for name in ("there", "back"):
        node.cable.encrypted(name)
    node.not_clear("and not one packet was in clear")
    os.unlink(WATCHDOG)
    run("systemctl", "daemon-reload")


@tells("Stopped", "Started", "as they stood")
def restarts(node):
    """systemctl restart, stop and start under a flood."""
    node.cable.mark()
    for verb in ("restart", "stop", "start"):
        node.works(host.systemctl(verb, host.UNIT), f"systemctl {verb}")
        for name in ("there", "back"):
            node.cable.encrypted(name)
    node.not_clear("not one packet was in clear")


def hot_plug(name):
    """A link that networkd configures."""
    run("ip", "link", "add", name, "type", "dummy")
    wait_for(lambda: "configured" in run("networkctl", "--no-legend", "list", name).split(), 40,
             f"networkd has configured {name}", every=0.2)


def networkd(node):
    """systemd-networkd as it is by default, and links that are plugged in."""
    tap = node.tap
    os.rename(DROP_IN, DROP_IN + ".away")
    host.write("/etc/systemd/network/10-managed.network", NETWORK)
    node.cable.mark()
    with host.Monitor() as monitor:
        for verb, name in (("start", "managed0"), ("restart", "managed1")):
            run("ip", "rule", "add", "pref", "300", "lookup", "300", "protocol", "78")
            run("systemctl", verb, "systemd-networkd")
            hot_plug(name)
            wait_for(lambda: not run("ip", "rule", "show", "pref", "300").strip(), 20,
                     "networkd has taken a foreign rule away", every=0.2)
            node.cable.encrypted("there")
        deleted = [line for line in monitor.deletions() if "5187" in line]
        tap.equal(deleted, [], "networkd (re)started, a link plugged in: nothing of ours was "
                  "deleted")
    node.not_clear("not one packet was in clear")
    run("systemctl", "stop", "systemd-networkd")
    os.rename(DROP_IN + ".away", DROP_IN)
    for name in ("managed0", "managed1"):
        run("ip", "link", "del", name)
    tap.equal(story.way(story.NEIGHBOUR.addresses[0]), wireguard.INTERFACE, "the policy stands")


PARTS = (boots, joins, watchdog, restarts, networkd)
