"""Takes a rule away as fast as it comes back: `fighter.py FAMILY PRIORITY TABLE`, until it is ended.

It keeps one netlink socket, whose port id is the number of the process, named "fighter".
"""

import ctypes
import os
import signal
import socket
import struct
import sys
import time

RTM_DELRULE = 33
NLM_F_REQUEST, NLM_F_ACK = 1, 4
FRA_PRIORITY, FRA_TABLE = 6, 15
FR_ACT_TO_TBL = 1
PR_SET_NAME = 15


def request(family, priority, table):
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    body = struct.pack("=BBBBBBBBI", kind, 0, 0, 0, 0, 0, 0, FR_ACT_TO_TBL, 0)
    for attribute, value in ((FRA_PRIORITY, priority), (FRA_TABLE, table)):
        body += struct.pack("=HHI", 8, attribute, value)
    return struct.pack("=IHHII", 16 + len(body), RTM_DELRULE, NLM_F_REQUEST | NLM_F_ACK, 1,
                       0) + body


def main(family, priority, table):
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"fighter", 0, 0, 0)
    ended, taken = [], 0
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(True))
    message = request(family, priority, table)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((os.getpid(), 0))
        print("ready", flush=True)
        while not ended:
            kernel.send(message)
            if struct.unpack_from("=i", kernel.recv(8192), 16)[0] == 0:
                taken += 1
            else:
                time.sleep(0.001)
    print(taken, flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
