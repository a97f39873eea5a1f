"""Server does X, client must Y: identity, trust and the way to the server."""

import os
import socket
import threading
import time

from fixture import case, check, node
from pki import Authority, write_kubeconfig


@case("sees a new client certificate behind the symlink",
      "be shown it with the next request, on a new connection, without an old TLS session",
      "certificate expires on an open connection")
def rotation(fixture):
    client = fixture.watching()
    first = fixture.requests("watch")[-1]
    fixture.pki.authority.kubelet(fixture.path("pki"), "w1")
    client.wait("credential")
    client.none("state", 0.5)  # an open watch goes on: it was authenticated at its start
    fixture.order("end-watches")
    client.state("connecting")
    client.state("watching")
    second = fixture.requests("watch")[-1]
    check(second["serial"] != first["serial"], "the new certificate is used")
    check(second["connection"] != first["connection"], "on a new connection")
    check(not second["resumed"], "without an old TLS session")
    check(not any(line["event"] == "credential" and line["error"] for line in client.seen),
          "a rotation is no error")


@case("is there before our kubeconfig is",
      "find the kubeconfig by inotify, pass over another kind of file", "-")
def credential_later(fixture):
    fixture.serve(1)
    root = fixture.path("root")
    client = fixture.client(f"--root={root}")
    line = client.wait("credential")
    check(not line["usable"] and "no kubeconfig" in line["error"], f"{line}")
    os.makedirs(os.path.join(root, "etc/kubernetes"))
    with open(os.path.join(root, "etc/kubernetes/kubelet.conf"), "w", encoding="utf-8") as file:
        file.write("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n")
    time.sleep(0.5)
    pair = fixture.pki.authority.kubelet(os.path.join(root, "pki"), "w1")
    write_kubeconfig(os.path.join(root, "var/lib/kubelet/kubeconfig"),
                     f"https://127.0.0.1:{fixture.api.port}", ca=fixture.pki.authority.cert,
                     cert=pair, key=pair)
    begun = time.monotonic()
    check(client.wait("credential", where=lambda line: line["usable"])["node"] == "w1", "found")
    check(time.monotonic() - begun < 5, "by inotify, not by age")
    client.wait("replaced")


@case("would see a certificate without its key", "keep the old pair until they fit", "-")
def mismatch_keeps_old(fixture):
    fixture.serve(1)
    cert, key = fixture.pki.authority.client("w1")
    pair = fixture.path("w1.pem"), fixture.path("w1.key")

    def install(source, target):
        with open(source, "rb") as file, open(target + ".new", "wb") as copy:
            copy.write(file.read())
        os.rename(target + ".new", target)

    install(cert, pair[0])
    install(key, pair[1])
    fixture.kubeconfig(cert=pair[0], key=pair[1], client=True)
    client = fixture.watching()
    cert, key = fixture.pki.authority.client("w1")
    install(cert, pair[0])
    line = client.wait("credential")
    check(line["usable"] and "does not belong" in line["error"], f"{line}")
    fixture.order("end-watches")
    client.state("watching")
    install(key, pair[1])
    client.wait("credential", where=lambda line: not line["error"])


@case("answers 401 twice",
      "reload, retry once at once on a fresh connection, then back off",
      "certificate expires on an open connection")
def unauthorized(fixture):
    fixture.serve(1)
    fixture.kubeconfig()
    fixture.behave("list", times=2, status=401, reason="Unauthorized")
    client = fixture.client()
    line = client.state("backing off")
    check("401: Unauthorized" in line["error"], line["error"])
    client.wait("replaced")
    first, second, third = fixture.requests("list")
    check(second["time"] - first["time"] < 0.5, "one retry at once")
    check(second["connection"] != first["connection"], "on a fresh connection")
    check(third["connection"] not in (first["connection"], second["connection"]), "and again")


@case("answers 401 to an expired certificate",
      "back off, take the new one when it is there", "expired or unknown client certificate")
def expired_certificate(fixture):
    fixture.serve(1)
    pair = fixture.pki.authority.kubelet(fixture.path("pki"), "w1", begins=time.time() - 100,
                                         ends=time.time() - 10)
    fixture.kubeconfig(cert=pair, key=pair, client=True)
    client = fixture.client()
    check("401" in client.state("backing off")["error"], "refused")
    fixture.pki.authority.kubelet(fixture.path("pki"), "w1")
    client.wait("replaced")


@case("answers 403", "say so, back off, list when it may", "no certificate, no RBAC")
def forbidden(fixture):
    fixture.serve(1)
    fixture.order("set", groups=["nobody"])
    fixture.kubeconfig()
    client = fixture.client()
    line = client.state("backing off")
    check("403" in line["error"] and "forbidden" in line["error"], line["error"])
    fixture.order("set", groups=["system:nodes"])
    client.wait("replaced")


@case("takes bearer tokens", "send tokenFile's, follow its rotation, never show it", "-")
def tokens(fixture):
    fixture.serve(1, tokens=["first", "second"])
    with open(fixture.path("token"), "w", encoding="utf-8") as file:
        file.write("first\n")
    fixture.kubeconfig(token="unused", token_file="token")
    client = fixture.watching()
    check(fixture.requests()[0]["authorization"], "a bearer token")
    with open(fixture.path("token"), "w", encoding="utf-8") as file:
        file.write("wrong\n")
    client.wait("credential")
    fixture.order("end-watches")
    check("401" in client.state("backing off")["error"], "the new token is used")
    with open(fixture.path("token"), "w", encoding="utf-8") as file:
        file.write("second\n")
    client.wait("state", where=lambda line: line["state"] == "watching" and not line["error"])
    check(not any("wrong" in str(line) or "second" in str(line) for line in client.seen),
          "no token in any text")


@case("is reached by certificate data in the kubeconfig", "use them", "-")
def embedded_data(fixture):
    fixture.serve(1)
    cert, key = fixture.pki.authority.client("w1")
    fixture.kubeconfig(cert=cert, key=key, client=True, data=True)
    fixture.client().wait("replaced")


@case("is behind a base path", "keep it in front of every path", "-")
def base_path(fixture):
    fixture.serve(1)
    fixture.kubeconfig(f"https://localhost:{fixture.api.port}/k8s/clusters/c-1/")
    fixture.client().wait("replaced")
    check(fixture.requests()[0]["path"] == "/k8s/clusters/c-1/apis/cilium.io/v2/ciliumnodes",
          fixture.requests()[0]["path"])


@case("listens on IPv6", "reach it by a literal address", "-")
def over_ipv6(fixture):
    try:
        fixture.serve(1, listen="::1")
    except OSError:
        return  # a kernel without IPv6
    fixture.kubeconfig(f"https://[::1]:{fixture.api.port}")
    fixture.client().wait("replaced")


@case("shows a certificate of another CA", "send nothing, say so", "-")
def unknown_authority(fixture):
    fixture.serve(1, server=fixture.pki.foreign_server)
    fixture.kubeconfig()
    client = fixture.client()
    line = client.state("backing off")
    check("certificate" in line["error"], line["error"])
    client.none("replaced", 0.5)
    check(not fixture.requests(), "no request was sent")


@case("shows a certificate of a CA that the system trusts, not the kubeconfig", "send nothing", "-")
def system_authorities(fixture):
    """The server's CA is the system's (SSL_CERT_FILE and SSL_CERT_DIR), the kubeconfig's another."""
    fixture.serve(1, server=fixture.pki.foreign_server)
    fixture.kubeconfig()
    hashed = fixture.path("certs")
    os.makedirs(hashed)
    os.symlink(fixture.pki.other.cert, os.path.join(hashed, "ca.pem"))
    os.system(f"openssl rehash {hashed} >/dev/null 2>&1")
    environment = {"SSL_CERT_FILE": fixture.pki.other.cert, "SSL_CERT_DIR": hashed,
                   "CURL_CA_BUNDLE": fixture.pki.other.cert}
    client = fixture.client(environment=environment)
    check("certificate" in client.state("backing off")["error"], "refused")
    client.none("replaced", 0.5)


@case("shows a certificate of another CA and the kubeconfig says insecure-skip-tls-verify",
      "go on", "-")
def insecure(fixture):
    fixture.serve(1, server=fixture.pki.foreign_server)
    fixture.kubeconfig(ca="", cluster=["insecure-skip-tls-verify: true"])
    fixture.client().wait("replaced")


@case("shows a certificate for another name", "refuse it, unless tls-server-name says so", "-")
def server_name(fixture):
    fixture.serve(1, server=fixture.pki.named_server)
    fixture.kubeconfig()
    client = fixture.client()
    check(client.state("backing off")["error"], "the name does not fit")
    fixture.kubeconfig(cluster=["tls-server-name: kubernetes.internal"])
    client.wait("replaced")
    check(fixture.requests()[-1]["host"] == f"127.0.0.1:{fixture.api.port}", "the Host header")
    fixture.kubeconfig(f"https://localhost:{fixture.api.port}",
                       cluster=["tls-server-name: kubernetes.internal"])
    client.wait("replaced")
    check(fixture.requests("list")[-1]["host"] == f"localhost:{fixture.api.port}", "by name too")


@case("redirects to another server", "not follow", "-")
def redirect(fixture):
    target = fixture.serve(1)
    fixture.serve(1)
    fixture.behave("list", status=302, body="", type="text/plain", headers={
        "Location": f"https://127.0.0.1:{target.port}/apis/cilium.io/v2/ciliumnodes"})
    fixture.kubeconfig()
    client = fixture.client()
    check("302" in client.state("backing off")["error"], "not followed")
    client.wait("replaced")
    check(not target.command({"op": "requests"})["requests"], "nothing reached the target")


class Trap:
    """A listener that takes connections and remembers what was said first."""

    def __init__(self):
        self.said = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.said.append(connection.recv(200))
            connection.close()


@case("is reached while the environment names proxies", "not ask them", "-")
def environment_proxy(fixture):
    trap = Trap()
    fixture.serve(1)
    fixture.kubeconfig()
    proxy = f"http://127.0.0.1:{trap.port}"
    client = fixture.client(environment={name: proxy for name in (
        "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")})
    client.wait("replaced")
    check(not trap.said, "the environment's proxy was asked")


@case("is behind the kubeconfig's proxy-url", "ask that proxy", "-")
def named_proxy(fixture):
    trap = Trap()
    fixture.serve(1)
    fixture.kubeconfig(cluster=[f"proxy-url: http://127.0.0.1:{trap.port}"])
    fixture.client().state("backing off")
    check(trap.said and trap.said[0].startswith(b"CONNECT 127.0.0.1:"), f"{trap.said}")


@case("is another cluster's after the kubeconfig has changed",
      "begin anew with resourceVersion=0", "-")
def other_cluster(fixture):
    fixture.serve(2)
    fixture.kubeconfig()
    client = fixture.watching()
    other = Authority(fixture.path("second-ca"))
    cert, key = other.server("apiserver", ["127.0.0.1"])
    old = fixture.api
    fixture.serve(0, server=(cert, key))
    fixture.put_object(node("elsewhere", 9))
    fixture.kubeconfig(ca=other.cert)
    line = client.wait("replaced")
    check([entry["name"] for entry in line["nodes"]] == ["elsewhere"], "the new cluster's nodes")
    check(fixture.requests("list")[-1]["query"] == {"resourceVersion": "0"}, "begun anew")
    check(old is not fixture.api, "two servers")


@case("speaks http, and the kubeconfig says so", "speak it, too", "-")
def plain_http(fixture):
    fixture.serve(1, plain=True)
    write_kubeconfig(fixture.path("kubelet.conf"), f"http://127.0.0.1:{fixture.api.port}")
    fixture.client().wait("replaced")


@case("has a name that cannot be resolved, and later can",
      "say so, keep the loop free, recover", "-")
def unresolvable(fixture):
    fixture.serve(1)
    fixture.kubeconfig("https://no-such-host.invalid:6443")
    client = fixture.client()
    line = client.wait("state", timeout=20, where=lambda line: line["error"])
    check("resolved" in line["error"], line["error"])
    begun = time.monotonic()
    client.status()
    check(time.monotonic() - begun < 0.5, "the loop is free meanwhile")
    fixture.kubeconfig(f"https://localhost:{fixture.api.port}")
    client.wait("replaced")
