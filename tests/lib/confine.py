#!/usr/bin/python3
"""Runs a program as its unit would have systemd run it, where PID 1 is not systemd:

    confine.py UNIT FOLDER… -- PROGRAM [ARGUMENT…]

as a user of its own with the unit's capabilities, system calls, address families, W^X and umask.
The folders are made the user's, as StateDirectory= and RuntimeDirectory= are. What is not done here
(mount namespaces, cgroups) is tested in the VM.
"""

import ctypes
import os
import signal
import subprocess
import sys

import seccomp

USER = 64999                            # nobody's: whatever it may do, it may by capabilities
PR_SET_KEEPCAPS, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 8, 24, 38, 47
PR_CAP_AMBIENT_RAISE = 2
CAP_LAST = 63
CAPABILITIES = {"CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}
PROT_WRITE, PROT_EXEC = 2, 4
# What systemd's own sets hold besides what they list
ALWAYS = ("execve", "exit", "exit_group", "rt_sigreturn", "sigreturn")

libc = ctypes.CDLL(None, use_errno=True)


def settings(unit):
    """{key: [its values, in order]} of a unit file."""
    found = {}
    with open(unit, encoding="utf-8") as file:
        for line in file:
            key, equals, value = line.strip().partition("=")
            if equals and not line.startswith("#"):
                found.setdefault(key, []).append(value)
    return found


def system_calls(name, known):
    """The members of a set such as @system-service, and of the sets in it."""
    if not name.startswith("@"):
        return {name}
    if name not in known:
        listed = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name],
                                capture_output=True, text=True, check=True).stdout.splitlines()[1:]
        words = [line.strip() for line in listed if line.strip() and "#" not in line]
        known[name] = set().union(*(system_calls(word, known) for word in words))
    return known[name]


def allowed_calls(unit):
    """SystemCallFilter=, whose first line is a list of what is allowed."""
    known, allowed = {}, set(ALWAYS)
    for line in unit["SystemCallFilter"]:
        names = set().union(*(system_calls(name, known) for name in line.lstrip("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def make_filter(unit):
    refused = seccomp.ERRNO(1)          # EPERM
    found = seccomp.SyscallFilter(refused)
    special = {"socket", "mmap", "mprotect", "pkey_mprotect"}
    for name in sorted(allowed_calls(unit) - special):
        try:
            found.add_rule(seccomp.ALLOW, name)
        except RuntimeError:
            pass                        # not on this machine
    for family in " ".join(unit["RestrictAddressFamilies"]).split():
        found.add_rule(seccomp.ALLOW, "socket", seccomp.Arg(0, seccomp.EQ, FAMILIES[family]))
    assert unit["MemoryDenyWriteExecute"] == ["yes"]
    for bits in (0, PROT_WRITE, PROT_EXEC):
        found.add_rule(seccomp.ALLOW, "mmap",
                       seccomp.Arg(2, seccomp.MASKED_EQ, PROT_WRITE | PROT_EXEC, bits))
    for name in ("mprotect", "pkey_mprotect"):
        found.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, seccomp.MASKED_EQ, PROT_EXEC, 0))
    return found


def checked(result, what):
    if result:
        raise OSError(ctypes.get_errno(), what)


def set_capabilities(numbers):
    """Permitted, effective and inheritable: capset(2), version 3."""
    low = sum(1 << number for number in numbers)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(low, low, low, 0, 0, 0)
    checked(libc.capset(header, data), "capset")


def become_user(unit):
    bounding, ambient = ([CAPABILITIES[name] for name in " ".join(unit[key]).split()]
                         for key in ("CapabilityBoundingSet", "AmbientCapabilities"))
    for number in range(CAP_LAST + 1):
        if number not in bounding:
            libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)    # EINVAL beyond the kernel's last
    checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keep capabilities")
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    set_capabilities(ambient)
    for number in ambient:
        checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0), "ambient")
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    os.umask(int(unit["UMask"][0], 8))


def own(folder):
    for place, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            os.chown(os.path.join(place, name), USER, USER, follow_symlinks=False)


def main():
    split = sys.argv.index("--")
    unit, command = settings(sys.argv[1]), sys.argv[split + 1:]
    for folder in sys.argv[2:split]:
        own(folder)
    rules = make_filter(unit)
    become_user(unit)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    rules.load()
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
