"""The WireGuard device as Cilium's agent makes it.

The kernel's WireGuard where there is one, else wireguard-go: `place` is anything with .run() and
.spawn(), a netns.Namespace or Here (the process's own namespaces).
"""

import os
import subprocess

from netns import run, wait_for

INTERFACE = "cilium_wg0"
PORT = 51871
MARK = "0xe00"
MTU = 1420


class Here:
    """The namespaces the process is in."""

    @staticmethod
    def run(*command, check=True, text=None):
        return run(*command, check=check, text=text)

    @staticmethod
    def spawn(*command, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, **options)


def in_kernel(place):
    """True when the kernel has WireGuard itself."""
    try:
        place.run("ip", "link", "add", "wgprobe", "type", "wireguard")
    except RuntimeError:
        return False
    place.run("ip", "link", "del", "wgprobe")
    return True


def exists(place):
    return bool(place.run("ip", "link", "show", INTERFACE, check=False))


def create(place, kernel):
    """The device, without key and peers, down. The wireguard-go process, or None."""
    if kernel:
        place.run("ip", "link", "add", INTERFACE, "type", "wireguard")
        place.run("ip", "link", "set", INTERFACE, "mtu", str(MTU))
        return None
    environment = {**os.environ, "WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error",
                   "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1"}
    process = place.spawn("wireguard-go", "-f", INTERFACE, env=environment,
                          stdout=subprocess.DEVNULL)    # what goes wrong it says on stderr
    wait_for(lambda: process.poll() is not None or
             place.run("wg", "show", INTERFACE, "listen-port", check=False),
             60, "wireguard-go answers", every=0.005)
    if process.poll() is not None:
        raise RuntimeError(f"wireguard-go ended with status {process.returncode}")
    place.run("ip", "link", "set", INTERFACE, "mtu", str(MTU), "addrgenmode", "none")
    return process


def delete(place, process=None):
    """The device, and with it the wireguard-go behind it."""
    place.run("ip", "link", "del", INTERFACE)
    if process:
        process.wait()
    wait_for(lambda: not place.run("ls", f"/run/wireguard/{INTERFACE}.sock", check=False),
             5, "wireguard-go is gone", every=0.005)


def up(place):
    place.run("ip", "link", "set", INTERFACE, "up")


def down(place):
    place.run("ip", "link", "set", INTERFACE, "down")


def private_key():
    return run("wg", "genkey").strip()


def public_key(private):
    return run("wg", "pubkey", text=private + "\n").strip()


def configuration(private, peers):
    """The text for `wg syncconf`; a peer is (public key, endpoint address, prefixes)."""
    lines = ["[Interface]", f"PrivateKey = {private}", f"ListenPort = {PORT}", f"FwMark = {MARK}"]
    for key, address, prefixes in peers:
        host = f"[{address}]" if ":" in address else address
        lines += ["[Peer]", f"PublicKey = {key}", f"Endpoint = {host}:{PORT}",
                  f"AllowedIPs = {', '.join(prefixes)}"]
    return "\n".join(lines) + "\n"


def synchronise(place, text):
    """Makes the device's key and peers those of the text; sessions that stay are not disturbed."""
    place.run("wg", "syncconf", INTERFACE, "/dev/stdin", text=text)


def show_configuration(place):
    return place.run("wg", "showconf", INTERFACE)


def peers(place):
    """{public key: {"allowed": set of prefixes, "handshake": unix time or 0}}."""
    seen = {}
    for line in place.run("wg", "show", INTERFACE, "dump", check=False).splitlines()[1:]:
        fields = line.split("\t")
        seen[fields[0]] = {"allowed": set(fields[3].split(",")) - {"(none)"},
                           "handshake": int(fields[4])}
    return seen
