"""Server does X, client must Y: credential plugins (exec)."""

import json
import os
import time

from fixture import case, check

V1 = "client.authentication.k8s.io/v1"
BETA = "client.authentication.k8s.io/v1beta1"


def plugin(fixture, body, name="plugin", folder="bin"):
    """A plugin: what this shell text does; it leaves a line in `calls` each time."""
    path = fixture.path(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\necho x >>{fixture.path('calls')}\n{body}\n")
    os.chmod(path + ".new", 0o755)
    os.rename(path + ".new", path)
    return path


def answer(version=V1, **status):
    text = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
    return f"cat <<'END'\n{text}\nEND"


def configure(fixture, command, version=V1, *lines):
    fixture.kubeconfig(client=True, user=["exec:", f"  apiVersion: {version}",
                                          f"  command: {command}", *lines])


def calls(fixture):
    try:
        with open(fixture.path("calls"), encoding="utf-8") as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def at(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


@case("wants the token of a plugin (v1), named by a path relative to the kubeconfig",
      "run it without a shell, with its arguments and variables, and once", "-")
def plugin_token(fixture):
    fixture.serve(1, tokens=["secret-token"])
    plugin(fixture, f'printf "%s\\n" "$#" "$@" "$A" "$KUBERNETES_EXEC_INFO" >{fixture.path("told")}\n'
           + answer(token="secret-token"))
    configure(fixture, "./bin/plugin", V1, "  args: ['a b', '$(false)', '']",
              "  env: [{name: A, value: 'x;y'}]")
    client = fixture.client()
    client.wait("replaced")
    with open(fixture.path("told"), encoding="utf-8") as file:
        told = file.read().split("\n")
    check(told[:5] == ["3", "a b", "$(false)", "", "x;y"], f"{told}")
    info = json.loads(told[5])
    check(info == {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False}},
          f"{info}")
    fixture.order("end-watches")
    client.state("connecting")
    client.state("watching")
    check(calls(fixture) == 1, "kept")
    check(not any("secret-token" in str(line) for line in client.seen), "not shown")


@case("wants the token of a v1beta1 plugin, found in PATH, that is told the cluster",
      "run it, with the cluster's server and CA", "-")
def plugin_in_path(fixture):
    fixture.serve(1, tokens=["t"])
    plugin(fixture, f'printf %s "$KUBERNETES_EXEC_INFO" >{fixture.path("told")}\n'
           + answer(BETA, token="t"), "our-plugin")
    configure(fixture, "our-plugin", BETA, "  provideClusterInfo: true")
    client = fixture.client(environment={"PATH": f"{fixture.path('bin')}:{os.environ['PATH']}"})
    client.wait("replaced")
    with open(fixture.path("told"), encoding="utf-8") as file:
        cluster = json.load(file)["spec"]["cluster"]
    check(cluster["server"] == f"https://127.0.0.1:{fixture.api.port}", f"{cluster}")
    check(len(cluster["certificate-authority-data"]) > 100, "the CA")


@case("wants the certificate of a plugin", "show it", "-")
def plugin_certificate(fixture):
    fixture.serve(1)
    pair = []
    for path in fixture.pki.authority.client("w1"):
        with open(path, encoding="utf-8") as file:
            pair.append(file.read())
    plugin(fixture, answer(clientCertificateData=pair[0], clientKeyData=pair[1]))
    configure(fixture, "bin/plugin")
    client = fixture.client()
    check(client.wait("credential")["node"] == "w1", "and our name from it")
    client.wait("replaced")


@case("answers 401 to the plugin's token", "run it again, and go on with the new token",
      "expired or unknown client certificate")
def plugin_refused(fixture):
    fixture.serve(1, tokens=["second"])
    plugin(fixture, f'if [ $(wc -l <{fixture.path("calls")}) -gt 1 ]; then T=second; fi\n'
           + answer(token="TOKEN").replace("'END'", "END").replace("TOKEN", "${T:-first}"))
    configure(fixture, "bin/plugin")
    fixture.client().wait("replaced")
    check(calls(fixture) == 2, f"{calls(fixture)} calls")


@case("is spoken to longer than the plugin's expirationTimestamp", "run it again in time", "-")
def plugin_expires(fixture):
    fixture.serve(1, tokens=["t"])
    plugin(fixture, answer(token="t", expirationTimestamp=at(4)))
    configure(fixture, "bin/plugin")
    fixture.client().wait("replaced")
    check(calls(fixture) == 1, "once")
    fixture.until(lambda: calls(fixture) >= 2, "again before it is over", timeout=6)


@case("waits while the plugin hangs", "end it and its children after the time limit, say so, "
      "keep the loop free, try again", "-")
def plugin_hangs(fixture):
    fixture.serve(1, tokens=["t"])
    plugin(fixture, f"sleep 1000 &\necho $! >{fixture.path('child')}\nwait")
    configure(fixture, "bin/plugin")
    client = fixture.client("--plugin-timeout=400")
    begun = time.monotonic()
    client.status()
    check(time.monotonic() - begun < 0.4, "the loop is free")
    line = client.wait("credential")
    check(not line["usable"] and "did not end in time" in line["error"], f"{line}")
    with open(fixture.path("child"), encoding="utf-8") as file:
        child = file.read().strip()

    def gone():
        try:
            with open(f"/proc/{child}/stat", encoding="ascii") as file:
                return file.read().split()[2] == "Z"
        except OSError:
            return True
    fixture.until(gone, "its child is ended, too")
    plugin(fixture, answer(token="t"))
    client.wait("replaced")


BAD = {
    "exit 3": "status 3",
    "kill -9 $$": "signal 9",
    "echo no json": "JSON object",
    "head -c 2000000 /dev/zero | tr '\\0' x": "more than is taken",
    answer(BETA, token="t"): "ExecCredential of " + V1,
    answer(token=""): "neither token",
    answer(token="secret\nInjected: header"): "printable",
    answer(token="t", expirationTimestamp="tomorrow"): "RFC 3339",
    "echo secret-word >&2; exit 1": "status 1",
}


@case("cannot be spoken to, as the plugin fails, or prints what is no credential",
      "say why and nothing that may be secret, try again", "-")
def plugin_fails(fixture):
    fixture.serve(1, tokens=["t"])
    configure(fixture, "bin/plugin")
    client = fixture.client()
    check("cannot be run" in client.wait("credential")["error"], "there is none")
    for number, (body, error) in enumerate(BAD.items()):
        plugin(fixture, body)
        configure(fixture, "bin/plugin", V1, f"  args: ['{number}']")  # asked anew at once
        client.wait("credential", where=lambda line: error in (line["error"] or ""), timeout=12)
    plugin(fixture, answer(token="t"))
    configure(fixture, "bin/plugin")
    client.wait("replaced", timeout=12)
    check(not any("secret" in str(line) for line in client.seen), "nothing secret")


@case("is spoken to with the plugin's token while the plugin begins to fail",
      "keep the token that is good", "-")
def plugin_fails_later(fixture):
    fixture.serve(1, tokens=["t"])
    plugin(fixture, answer(token="t", expirationTimestamp=at(3)))
    configure(fixture, "bin/plugin")
    client = fixture.watching()
    plugin(fixture, "exit 9")
    line = client.wait("credential", where=lambda line: line["error"])
    check(line["usable"] and "status 9" in line["error"], f"{line}")
    fixture.put("n2", 2)
    client.wait("changed")
    fixture.order("end-watches")
    client.state("watching")


@case("is left at our end, while a plugin runs", "end at once and leave nothing behind", "-")
def plugin_at_the_end(fixture):
    fixture.serve(1)
    plugin(fixture, f"echo $$ >{fixture.path('pid')}\nexec sleep 1000")
    configure(fixture, "bin/plugin")
    client = fixture.client()
    fixture.until(lambda: os.path.exists(fixture.path("pid")) and
                  os.path.getsize(fixture.path("pid")) > 1, "it runs")
    begun = time.monotonic()
    client.close()
    check(time.monotonic() - begun < 3, "at once")
    with open(fixture.path("pid"), encoding="utf-8") as file:
        check(not os.path.exists(f"/proc/{file.read().strip()}"), "nothing is left")


@case("would need a plugin of another version, or one that wants a terminal",
      "refuse the kubeconfig with its name", "-")
def plugin_of_another_kind(fixture):
    fixture.serve(1)
    configure(fixture, "x", "client.authentication.k8s.io/v1alpha1")
    client = fixture.client()
    check("apiVersion" in client.wait("credential")["error"], "the version")
    configure(fixture, "x", V1, "  interactiveMode: Always")
    client.wait("credential", where=lambda line: "interactiveMode" in (line["error"] or ""))
