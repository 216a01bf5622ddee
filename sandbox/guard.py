"""Run a command that dies with the process that asked for it: `python -I -S guard.py -- command…`.

The asking process holds the other end of our stdin. When that closes (it ended, in whatever way, SIGKILL included) or
our parent changes, the command's process group is ended. SIGTERM is passed on. The command's pid is the first line on
stdout; its own output goes to our stderr. Standard library only: this file is started by path and must start fast.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE_SECONDS = 2.0
POLL_SECONDS = 0.5


def _die_with_guard() -> None:
    # In case the guard itself is killed. It fires when the forking thread ends: the guard has only one.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # gone already; macOS says EPERM for a group of zombies


def _end(child: "subprocess.Popen[bytes]") -> None:
    _signal_group(child.pid, signal.SIGTERM)
    _signal_group(child.pid, signal.SIGCONT)
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()


def guard(command: list[str]) -> int:
    """Run `command` until it ends or our parent does. Returns its exit code (128 + n for signal n)."""
    parent = os.getppid()
    wake, alarm = os.pipe()
    os.set_blocking(alarm, False)
    signal.set_wakeup_fd(alarm)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), process_group=0,
        preexec_fn=_die_with_guard if sys.platform == "linux" else None,  # noqa: PLW1509 - the guard has one thread
    )  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: _signal_group(child.pid, received))
    os.write(sys.stdout.fileno(), f"{child.pid}\n".encode())
    while child.poll() is None:
        readable, _, _ = select.select([0, wake], [], [], POLL_SECONDS)
        if wake in readable:
            os.read(wake, 512)
        if (0 in readable and not os.read(0, 512)) or os.getppid() != parent:
            _end(child)
    _signal_group(child.pid, signal.SIGKILL)  # whatever the command left behind in its group
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    if sys.argv[1:2] != ["--"] or len(sys.argv) < 3:
        sys.exit("usage: guard.py -- command…")
    sys.exit(guard(sys.argv[2:]))
