"""Server does X, client must Y: after a restart of ours."""

import hashlib
import json
import time

from fixture import case, check, names, node


def snapshot(fixture, version, nodes=("n1", "n2"), age=0, server=None, ca=None):
    """The options that give the client these nodes as its snapshot."""
    with open(fixture.path("nodes.json"), "w", encoding="utf-8") as file:
        json.dump({"kind": "List", "metadata": {"resourceVersion": version},
                   "items": [node(name, int(name[1:])) for name in nodes]}, file)
    with open(fixture.pki.authority.cert, "rb") as file:
        own = hashlib.sha256(file.read()).hexdigest()
    return [f"--snapshot={fixture.path('nodes.json')}", f"--snapshot-ca={ca or own}",
            f"--snapshot-server={server or f'https://127.0.0.1:{fixture.api.port}'}",
            f"--snapshot-age={age}"]


@case("still has the history since the snapshot's version",
      "watch on from there without any list", "too old watch")
def goes_on(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    fixture.put("n3", 3)
    client = fixture.client(*snapshot(fixture, "1002"))
    check(client.wait("changed")["node"]["name"] == "n3", "what happened meanwhile")
    fixture.order("delete", name="n1")
    check(client.wait("removed")["name"] == "n1", "and what happens now")
    check(not fixture.requests("list"), "no list")
    watch = fixture.requests("watch")[0]
    check(watch["query"]["resourceVersion"] == "1002", f"{watch['query']}")


@case("has compacted the history since the snapshot's version (ERROR event 410)",
      "list once, not older than the snapshot, and replace", "too old watch")
def compacted(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    fixture.order("delete", name="n1")
    fixture.put("n3", 3)
    fixture.order("compact")
    client = fixture.client(*snapshot(fixture, "1002"))
    check(names(client.wait("replaced")) == ["n2", "n3"], "what the list lacks is gone")
    client.state("watching")
    check([entry["query"] for entry in fixture.requests("list")] == [{"resourceVersion": "1002"}],
          "one list")


@case("answers HTTP 410 to the watch from the snapshot's version",
      "list once", "too old watch")
def gone(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    fixture.behave("watch", status=410, reason="Gone")
    client = fixture.client(*snapshot(fixture, "1002"))
    client.wait("replaced")
    client.state("watching")
    check(len(fixture.requests("list")) == 1, "one list")


@case("is at another URL than the snapshot's", "not use the version: list with 0", "-")
def another_server(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    client = fixture.client(*snapshot(fixture, "1002", server="https://elsewhere:6443"))
    client.wait("replaced")
    check(fixture.requests()[0]["query"] == {"resourceVersion": "0"}, "listed first")


@case("has another CA than the snapshot's", "not use the version: list with 0", "-")
def another_authority(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    client = fixture.client(*snapshot(fixture, "1002", ca="0" * 64))
    client.wait("replaced")
    check(fixture.requests()[0]["query"] == {"resourceVersion": "0"}, "listed first")


@case("is asked by every client of a large cluster after a restart of them all",
      "wait a random time that grows with the cluster, when the snapshot is fresh", "-")
def spread(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    options = snapshot(fixture, "1002")
    delays = []
    for _ in range(4):
        begun = time.time()
        client = fixture.client(*options, start_per_node=600, start_maximum=900)
        client.state("watching")
        delays.append(fixture.requests("watch")[-1]["time"] - begun)
        client.close()
        fixture.clients.remove(client)
    check(max(delays) - min(delays) > 0.02 and max(delays) < 2.5, f"{delays}")
    check(max(delays) > 0.1, f"{delays}")


@case("is asked after a restart, and the snapshot is old", "ask at once", "-")
def old_snapshot(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    options = snapshot(fixture, "1002", age=3600)
    begun = time.monotonic()
    fixture.client(*options, start_per_node=4000000, start_maximum=4000000).state("watching")
    check(time.monotonic() - begun < 3, "at once")


@case("was restored from a backup while we were away: the snapshot's version is from the future",
      "find out before it watches, and list", "a version from the future")
def restored_meanwhile(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    fixture.order("set", too_large_delay=0)
    client = fixture.client(*snapshot(fixture, "999000"))
    line = client.wait("replaced")
    check(names(line) == ["n1", "n2"] and line["version"] == "1002", f"{line}")
    check(not fixture.requests("watch"), "before any watch")


@case("is restarted with the data of a backup: the version goes backwards",
      "ask before it watches again: list at once, no silent watch", "a version from the future")
def restored_behind_our_back(fixture):
    client = fixture.watching(nodes=3)
    fixture.order("set", too_large_delay=0)
    fixture.order("stop", mode="kill")
    fixture.order("rewind", version=200)
    fixture.order("delete", name="n3")
    fixture.order("start")
    check(names(client.wait("replaced")) == ["n1", "n2"], "what the backup holds")
    client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])
    fixture.put("n4", 4)
    check(client.wait("changed")["node"]["name"] == "n4", "in step")
    check(fixture.requests("check")[-1]["query"]["resourceVersion"] == "1003", "it was asked")


@case("is quiet: no event and no bookmark, watch after watch",
      "check the version now and then, and watch on without a list", "bookmarks")
def quiet_but_well(fixture):
    client = fixture.watching(watchdog=150, silent_check=2)
    fixture.until(lambda: len(fixture.requests("check")) >= 2, "checks")
    fixture.put("n4", 4)
    client.wait("changed")
    check(len(fixture.requests("list")) == 1, "no list")
    check(client.status()["checks"] >= 2, "counted")


@case("answers the check with 410, a 500, or silence",
      "list after a delay; a silent check is no reason to", "a garbage version")
def odd_checks(fixture):
    client = fixture.watching(list_timeout=300)
    for action, lists in (({"status": 410, "reason": "Expired"}, 2),
                          ({"status": 500, "reason": "InternalError"}, 3), ({"stall": 5}, 3)):
        fixture.behave("check", **action)
        fixture.order("cut")
        client.state("checking the version")
        client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])
        check(len(fixture.requests("list")) == lists, f"{action}")
