"""The other node of this cluster, worker-2: it goes on while the guest reboots.

What it holds (keys, peers, its daemon's state) is in FOLDER, on the guest's disk, and is there
again before the first packet: for the guest, and on the cable, it is as if it had never been away.
"""

import argparse
import os
import shutil
import threading
import time

import agent
import kubernetes
import wire
import wireguard
from netns import run, wait_for

FOLDER = "/var/lib/neighbour"
KUBECONFIG = f"{FOLDER}/kubelet.conf"   # it has joined when this is there
KEY = f"{FOLDER}/private.key"
DEVICE = f"{FOLDER}/device.conf"        # `wg showconf`, as it was last
CONFIGURATION = f"{FOLDER}/nodecryptor.conf"


class Agent(agent.Agent):
    """Cilium's, which keeps the device's peers where a reboot of the guest does not touch them."""

    def make_device(self):
        wireguard.create(wireguard.Here, True)
        if os.path.exists(DEVICE):
            with open(DEVICE, encoding="ascii") as file:
                wireguard.synchronise(wireguard.Here, file.read())
        wireguard.up(wireguard.Here)

    def apply(self, peers):
        if peers != self.applied:
            super().apply(peers)
            with open(DEVICE + ".new", "w", encoding="ascii") as file:
                file.write(wireguard.show_configuration(wireguard.Here))
            os.rename(DEVICE + ".new", DEVICE)


class Neighbour(wire.Neighbour):
    def join(self):
        """Its own policy is in force when this returns, and its agent at work."""
        pair = f"{FOLDER}/pki/kubelet-client-current.pem"
        options = argparse.Namespace(
            node=self.node.name, server=f"{kubernetes.SELF.addresses[0]}:{kubernetes.PORT}",
            ca=f"{FOLDER}/ca.pem", pair=pair, key_file=KEY)
        with self.ns.entered():
            follower = Agent(options)
            follower.make_device()
        threading.Thread(target=self._follow, args=(follower,), daemon=True).start()
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
        environment.pop("NOTIFY_SOCKET", None)
        with open(CONFIGURATION, "w", encoding="ascii") as file:
            file.write("")
        with open(f"{FOLDER}/log", "a", encoding="ascii") as log:
            self.ns.spawn("/job/build/src/daemon/nodecryptor", "--config", CONFIGURATION,
                          "--state-directory", f"{FOLDER}/state", "--kubeconfig", KUBECONFIG,
                          stdout=log, stderr=log, env=environment)
        wait_for(self.steers, 60, "the neighbour's policy", every=0.1)

    def _follow(self, follower):
        with self.ns.entered():
            while True:
                try:
                    follower.turn()
                except (OSError, KeyError, RuntimeError):
                    pass                # the API server is away: the peers stay
                time.sleep(0.5)

    def steers(self):
        """Everything to the guest goes into its device."""
        return all(f"dev {wireguard.INTERFACE} " in self.ns.ip(f"route get {address}", check=False)
                   for address in kubernetes.SELF.addresses)


def admit(api):
    """As after `kubeadm join` there."""
    os.makedirs(f"{FOLDER}/state", exist_ok=True)
    shutil.copy(api.authority.cert, f"{FOLDER}/ca.pem")
    pair = api.authority.kubelet(f"{FOLDER}/pki", kubernetes.OTHERS[1].name)
    api.write_kubeconfig(KUBECONFIG, pair)


def handshakes():
    """The public keys of its peers that it has shaken hands with."""
    listed = run("ip", "netns", "exec", "neighbour", "wg", "show", wireguard.INTERFACE,
                 "latest-handshakes", check=False)
    return [line.split()[0] for line in listed.splitlines() if line.split()[1] != "0"]
