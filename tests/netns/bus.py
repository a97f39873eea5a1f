#!/usr/bin/python3
"""The daemon on the system bus: a bus that comes late, goes, hangs, refuses; what it says and does
there; who may."""

import concurrent.futures
import os
import re
import signal
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import netns  # noqa: E402
import suite  # noqa: E402
import systembus  # noqa: E402
import wireguard  # noqa: E402
from daemon import Daemon  # noqa: E402
from plans import node_list, plan  # noqa: E402
from systembus import NOBODY, OPEN, Signals, SystemBus, call, properties, set_log  # noqa: E402

MODE = {"observe": "string:observe", "enforce": "string:enforce"}
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID = "org.freedesktop.DBus.Error.InvalidArgs"
REFUSED = "org.nodecryptor1.Error.ConfigurationRefused"
RULE = "rule del pref 202 lookup 51870 protocol kernel"


def has_rule(node):
    return "lookup 51870" in node.ns.ip("-4 rule show")


def wait_repaired(node, what):
    netns.wait_for(lambda: has_rule(node), 5, what)


def comes_late(tap, node, bus):
    """No bus when the daemon starts, not even the folder of its socket."""
    tap.ok(not os.path.exists("/run/dbus"), "there is no bus")
    tap.ok("READY=1" in node.daemon.messages, "the daemon is ready without one")
    bus.start()
    systembus.wait_named()
    tap.ok(True, "a bus comes: the name is taken")


def says(tap, node):
    seen = properties()
    wanted = {"State": "enforcing", "Reason": "", "Mode": "enforce", "ModeOverridden": False,
              "InSync": True, "NodeName": node.name, "NodeKnown": True, "ControlPlane": False,
              "API": "watching", "Knowledge": "api", "Nodes": 2, "ControlPlanes": 1,
              "PodPrefixes": 2, "NodeAddresses": 2, "Exemptions": 2, "Findings": [],
              "Device": "cilium_wg0", "DevicePresent": True, "DeviceUp": True,
              "DeviceMark": 0xe00, "DeviceMarkKnown": False, "LastForeignChange": "",
              "HealthError": "", "MetricsError": ""}
    tap.equal({name: seen.get(name) for name in wanted}, wanted, "the status as properties")
    tap.ok(seen["LastSync"] >= seen["Since"] > 1e9 and seen["KnowledgeAt"] > 1e9 and
           seen["SnapshotSaved"] > 1e9 and seen["DeviceMTU"] > 1000, "times and sizes")
    metrics = node.daemon.metrics()
    tap.equal((seen["Rules"], seen["Routes"], seen["Generation"]),
              tuple(int(metrics[f"nodecryptor_{name}"]) for name in
                    ("kernel_rules", "kernel_routes", "policy_generation_total")),
              "the same numbers as in the metrics")
    peers = {peer["Name"]: peer for peer in systembus.result("ListPeers")}
    other = node.cluster.nodes[0]
    tap.equal(sorted(peers), [other.name], "every other node is a peer")
    tap.equal({name: sorted(peers[other.name][name]) if name != "ControlPlane" else True
               for name in ("ControlPlane", "Addresses", "PodPrefixes", "Exemptions")},
              {"ControlPlane": True, "Addresses": sorted(other.address.values()),
               "PodPrefixes": sorted(other.prefix.values()),
               "Exemptions": ["etcd", "kube-apiserver"]}, "what is steered to it")
    commands = systembus.result("GetPolicy")
    tap.equal("\n".join(commands) + "\n",
              plan(node, node_list(node.cluster), "--api-endpoint", node.server,
                   "--config", node.daemon.config),
              f"the policy ({len(commands)} commands) is what `nodecryptorctl plan` prints")


def interface(path, name):
    """Of the program's introspection: {property: (type, access, announced)}, {method: signature}."""
    text = netns.run("busctl", "--system", "introspect", "--xml-interface", systembus.NAME, path)
    found = [one for one in xml.etree.ElementTree.fromstring(text) if one.get("name") == name]
    if len(found) != 1:
        raise RuntimeError(f"{path}: {name} {len(found)} times")
    emits = {"true": "announced", "false": "silent"}
    properties_, methods = {}, {}
    for item in found[0]:
        if item.tag == "property":
            note = {one.get("name").rpartition(".")[2]: one.get("value") for one in item}
            word = note.get("EmitsChangedSignal", "true")
            properties_[item.get("name")] = (item.get("type"), item.get("access"),
                                             emits.get(word, word))
        elif item.tag == "method":
            arguments = {"in": [], "out": []}
            for one in item.findall("arg"):
                arguments[one.get("direction")].append(f"{one.get('type')} {one.get('name')}")
            methods[item.get("name")] = (", ".join(arguments["in"]),
                                         ", ".join(arguments["out"]) or "nothing")
    return properties_, methods


def manual(tap):
    """org.nodecryptor1(5) says what the program's introspection says."""
    with open(os.path.join(systembus.REPOSITORY, "man/org.nodecryptor1.5"), encoding="utf-8") as file:
        page = file.read().replace("\\-", "-")
    manager, log, = page.split('.SH "OBJECT /org/freedesktop/LogControl1"')
    main, peer = manager.split('.SS "A peer"')
    seen, methods = interface(systembus.PATH, systembus.INTERFACE)
    told = {name: (kind, "read", announced) for kind, name, announced in
            re.findall(r"^\.TP\n\.B (\S+) (\w+) (const|announced|silent)$", main, re.M)}
    tap.equal(told, seen, f"the manual names the {len(seen)} properties as they are")
    told = {name: (arguments, results) for name, arguments, results in
            re.findall(r"^\.TP\n\.B (\w+)\((.*)\) -> (.*)$", main, re.M)}
    tap.equal(told, methods, f"and the {len(methods)} methods")
    error, answer = systembus.busctl("call", systembus.NAME, systembus.PATH, systembus.INTERFACE,
                                     "ListPeers")
    keys = {name: value["type"] for name, value in answer["data"][0][0].items()}
    told = {name: kind for kind, name in re.findall(r"^\.TP\n\.B (\S+) (\w+)$", peer, re.M)}
    tap.equal((error, told), (None, keys), "and what a peer has")
    seen = interface(systembus.LOG_PATH, systembus.LOG_INTERFACE)[0]
    told = {name: kind for kind, name in re.findall(r"^\.TP\n\.B (\S+) (\w+)$", log, re.M)}
    tap.equal((told, {name: one[1] for name, one in seen.items()}),
              ({name: one[0] for name, one in seen.items()},
               {"LogLevel": "readwrite", "LogTarget": "readwrite", "SyslogIdentifier": "read"}),
              "and LogControl1's")


def changed(signals, seconds, **wanted):
    """Waits until the signals have brought these values; {name: value} of all that came."""
    seen = {}

    def there():
        for one in signals.take():
            seen.update(one)
        return all(seen.get(name) == value for name, value in wanted.items())
    netns.wait_for(there, seconds, f"{wanted} in a signal")
    return seen


def signals(tap, node):
    watch = Signals()
    before = properties()["Generation"]
    wireguard.down(node.ns)
    seen = changed(watch, 10, DeviceUp=False)
    tap.ok("NodeName" not in seen, f"the device goes: {sorted(seen)} are announced")
    wireguard.up(node.ns)
    seen = changed(watch, 10, DeviceUp=True)
    netns.wait_for(lambda: properties()["Generation"] > before, 5, "the routes are back")
    node.ns.ip(f"-4 {RULE}")
    wait_repaired(node, "a rule that was deleted")
    seen = changed(watch, 10, LastForeignChange=properties()["LastForeignChange"])
    tap.ok("lookup 51870" in seen["LastForeignChange"] and "by ip" in seen["LastForeignChange"],
           f"who deleted a rule is announced: {seen['LastForeignChange']}")
    watch.take()
    for _ in range(50):
        node.ns.ip(f"-4 {RULE}")
        wait_repaired(node, "a rule that was deleted")
    wanted = properties()["Generation"]
    seen = []
    netns.wait_for(lambda: seen.extend(watch.take()) or
                   any(one.get("Generation") == wanted for one in seen), 10, "the last change")
    tap.ok(len(seen) < 40, f"50 changes are told in {len(seen)} signals")
    watch.close()


def reloads(tap, node):
    daemon = node.daemon
    tap.equal(call("Reload")[0], "", "Reload: done")
    daemon.write('mode = "enforce";\nprotect = ( "10.244.0.0/33" );\n')
    name, text = call("Reload")
    tap.equal(name, REFUSED, "a bad configuration is refused")
    tap.ok(f"{daemon.config}:2" in text and "protect" in text, f"with file, line and key: {text}")
    daemon.write('protect = ( "10.99.0.0/16" );\n')
    before = properties()["Routes"]
    tap.equal(call("Reload")[0], "", "a good one is taken")
    tap.ok(properties()["Routes"] > before and "10.99.0.0/16" in
           node.ns.ip("route show table 51871"), "and in force when the answer comes")
    daemon.configure()
    tap.equal(call("Reload")[0], "", "and out of force again")
    lists = daemon.log.count("node list from")
    tap.equal(call("Resync")[0], "", "Resync: done")
    daemon.wait(lambda: daemon.log.count("node list from") > lists or
                "API watching" in daemon.status, 20, "a watch again")
    daemon.wait_in_sync()


def modes(tap, node):
    tap.equal(call("SetMode", MODE["observe"])[0], "", "SetMode observe")
    seen = properties()
    tap.equal((seen["Mode"], seen["ModeOverridden"], seen["State"]),
              ("observe", True, "observing"), "it observes")
    node.ns.ip(f"-4 {RULE}")
    tap.equal((call("Resync")[0], has_rule(node)), ("", False), "nothing is repaired then")
    tap.equal((call("Reload")[0], has_rule(node), properties()["Mode"]), ("", False, "observe"),
              "not after a reload either")
    tap.equal(call("SetMode", MODE["enforce"])[0], "", "SetMode enforce")
    tap.ok(has_rule(node), "the rule is there when the answer comes")
    seen = properties()
    tap.equal((seen["Mode"], seen["ModeOverridden"]), ("enforce", False), "as configured again")
    tap.equal(call("SetMode", "string:maybe")[0], INVALID, "no other mode")


def logs(tap, node):
    get = lambda: properties(systembus.LOG_PATH, systembus.LOG_INTERFACE)  # noqa: E731
    tap.equal(get(), {"LogLevel": "info", "LogTarget": "console",
                      "SyslogIdentifier": "nodecryptor"}, "LogControl1")
    said = 'mode "observe" on request'
    before = node.daemon.log.count(said)
    tap.ok(before > 0, "a change of mode is logged")
    tap.equal(set_log("LogLevel", "string:warning")[0], "", "a level is set")
    tap.equal(get()["LogLevel"], "warning", "and stays")
    call("SetMode", MODE["observe"])
    call("SetMode", MODE["enforce"])
    tap.equal(node.daemon.log.count(said), before, "what is less urgent is not logged")
    set_log("LogLevel", "string:debug")
    tap.equal(get()["LogLevel"], "debug", "debug")
    set_log("LogLevel", "string:info")
    for name, value in (("LogLevel", "string:loud"), ("LogLevel", "uint32:7"),
                        ("LogTarget", "string:moon")):
        tap.equal(set_log(name, value)[0], INVALID, f"{name} {value} is refused")
    tap.equal(set_log("LogTarget", "string:console")[0], "", "a target is set")
    tap.ok(set_log("SyslogIdentifier", "string:me")[0].endswith("PropertyReadOnly"),
           "the identifier cannot be")
    tap.ok(set_log("Nothing", "string:me")[0].endswith("UnknownProperty"), "what is not there, too")
    tap.equal(get()["LogLevel"], "info", "nothing of that has changed anything")


def strangers(tap, node):
    """Under the policy file the bus refuses them; under an open one the daemon does."""
    tap.equal(properties(prefix=NOBODY)["NodeName"], node.name, "everybody may look")
    acts = [("Reload",), ("Resync",), ("SetMode", MODE["observe"]), ("ListPeers",),
            ("GetPolicy",)]
    for act in acts:
        tap.equal(call(*act, prefix=NOBODY)[0], DENIED, f"nobody may not {act[0]}: the bus")
    tap.equal(set_log("LogLevel", "string:debug", prefix=NOBODY)[0], DENIED, "nor set log levels")


def strangers_in_the_open(tap, node):
    for act in (("Reload",), ("Resync",), ("SetMode", MODE["observe"]), ("ListPeers",),
                ("GetPolicy",)):
        name, text = call(*act, prefix=NOBODY)
        tap.equal((name, text), (DENIED, f"{act[0]} is for root only."),
                  f"nobody may not {act[0]}: the daemon")
    name, text = set_log("LogLevel", "string:debug", prefix=NOBODY)
    tap.equal((name, text), (DENIED, "Set is for root only."), "nor set log levels")
    tap.equal(properties(systembus.LOG_PATH, systembus.LOG_INTERFACE)["LogLevel"], "info",
              "none was set")
    tap.equal(properties()["Mode"], "enforce", "nor a mode")


def hostile(tap, node):
    for arguments in (("Reload", "string:now"), ("SetMode",), ("SetMode", "uint32:1"),
                      ("SetMode", "string:enforce", "string:observe"), ("ListPeers", "boolean:true")):
        tap.equal(call(*arguments)[0], INVALID, f"{' '.join(arguments)}: wrong arguments")
    tap.ok(call("Explode")[0].endswith("UnknownMethod"), "an unknown method")
    long = "string:" + "x" * 100000
    tap.equal(call("SetMode", long)[0], INVALID, "a mode of 100 kB")
    tap.equal(systembus.send(systembus.LOG_PATH, f"{systembus.PROPERTIES}.Set", "string:a")[0],
              INVALID, "Set without a value")
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        calls = [pool.submit(call, "Reload", prefix=NOBODY) for _ in range(200)]
        node.ns.ip(f"-4 {RULE}")
        wait_repaired(node, "a rule that was deleted meanwhile")
        seen = {one.result()[0] for one in calls}
    tap.ok(seen <= {DENIED, "org.freedesktop.DBus.Error.LimitsExceeded"} and DENIED in seen,
           f"200 calls of a stranger are refused: {seen}")
    tap.equal(call("Resync")[0], "", "and root's are answered")


def goes(tap, node, bus):
    for name, end in (("stopped", bus.stop), ("killed", bus.kill)):
        end()
        node.ns.ip(f"-4 {RULE}")
        wait_repaired(node, "a rule deleted while there is no bus")
        bus.start(OPEN)
        systembus.wait_named()
        tap.equal(properties()["State"], "enforcing", f"the bus is {name} and started: back on it")
        tap.equal(call("Resync")[0], "", "and can be called")


def hangs(tap, node, bus):
    """A bus that takes connections and answers nobody."""
    bus.freeze()
    node.ns.ip(f"-4 {RULE}")
    wait_repaired(node, "a rule deleted while the bus hangs")
    tap.equal(node.daemon.get("/readyz")[0], 200, "a bus that hangs holds nothing up")
    bus.thaw()
    hangs_over_calls(tap, node, bus)
    bus.freeze()
    node.daemon.stop(5)
    tap.ok(True, "not the daemon's end")
    node.daemon.start().wait_ready(5)
    tap.ok(True, "nor its start")
    node.daemon.wait_in_sync()
    node.ns.ip(f"-4 {RULE}")
    wait_repaired(node, "a rule deleted while the bus hangs")
    bus.thaw()
    systembus.wait_named(60)
    tap.ok(True, "it goes on: the name is taken")


def hangs_over_calls(tap, node, bus):
    """It hands calls over and then does not say who calls."""
    node.daemon.signal(signal.SIGSTOP)
    before = len(systembus.names())
    for _ in range(40):
        netns.run("dbus-send", "--system", "--type=method_call", f"--dest={systembus.NAME}",
                  systembus.PATH, f"{systembus.INTERFACE}.Resync")
    netns.wait_for(lambda: len(systembus.names()) <= before, 10, "the callers have gone")
    bus.freeze()
    node.daemon.signal(signal.SIGCONT)
    node.ns.ip(f"-4 {RULE}")
    wait_repaired(node, "a rule deleted while calls wait for the bus")
    tap.equal(node.daemon.get("/readyz")[0], 200, "calls that wait for the bus hold nothing up")
    bus.thaw()
    tap.equal(call("Resync")[0], "", "it goes on: calls are answered")


def refuses(tap, node, bus):
    """No policy file: the name is not granted. It is said once, and tried again."""
    bus.stop()
    bus.start(more="")
    node.daemon.wait(lambda: "refuses the name" in node.daemon.log, 30, "a warning")
    tap.ok(systembus.NAME not in systembus.names(), "the bus refuses the name")
    bus.reload(OPEN)
    systembus.wait_named(60)
    tap.equal(node.daemon.log.count("refuses the name"), 1, "said once, and granted later")


def two(tap, node, bus):
    """The name is another process's: ours when that ends."""
    other = node.cluster.nodes[0]
    Daemon(other).start().wait_ready()
    other.daemon.wait(lambda: "another process has the name" in other.daemon.log, 20, "a warning")
    node.daemon.stop()
    netns.wait_for(lambda: systembus.NAME in systembus.names() and
                   properties()["NodeName"] == other.name, 20, "the other daemon on the bus")
    tap.ok(True, "a name that is taken is waited for")
    other.daemon.stop()
    node.daemon.start().wait_in_sync()
    systembus.wait_named()


def run(tap):
    cluster = suite.start(control_planes=1, workers=1, daemons=False)
    node = cluster.workers[0]
    Daemon(node).start().wait_ready()
    node.daemon.wait_in_sync()
    bus = SystemBus(node.folder)
    comes_late(tap, node, bus)
    says(tap, node)
    manual(tap)
    signals(tap, node)
    reloads(tap, node)
    modes(tap, node)
    logs(tap, node)
    strangers(tap, node)
    bus.stop()
    bus.start(OPEN)
    systembus.wait_named()
    strangers_in_the_open(tap, node)
    hostile(tap, node)
    goes(tap, node, bus)
    hangs(tap, node, bus)
    refuses(tap, node, bus)
    two(tap, node, bus)
    node.daemon.stop()
    tap.ok(True, "and it ends as it should")


if __name__ == "__main__":
    suite.main(run)
