"""Server does X, client must Y: list and watch."""

import json
import os
import time

from fixture import case, check, names, node


@case("lists, then sends ADDED and DELETED events",
      "take the list's version for the watch, hand every change over", "list body")
def list_then_watch(fixture):
    fixture.serve(3)
    fixture.kubeconfig()
    client = fixture.client()
    check(client.wait("credential")["node"] == "w1", "the node's name from the certificate")
    endpoint = client.wait("endpoint")
    check(endpoint["port"] == fixture.api.port, "the endpoint's port")
    check(endpoint["addresses"] == [], "a loopback address is no exemption")
    listed = client.wait("replaced")
    check(names(listed) == ["n1", "n2", "n3"], f"the nodes: {names(listed)}")
    check(listed["nodes"][0]["addresses"] == ["10.0.0.1", "fd00::1"], "both families")
    check(listed["version"] == "1003", f"the list's version: {listed['version']}")
    client.state("watching")
    fixture.put("n4", 4)
    changed = client.wait("changed")
    check(changed["node"]["name"] == "n4" and changed["version"] == "1004", "ADDED")
    fixture.order("delete", name="n2")
    check(client.wait("removed") == {"event": "removed", "name": "n2", "version": "1005"}, "DELETED")
    first, second = fixture.requests()[:2]
    check(first["query"] == {"resourceVersion": "0"}, f"first list: {first['query']}")
    check(second["query"]["resourceVersion"] == "1003", "the watch begins at the list's version")
    check(second["query"]["allowWatchBookmarks"] == "true", "bookmarks are asked for")
    check(300 <= int(second["query"]["timeoutSeconds"]) <= 600, "timeoutSeconds")
    check(first["user_agent"].startswith("nodecryptor/"), "User-Agent")
    check(first["accept_encoding"] == "gzip" and second["accept_encoding"] is None, "gzip")


@case("pages a list without a version; resourceVersion=0 expires",
      "follow every page by its token alone", "paging")
def paging(fixture):
    fixture.serve(7)
    fixture.kubeconfig()
    fixture.behave("list", status=410, reason="Expired")  # page 1: list without a version, at once
    client = fixture.client(page_limit=3)
    check(len(names(client.wait("replaced"))) == 7, "every page counts")
    queries = [entry["query"] for entry in fixture.requests("list")]
    check(queries[1] == {"limit": "3"}, f"{queries[1]}")
    check(all("resourceVersion" not in query for query in queries[1:]), "no version on pages")
    check(len(queries) == 4 and "continue" in queries[3], "three pages")


@case("answers 410 to a later page",
      "drop what was gathered, one full list", "continue after compaction")
def expired_page(fixture):
    fixture.serve(7)
    fixture.kubeconfig()
    fixture.behave("list", status=410, reason="Expired")
    fixture.behave("list", delay=0)
    fixture.behave("list", status=410, reason="Expired")
    client = fixture.client(page_limit=3)
    check(len(names(client.wait("replaced"))) == 7, "one full list")
    check(fixture.requests("list")[-1]["query"] == {}, "without limit, version and token")


@case("compresses a list of more than 128 KiB", "ask for it and decode it", "gzip")
def gzipped_list(fixture):
    fixture.serve(0)
    for index in range(400):
        value = node(f"w{index}", 1)
        value["spec"]["addresses"] = [{"type": "InternalIP", "ip": f"10.1.{index // 200}.{index % 200 + 1}"}]
        value["metadata"]["annotations"]["filler"] = "x" * 200
        fixture.put_object(value)
    fixture.kubeconfig()
    check(len(names(fixture.client().wait("replaced"))) == 400, "400 nodes")


@case("sends a bookmark", "begin the next watch there", "bookmarks")
def bookmarks(fixture):
    client = fixture.watching()
    fixture.order("tick", by=10)
    fixture.order("bookmark")
    check(client.wait("bookmark")["version"] == "1013", "the bookmark's version")
    fixture.order("end-watches")
    client.state("connecting")
    client.state("watching")
    check(fixture.requests("watch")[-1]["query"]["resourceVersion"] == "1013",
          "the next watch begins at the bookmark")


@case("ends a watch and leaves the connection open",
      "watch again on it, from the last version, no list", "timeoutSeconds")
def clean_end(fixture):
    client = fixture.watching()
    fixture.order("end-watches")
    client.state("connecting")
    client.state("watching")
    fixture.put("n9", 9)
    check(client.wait("changed")["node"]["name"] == "n9", "the second watch delivers")
    check(len(fixture.requests("list")) == 1, "no second list")
    connections = {entry["connection"] for entry in fixture.requests("watch")}
    check(len(connections) == 1, "the connection that stayed open is used again")


@case("ends a watch at its timeoutSeconds", "watch again, no list", "timeoutSeconds")
def own_timeout(fixture):
    client = fixture.watching(watch_timeout=1)
    client.state("connecting", timeout=3)
    client.state("watching")
    check(len(fixture.requests("list")) == 1, "a watch that is over is no reason to list")
    check(fixture.requests("watch")[0]["query"]["timeoutSeconds"] == "1", "timeoutSeconds")


@case("ends watches at once without an event", "back off, watch again, no list", "slow reader")
def ends_at_once(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    fixture.behave("watch", times=3, end=True)
    client = fixture.client(short_watch=1000)
    backoff = client.state("backing off")
    check("at once" in backoff["error"], backoff["error"])
    client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])
    check(len(fixture.requests("list")) == 1, "no second list")


@case("answers a watch by 200 and an ERROR event 410",
      "list, not older than what was seen", "too old watch")
def expired_event(fixture):
    client = fixture.watching()
    fixture.behave("watch", error_event={"code": 410, "reason": "Expired"})
    fixture.put("n4", 4)
    client.wait("changed")
    fixture.order("end-watches")
    check("n4" in names(client.wait("replaced")), "a list")
    client.state("watching")
    check(fixture.requests("list")[-1]["query"] == {"resourceVersion": "1004"},
          "not older than what was seen")


@case("has compacted the history while the watch was cut",
      "list, and drop what the list lacks", "too old watch")
def expired_by_compaction(fixture):
    client = fixture.watching()
    fixture.order("cut")
    fixture.put("n4", 4)
    fixture.order("delete", name="n1")
    fixture.order("compact")
    line = client.wait("replaced")
    check(names(line) == ["n2", "n3", "n4"], "what the list lacks is gone")


@case("answers a watch by HTTP 410", "list", "too old watch")
def expired_status(fixture):
    client = fixture.watching()
    fixture.behave("watch", status=410, reason="Gone")
    fixture.order("end-watches")
    client.wait("replaced")
    client.state("watching")


@case("was restored: a watch from our version is answered by silence",
      "check the version, list without one", "a version from the future")
def version_from_the_future(fixture):
    client = fixture.watching(silent_check=1)
    fixture.order("set", too_large_delay=0)
    fixture.order("rewind", version=500)
    fixture.order("end-watches")
    client.state("checking the version")
    check(client.wait("replaced")["version"] == "500", "silence ends in a list")
    client.state("watching")
    fixture.put("late", 8)
    check(client.wait("changed")["node"]["name"] == "late", "in step")
    query = fixture.requests("check")[0]["query"]
    check(query["resourceVersion"] == "1003" and query["fieldSelector"].startswith("metadata.name="),
          f"the version is asked for, of one object: {query}")
    queries = [entry["query"] for entry in fixture.requests("list")]
    check(queries[1:] == [{"limit": "500"}], f"too large: listed without one: {queries}")


@case("answers a list by 504 with the cause ResourceVersionTooLarge",
      "list without a version, at once", "a version from the future")
def too_large_at_the_list(fixture):
    client = fixture.watching(silent_check=100, silent_watches=2, watchdog=300)
    fixture.order("set", too_large_delay=0)
    fixture.order("rewind", version=500)
    fixture.order("end-watches")
    client.wait("replaced")
    queries = [entry["query"] for entry in fixture.requests("list")]
    check(queries[-2]["resourceVersion"] == "1003" and queries[-1] == {"limit": "500"},
          f"too large a version: listed without one, at once: {queries}")


@case("sends a version that is no number, and refuses it by 500",
      "treat it as opaque, percent-encode it, come back by a list", "a garbage version")
def garbage_version(fixture):
    client = fixture.watching(nodes=2)
    fixture.order("raw", text='{"type":"BOOKMARK","object":{"kind":"CiliumNode",'
                  '"metadata":{"resourceVersion":"x&y=z"}}}\n')
    check(client.wait("bookmark")["version"] == "x&y=z", "opaque")
    fixture.order("end-watches")
    client.wait("replaced")
    client.state("watching")
    check(fixture.requests("watch")[-1]["query"]["resourceVersion"] == "1002", "a good one again")
    check(any(entry["query"].get("resourceVersion") == "x&y=z" for entry in fixture.requests()),
          "sent percent-encoded")


POISON = {
    "address": {"addresses": [{"type": "InternalIP", "ip": "10.0.0.300"}]},
    "host-bits": {"ipam": {"podCIDRs": ["10.244.1.1/24"]}},
    "short-prefix": {"ipam": {"podCIDRs": ["8.0.0.0/7"]}},
    "type": {"addresses": "10.0.0.1"},
}


@case("lists malformed objects among good ones",
      "leave them out, say so, take the others, not loop", "list body")
def malformed_in_list(fixture):
    fixture.serve(2)
    for name, spec in POISON.items():
        fixture.put(f"bad-{name}", 50, **spec)
    fixture.put_object(["not", "an", "object"], name="zz")
    fixture.kubeconfig()
    client = fixture.client()
    check(names(client.wait("replaced")) == ["n1", "n2"], "the others count")
    bad = {line["name"] for line in client.seen if line["event"] == "bad_object"}
    check(bad == {f"bad-{name}" for name in POISON} | {None}, f"reported: {bad}")
    client.state("watching")
    check(len(fixture.requests("list")) == 1, "no loop")


@case("turns a good object into a malformed one",
      "keep the older version, also through a list", "list body")
def malformed_keeps_older(fixture):
    client = fixture.watching()
    fixture.put("n2", 2, addresses=[{"type": "InternalIP", "ip": "nonsense"}])
    check(client.wait("bad_object")["name"] == "n2", "reported")
    fixture.put("n3", 33)
    check(client.wait("changed")["node"]["name"] == "n3", "the stream goes on")
    client.say("resync")
    line = client.wait("replaced")
    check(names(line) == ["n1", "n2", "n3"], "the older version is kept through a list")
    check(line["nodes"][1]["addresses"] == ["10.0.0.2", "fd00::2"], "as it was")
    fixture.order("delete", name="n2")
    check(client.wait("removed")["name"] == "n2", "deleted is deleted")
    client.say("resync")
    check(names(client.wait("replaced")) == ["n1", "n3"], "and stays so")


@case("lists malformed what the snapshot holds in a good version",
      "keep the snapshot's version", "list body")
def malformed_keeps_snapshot(fixture):
    fixture.serve(1)
    fixture.put("n2", 2, addresses=[{"type": "InternalIP"}])
    fixture.kubeconfig()
    older = {"kind": "List", "items": [node("n2", 7), node("n5", 5)]}
    with open(fixture.path("nodes.json"), "w", encoding="utf-8") as file:
        json.dump(older, file)
    client = fixture.client(f"--snapshot={fixture.path('nodes.json')}")
    line = client.wait("replaced")
    check(names(line) == ["n1", "n2"], "kept from the snapshot; what the list lacks is gone")
    check(line["nodes"][1]["addresses"][0] == "10.0.0.7", "the snapshot's version")


@case("sends events that are no good JSON or of wrong types",
      "say so, go on behind them on the same watch", "framing")
def poison_events(fixture):
    client = fixture.watching(nodes=1)
    fixture.order("raw", text='{"type":"MODIFIED","object":{"metadata":{"name":NaN\'}}}\n')
    fixture.order("raw", text='{"type":"MODIFIED"}\n{"type":7,"object":{}}\n{"type":"ODD","object":{}}\n')
    fixture.order("raw", text='{"type":"DELETED","object":{"metadata":{"name":"n1\\u0000x"}}}\n')
    for _ in range(5):
        client.wait("bad_object")
    fixture.put("n2", 2)
    check(client.wait("changed")["node"]["name"] == "n2", "what comes behind counts")
    check(len(fixture.requests("watch")) == 1, "on the same watch")


@case("sends HTML in a watch", "end it, back off, list", "framing")
def not_a_stream(fixture):
    client = fixture.watching(nodes=1)
    fixture.order("raw", text="<html>502 Bad Gateway</html>")
    line = client.state("backing off")
    check("JSON" in line["error"], line["error"])
    client.wait("replaced")
    client.state("watching")


@case("sends an event of 5 MB", "skip it, say so, go on behind it on the same watch", "framing")
def huge_event(fixture):
    client = fixture.watching(nodes=1)
    value = node("huge", 5)
    value["metadata"]["annotations"]["filler"] = "x" * (5 * 1024 * 1024)
    fixture.put_object(value)
    fixture.put("n2", 2)
    check("more than" in client.wait("bad_object", timeout=20)["error"], "too large, said")
    check(client.wait("changed", timeout=20)["node"]["name"] == "n2", "the next event counts")
    check(len(fixture.requests("watch")) == 1, "on the same watch")


@case("cuts a list off, or leaves out version, kind or items",
      "take none of it, list again", "list body")
def truncated_list(fixture):
    fixture.serve(30)
    fixture.kubeconfig()
    fixture.behave("list", cut_after=3000)
    fixture.behave("list", raw='{"apiVersion":"cilium.io/v2","items":[],"kind":"CiliumNodeList"}')
    fixture.behave("list", raw='{"kind":"Status"}')
    fixture.behave("list", raw='{"items":null,"kind":"CiliumNodeList","metadata":{"resourceVersion":"9"}}')
    client = fixture.client()
    check(len(names(client.wait("replaced"))) == 30, "the first list that counts is a whole one")
    check(len(fixture.requests("list")) == 5, "four that did not")


@case("sends 90 kB of headers", "refuse the response, back off, recover", "overload")
def huge_headers(fixture):
    fixture.serve(1)
    fixture.kubeconfig()
    fixture.behave("list", status=200, body="{}", headers={f"X-{n}": "x" * 1000 for n in range(90)})
    client = fixture.client()
    check("more than is taken" in client.state("backing off")["error"], "refused")
    client.wait("replaced")


@case("closes a watch without a last chunk", "back off, watch again, no list", "SIGKILL")
def cut_stream(fixture):
    client = fixture.watching()
    fixture.order("cut")
    client.state("backing off")
    client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])
    fixture.put("n4", 4)
    check(client.wait("changed")["node"]["name"] == "n4", "in step again")
    check(len(fixture.requests("list")) == 1, "watched again, not listed")


@case("ends a watch within an event", "not take the half event, watch from before it", "SIGKILL")
def fragment_at_the_end(fixture):
    fixture.serve(1)
    fixture.kubeconfig()
    event = json.dumps({"type": "ADDED", "object": {**node("half", 6), "metadata": {
        "name": "half", "resourceVersion": "2000"}}})
    fixture.behave("watch", lines=[event[:-10]])
    client = fixture.client()
    client.wait("replaced")
    fixture.until(lambda: len(fixture.requests("watch")) >= 2, "a second watch")
    check(fixture.requests("watch")[1]["query"]["resourceVersion"] == "1001", "no half event")
    client.none("changed", 0.3)


@case("sends a watch byte by byte, UTF-8 split over chunks", "put it together", "framing")
def split_everywhere(fixture):
    fixture.serve(1)
    fixture.kubeconfig()
    fixture.behave("watch", chunk=1)
    client = fixture.client()
    client.wait("replaced")
    client.state("watching")
    value = node("split", 3)
    value["metadata"]["annotations"]["text"] = "größer 漢字 🙂"
    fixture.put_object(value)
    check(client.wait("changed", timeout=15)["node"]["name"] == "split", "byte by byte")


@case("is killed and started again", "say why, back off, watch again, no list", "SIGKILL")
def server_restart(fixture):
    client = fixture.watching()
    fixture.order("stop", mode="kill")
    line = client.wait("state", where=lambda line: line["state"] == "backing off" and
                       "connect" in (line["error"] or ""))
    check(line["error"], "the reason is told")
    check(" ms" not in line["error"], "without how long it took: it is told once")
    fixture.order("start")
    client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])
    check(len(fixture.requests("list")) == 1, "no list")
    check(client.status()["requests"][0] >= 1, "failures are counted")


@case("falls silent on an open watch",
      "find it by the watchdog, watch again on a fresh connection, no list",
      "SIGTERM to the server")
def silent_watch(fixture):
    client = fixture.watching(watchdog=500)
    fixture.order("silence", on=True)
    fixture.put("n4", 4)
    client.state("connecting")
    fixture.order("silence", on=False)
    check(client.wait("changed")["node"]["name"] == "n4", "seen by the new watch")
    check(len(fixture.requests("list")) == 1, "watched again, not listed")
    check(len({entry["connection"] for entry in fixture.requests("watch")}) > 1,
          "on a fresh connection")


@case("accepts a watch and never answers", "say so, back off, watch again", "SIGTERM to the server")
def accepting_and_silent(fixture):
    fixture.serve(1)
    fixture.kubeconfig()
    fixture.behave("watch", stall=30)
    client = fixture.client(watchdog=400)
    line = client.state("backing off")
    check("no answer" in line["error"], line["error"])
    client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])


@case("never answers a list", "end it after its time limit, list again", "starting")
def stalled_list(fixture):
    fixture.serve(1)
    fixture.kubeconfig()
    fixture.behave("list", stall=30)
    client = fixture.client(list_timeout=400)
    client.state("backing off")
    client.wait("replaced")


@case("answers 429 in plain text with Retry-After in seconds",
      "wait for so long at least", "overload")
def too_many_requests(fixture):
    fixture.serve(1)
    fixture.kubeconfig()
    fixture.behave("list", status=429, body="Too many requests, please try again later.",
                   type="text/plain", headers={"Retry-After": "1"})
    client = fixture.client()
    line = client.state("backing off")
    check("429: Too many requests" in line["error"], line["error"])
    client.wait("replaced")
    first, second = fixture.requests("list")
    check(second["time"] - first["time"] >= 1.0, "Retry-After in seconds is kept")


@case("answers 503 with Retry-After as a date",
      "wait until then at least, watch again, no list", "starting")
def retry_after_date(fixture):
    client = fixture.watching()
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3))
    fixture.behave("watch", status=503, body="starting", type="text/plain",
                   headers={"Retry-After": date})
    fixture.order("end-watches")
    client.state("backing off")
    client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])
    refused, good = fixture.requests("watch")[-2:]
    check(good["time"] - refused["time"] >= 1.5, "Retry-After as a date is kept")
    check(len(fixture.requests("list")) == 1, "no list")


@case("has no CRD (404 in plain text), gets it, loses it, gets it again",
      "say so, back off, list when it is there", "CRD absent")
def crd_absent(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    fixture.order("crd", present=False)
    client = fixture.client()
    line = client.state("backing off")
    check("404: 404 page not found" in line["error"], line["error"])
    fixture.order("crd", present=True)
    client.wait("replaced")
    client.state("watching")
    fixture.put("n9", 9)
    client.wait("changed")
    fixture.order("crd", present=False)
    client.wait("removed", where=lambda line: line["name"] == "n9")
    client.state("backing off")
    fixture.order("crd", present=True)
    fixture.put("n8", 8)
    check("n8" in names(client.wait("replaced")), "recreated")


@case("lets a list hang while SIGTERM comes", "end at once", "starting")
def slow_list_does_not_block(fixture):
    """The loop answers while a request hangs: SIGTERM and words are taken at once."""
    fixture.serve(1)
    fixture.kubeconfig()
    fixture.behave("list", times=-1, stall=20)
    client = fixture.client()
    client.state("listing")
    begun = time.monotonic()
    client.status()
    client.process.terminate()
    client.process.wait(timeout=3)
    check(time.monotonic() - begun < 3, "ended at once")
    check(os.WIFEXITED(client.process.returncode) if client.process.returncode < 0 else True, "exit")
