"""Server does X, client must Y: more than is taken of anything, and large clusters."""

import json
import time

from fixture import case, check, names, node

MIB = 1024 * 1024


def in_force(fixture, client, expected=("n1", "n2")):
    """The next list is whole and nothing of the set was lost meanwhile."""
    check(names(client.wait("replaced", timeout=20)) == list(expected), "recovered")
    check(not any(line["event"] == "removed" for line in client.seen), "nothing was dropped")


@case("lists an object of more than 4 MiB", "leave it out, say so, take the others", "list body")
def huge_object(fixture):
    fixture.serve(2)
    value = node("huge", 5)
    value["metadata"]["annotations"]["filler"] = "x" * (4 * MIB)
    fixture.put_object(value)
    fixture.kubeconfig()
    client = fixture.client()
    check(names(client.wait("replaced", timeout=20)) == ["n1", "n2"], "the others")
    check(any("more than" in line["error"] for line in client.seen if line["event"] == "bad_object"),
          "said")


@case("lists an object nested 200 levels deep", "leave it out or refuse the list, recover",
      "list body")
def deep_object(fixture):
    client = fixture.watching(nodes=2)
    deep = "[" * 200 + "]" * 200
    fixture.behave("list", raw='{"kind":"CiliumNodeList","items":[{"metadata":{"name":"d"},"spec":'
                   + deep + '}],"metadata":{"resourceVersion":"5"}}')
    client.say("resync")
    check(client.state("backing off")["error"], "refused")
    in_force(fixture, client)


@case("sends an event nested 200 levels deep", "end that watch, keep what is in force, recover",
      "framing")
def deep_event(fixture):
    client = fixture.watching(nodes=2)
    fixture.order("raw", text='{"type":"ADDED","object":' + "[" * 200 + "]" * 200 + "}\n")
    check("nested too deep" in client.state("backing off")["error"], "said")
    in_force(fixture, client)


@case("compresses 300 MB into a list of 300 kB", "end it at 256 MiB, keep what is in force", "gzip")
def gzip_bomb(fixture):
    client = fixture.watching(nodes=2)
    fixture.behave("list", zeros=300)
    begun = time.monotonic()
    client.say("resync")
    error = client.wait("state", timeout=30, where=lambda line: line["state"] == "backing off")
    check(error["error"], "refused")
    check(time.monotonic() - begun < 30, "soon")
    with open(f"/proc/{client.process.pid}/status", encoding="ascii") as file:
        peak = int(next(line for line in file if line.startswith("VmHWM")).split()[1])
    check(peak < 128 * 1024, f"memory stays small: {peak} kB")
    in_force(fixture, client)


@case("sends pages without an end", "give up after so many, keep what is in force", "paging")
def endless_pages(fixture):
    client = fixture.watching(nodes=2)
    fixture.behave("list", status=410, reason="Expired")
    fixture.behave("list", times=1310, raw='{"kind":"CiliumNodeList","items":[],"metadata":'
                   '{"continue":"again","resourceVersion":"5"}}')
    client.say("resync")
    error = client.wait("state", timeout=60, where=lambda line: line["state"] == "backing off")
    check("no whole list" in error["error"], error["error"])
    in_force(fixture, client)


@case("names an object by 300 characters, and a version of 5,000", "leave the object out; no list "
      "with such a version", "list body")
def long_texts(fixture):
    client = fixture.watching(nodes=2)
    fixture.put_object(node("x" * 300, 7))
    check("name" in client.wait("bad_object")["error"], "said")
    fixture.behave("list", raw=json.dumps({"kind": "CiliumNodeList", "items": [],
                                           "metadata": {"resourceVersion": "1" * 5000}}))
    client.say("resync")
    check(client.state("backing off")["error"], "refused")
    check(names(client.wait("replaced")) == ["n1", "n2"], "recovered")


@case("sends an ERROR event and an error body of a megabyte", "show a little of it", "overload")
def long_errors(fixture):
    client = fixture.watching(nodes=2)
    fixture.behave("watch", status=500, body="y" * MIB, type="text/plain")
    fixture.order("end-watches")
    error = client.state("backing off")["error"]
    check("500" in error and len(error) < 600, error[:80])
    in_force(fixture, client)


@case("deletes the CRD under an open watch: DELETED for every object, a clean end, 404",
      "hand the deletions over, back off, list when it is back", "CRD deleted mid-watch")
def crd_deleted(fixture):
    client = fixture.watching(nodes=2)
    fixture.order("crd", present=False)
    check([client.wait("removed")["name"] for _ in range(2)] == ["n1", "n2"], "each one")
    check("404" in client.state("backing off")["error"], "said")
    fixture.order("crd", present=True)
    fixture.put("n3", 3)
    check("n3" in names(client.wait("replaced")), "listed")


@case("ends every watch because the CRD was edited; our version is too old then",
      "watch, list after a moment, watch", "CRD edited, server restarted")
def crd_edited(fixture):
    client = fixture.watching(nodes=2)
    fixture.order("compact")
    fixture.order("end-watches")
    in_force(fixture, client)
    client.state("watching")
    check(len(fixture.requests("list")) == 2, "one list")


@case("lists 5,000 nodes, gzipped", "take them in little memory", "5,000 nodes")
def large_cluster(fixture):
    fixture.serve(0)
    for index in range(5000):
        value = node(f"w{index:04}", 1)
        value["spec"]["addresses"] = [
            {"type": "InternalIP", "ip": f"10.{1 + index // 65536}.{index // 256 % 256}.{index % 256}"}]
        fixture.api.store.objects[value["metadata"]["name"]] = {
            **value, "metadata": {**value["metadata"], "resourceVersion": "7",
                                  "annotations": {"filler": f"{index}" * 200}}}
    fixture.kubeconfig()
    client = fixture.client()
    check(len(names(client.wait("replaced", timeout=30))) == 5000, "all")
    with open(f"/proc/{client.process.pid}/status", encoding="ascii") as file:
        peak = int(next(line for line in file if line.startswith("VmHWM")).split()[1])
    check(peak < 200 * 1024, f"{peak} kB")
