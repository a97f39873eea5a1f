"""A system bus of the test's own, at the usual place, which netns.isolate() has made ours.

    bus = systembus.SystemBus(folder)
    bus.start()                          # at /run/dbus/system_bus_socket, with conf/'s policy
    systembus.properties()               # {name: value} of org.nodecryptor1.Manager
    systembus.call("Reload")             # (None, value) or ("org.…Error.…", text)
    bus.stop(); bus.kill(); bus.freeze(); bus.thaw()
"""

import json
import os
import re
import signal
import subprocess

import confine
from netns import wait_for

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POLICY = os.path.join(REPOSITORY, "conf/org.nodecryptor1.conf")
SOCKET = "/run/dbus/system_bus_socket"
NAME, PATH, INTERFACE = "org.nodecryptor1", "/org/nodecryptor1", "org.nodecryptor1.Manager"
LOG_PATH, LOG_INTERFACE = "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1"
PROPERTIES = "org.freedesktop.DBus.Properties"
# The policy of a distribution's system.conf, as far as it matters here
CONFIGURATION = """
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Introspectable"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"
          send_member="UpdateActivationEnvironment"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
  {more}
</busconfig>
"""
INCLUDE = f'<include>{POLICY}</include>'
# Anybody may call anything: what is refused then is refused by the daemon itself
OPEN = INCLUDE + f'<policy context="default"><allow send_destination="{NAME}"/></policy>'
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def name_user(folder):
    """Gives the confined daemon's user its name: a bus lets in only whom it finds by name."""
    passwd = os.path.join(folder, "passwd")
    with open("/etc/passwd", encoding="utf-8") as file, open(passwd, "w", encoding="utf-8") as ours:
        ours.write(file.read() + f"nodecryptor:x:{confine.USER}:{confine.USER}::/:/bin/false\n")
    subprocess.run(["mount", "--bind", passwd, "/etc/passwd"], check=True)


class SystemBus:
    def __init__(self, folder):
        if "NODECRYPTOR_CONFINED" in os.environ:
            name_user(folder)
        self.path = os.path.join(folder, "system-bus.conf")
        self.process = None

    def configure(self, more=INCLUDE):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(socket=SOCKET, more=more))

    def start(self, more=INCLUDE):
        self.configure(more)
        os.makedirs(os.path.dirname(SOCKET), exist_ok=True)
        with open(self.path + ".log", "ab") as log:
            self.process = subprocess.Popen(
                ["dbus-daemon", f"--config-file={self.path}", "--nofork", "--nopidfile"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(lambda: names() is not None, 10, "the system bus")
        return self

    def reload(self, more):
        self.configure(more)
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """As at a restart of dbus.service without its socket unit: the socket is left behind."""
        self.process.terminate()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)


def busctl(*arguments, prefix=()):
    """(error text or None, what it printed as JSON, or None)."""
    done = subprocess.run([*prefix, "busctl", "--system", "--json=short", "--timeout=10",
                           *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip(), None
    return None, json.loads(done.stdout) if done.stdout.strip() else None


def names():
    """Who is on the bus; None while there is none."""
    error, answer = busctl("call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "ListNames")
    return None if error else answer["data"][0]


def wait_named(seconds=30):
    wait_for(lambda: NAME in (names() or ()), seconds, f"{NAME} on the bus")


def plain(value):
    """Without the types that busctl writes beside the values."""
    if isinstance(value, dict) and set(value) == {"type", "data"}:
        return plain(value["data"])
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def properties(path=PATH, interface=INTERFACE, prefix=()):
    error, answer = busctl("call", NAME, path, PROPERTIES, "GetAll", "s", interface, prefix=prefix)
    if error:
        raise RuntimeError(error)
    return plain(answer["data"][0])


def result(method, prefix=()):
    """What a method without arguments returns."""
    error, answer = busctl("call", NAME, PATH, INTERFACE, method, prefix=prefix)
    if error:
        raise RuntimeError(error)
    return plain(answer["data"][0])


def send(path, member, *arguments, prefix=()):
    """("", what was answered) or (the error's name, its text)."""
    done = subprocess.run([*prefix, "dbus-send", "--system", "--print-reply", f"--dest={NAME}",
                           path, member, *arguments],
                          capture_output=True, text=True, check=False, timeout=60)
    if not done.returncode:
        return "", done.stdout
    found = re.match(r"Error (\S+?): ?(.*)", done.stderr, re.S)
    return (found[1], found[2].strip()) if found else (done.stderr, "")


def call(method, *arguments, prefix=()):
    return send(PATH, f"{INTERFACE}.{method}", *arguments, prefix=prefix)


def set_log(name, value, prefix=()):
    return send(LOG_PATH, f"{PROPERTIES}.Set", f"string:{LOG_INTERFACE}", f"string:{name}",
                f"variant:{value}", prefix=prefix)


class Signals:
    """The PropertiesChanged of the manager, as they come: take() → [{name: value}]."""

    def __init__(self):
        match = f"type='signal',path='{PATH}',interface='{PROPERTIES}'"
        self.process = subprocess.Popen(
            ["busctl", "--system", "--json=short", f"--match={match}", "monitor"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.process.stderr.readline()  # "Monitoring bus message stream."
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest = b""

    def take(self):
        self.rest += self.process.stdout.read() or b""
        *lines, self.rest = self.rest.split(b"\n")
        return [plain(json.loads(line)["payload"]["data"][1]) for line in lines if line.strip()]

    def close(self):
        self.process.kill()
        self.process.wait()
