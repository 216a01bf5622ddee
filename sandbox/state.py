"""What a running sandbox leaves on disk so that other commands find it, and the lock that says whether it runs."""

import contextlib
import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import psutil

from workers.failures import ConfigurationError

MARKER = ".cdc-sandbox"
STATE = "state.json"
LOG = "sandbox.log"
CLEAR_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PartState:
    """One child process as it was when the sandbox became ready. `started` is psutil's create_time, in seconds."""

    name: str
    address: str
    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """The process, if it is still the same one; a number used again by another process does not count."""
        return same_process(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class SandboxState:
    """A running sandbox: `pid` is the process that keeps it."""

    pid: int
    started: float
    parts: list[PartState]
    environment: dict[str, str] = field(repr=False)  # holds the redaction key and the database's password

    def save(self, directory: Path) -> None:
        """Write it readable for its owner only, all or nothing."""
        draft = directory / f"{STATE}.draft"
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
        draft.replace(directory / STATE)

    @classmethod
    def load(cls, directory: Path) -> "SandboxState | None":
        """The state in `directory`; None if there is none that can be read."""
        try:
            content = json.loads((directory / STATE).read_text(encoding="utf-8"))
            parts = [PartState(**part) for part in content.pop("parts")]
            return cls(parts=parts, **content)
        except (OSError, ValueError, KeyError, TypeError):
            return None


def process_start(pid: int) -> float:
    """psutil's create_time of a living process. Raises psutil.NoSuchProcess."""
    return float(psutil.Process(pid).create_time())


def same_process(pid: int, started: float) -> psutil.Process | None:
    """The process `pid` if it began at `started` and is no zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if abs(process.create_time() - started) < 0.1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def take_lock(directory: Path) -> IO[str] | None:
    """Claim `directory` for a sandbox until the answer is closed or this process ends; None if it is taken.

    Raises ConfigurationError if the directory holds something else: a sandbox empties its directory.
    """
    marker = directory / MARKER
    if directory.is_dir() and not marker.exists() and any(directory.iterdir()):
        raise ConfigurationError(
            f"{directory} is not empty and not a sandbox's", hint="set CDC_SANDBOX_DIR to a directory of its own"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = marker.open("a", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"{directory} cannot be used: {error.strerror}", hint="set CDC_SANDBOX_DIR to a directory of its own"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def keeper(directory: Path) -> int | None:
    """Pid of the process that keeps a sandbox in `directory`, ready or not yet; None if nobody does."""
    try:
        with (directory / MARKER).open("r", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None  # ValueError: it was claimed this instant
    return None


def clear(directory: Path) -> None:
    """Empty the directory of a sandbox nobody keeps any more and end what is left of it. The caller holds the lock."""
    state = SandboxState.load(directory)
    for process in (part.process() for part in (state.parts if state else [])):
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(CLEAR_SECONDS)
    deadline = math.inf
    while remaining := list(_contents(directory)):
        if time.monotonic() > deadline:
            names = ", ".join(path.name for path in remaining)
            raise ConfigurationError(f"{directory} cannot be emptied of {names}", hint="check its permissions")
        for path in remaining:
            # A dying process may still make files: what is left now goes in the next round.
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        # Counted from the end of the first round: thousands of partitions take as long as they take.
        deadline = min(deadline, time.monotonic() + CLEAR_SECONDS)


def remove(directory: Path) -> None:
    """Take away the marker and the directory, once it is clear. The caller holds the lock."""
    (directory / MARKER).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()


def _contents(directory: Path) -> Iterator[Path]:
    # The log of a detached sandbox is open while it starts.
    return (path for path in directory.iterdir() if path.name not in (MARKER, LOG))
