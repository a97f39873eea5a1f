"""Server does X, client must Y: connections that are dead and do not say so."""

import ctypes
import select
import socket
import subprocess
import threading

from fixture import case, check

CLONE_NEWNET = 0x40000000


class Relay:
    """A load balancer: TCP in both directions; a mute one takes and ACKs, and passes nothing on."""

    def __init__(self, port):
        self.port_behind = port
        self.muted = set()
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                front, _ = self.listener.accept()
            except OSError:
                return
            back = socket.create_connection(("127.0.0.1", self.port_behind))
            self.pairs.append((front, back))
            threading.Thread(target=self.pump, args=(front, back), daemon=True).start()

    def pump(self, front, back):
        other = {front: back, back: front}
        while True:
            for source in select.select([front, back], [], [])[0]:
                try:
                    data = source.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    front.close()
                    back.close()
                    return
                if front not in self.muted:
                    other[source].sendall(data)

    def mute(self):
        """Every connection there is; later ones are served."""
        self.muted.update(front for front, _ in self.pairs)

    def close(self):
        self.listener.close()


def mended(fixture, client, watches, lists=1):
    """A new watch on a fresh connection has brought what was missed, without a list."""
    check(client.wait("changed")["node"]["name"] == "n4", "seen by the new watch")
    seen = fixture.requests("watch")
    check(len(seen) > watches, "a new watch")
    check(seen[-1]["connection"] != seen[0]["connection"], "on a fresh connection")
    check(len(fixture.requests("list")) == lists, "watched again, not listed")


@case("stands behind a load balancer that ACKs but sends nothing on",
      "find it by the age of the last event, watch again on a fresh connection, not list",
      "idle connection")
def mute_load_balancer(fixture):
    fixture.serve(3)
    relay = Relay(fixture.api.port)
    fixture.kubeconfig(f"https://127.0.0.1:{relay.port}")
    client = fixture.watching(watchdog=600)
    relay.mute()
    fixture.put("n4", 4)
    mended(fixture, client, 1)
    relay.close()


@case("goes silent without a word and is silent to the first new watch, too",
      "back off, watch again, not list", "SIGTERM to the server")
def mute_twice(fixture):
    fixture.serve(3)
    relay = Relay(fixture.api.port)
    fixture.kubeconfig(f"https://127.0.0.1:{relay.port}")
    client = fixture.watching(watchdog=500)
    fixture.behave("watch", stall=20)
    relay.mute()
    fixture.put("n4", 4)
    check("no answer" in client.state("backing off")["error"], "the second one")
    mended(fixture, client, 2)
    relay.close()


@case("says nothing on an open watch, though events happen",
      "know how old its knowledge is, and that a new watch makes it fresh", "bookmarks")
def age_of_knowledge(fixture):
    client = fixture.watching(watchdog=60000)
    first = client.status()["last_data"]
    fixture.order("silence", on=True)
    fixture.put("n4", 4)
    client.none("changed", 0.4)
    check(client.status()["last_data"] == first, "no younger by waiting")
    fixture.order("silence", on=False)
    fixture.order("end-watches")
    client.wait("changed")
    check(client.status()["last_data"] > first, "fresh")


def in_namespace(test):
    """Runs the test in a network namespace of its own, of which threads and children are part."""
    def run(fixture):
        problems = []

        def body():
            try:
                if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "unshare")
                subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
                test(fixture)
            except BaseException as problem:  # the thread's, told by the one that waits
                problems.append(problem)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if problems:
            raise problems[0]
    run.__name__ = test.__name__
    return run


def nft(text):
    subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)


DROP = """table inet silence {{
  chain in {{ type filter hook input priority 0; tcp sport {0} drop; tcp dport {0} drop; }}
}}"""


@case("is cut off by a packet filter that drops the open connection's packets silently",
      "watch again on a fresh connection, not list", "idle connection")
@in_namespace
def dropped_connection(fixture):
    client = fixture.watching(watchdog=600)
    nft(DROP.format(fixture.requests("watch")[0]["port"]))
    fixture.put("n4", 4)
    mended(fixture, client, 1)


@case("cannot be reached at all: every packet is dropped, and later not",
      "say so, watch again when it can, not list", "idle connection")
@in_namespace
def dropped_network(fixture):
    client = fixture.watching(watchdog=400, backoff_maximum=200)
    nft(DROP.format(fixture.api.port))
    fixture.put("n4", 4)
    check("no answer" in client.state("backing off")["error"], "said")
    nft("delete table inet silence")
    mended(fixture, client, 1)
