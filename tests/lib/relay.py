"""A TCP relay, as the load balancer on a k3s or RKE2 agent, or haproxy on a control plane, is one.

    relay.py 127.0.0.1:6444 10.0.0.11:6443      prints "ready"; each connection has its own thread
"""

import socket
import sys
import threading


def endpoint(text):
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for one in (source, target):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, target):
    try:
        server = socket.create_connection(target, timeout=3)
    except OSError:
        client.close()
        return
    server.settimeout(None)
    back = threading.Thread(target=pump, args=(server, client), daemon=True)
    back.start()
    pump(client, server)
    back.join()
    client.close()
    server.close()


def main():
    listen, target = map(endpoint, sys.argv[1:3])
    family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
    listener = socket.create_server(listen, family=family, backlog=64,
                                    dualstack_ipv6=listen[0] == "::")
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, target), daemon=True).start()


if __name__ == "__main__":
    main()
