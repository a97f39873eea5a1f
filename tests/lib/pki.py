"""Certificates and kubeconfigs for the tests, made with the openssl command line.

    authority = Authority(folder)                     # folder/ca.pem, folder/ca.key
    authority.server("apiserver", ["127.0.0.1", "localhost", "fd00::1"]) → (cert, key)
    authority.client("w1")                            # O=system:nodes, CN=system:node:w1
    authority.client("x", name="anything", organisation=None, ends=time.time() + 5)
    pair = authority.kubelet(folder, "w1")            # kubelet-client-current.pem, as kubelet has it:
                                                      # one PEM with both, behind a symlink
    write_kubeconfig(path, server, ca=…, cert=…, key=…)   # kubelet-style; data=True embeds them

Keys are P-256: made in milliseconds. As a program, for shell scripts:
    pki.py FOLDER ca | server NAME SAN… | client NODE | kubeconfig PATH SERVER NODE
"""

import base64
import ipaddress
import os
import subprocess
import sys
import time


def openssl(*arguments, data=None):
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


def san_text(names):
    entries = []
    for name in names:
        try:
            ipaddress.ip_address(name)
            entries.append(f"IP:{name}")
        except ValueError:
            entries.append(f"DNS:{name}")
    return ",".join(entries)


class Authority:
    def __init__(self, folder, name="ca"):
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.cert, self.key = self.path(f"{name}.pem"), self.path(f"{name}.key")
        self.name = name
        if not os.path.exists(self.cert):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", self.key, "-out", self.cert, "-days", "3650",
                    "-subj", f"/CN=test {name}",
                    "-addext", "basicConstraints=critical,CA:TRUE",
                    "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature")

    def path(self, name):
        return os.path.join(self.folder, name)

    def _sign(self, name, subject, extensions, begins, ends):
        """`openssl ca`, as it alone takes dates to the second."""
        cert, key, request = (self.path(f"{name}.{kind}") for kind in ("pem", "key", "csr"))
        config, index = self.path(f"{name}.cnf"), self.path(f"{name}.index")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", request, "-subj", subject)
        with open(config, "w", encoding="utf-8") as file:
            file.write("[ca]\ndefault_ca=own\n[own]\n"
                       f"database={index}\nnew_certs_dir={self.folder}\nrand_serial=yes\n"
                       "default_md=sha256\npolicy=any\nunique_subject=no\nx509_extensions=ext\n"
                       "[any]\norganizationName=optional\ncommonName=supplied\n[ext]\n"
                       "basicConstraints=critical,CA:FALSE\n"
                       "keyUsage=critical,digitalSignature\n" + "\n".join(extensions) + "\n")
        open(index, "w", encoding="utf-8").close()
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.cert, "-keyfile",
                self.key, "-in", request, "-out", cert, "-startdate", stamp(begins),
                "-enddate", stamp(ends), "-preserveDN")
        for left in (request, config, index, index + ".old", index + ".attr",
                     index + ".attr.old"):
            if os.path.exists(left):
                os.unlink(left)
        with open(cert, "rb") as file:
            self._drop_copy(file.read())
        os.chmod(key, 0o600)
        return cert, key

    def _drop_copy(self, pem):
        serial = openssl("x509", "-noout", "-serial", data=pem).decode().strip().split("=")[1]
        copy = self.path(f"{serial}.pem")
        if os.path.exists(copy):
            os.unlink(copy)

    def server(self, name, names, begins=None, ends=None):
        now = time.time()
        return self._sign(name, f"/CN={name}", ["extendedKeyUsage=serverAuth",
                                                f"subjectAltName={san_text(names)}"],
                          begins or now - 3600, ends or now + 86400 * 365)

    def client(self, file_name, name=None, organisation="system:nodes", begins=None, ends=None):
        """(certificate, key) of O=system:nodes, CN=system:node:FILE_NAME unless told."""
        now = time.time()
        subject = (f"/O={organisation}" if organisation else "") + \
            f"/CN={name or 'system:node:' + file_name}"
        return self._sign(file_name, subject, ["extendedKeyUsage=clientAuth"],
                          begins or now - 3600, ends or now + 86400 * 365)

    def kubelet(self, folder, node, **options):
        """A new pair as the kubelet stores it; the symlink's path. Again: rotation."""
        os.makedirs(folder, exist_ok=True)
        cert, key = self.client(node, **options)
        stored = os.path.join(folder, f"kubelet-client-{time.time_ns()}.pem")
        with open(os.open(stored, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            for part in (cert, key):
                with open(part, "rb") as source:
                    file.write(source.read())
        link = os.path.join(folder, "kubelet-client-current.pem")
        os.symlink(os.path.basename(stored), link + ".new")
        if os.path.lexists(link):
            os.unlink(link)  # as the kubelet does: the path is briefly absent
        os.rename(link + ".new", link)
        return link


def write_kubeconfig(path, server, ca=None, cert=None, key=None, token=None, token_file=None,
                     data=False, cluster=(), user=()):
    """As kubeadm writes kubelet.conf; `cluster` and `user` are further "key: value" lines."""
    def field(name, file):
        if not file:
            return []
        if not data:
            return [f"{name}: {file}"]
        with open(file, "rb") as source:
            return [f"{name}-data: {base64.b64encode(source.read()).decode()}"]

    cluster = [*field("certificate-authority", ca), f"server: {server}", *cluster]
    user = [*field("client-certificate", cert), *field("client-key", key),
            *([f"token: {token}"] if token else []),
            *([f"tokenFile: {token_file}"] if token_file else []), *user]
    lines = ["apiVersion: v1", "clusters:", "- cluster:", *(f"    {line}" for line in cluster),
             "  name: kubernetes", "contexts:", "- context:", "    cluster: kubernetes",
             "    user: default-auth", "  name: default-context",
             "current-context: default-context", "kind: Config", "preferences: {}", "users:",
             "- name: default-auth", "  user:" + ("" if user else " {}"),
             *(f"    {line}" for line in user)]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    temporary = path + ".tmp"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    os.rename(temporary, path)
    return path


def main(arguments):
    folder, verb, *rest = arguments
    authority = Authority(folder)
    if verb == "server":
        authority.server(rest[0], rest[1:])
    elif verb == "client":
        authority.client(rest[0])
    elif verb == "kubeconfig":
        path, server, node = rest
        pair = authority.kubelet(os.path.join(folder, f"pki-{node}"), node)
        write_kubeconfig(path, server, authority.cert, pair, pair)


if __name__ == "__main__":
    main(sys.argv[1:])
