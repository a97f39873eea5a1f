"""A double of kube-apiserver for CiliumNodes: TLS with client certificates, list, watch, and every
way of misbehaving that real servers were seen to have. Standard library only (Python 3.11).

As a program
    /usr/bin/python3 apiserver.py --listen ADDR:PORT [--listen '[::1]:6443' …]
            --cert server.pem --key server.key --client-ca ca.pem
            [--control PATH] [--objects FOLDER] [--token TOKEN] [--group system:nodes]
            [--log FILE] [--plain]
    prints "listening ADDR:PORT" once per listener, then "ready"; port 0 takes a free one. FOLDER
    holds one CiliumNode per *.json. --plain serves http without TLS and without authentication.
    SIGTERM or SIGINT ends it.

As a module
    server = ApiServer([("127.0.0.1", 0)], cert=…, key=…, client_ca=…, control=PATH or None)
    server.start(); server.port; server.command({"op": "put", "object": {…}}); server.stop()

Served paths: /apis/cilium.io/v2/ciliumnodes (GET list or watch, POST) and …/ciliumnodes/NAME
(GET, PUT, PATCH as JSON merge patch, DELETE); /healthz, /livez, /readyz, /version without
authentication. Any base path in front is accepted. Who may: a client certificate of the client CA
whose organisation is one of the groups (system:nodes), or a bearer token. An expired or unknown
certificate is 401, none or another group is 403, both after a successful TLS handshake, as the
real server does it.

Control protocol: a unix stream socket, one JSON command a line, one JSON answer a line, either
{"ok":true,…} or {"ok":false,"error":"…"}. From Python: control(PATH, {"op":…}) → answer; from a
shell: apiserver.py --send PATH '{"op":"version"}'.
    {"op":"put","object":{…}[,"name":N]}     create or replace (any JSON: poison too) → object
    {"op":"delete","name":N}
    {"op":"patch","name":N,"patch":{…}}      JSON merge patch → object
    {"op":"patch-annotation","name":N,"key":K,"value":V}    V null removes → object
    {"op":"get","name":N} · {"op":"list"}    → object · objects
    {"op":"version"}                         → version, compacted, watches, connections
    {"op":"tick"[,"by":1]}                   other resources moved the version on
    {"op":"bookmark"}                        every watch with bookmarks gets one now
    {"op":"compact"}                         every version up to now is too old
    {"op":"rewind","version":V}              as after an etcd restore
    {"op":"end-watches"}                     every watch ends cleanly, connections stay open
    {"op":"cut"}                             every connection: FIN, no last chunk, no close_notify
    {"op":"silence","on":true}               open and new watches deliver nothing; lists still work
    {"op":"raw","text":"…"}                  these bytes into every open watch
    {"op":"crd","present":false}             DELETED for all, clean end, then 404 text/plain
    {"op":"stop","mode":"term"|"kill"[,"grace":60]}   listeners close; "term": watches silent for
                                             grace seconds, then end; "kill": like cut
    {"op":"start"}                           the same listeners again
    {"op":"reload","cert":P,"key":P,"client_ca":P}    new server certificate or client CA
    {"op":"set",…}                           options, see OPTIONS below, e.g. "bookmark_interval":1
    {"op":"behave","match":"list"|"watch"|"check"|"any","times":1,"action":{…}}   for the next requests
                                             (times −1: until "clear"); actions, see apihandler.py:
        {"status":410,"body":{…}|"text","type":"text/plain","headers":{…},"delay":S}
        {"reason":"Expired","status":410}    with a Status object of that reason as the body
        {"error-event":{"code":410,"reason":"Expired"}}   a watch: ERROR event, then a clean end
        {"lines":["…"]}                      a watch: these texts as chunks, then a clean end
        {"raw":"…"}                          a list: this text as the body
        {"end":true}                         a watch that ends at once · {"drop":true} FIN, no answer
        {"stall":S}                          no answer for S seconds · {"silence":true} a watch that
                                             opens and never says anything, past its timeout
        {"zeros":N}                          a list of N MiB, compressed a thousandfold
        {"cut-after":N}                      FIN after N bytes of the body · {"chunk":N} chunk size
    {"op":"clear"}                           forget behaviours and silence
    {"op":"requests"[,"since":N][,"clear":true]}   → requests: number, time, kind, method, path,
                                             query, code, subject ("O=system:nodes,CN=…"), serial,
                                             verified, connection, user_agent, port (of the peer), authorization (a
                                             token was sent: bool), host, peer, resumed

What it reproduces, row by row of the recorded table: list body and order of keys; paging; 410 after
compaction; ERROR event for a too old watch; silence or 504 for a version from the future; 500 for
garbage; timeoutSeconds kept and the connection left open; bookmarks by interval and 2 s before the
end, only if newer; initial-events-end; 401 and 403; 404 in plain text; gzip above 128 KiB.
"""

import argparse
import ctypes
import glob
import json
import os
import signal
import socket
import socketserver
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apihandler import Handler  # noqa: E402
from apistore import Problem, Store  # noqa: E402

OPTIONS = {
    "bookmark_interval": 60.0,   # seconds; 0: none but the one before the end
    "too_large_delay": 3.0,      # seconds before the 504 of a version from the future
    "idle_timeout": 0.0,         # seconds until an idle connection is closed; 0: never
    "gzip": True,                # bodies over 128 KiB, when asked for
    "watchlist": True,           # sendInitialEvents
    "chunk": 2048,               # bytes of a chunk at most
    "default_timeout": 1800.0,   # seconds of a watch without timeoutSeconds
    "groups": ["system:nodes"],  # organisations that may read and write
}


def control(path, command, timeout=30):
    """Sends one command to a running double; the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(json.dumps(command).encode() + b"\n")
        with sock.makefile("r") as answers:
            line = answers.readline()
    answer = json.loads(line)
    if not answer.get("ok"):
        raise RuntimeError(f"{command.get('op')}: {answer.get('error')}")
    return answer


class Verifier:
    """Lets every client certificate through the handshake and remembers whether it was good.

    The real server asks for a certificate without insisting and answers 401 later; Python's ssl
    cannot be told to, OpenSSL can (SSL_CTX_set_cert_verify_callback).
    """

    def __init__(self):
        self.local = threading.local()
        self.ssl = ctypes.CDLL("libssl.so.3")
        self.crypto = ctypes.CDLL("libcrypto.so.3")
        self.crypto.X509_verify_cert.argtypes = [ctypes.c_void_p]
        self.callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
            self.verify)

    def verify(self, store_context, _argument):
        self.local.good = self.crypto.X509_verify_cert(store_context) == 1
        return 1

    def attach(self, context):
        pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
        self.ssl.SSL_CTX_set_cert_verify_callback(pointer, self.callback, None)

    def take(self):
        good = getattr(self.local, "good", None)
        self.local.good = None
        return good


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address, api):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.api = api
        super().__init__(address, Handler)

    def handle_error(self, request, client_address):
        if self.api.log_file:
            problem = sys.exc_info()[1]
            print(f"{client_address}: {type(problem).__name__}: {problem}", file=self.api.log_file,
                  flush=True)


class ApiServer:
    def __init__(self, listen, cert=None, key=None, client_ca=None, control=None, objects=None,
                 tokens=(), groups=None, plain=False, log_file=None):
        self.addresses, self.plain, self.log_file = list(listen), plain, log_file
        self.files = {"cert": cert, "key": key, "client_ca": client_ca}
        self.tokens, self.control_path = set(tokens), control
        self.options = dict(OPTIONS)
        if groups:
            self.options["groups"] = list(groups)
        self.store = Store()
        self.lock = threading.Lock()
        self.behaviours, self.requests = [], []
        self.connections = {}
        self.verdicts = {}
        self.next_connection = 0
        self.crd = True
        self.stopping_until = None
        self.listeners, self.control_server = [], None
        self.verifier = None if plain else Verifier()
        self.context = None if plain else self.make_context()
        for path in sorted(glob.glob(os.path.join(objects, "*.json"))) if objects else []:
            with open(path, encoding="utf-8") as file:
                self.store.put(json.load(file))

    def make_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.files["cert"], self.files["key"])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.files["client_ca"])
        self.verifier.attach(context)
        return context

    # Life

    @property
    def port(self):
        return self.addresses[0][1]

    def start(self):
        self.stopping_until = None
        for index, address in enumerate(self.addresses):
            listener = Listener(address, self)
            self.addresses[index] = (address[0], listener.server_address[1])
            self.listeners.append(listener)
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        if self.control_path and not self.control_server:
            self.control_server = ControlServer(self.control_path, self)
            threading.Thread(target=self.control_server.serve_forever, args=(0.05,),
                             daemon=True).start()
        return self

    def close_listeners(self):
        for listener in self.listeners:
            listener.shutdown()
            listener.server_close()
        self.listeners = []

    def stop(self):
        self.close_listeners()
        self.cut()
        if self.control_server:
            self.control_server.shutdown()
            self.control_server.server_close()
            self.control_server = None

    def cut(self):
        with self.lock:
            raw_sockets = list(self.connections.values())
        for raw in raw_sockets:
            try:
                raw.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.store.end_watches()

    # What the handler asks

    def behaviour(self, kind):
        with self.lock:
            for entry in self.behaviours:
                if entry["match"] in (kind, "any"):
                    if entry["times"] > 0:
                        entry["times"] -= 1
                        if entry["times"] == 0:
                            self.behaviours.remove(entry)
                    return entry["action"]
        return {}

    # Control

    def command(self, command):
        operation = command.get("op", "")
        method = getattr(self, "op_" + operation.replace("-", "_"), None)
        if not method:
            return {"ok": False, "error": f"unknown op {operation!r}"}
        try:
            return {"ok": True, **(method(command) or {})}
        except Problem as problem:
            return {"ok": False, "error": problem.message}
        except (KeyError, TypeError, ValueError, OSError) as problem:
            return {"ok": False, "error": f"{type(problem).__name__}: {problem}"}

    def op_put(self, command):
        return {"object": self.store.put(command["object"], command.get("name"))}

    def op_delete(self, command):
        return {"object": self.store.delete(command["name"])}

    def op_patch(self, command):
        return {"object": self.store.patch(command["name"], command["patch"])}

    def op_patch_annotation(self, command):
        patch = {"metadata": {"annotations": {command["key"]: command.get("value")}}}
        return {"object": self.store.patch(command["name"], patch)}

    def op_get(self, command):
        return {"object": self.store.get(command["name"])}

    def op_list(self, _command):
        with self.store.lock:
            return {"objects": [self.store.objects[name] for name in sorted(self.store.objects)]}

    def op_version(self, _command):
        with self.store.lock:
            return {"version": self.store.version, "compacted": self.store.compacted,
                    "watches": len(self.store.watches), "connections": len(self.connections)}

    def op_tick(self, command):
        return {"version": self.store.tick(command.get("by", 1))}

    def op_bookmark(self, _command):
        self.store.push(("bookmark", None))

    def op_compact(self, _command):
        return {"version": self.store.compact()}

    def op_rewind(self, command):
        self.store.rewind(command["version"])

    def op_end_watches(self, _command):
        self.store.end_watches()

    def op_cut(self, _command):
        self.cut()

    def op_silence(self, command):
        self.store.silent = bool(command.get("on", True))

    def op_raw(self, command):
        self.store.push(("raw", command["text"]))

    def op_crd(self, command):
        if command["present"]:
            self.store.compact()
        else:
            self.store.delete_all()
            self.store.end_watches()
        self.crd = bool(command["present"])

    def op_stop(self, command):
        self.close_listeners()
        if command.get("mode", "term") == "kill":
            self.cut()
            return
        self.stopping_until = time.monotonic() + command.get("grace", 60)
        self.store.push(("stopping", self.stopping_until))

    def op_start(self, _command):
        self.start()

    def op_reload(self, command):
        self.files.update({name: command[name] for name in self.files if name in command})
        self.context = self.make_context()

    def op_set(self, command):
        for name, value in command.items():
            if name != "op":
                if name not in self.options:
                    raise KeyError(name)
                self.options[name] = value
        return {"options": self.options}

    def op_behave(self, command):
        with self.lock:
            self.behaviours.append({"match": command.get("match", "any"),
                                    "times": command.get("times", 1),
                                    "action": command["action"]})

    def op_clear(self, _command):
        with self.lock:
            self.behaviours.clear()
        self.store.silent = False

    def op_requests(self, command):
        with self.lock:
            since = command.get("since", 0)
            seen = [dict(entry) for entry in self.requests if entry["number"] > since]
            if command.get("clear"):
                self.requests.clear()
        return {"requests": seen}


class ControlHandler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            try:
                answer = self.server.api.command(json.loads(line))
            except ValueError as problem:
                answer = {"ok": False, "error": f"not JSON: {problem}"}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class ControlServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path, api):
        self.api = api
        if os.path.exists(path):
            os.unlink(path)
        super().__init__(path, ControlHandler)


def parse_listen(text):
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def main():
    parser = argparse.ArgumentParser(description="kube-apiserver double for CiliumNodes")
    parser.add_argument("--listen", action="append", type=parse_listen)
    for name in ("cert", "key", "client-ca", "control", "objects", "log"):
        parser.add_argument("--" + name)
    parser.add_argument("--token", action="append", default=[])
    parser.add_argument("--group", action="append")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--send", nargs=2, metavar=("PATH", "COMMAND"))
    options = parser.parse_args()

    if options.send:
        print(json.dumps(control(options.send[0], json.loads(options.send[1]))))
        return
    log_file = open(options.log, "a", encoding="utf-8") if options.log else None
    server = ApiServer(options.listen or [("127.0.0.1", 0)], options.cert, options.key,
                       options.client_ca, options.control, options.objects, options.token,
                       options.group, options.plain, log_file)
    server.start()
    for address, port in server.addresses:
        print(f"listening {'[%s]' % address if ':' in address else address}:{port}", flush=True)
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


if __name__ == "__main__":
    # Before any thread exists, so that sigwait() is the only taker.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
