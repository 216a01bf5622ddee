"""A child process that cannot outlive this one, with its output in a file."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

GUARD = Path(__file__).with_name("guard.py")


class GuardedChild:
    """A command under `guard.py`. Not restartable: make a new one."""

    def __init__(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), "--", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is ours alone to answer
            )  # fmt: skip
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """Process id of the command itself. Raises ProcessLookupError if it could not be started."""
        if self._pid is None:
            line = self._guard.stdout.readline() if self._guard.stdout else b""
            if not line.strip():
                raise ProcessLookupError(f"{self._guard.args!r} did not start")
            self._pid = int(line)
        return self._pid

    @property
    def alive(self) -> bool:
        """True until the command has ended."""
        return self._guard.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the command ended: its exit code, 128 + n for signal n; None while it runs."""
        return self._guard.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the command; nothing happens if it has ended."""
        if self.alive:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                psutil.Process(self.pid).send_signal(number)

    def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds. Returns when the command is gone."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)  # a paused process does not see SIGTERM
        try:
            self._guard.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()
        self._close()

    def kill(self) -> None:
        """SIGKILL. Returns when the command is gone."""
        self.send(signal.SIGKILL)
        try:
            self._guard.wait(5)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._close()

    def _close(self) -> None:
        for stream in (self._guard.stdin, self._guard.stdout):
            if stream is not None:
                stream.close()


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for an error message; empty if there is none."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
    except OSError:
        return ""
