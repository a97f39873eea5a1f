"""Server does X, client must Y: lists that come by a watch (WatchList)."""

import json
import time

from fixture import case, check, names, node


def streamed(fixture):
    return [entry for entry in fixture.requests("watch") if "sendInitialEvents" in entry["query"]]


def event(kind, name, index, version="2000"):
    value = node(name, index)
    value["metadata"]["resourceVersion"] = version
    return json.dumps({"type": kind, "object": value}) + "\n"


def end(version="2000", **annotations):
    return json.dumps({"type": "BOOKMARK", "object": {"kind": "CiliumNode", "metadata": {
        "resourceVersion": version, "annotations": annotations}}}) + "\n"


END = {"k8s.io/initial-events-end": "true"}


@case("offers WatchList", "list by it, and watch on on the same connection", "WatchList")
def whole_by_a_watch(fixture):
    client = fixture.watching(nodes=3, stream_lists=1)
    fixture.order("silence", on=True)
    fixture.order("delete", name="n1")
    fixture.put("n4", 4)
    fixture.order("silence", on=False)
    client.say("resync")
    line = client.wait("replaced")
    check(names(line) == ["n2", "n3", "n4"] and line["version"] == "1005", f"{line}")
    client.state("watching")
    fixture.put("n5", 5)
    check(client.wait("changed")["node"]["name"] == "n5", "and on")
    query = streamed(fixture)[0]["query"]
    check(query["resourceVersionMatch"] == "NotOlderThan" and query["watch"] == "true" and
          query["allowWatchBookmarks"] == "true" and query["resourceVersion"] > "1002", f"{query}")
    check(len(fixture.requests("list")) == 1, "no second list")
    check(client.status()["streamed_lists"] == 1, "counted")
    fixture.order("end-watches")
    client.state("watching")
    check("sendInitialEvents" not in fixture.requests("watch")[-1]["query"], "a plain watch again")


@case("has WatchList off: 422", "list instead at once, and not ask again for a while", "WatchList")
def refused(fixture):
    client = fixture.watching(nodes=3, stream_lists=1)
    fixture.order("set", watchlist=False)
    for lists in (2, 3):
        client.say("resync")
        client.wait("replaced")
        client.state("watching")
        check(len(fixture.requests("list")) == lists and len(streamed(fixture)) == 1, "asked once")
    check(not any(line["event"] == "state" and line["error"] for line in client.seen), "no failure")


@case("answers 400 to the parameters", "list instead at once", "WatchList")
def refused_with_400(fixture):
    client = fixture.watching(nodes=2, stream_lists=1, stream_retry_after=400)
    fixture.behave("watch", status=400, reason="BadRequest")
    client.say("resync")
    client.wait("replaced")
    client.state("watching")
    check(len(fixture.requests("list")) == 2, "listed")
    time.sleep(0.5)
    client.say("resync")
    client.wait("replaced")
    check(len(streamed(fixture)) == 2, "asked again after the while")


@case("ends the watch before the initial events are complete",
      "drop what came, keep what is in force, list", "WatchList")
def ended_early(fixture):
    client = fixture.watching(nodes=3, stream_lists=1)
    fixture.behave("watch", lines=[event("ADDED", "n1", 1)])
    client.say("resync")
    check("before its end" in client.state("backing off")["error"], "said")
    check(names(client.wait("replaced")) == ["n1", "n2", "n3"], "from a list")
    check(len(fixture.requests("list")) == 2, "a list")


@case("cuts the connection before the initial events are complete",
      "drop what came, keep what is in force, list", "SIGKILL")
def cut_early(fixture):
    client = fixture.watching(nodes=3, stream_lists=1)
    fixture.behave("watch", cut_after=900)
    client.say("resync")
    client.state("backing off")
    check(names(client.wait("replaced")) == ["n1", "n2", "n3"], "from a list")


@case("never sends the bookmark that ends the initial events (an old server)",
      "give up after a while without an event, list", "WatchList")
def no_end(fixture):
    client = fixture.watching(nodes=3, stream_lists=1, stream_idle=400)
    fixture.behave("watch", silence=True)
    client.say("resync")
    check("stopped" in client.state("backing off")["error"], "said")
    check(names(client.wait("replaced")) == ["n1", "n2", "n3"], "from a list")


@case("sends bookmarks without the annotation, or with another value, among the initial events",
      "not take them for the end", "WatchList")
def other_bookmarks(fixture):
    client = fixture.watching(nodes=2, stream_lists=1)
    fixture.behave("watch", lines=[event("ADDED", "n1", 1), end(),
                                   end(**{"k8s.io/initial-events-end": "false"})])
    client.say("resync")
    check("before its end" in client.state("backing off")["error"], "said")
    check(names(client.wait("replaced")) == ["n1", "n2"], "from a list")
    check(not any(line["event"] == "bookmark" for line in client.seen), "no version taken")


@case("changes and deletes objects among the initial events", "end with what is left", "WatchList")
def changes_meanwhile(fixture):
    client = fixture.watching(nodes=3, stream_lists=1)
    fixture.behave("watch", lines=[
        event("ADDED", "n1", 1), event("ADDED", "n2", 2), event("MODIFIED", "n1", 9),
        event("DELETED", "n2", 2), end(**END), event("ADDED", "n7", 7, "2001")])
    client.say("resync")
    line = client.wait("replaced")
    check(names(line) == ["n1"] and line["nodes"][0]["addresses"][0] == "10.0.0.9", f"{line}")
    check(line["version"] == "2000", "the bookmark's version")
    check(client.wait("changed")["node"]["name"] == "n7", "what comes behind is an event")


@case("streams no node at all after a full list", "keep what is in force, list consistently",
      "WatchList")
def streams_nothing(fixture):
    client = fixture.watching(nodes=3, stream_lists=1)
    fixture.behave("watch", lines=[end(**END)])
    client.say("resync")
    check("no nodes at all" in client.state("backing off")["error"], "said")
    check(names(client.wait("replaced")) == ["n1", "n2", "n3"], "the next one is believed")
    check(streamed(fixture)[-1]["query"]["resourceVersion"] == "", "a consistent read")


@case("streams a malformed object", "keep its older version", "WatchList")
def streams_malformed(fixture):
    client = fixture.watching(nodes=2, stream_lists=1)
    fixture.put("n2", 2, addresses=[{"type": "InternalIP", "ip": "nonsense"}])
    client.wait("bad_object")
    client.say("resync")
    line = client.wait("replaced")
    check(names(line) == ["n1", "n2"], f"{names(line)}")
    check(line["nodes"][1]["addresses"][0] == "10.0.0.2", "as it was")


@case("sends an ERROR event 410 or 500 among the initial events", "list", "too old watch")
def error_among_them(fixture):
    client = fixture.watching(nodes=2, stream_lists=1)
    for code, reason in ((410, "Expired"), (500, "InternalError")):
        fixture.behave("watch", error_event={"code": code, "reason": reason})
        client.say("resync")
        check(names(client.wait("replaced")) == ["n1", "n2"], reason)
        client.state("watching")


@case("is asked for the very first list", "be asked for it in one piece: nothing waits", "WatchList")
def first_in_one_piece(fixture):
    fixture.watching(nodes=2, stream_lists=1)
    check(not streamed(fixture) and len(fixture.requests("list")) == 1, "a list")
