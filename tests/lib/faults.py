"""Faults between a daemon and the kernel's netlink, put in by a preloaded library (faults.c).

    faults = Faults(node.daemon)         # before its start
    faults.refuse("NEWROUTE", errno.ENOBUFS)
    faults.set(cut_dumps=1)
    faults.clear()
    faults.kill_in(3)                    # SIGKILL before the third write from now
"""

import mmap
import os
import struct

from daemon import build_folder

FIELDS = ("writes", "kill_before", "refuse_types", "refuse_errno", "refused", "send_errno",
          "lose_answers", "cut_dumps", "interrupt_dumps", "lose_events", "unknown", "unknown_value",
          "no_strict")
COUNTERS = ("writes", "refused")
RTM_BASE = 16
TYPES = {"NEWROUTE": 24, "DELROUTE": 25, "NEWRULE": 32, "DELRULE": 33}


class Faults:
    def __init__(self, daemon):
        path = f"{daemon.node.folder}/faults"
        with open(path, "wb") as file:
            file.write(b"\0" * 4 * len(FIELDS))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        library = os.path.join(build_folder(), "tests", "lib", "faults.so")
        daemon.wrapper = ("env", f"LD_PRELOAD={library}", f"NODECRYPTOR_FAULTS={path}")

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("=I", self.map, 4 * FIELDS.index(name), value)

    def get(self, name):
        return struct.unpack_from("=I", self.map, 4 * FIELDS.index(name))[0]

    def clear(self):
        self.set(**{name: 0 for name in FIELDS if name not in COUNTERS})

    def refuse(self, types, number):
        """Messages of these types ("NEWROUTE NEWRULE") are answered with that errno."""
        self.set(refuse_errno=number,
                 refuse_types=sum(1 << (TYPES[name] - RTM_BASE) for name in types.split()))

    def kill_in(self, number):
        self.set(kill_before=self.get("writes") + number)
