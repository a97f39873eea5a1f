"""What is tried on a real server, in this order: each stage goes on where the one before ended."""

import datetime
import json
import os
import threading
import time

from fixture import check
from follower import node
from netns import wait_for
from server import FLOWCONTROL, HERE, NODES, Person

REPOSITORY = os.path.abspath(os.path.join(HERE, "..", "..", ".."))
MANIFESTS = os.path.join(REPOSITORY, "conf")
PATCHES, WRITERS, STORM_NODES = 4000, 4, 50
MANY = 5000
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def refused_until_rbac_grants_it(lab):
    client = lab.client("w1")
    refused = client.state("backing off", timeout=20)
    check("403" in refused["error"] or "forbidden" in refused["error"], refused["error"])
    wait_for(lambda: client.status()["requests"][4] >= 4, 20, "it keeps trying", every=0.2)
    check(not client.nodes and client.lists() == 0, "nothing is known")
    lab.server.admin.create_file(os.path.join(MANIFESTS, "rbac.yaml"))
    client.wait("replaced", timeout=20)
    client.state("watching")
    client.in_step(lab.server.admin)


def rbac_grants_list_and_watch_and_nothing_more(lab):
    someone = lab.server.person("w9")
    allowed = set()
    for resource in ("ciliumnodes", "ciliumnodes/status", "ciliumendpoints", "*"):
        for verb in ("get", "list", "watch", "create", "update", "patch", "delete",
                     "deletecollection", "*"):
            review = someone.want("POST", REVIEWS, {
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {"group": "cilium.io", "resource": resource,
                                                "verb": verb}}})
            if review["status"]["allowed"]:
                allowed.add((resource, verb))
    check(allowed == {("ciliumnodes", "list"), ("ciliumnodes", "watch")}, f"allowed: {allowed}")
    status = someone.ask("DELETE", f"{NODES}/n1")[0]
    check(status == 403, f"a node deletes a CiliumNode: {status}")


def strangers_are_refused(lab):
    server = lab.server
    past = time.time() - 60
    people = {
        "of another organisation": (server.person("outsider", organisation="others"), 403),
        "without a certificate": (Person(server.authority), 403),
        "of another authority":
            (Person(server.authority, *server.stranger.client("foreign")), 401),
        "with an expired certificate": (server.person("late", begins=past - 60, ends=past), 401),
    }
    for who, (person, wanted) in people.items():
        status = person.ask("GET", NODES)[0]
        check(status == wanted, f"one {who}: {status} instead of {wanted}")
    client = lab.client("w8", kubeconfig=server.kubeconfig("w8", begins=past - 60, ends=past))
    refused = client.state("backing off", timeout=20)
    check("401" in refused["error"] or "nauthorized" in refused["error"], refused["error"])
    server.kubeconfig("w8")
    client.wait("replaced", timeout=20)


def flow_schema_takes_our_requests(lab):
    """The server has v1beta1 only, whose FlowSchema has the same fields as v1's."""
    admin = lab.server.admin
    with open(os.path.join(MANIFESTS, "flowschema.yaml"), encoding="utf-8") as file:
        text = file.read()
    check("\napiVersion: flowcontrol.apiserver.k8s.io/v1\n" in text, "the version in the manifest")
    version = "v1"
    if admin.ask("GET", f"{FLOWCONTROL}/v1")[0] == 404:
        version = "v1beta1"
        text = text.replace("apiserver.k8s.io/v1\n", "apiserver.k8s.io/v1beta1\n")
    made = admin.want("POST", f"{FLOWCONTROL}/{version}/flowschemas", text, "application/yaml")
    level = admin.want(
        "GET", f"{FLOWCONTROL}/{version}/prioritylevelconfigurations/workload-low")
    asker = lab.server.person("w9")

    def matched():
        headers = asker.ask("GET", NODES)[1]
        return (headers["X-Kubernetes-Pf-Flowschema-Uid"] == made["metadata"]["uid"] and
                headers["X-Kubernetes-Pf-Prioritylevel-Uid"] == level["metadata"]["uid"])
    wait_for(matched, 20, "a node's list goes by our FlowSchema to workload-low", every=0.2)
    other = asker.ask("GET", "/api/v1/services")[1]["X-Kubernetes-Pf-Flowschema-Uid"]
    check(other != made["metadata"]["uid"], "a node's other requests do not")
    lab.note(f"tried as flowcontrol.apiserver.k8s.io/{version}, all that this server has")


def list_then_watch(lab):
    admin, client = lab.server.admin, lab.one
    lists = client.lists()
    for index in range(1, STORM_NODES + 1):
        admin.create(node(f"n{index}", index))
    client.in_step(admin)
    admin.patch("n1", {"spec": {"ipam": {"podCIDRs": ["10.0.1.0/24", "10.200.1.0/24"]}}})
    client.wait("changed", where=lambda line: "10.200.1.0/24" in line["node"]["prefixes"])
    admin.delete("n2")
    client.wait("removed", where=lambda line: line["name"] == "n2")
    admin.create(node("n2", 2))
    client.in_step(admin)
    check(client.lists() == lists, "all of it by watch, without a list")


def poison_and_giants(lab):
    """A bad object, and one near etcd's limit of 1.5 MB, in one event."""
    admin, client = lab.server.admin, lab.one
    lists = client.lists()
    admin.create(node("poison", 250, ipam={"podCIDRs": ["10.0.0.0/33"]}))
    admin.create(node("giant", 251, filler="é" * 600_000))
    try:
        check(client.wait("bad_object")["name"] == "poison", "the bad object is named")
        client.wait("changed", where=lambda line: line["node"]["name"] == "giant")
    finally:
        admin.delete("poison")
        admin.delete("giant")
    client.wait("removed", where=lambda line: line["name"] == "giant")
    client.in_step(admin)
    check(client.lists() == lists, "without a list")


def storm(admin, patches, writers):
    """So many patches, from several connections at once; what failed."""
    failed = []

    def write(first):
        try:
            for number in range(first, patches, writers):
                index = number % STORM_NODES + 1
                admin.patch(f"n{index}", {
                    "metadata": {"annotations": {"storm": str(number)}},
                    "spec": {"ipam": {"podCIDRs": [
                        f"10.0.{index}.0/24", f"10.{100 + number % 100}.{index}.0/24"]}}})
        except Exception as problem:    # told by the thread that waits
            failed.append(problem)
    threads = [threading.Thread(target=write, args=(first,)) for first in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def patch_storm(lab):
    admin, client = lab.server.admin, lab.one
    lists, before = client.lists(), client.changes
    begun = time.monotonic()
    failed = storm(admin, PATCHES, WRITERS)
    seconds = time.monotonic() - begun
    check(not failed, f"{len(failed)} writers failed: {failed[:1]}")
    wait_for(lambda: client.changes - before >= PATCHES or client.lists() > lists, 30,
             f"{PATCHES} changes; {client.changes - before} came")
    behind = client.in_step(admin)
    check(client.lists() == lists, "without a list")
    check(client.changes - before == PATCHES, f"{client.changes - before} changes")
    lab.note(f"{PATCHES} patches in {seconds:.1f} s, {PATCHES / seconds:.0f} a second, each one "
             f"handed over; in step {behind:.2f} s after the last answer")


def watch_over_after_its_time(lab):
    """timeoutSeconds: a clean end, and the connection stays for the next watch."""
    client = lab.client("w3", watch_timeout=3)
    client.wait("replaced")
    client.state("watching")
    for _ in range(2):
        client.state("connecting", timeout=8)
        client.state("watching")
    lab.server.admin.patch("n3", {"spec": {"ipam": {"podCIDRs": ["10.0.3.0/24"]}}})
    client.wait("changed", where=lambda line: line["node"]["name"] == "n3")
    status = client.status()
    check(status["lists"] == 1, f"{status['lists']} lists")
    check(status["watches"] >= 3, f"{status['watches']} watches")


def resumes_from_its_snapshot(lab):
    """The watch goes on at the snapshot's version: what happened meanwhile comes by it."""
    admin = lab.server.admin
    options = lab.snapshot(admin.want("GET", NODES))
    admin.patch("n10", {"spec": {"ipam": {"podCIDRs": ["10.0.10.0/24", "10.207.10.0/24"]}}})
    client = lab.client("w3", *options)
    client.wait("changed", where=lambda line: "10.207.10.0/24" in line["node"]["prefixes"])
    status = client.status()
    check(status["lists"] == 0 and status["state"] == "watching", f"no list, a watch: {status}")


def snapshot_that_is_too_old(lab):
    """An ERROR event on the watch, code 410: then a list."""
    listed = lab.server.admin.want("GET", NODES)
    listed["metadata"]["resourceVersion"] = "1"
    client = lab.client("w3", *lab.snapshot(listed))
    client.wait("replaced", timeout=20)
    client.in_step(lab.server.admin)


def snapshot_from_the_future(lab):
    """As after an etcd restore: a watch would be silent for ever."""
    listed = lab.server.admin.want("GET", NODES)
    listed["metadata"]["resourceVersion"] = "999999999"
    begun = time.monotonic()
    client = lab.client("w3", *lab.snapshot(listed))
    client.wait("replaced", timeout=30)
    lab.note(f"found out and listed after {time.monotonic() - begun:.1f} s")
    client.in_step(lab.server.admin)
    version = client.seen[-1].get("version") or "0"
    check(int(version) < 999999999, f"the version is the server's own: {version}")


def no_list_by_watch_here(lab):
    """This server does not know sendInitialEvents: the client must find out, and list."""
    client = lab.client("w3", stream_lists=1)
    client.wait("replaced", timeout=20)
    client.state("watching")
    begun = time.monotonic()
    client.say("resync")
    client.wait("replaced", timeout=30)
    took = time.monotonic() - begun
    client.wait("state", where=lambda line: line["state"] == "watching")
    client.in_step(lab.server.admin)
    asked = [entry["code"] for entry in lab.server.audited()
             if entry["user"] == "system:node:w3" and "sendInitialEvents" in entry["uri"]]
    check(len(asked) == 1, f"the requests for one: {asked}")
    lab.note(f"the server answered {asked[0]}; listed {took:.1f} s after it was asked to")


def crd_edited(lab):
    """Every watch ends cleanly; the server forgets its history."""
    admin, client = lab.server.admin, lab.one
    client.drain()
    lab.server.edit_crd("Edited")
    client.state("connecting", timeout=30)
    client.wait("state", timeout=30, where=lambda line: line["state"] == "watching")
    admin.patch("n4", {"spec": {"ipam": {"podCIDRs": ["10.0.4.0/24", "10.201.4.0/24"]}}})
    client.in_step(admin, 30)


def crd_deleted_and_recreated(lab):
    admin, client = lab.server.admin, lab.one
    client.drain()
    lab.server.delete_crd()
    client.wait("removed", timeout=30)
    absent = client.state("backing off", timeout=30)
    check("404" in absent["error"] or "CiliumNode" in absent["error"], absent["error"])
    lab.note(f"told as: {absent['error']}")
    lab.server.recreate_crd()
    for index in range(1, STORM_NODES + 1):
        admin.create(node(f"n{index}", index))
    admin.delete("n5")
    client.in_step(admin, 60)


def certificate_swapped(lab):
    """A new identity is in the very next request's audit entry, without a new start."""
    server = lab.server
    client = lab.client("w4")
    client.wait("replaced")
    client.state("watching")
    client.drain()
    server.kubeconfig("w5", name="w4")  # the same files, for another node
    check(client.wait("credential")["node"] == "w5", "the new pair is read")
    since = datetime.datetime.now(datetime.UTC).isoformat()
    for _ in range(2):                  # the second ends the watch: only then it is in the log
        client.say("resync")
        client.wait("replaced")
        client.state("watching")

    def users():
        """Who has asked for what since."""
        return {(entry["verb"], entry["user"]) for entry in server.audited()
                if entry["time"] > since and entry["user"] != "system:node:n1"}
    wait_for(lambda: {verb for verb, _ in users()} == {"list", "watch"}, 5,
             "both requests are in the audit log")
    check(users() == {("list", "system:node:w5"), ("watch", "system:node:w5")}, f"{users()}")


def certificate_expires_under_way(lab):
    """The watch goes on; the next request is 401; a new pair mends it."""
    server = lab.server
    client = lab.client("w6", kubeconfig=server.kubeconfig("w6", ends=time.time() + 8))
    client.wait("replaced")
    client.state("watching")
    time.sleep(9)
    server.admin.patch("n6", {"spec": {"ipam": {"podCIDRs": ["10.0.6.0/24", "10.202.6.0/24"]}}})
    client.wait("changed", where=lambda line: "10.202.6.0/24" in line["node"]["prefixes"])
    client.say("resync")
    refused = client.state("backing off", timeout=20)
    check("401" in refused["error"] or "nauthorized" in refused["error"], refused["error"])
    server.kubeconfig("w6")
    client.wait("replaced", timeout=20)
    client.state("watching")
    client.in_step(server.admin)


def daemon_holds_its_policy(lab):
    """nodecryptor itself: what the server says is in the kernel, and stays when the server dies."""
    server = lab.server
    server.admin.create(node("w7", 230))
    daemon = lab.daemon("w7")
    daemon.start()
    daemon.wait_in_sync()
    wait_for(lambda: lab.route("10.0.7.0/24"), 10, "a node's pods are in our tables")
    server.admin.patch("n7", {"spec": {"ipam": {"podCIDRs": ["10.203.7.0/24"]}}})
    wait_for(lambda: lab.route("10.203.7.0/24") and not lab.route("10.0.7.0/24"), 10,
             "a change is in the kernel")
    server.kill()
    time.sleep(2)
    check(daemon.running and lab.route("10.203.7.0/24"), "the server is gone, the policy is not")
    server.start()
    server.admin.patch("n7", {"spec": {"ipam": {"podCIDRs": ["10.204.7.0/24"]}}})
    wait_for(lambda: lab.route("10.204.7.0/24") and not lab.route("10.203.7.0/24"), 60,
             "a change after the server's new start is in the kernel")
    daemon.wait_in_sync()
    check(daemon.stop() == 0, "it ends when told to")


def server_killed(lab):
    """FIN without a last chunk, then refused connections, then a new history."""
    server, client = lab.server, lab.one
    client.in_step(server.admin, 60)
    client.drain()
    held = dict(client.nodes)
    server.kill()
    client.state("backing off", timeout=10)
    check(client.nodes == held, "nothing is forgotten while the server is away")
    server.start()
    server.admin.patch("n8", {"spec": {"ipam": {"podCIDRs": ["10.0.8.0/24", "10.205.8.0/24"]}}})
    took = client.in_step(server.admin, 60)
    client.wait("state", timeout=20, where=lambda line: line["state"] == "watching")
    lab.note(f"in step {took:.1f} s after the server was ready")


def server_terminated(lab):
    """The old server keeps its watches open for a minute; its successor serves at once."""
    server = lab.server
    impatient = lab.client("w2", watchdog=8000)
    impatient.wait("replaced")
    impatient.state("watching")
    held = dict(impatient.nodes)
    lab.one.in_step(server.admin)
    begun = time.monotonic()
    old = server.process
    server.terminate()
    check(impatient.nodes == held, "nothing is forgotten")
    server.start()
    wait_for(lambda: server.serves(impatient.process.pid), 30,
             "the data-age watchdog of 8 s has moved the watch to the new server", every=0.1)
    lab.note("with a data-age watchdog of 8 s the new server is watched "
             f"{time.monotonic() - begun:.1f} s after the SIGTERM")
    wait_for(lambda: old.poll() is not None, 120, "the old server ends", every=0.1)
    lab.note(f"the old server ended {time.monotonic() - begun:.1f} s after the SIGTERM")
    server.admin.patch("n9", {"spec": {"ipam": {"podCIDRs": ["10.0.9.0/24", "10.206.9.0/24"]}}})
    for client in (lab.one, impatient):
        client.in_step(server.admin, 30)
        check(set(held) <= set(client.nodes), "nothing is forgotten")


def five_thousand_nodes(lab):
    admin = lab.server.admin
    begun = time.monotonic()

    def create(first):
        for index in range(first, MANY, 4):
            admin.create(lab.realistic(index))
    threads = [threading.Thread(target=create, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    total = len(admin.nodes())
    check(total > MANY, f"{total} nodes")
    lab.one.in_step(admin, 60)
    lab.note(f"{MANY} nodes created in {seconds:.0f} s and followed by watch")
    for compressed in (True, False):
        kubeconfig = lab.server.kubeconfig("w1", name=f"many-{compressed}")
        if not compressed:
            lab.disable_compression(kubeconfig)
        begun = time.monotonic()
        client = lab.client("w1", kubeconfig=kubeconfig)
        client.wait("replaced", timeout=60)
        seconds = time.monotonic() - begun
        client.in_step(admin)
        lab.note(f"a list of {total}, {'gzipped' if compressed else 'plain'}: {seconds:.2f} s from "
                 "the client's start")
    lab.note(f"plain size {len(json.dumps(admin.nodes())) / 1e6:.1f} MB")


STAGES = [refused_until_rbac_grants_it, rbac_grants_list_and_watch_and_nothing_more,
          strangers_are_refused, flow_schema_takes_our_requests, list_then_watch,
          poison_and_giants, patch_storm, watch_over_after_its_time, resumes_from_its_snapshot,
          snapshot_that_is_too_old, snapshot_from_the_future, no_list_by_watch_here, crd_edited,
          crd_deleted_and_recreated, certificate_swapped, certificate_expires_under_way,
          daemon_holds_its_policy, server_killed, server_terminated, five_thousand_nodes]
