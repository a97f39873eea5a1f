"""The double's HTTP side: one connection of apiserver.py. Which rows of the recorded table it
follows, and what a "behave" action may hold, stands at the head of apiserver.py."""

import gzip
import http.server
import json
import socket
import ssl
import time
import urllib.parse
import zlib

from apistore import API_VERSION, KIND, Problem

RESOURCE = "/apis/cilium.io/v2/ciliumnodes"
GZIP_ABOVE = 128 * 1024
ANNOTATION = "k8s.io/initial-events-end"


class Cut(Exception):
    """The connection ends here, without a word."""


def subject_text(certificate):
    order = {"organizationName": "O", "commonName": "CN"}
    return ",".join(f"{order.get(name, name)}={value}"
                    for group in (certificate or {}).get("subject", ()) for name, value in group)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    # The connection

    def setup(self):
        api = self.api = self.server.api
        self.raw = self.request.dup()
        with api.lock:
            api.next_connection += 1
            self.number = api.next_connection
            api.connections[self.number] = self.raw
        self.certificate, self.verified, self.resumed = None, False, False
        if not api.plain:
            self.handshake(api)
        if api.options["idle_timeout"]:
            self.timeout = api.options["idle_timeout"]
        super().setup()

    def handshake(self, api):
        self.request.settimeout(10)
        self.request = api.context.wrap_socket(self.request, server_side=True,
                                               suppress_ragged_eofs=True)
        self.request.settimeout(None)
        good = api.verifier.take()
        der = self.request.getpeercert(binary_form=True)
        if der:
            self.certificate = self.request.getpeercert()
            if good is not None:
                api.verdicts[der] = good
            self.verified = api.verdicts.get(der, False)
        self.resumed = bool(self.request.session_reused)

    def finish(self):
        try:
            super().finish()
        finally:
            with self.api.lock:
                self.api.connections.pop(self.number, None)
            self.raw.close()

    def handle(self):
        try:
            super().handle()
        except (Cut, ConnectionError, ssl.SSLError, BrokenPipeError, ValueError):
            self.close_connection = True

    def log_message(self, format, *arguments):
        if self.api.log_file:
            print(f"[{self.number}] {format % arguments}", file=self.api.log_file, flush=True)

    # One request

    def do_GET(self):
        self.serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def serve(self):
        parts = urllib.parse.urlsplit(self.path)
        self.query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        _, found, name = parts.path.partition(RESOURCE)
        self.name = name.strip("/")
        kind = "other"
        if found and self.command == "GET" and not self.name:
            kind = "watch" if self.query.get("watch") in ("true", "1") else \
                "check" if "fieldSelector" in self.query else "list"
        self.note(kind, parts.path)
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        self.action = self.api.behaviour(kind) if kind != "other" else {}
        try:
            if self.early():
                return
            if parts.path in ("/healthz", "/livez", "/readyz"):
                self.answer(200, "ok", "text/plain")
                return
            if parts.path == "/version":
                self.answer(200, {"major": "1", "minor": "32", "gitVersion": "v1.32.0-double"})
                return
            self.authorize()
            if not found or not self.api.crd:
                self.answer(404, "404 page not found\n", "text/plain; charset=utf-8")
                return
            {"list": self.list, "check": self.list, "watch": self.watch, "other": self.one}[kind]()
        except Problem as problem:
            if problem.code == 504:
                time.sleep(self.api.options["too_large_delay"])
            self.answer(problem.code, problem.status())

    def note(self, kind, path):
        entry = {"time": time.time(), "kind": kind, "method": self.command, "path": path,
                 "query": self.query, "code": None, "subject": subject_text(self.certificate),
                 "serial": (self.certificate or {}).get("serialNumber"),
                 "verified": self.verified, "connection": self.number, "resumed": self.resumed,
                 "user_agent": self.headers.get("User-Agent"), "host": self.headers.get("Host"),
                 "accept_encoding": self.headers.get("Accept-Encoding"),
                 "authorization": "Authorization" in self.headers,
                 "peer": self.client_address[0], "port": self.client_address[1]}
        with self.api.lock:
            entry["number"] = (self.api.requests[-1]["number"] + 1) if self.api.requests else \
                getattr(self.api, "last_request", 0) + 1
            self.api.last_request = entry["number"]
            self.api.requests.append(entry)
        self.entry = entry

    def early(self):
        """Behaviours that come before everything else; True: answered."""
        action = self.action
        if "delay" in action:
            time.sleep(action["delay"])
        if action.get("drop"):
            self.cut()
        if "stall" in action:
            time.sleep(action["stall"])
            self.cut()
        if "status" in action and "reason" in action:
            problem = Problem(action["status"], action["reason"],
                              action.get("message", action["reason"]), action.get("causes"))
            self.answer(problem.code, problem.status(), headers=action.get("headers"))
            return True
        if "zeros" in action:
            self.bomb(action["zeros"])
            return True
        if "status" in action:
            self.answer(action["status"], action.get("body", ""),
                        action.get("type", "application/json"), action.get("headers"))
            return True
        return False

    def authorize(self):
        api = self.api
        if api.plain:
            return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token:
            if token in api.tokens:
                return
            raise Problem(401, "Unauthorized", "Unauthorized")
        if not self.certificate:
            raise Problem(403, "Forbidden", 'ciliumnodes.cilium.io is forbidden: User '
                          '"system:anonymous" cannot list resource "ciliumnodes"')
        expires = ssl.cert_time_to_seconds(self.certificate["notAfter"])
        if not self.verified or expires < time.time():
            raise Problem(401, "Unauthorized", "Unauthorized")
        groups = {value for group in self.certificate["subject"] for name, value in group
                  if name == "organizationName"}
        if not groups & set(api.options["groups"]):
            raise Problem(403, "Forbidden", "ciliumnodes.cilium.io is forbidden")

    # Answers

    def cut(self):
        self.raw.shutdown(socket.SHUT_RDWR)
        raise Cut

    def head(self, code, content_type, headers=None):
        self.entry["code"] = code
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        for name, value in (headers or {}).items():
            self.send_header(name, value)

    def answer(self, code, body, content_type="application/json", headers=None):
        if not isinstance(body, str):
            body = json.dumps(body, separators=(",", ":")) + "\n"
        data = body.encode("utf-8", "surrogateescape")
        self.head(code, content_type, headers)
        wants = "gzip" in (self.headers.get("Accept-Encoding") or "")
        if self.api.options["gzip"] and wants and len(data) > GZIP_ABOVE:
            data = gzip.compress(data, 1)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Vary", "Accept-Encoding")
        if len(data) <= 2048 and "chunk" not in self.action and "cut-after" not in self.action:
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.begin_chunks()
        self.chunks(data)
        self.wfile.write(b"0\r\n\r\n")

    def bomb(self, size):
        """A list with a text of so many MiB in it, compressed a thousandfold."""
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        data = packer.compress(b'{"kind":"CiliumNodeList","items":[],"filler":"')
        for _ in range(size):
            data += packer.compress(b"0" * 1048576)
        self.head(200, "application/json", {"Content-Encoding": "gzip"})
        self.begin_chunks()
        self.chunks(data + packer.flush())
        self.wfile.write(b"0\r\n\r\n")

    def begin_chunks(self):
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.sent = 0

    def chunks(self, data):
        size = self.action.get("chunk", self.api.options["chunk"])
        limit = self.action.get("cut-after")
        pieces = []
        data = memoryview(data)         # cutting bytes copies all that is left
        while data:
            piece = data[:size]
            if limit is not None and self.sent + len(piece) > limit:
                piece = piece[:limit - self.sent]
            self.sent += len(piece)
            pieces.append(b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"")
            data = data[size:]
            if limit is not None and self.sent >= limit:
                self.wfile.write(b"".join(pieces))
                self.cut()
            if "chunk" in self.action:  # each chunk in a packet of its own
                self.wfile.write(b"".join(pieces))
                pieces = []
        self.wfile.write(b"".join(pieces))

    # List

    def list(self):
        if "raw" in self.action:
            self.answer(200, self.action["raw"])
            return
        items, version, token, remaining = self.api.store.listing(self.query)
        metadata = {"continue": token or ""}
        if remaining > 0:
            metadata["remainingItemCount"] = remaining
        metadata["resourceVersion"] = str(version)
        self.answer(200, {"apiVersion": API_VERSION, "items": items, "kind": KIND + "List",
                          "metadata": metadata})

    # One object

    def one(self):
        store = self.api.store
        if self.command == "GET":
            self.answer(200, store.get(self.name))
        elif self.command == "DELETE":
            self.answer(200, store.delete(self.name))
        elif self.command in ("PUT", "POST", "PATCH"):
            try:
                value = json.loads(self.body)
            except ValueError:
                raise Problem(400, "BadRequest", "the body is not JSON") from None
            if self.command == "PATCH":
                self.answer(200, store.patch(self.name, value))
            else:
                created = self.command == "POST"
                self.answer(201 if created else 200, store.put(value, self.name or None))

    # Watch

    def event(self, kind, value):
        text = json.dumps({"type": kind, "object": value}, separators=(",", ":"),
                          ensure_ascii=False)
        self.chunks(text.encode("utf-8", "surrogatepass") + b"\n")

    def bookmark(self, annotated=False):
        metadata = {"creationTimestamp": None, "resourceVersion": str(self.api.store.version)}
        if annotated:
            metadata["annotations"] = {ANNOTATION: "true"}
        self.event("BOOKMARK", {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata})
        self.last_version = self.api.store.version

    def initial(self, version):
        """sendInitialEvents and its refusals; True: begin with what there is."""
        if self.query.get("sendInitialEvents") != "true":
            return version == 0
        if not self.api.options["watchlist"] or \
                self.query.get("resourceVersionMatch") != "NotOlderThan":
            raise Problem(422, "Invalid", 'ListOptions.meta.k8s.io "" is invalid: '
                          "sendInitialEvents: Forbidden")
        return True

    def watch(self):
        store, query = self.api.store, self.query
        version = store.parse_version(query.get("resourceVersion") or "0")
        bookmarks = query.get("allowWatchBookmarks") == "true"
        initial = self.initial(version)
        deadline = time.monotonic() + float(query.get("timeoutSeconds") or
                                            self.api.options["default_timeout"])
        with store.lock:
            objects = [store.objects[name] for name in sorted(store.objects)] if initial else []
            self.last_version = max(version, store.version if initial else 0)
            opened = store.open_watch(store.version if initial else version)
            future = version > store.version
        self.head(200, "application/json")
        self.begin_chunks()
        try:
            if self.scripted(opened):
                for value in objects:
                    self.event("ADDED", value)
                if initial and bookmarks:
                    self.bookmark(annotated=True)
                self.follow(opened[1], deadline, bookmarks and not future, future)
            self.wfile.write(b"0\r\n\r\n")
        finally:
            if opened:
                store.close_watch(opened[0])

    def scripted(self, opened):
        """What a behaviour or a too old version makes of the watch; True: a normal one."""
        action = self.action
        if action.get("silence"):
            while True:  # until the client goes or everything is cut
                if any(order[0] == "end" for order in self.api.store.take(opened[1], 1.0)):
                    self.cut()
        if "lines" in action:
            for line in action["lines"]:
                self.chunks(line.encode("utf-8", "surrogateescape"))
        if "error-event" in action or opened is None:
            error = action.get("error-event", {"code": 410, "reason": "Expired"})
            self.event("ERROR", Problem(error["code"], error["reason"],
                                        error.get("message", "too old resource version")).status())
            return False
        return not action.get("end") and "lines" not in action

    def follow(self, queue, deadline, bookmarks, future):
        store, interval = self.api.store, self.api.options["bookmark_interval"]
        next_bookmark = time.monotonic() + (interval or 1e9)
        last_bookmark = deadline - 2
        if last_bookmark < time.monotonic():
            last_bookmark = 1e18
        while True:
            now = time.monotonic()
            if now >= deadline:
                return
            wake = min(deadline, next_bookmark, last_bookmark)
            for order, value in store.take(queue, min(wake - now, 1.0)):
                if order == "end":
                    return
                if order == "stopping":
                    time.sleep(max(0.0, value - time.monotonic()))
                    return
                if store.silent or future:
                    continue
                if order == "event":
                    self.event(*value)
                    self.last_version = int(value[1]["metadata"]["resourceVersion"]) \
                        if isinstance(value[1].get("metadata"), dict) else self.last_version
                elif order == "raw":
                    self.chunks(value.encode("utf-8", "surrogateescape"))
                elif order == "bookmark" and bookmarks:
                    self.bookmark()
            now = time.monotonic()
            due = now >= next_bookmark or now >= last_bookmark
            if now >= next_bookmark:
                next_bookmark = now + interval
            if now >= last_bookmark:
                last_bookmark = 1e18
            if due and bookmarks and not store.silent and store.version > self.last_version:
                self.bookmark()
