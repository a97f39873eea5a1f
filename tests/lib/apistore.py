"""The double's memory: CiliumNodes with resourceVersions, a history to watch, and compaction.

Semantics are those of a kube-apiserver's watch cache over etcd, as recorded in the table that
apiserver.py's head names. One lock; `changed` is notified at every change.
"""

import base64
import copy
import json
import threading

API_VERSION = "cilium.io/v2"
KIND = "CiliumNode"


class Problem(Exception):
    """A request that ends in a Status object."""

    def __init__(self, code, reason, message, causes=None):
        super().__init__(message)
        self.code, self.reason, self.message, self.causes = code, reason, message, causes

    def status(self):
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                  "message": self.message, "reason": self.reason, "code": self.code}
        if self.causes:
            status["details"] = {"causes": self.causes}
        return status


def expired(message="The resourceVersion for the provided watch is too old."):
    return Problem(410, "Expired", message)


def merge(target, patch):
    """JSON merge patch, RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    target = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


class Store:
    def __init__(self, version=1000):
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = version          # of the whole store: other resources move it too
        self.compacted = 0              # a watch from below this is too old
        self.objects = {}
        self.history = []               # (version, type, object)
        self.snapshots = {}             # version → [objects], for paging
        self.watches = {}               # id → queue: events, and orders of the control socket
        self.next_watch = 0
        self.silent = False             # watches deliver nothing

    # Changes

    def _record(self, kind, value):
        self.version += 1
        value = copy.deepcopy(value)
        if isinstance(value, dict) and isinstance(value.get("metadata"), dict):
            value["metadata"]["resourceVersion"] = str(self.version)
        self.history.append((self.version, kind, value))
        self.push(("event", (kind, value)))
        return value

    def put(self, value, name=None):
        with self.lock:
            name = name or value["metadata"]["name"]
            kind = "MODIFIED" if name in self.objects else "ADDED"
            value = copy.deepcopy(value)
            if isinstance(value, dict):
                value = {"apiVersion": API_VERSION, "kind": KIND, **value}
            self.objects[name] = self._record(kind, value)
            return self.objects[name]

    def delete(self, name):
        with self.lock:
            if name not in self.objects:
                raise Problem(404, "NotFound", f'ciliumnodes.cilium.io "{name}" not found')
            return self._record("DELETED", self.objects.pop(name))

    def patch(self, name, patch):
        with self.lock:
            return self.put(merge(copy.deepcopy(self.get(name)), patch), name)

    def get(self, name):
        with self.lock:
            if name not in self.objects:
                raise Problem(404, "NotFound", f'ciliumnodes.cilium.io "{name}" not found')
            return self.objects[name]

    def delete_all(self):
        with self.lock:
            for name in sorted(self.objects):
                self.delete(name)

    def tick(self, by):
        with self.lock:
            self.version += by
            return self.version

    def compact(self):
        with self.lock:
            self.version += 1
            self.compacted = self.version
            self.history.clear()
            self.snapshots.clear()
            return self.version

    def rewind(self, version):
        """As after an etcd restore: the version goes backwards."""
        with self.lock:
            self.version = version
            self.compacted = 0
            self.history.clear()
            self.snapshots.clear()

    # Watches

    def push(self, order):
        """Into the queue of every open watch."""
        with self.lock:
            for queue in self.watches.values():
                queue.append(order)
            self.changed.notify_all()

    def end_watches(self):
        self.push(("end", None))

    def open_watch(self, version):
        """(id, queue), the queue filled with the events since; None: too old."""
        with self.lock:
            if version < self.compacted:
                return None
            self.next_watch += 1
            self.watches[self.next_watch] = [
                ("event", (kind, value)) for at, kind, value in self.history if at > version]
            return self.next_watch, self.watches[self.next_watch]

    def close_watch(self, number):
        with self.lock:
            self.watches.pop(number, None)

    def take(self, queue, timeout):
        """Everything that waits in the queue, after at most `timeout` seconds."""
        with self.changed:
            if not queue:
                self.changed.wait(max(0.0, timeout))
            taken = list(queue)
            queue.clear()
            return taken

    # Reading

    def parse_version(self, text, code=500):
        if not text.isdigit():
            raise Problem(code, "InternalError" if code == 500 else "BadRequest",
                          f"strconv.ParseUint: parsing \"{text}\": invalid syntax")
        return int(text)

    def listing(self, query):
        """One page: (objects, version, continue, remaining)."""
        token, limit = query.get("continue"), int(query.get("limit", 0) or 0)
        asked = query.get("resourceVersion")
        with self.lock:
            if token:
                return self._page(token, limit)
            if asked is not None and asked != "0":
                if self.parse_version(asked) > self.version:
                    raise Problem(504, "Timeout", "Too large resource version",
                                  [{"reason": "ResourceVersionTooLarge",
                                    "message": "Too large resource version"}])
            items = [self.objects[name] for name in sorted(self.objects)
                     if query.get("fieldSelector") in (None, f"metadata.name={name}")]
            if asked is not None or not limit or len(items) <= limit:
                return items, self.version, None, 0
            self.snapshots[self.version] = items
            return self._cut(items, 0, limit, self.version)

    def _cut(self, items, start, limit, version):
        page, rest = items[start:start + limit], len(items) - start - limit
        if rest <= 0:
            return page, version, "", 0
        token = {"v": "meta.k8s.io/v1", "rv": version, "start": start + limit}
        return page, version, base64.urlsafe_b64encode(json.dumps(token).encode()).decode(), rest

    def _page(self, token, limit):
        try:
            token = json.loads(base64.urlsafe_b64decode(token))
            start, version = token["start"], token["rv"]
        except (ValueError, KeyError, TypeError):
            raise Problem(400, "BadRequest", "continue key is not valid") from None
        items = self.snapshots.get(version)
        if items is None:
            raise expired("The provided continue parameter is too old to display a consistent "
                          "list result.")
        return self._cut(items, start, limit or len(items), version)
