"""Run a command as an unprivileged user: `python -I -S unprivileged.py user -- command…`, started by root.

PostgreSQL refuses to run as root. The command keeps one capability, to reach into directories: a sandbox and the
environment it is installed in may lie below root's home, where nobody else may look. Standard library only: this file
is started by path and must start fast.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 28, 47, 2
"""linux/prctl.h"""
SECBIT_NO_SETUID_FIXUP = 1 << 2  # linux/securebits.h
CAP_DAC_OVERRIDE = 1  # linux/capability.h
CAPABILITY_VERSION_3 = 0x20080522


def become(user: str) -> None:
    """Be `user` from now on. Raises KeyError if there is no such user, PermissionError if we are not root."""
    entry = pwd.getpwnam(user)
    linux = sys.platform == "linux"
    if linux:
        ctypes.CDLL(None).prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # initdb asks access(2) for its programs, which forgets the capabilities of other users than root without this.
        ctypes.CDLL(None).prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    if linux:
        _keep_reaching_in()
        # Changing the user has cleared what the guard asked for.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _keep_reaching_in() -> None:
    # Where a container has taken the capability away, both calls fail, and the command tells what it cannot reach.
    word = ctypes.c_uint32
    header = (word * 2)(CAPABILITY_VERSION_3, 0)
    bit = 1 << CAP_DAC_OVERRIDE
    sets = (word * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; then the same for bits from 32 on
    libc = ctypes.CDLL(None)
    libc.capset(ctypes.byref(header), ctypes.byref(sets))
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


if __name__ == "__main__":
    if sys.argv[2:3] != ["--"] or len(sys.argv) < 4:
        sys.exit("usage: unprivileged.py user -- command…")
    become(sys.argv[1])
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606  there is no shell, and none is wanted
