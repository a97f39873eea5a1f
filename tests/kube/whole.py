"""Server does X, client must Y: a set that is not whole, or hard to believe."""

import json

from fixture import case, check, names, node


def body(nodes, version="2000", **metadata):
    """A list as the server writes it."""
    items = [{**entry, "metadata": {**entry["metadata"], "resourceVersion": "7"}}
             for entry in nodes]
    return json.dumps({"apiVersion": "cilium.io/v2", "items": items, "kind": "CiliumNodeList",
                       "metadata": {"continue": "", **metadata, "resourceVersion": version}})


def settled(client):
    return client.wait("state", where=lambda line: line["state"] == "watching" and
                       not line["error"])


@case("answers with an empty list after a full one",
      "keep what is in force, say it, list again without a version", "list body")
def empty_after_full(fixture):
    client = fixture.watching(nodes=3)
    fixture.behave("list", times=2, raw=body([]))
    client.say("resync")
    line = client.state("backing off")
    check("no nodes at all" in line["error"] and "3 known" in line["error"], line["error"])
    check(names(client.wait("replaced")) == ["n1", "n2", "n3"], "the first list that is believed")
    settled(client)
    check(not any(line["event"] == "removed" for line in client.seen), "nobody was told to go")
    queries = [entry["query"] for entry in fixture.requests("list")]
    check("resourceVersion" in queries[1] and queries[2:] == [{"limit": "500"}] * 2, f"{queries}")
    first, second = fixture.requests("list")[1:3]
    check(second["time"] - first["time"] >= 0.0005, "after a delay")


@case("answers with a list that lacks our own node (its name is configured)",
      "keep what is in force, say it, list again", "list body")
def without_ourselves(fixture):
    client = fixture.watching("--node=n2", nodes=3)
    fixture.behave("list", raw=body([node("n1", 1), node("n3", 3)]))
    client.say("resync")
    line = client.state("backing off")
    check("without our own, n2" in line["error"], line["error"])
    check(names(client.wait("replaced")) == ["n1", "n2", "n3"], "as before")


@case("answers with a list that lacks our own node (its name is the certificate's)",
      "keep what is in force, say it, list again", "list body")
def without_the_certificates_node(fixture):
    fixture.serve(2)
    fixture.put("w1", 9)
    client = fixture.watching()
    fixture.behave("list", raw=body([node("n1", 1)]))
    client.say("resync")
    check("without our own, w1" in client.state("backing off")["error"], "said")
    check(names(client.wait("replaced")) == ["n1", "n2", "w1"], "as before")


@case("answers with a list that never held our own node", "believe it", "list body")
def never_held_ourselves(fixture):
    client = fixture.watching("--node=w1", nodes=2)
    fixture.order("silence", on=True)
    fixture.order("delete", name="n1")
    client.say("resync")
    check(names(client.wait("replaced")) == ["n2"], "a node less is a fact")


@case("answers with an empty list at the first contact, and nothing is known",
      "believe it", "list body")
def empty_from_the_start(fixture):
    fixture.serve(0)
    fixture.kubeconfig()
    check(names(fixture.client().wait("replaced")) == [], "an empty cluster")


@case("answers with an empty list, and the operator has set \"believe\"",
      "take it as it is", "list body")
def empty_and_believed(fixture):
    client = fixture.watching("--believe", nodes=3)
    fixture.behave("list", raw=body([]))
    client.say("resync")
    check(names(client.wait("replaced")) == [], "believed")


@case("lists all nodes but ours after a restart, a snapshot is in force",
      "keep the snapshot, list again", "list body")
def snapshot_against_empty(fixture):
    fixture.serve(0)
    fixture.kubeconfig()
    with open(fixture.path("nodes.json"), "w", encoding="utf-8") as file:
        json.dump({"kind": "List", "items": [node("n1", 1), node("n2", 2)]}, file)
    client = fixture.client(f"--snapshot={fixture.path('nodes.json')}", "--node=n1")
    check("no nodes at all" in client.state("backing off")["error"], "empty")
    fixture.put("n3", 3)
    client.wait("state", where=lambda line: "without our own" in (line["error"] or ""))
    check(not any(line["event"] == "replaced" for line in client.seen), "nothing replaced")
    fixture.put("n1", 1)
    check(names(client.wait("replaced")) == ["n1", "n3"], "ourselves again: believed")


@case("cuts the list by the limit: remainingItemCount without a token to go on",
      "refuse it as no whole list", "paging")
def cut_by_the_limit(fixture):
    client = fixture.watching(nodes=3)
    fixture.behave("list", raw=body([node("n1", 1)], remainingItemCount=2))
    client.say("resync")
    check("no whole list" in client.state("backing off")["error"], "said")
    check(names(client.wait("replaced")) == ["n1", "n2", "n3"], "as before")


@case("sends a list whose items are null", "refuse it, keep what is in force", "list body")
def items_null(fixture):
    client = fixture.watching(nodes=2)
    fixture.behave("list", raw='{"items":null,"kind":"CiliumNodeList",'
                   '"metadata":{"resourceVersion":"9"}}')
    client.say("resync")
    check(client.state("backing off")["error"], "said")
    check(names(client.wait("replaced")) == ["n1", "n2"], "as before")


@case("sends a page that breaks off, later than the first", "drop all pages, list again", "paging")
def broken_page(fixture):
    client = fixture.watching(nodes=7, page_limit=3)
    fixture.behave("list", status=410, reason="Expired")
    fixture.behave("list", delay=0)
    fixture.behave("list", cut_after=200)
    client.say("resync")
    client.state("backing off")
    check(len(names(client.wait("replaced"))) == 7, "seven nodes")


@case("sends a malformed object, an unbelievable list, and the malformed object again",
      "still keep the object's older version", "list body")
def older_outlives_doubt(fixture):
    client = fixture.watching(nodes=2)
    fixture.put("n2", 2, addresses=[{"type": "InternalIP", "ip": "nonsense"}])
    client.wait("bad_object")
    fixture.behave("list", raw=body([]))
    client.say("resync")
    check("no nodes" in client.state("backing off")["error"], "refused")
    line = client.wait("replaced")
    check(names(line) == ["n1", "n2"], f"{names(line)}")
    check(line["nodes"][1]["addresses"] == ["10.0.0.2", "fd00::2"], "as it was")
