"""A flood between the nodes of a cluster, and the program that makes it.

    flood = Flood(cluster)               # every host and pod to every other one's, both families
    flood.stop()                         # Counters: sent, refused

    flood.py sink PORT                   takes whatever comes, by TCP and UDP
    flood.py send PASSES ADDRESS …      to each address by both, PASSES times a second; never gives
                                         up; SIGTERM makes it print what it has done
"""

import collections
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time

PORT = 7777
SIZE = 600

Counters = collections.namedtuple("Counters", "sent refused")


class Flood:
    def __init__(self, cluster, passes=150):
        self.processes, self.sinks = [], []
        for node in cluster.nodes:
            for pod in (False, True):
                place = node.place(pod)
                self.sinks.append(self._spawn(place, "sink", str(PORT)))
        for node in cluster.nodes:
            targets = [address for other in cluster.others(node)
                       for ends in (other.address, other.pod_address)
                       for address in ends.values()]
            for pod in (False, True):
                self.processes.append(self._spawn(
                    node.place(pod), "send", str(passes), *targets))

    @staticmethod
    def _spawn(place, *arguments):
        process = place.spawn(sys.executable, os.path.abspath(__file__), *arguments,
                              stdout=subprocess.PIPE, text=True)
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the flood did not start")
        return process

    def stop(self):
        counters = [0, 0]
        for process in self.processes:
            process.terminate()
            done = json.loads(process.stdout.read())
            process.wait()
            counters = [counters[0] + done["sent"], counters[1] + done["refused"]]
        for sink in self.sinks:
            sink.kill()
            sink.wait()
        return Counters(*counters)


class Sender:
    def __init__(self, addresses):
        self.sent = self.refused = 0
        self.udp = {address: self.socket(address, socket.SOCK_DGRAM) for address in addresses}
        self.tcp = dict.fromkeys(addresses)
        self.data = os.urandom(SIZE)

    @staticmethod
    def socket(address, kind):
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        made.setblocking(False)
        return made

    def once(self):
        for address, sock in self.udp.items():
            try:
                sock.sendto(self.data, (address, PORT))
                self.sent += 1
            except OSError:
                self.refused += 1
        for address, sock in self.tcp.items():
            self.stream(address, sock)

    def stream(self, address, sock):
        """A connection that is made again when it ends, or has not come to be for a second."""
        if not sock:
            sock = self.tcp[address] = self.socket(address, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000)
            number = sock.connect_ex((address, PORT))
            if number not in (0, 115):
                self.drop(address)
            return
        try:
            sock.send(self.data)
            self.sent += 1
        except BlockingIOError:
            pass
        except OSError:
            self.drop(address)

    def drop(self, address):
        self.refused += 1
        self.tcp[address].close()
        self.tcp[address] = None


def send(passes, addresses):
    sender, ended = Sender(addresses), []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(True))
    print("ready", flush=True)
    begun, done = time.monotonic(), 0
    while not ended:
        sender.once()
        done += 1
        ahead = done / passes - (time.monotonic() - begun)
        if ahead > 0:
            time.sleep(ahead)
        elif ahead < -0.1:              # the machine is slower: no catching up
            begun, done = time.monotonic(), 0
    print(json.dumps({"sent": sender.sent, "refused": sender.refused}), flush=True)


def sink(port):
    selector = selectors.DefaultSelector()
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        sock = socket.socket(socket.AF_INET6, kind)
        sock.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            sock.listen(256)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ, kind == socket.SOCK_STREAM)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            try:
                if key.data:
                    peer, _ = key.fileobj.accept()
                    peer.setblocking(False)
                    selector.register(peer, selectors.EVENT_READ, False)
                elif not key.fileobj.recv(65536) and key.fileobj.type == socket.SOCK_STREAM:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(key.fileobj)
                key.fileobj.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # the laboratory decides
    if sys.argv[1] == "sink":
        sink(int(sys.argv[2]))
    else:
        send(int(sys.argv[2]), sys.argv[3:])
