"""The servers the suite runs over: how each is installed, in an environment of its own, and started."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sandbox.aws.process import StandInProcess
from sandbox.child import GuardedChild
from sandbox.ports import LOOPBACK, free_ports

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
HOME = ROOT / ".venv-conformance"
ACCOUNT = "000000000000"
START_SECONDS = 60.0
STOP_SECONDS = 5.0
# kinesis-local takes its time for changes otherwise.
QUICK = (
    "CREATE_STREAM", "DELETE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS", "UPDATE_SHARD_COUNT", "START_STREAM_ENCRYPTION",
    "STOP_STREAM_ENCRYPTION", "UPDATE_STREAM_MODE",
)  # fmt: skip


class TargetFailed(Exception):
    """A target cannot be installed or does not start; the text says why."""


@contextmanager
def stand_in() -> Iterator[str]:
    """The child process any user has, by the real clock."""
    with StandInProcess(["--account", ACCOUNT]) as started:
        yield started.url


@contextmanager
def moto() -> Iterator[str]:
    """moto's server, from requirements/conformance.txt."""
    lock = REQUIREMENTS / "conformance.txt"
    home = HOME / "moto"
    if not _current(home, lock):
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "--no-deps", "-r", str(lock)])
        _seal(home, lock)
    [port] = free_ports(1)
    command = [str(home / "bin" / "moto_server"), "-H", LOOPBACK, "-p", str(port)]
    with _running("moto", command, {"MOTO_ACCOUNT_ID": ACCOUNT}, port) as url:
        yield url


@contextmanager
def kinesis_local() -> Iterator[str]:
    """kinesis-local on Node.js, from requirements/kinesis-local/package-lock.json."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise TargetFailed(f"kinesis-local needs {program}, and there is none")
    lock = REQUIREMENTS / "kinesis-local" / "package-lock.json"
    home = HOME / "kinesis-local"
    if not _current(home, lock):
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(lock.parent, home)
        # Nothing of the package runs before the server itself does.
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(home)])
        _seal(home, lock)
    package = home / "node_modules" / "kinesis-local"
    plain, tls = free_ports(2)
    environment = {f"{change}_DURATION": "10ms" for change in QUICK} | {
        "KINESIS_MOCK_CERT_PATH": str(package / "server.json"),
        "KINESIS_MOCK_PLAIN_PORT": str(plain),
        "KINESIS_MOCK_TLS_PORT": str(tls),
        "AWS_ACCOUNT_ID": ACCOUNT,
        "SHARD_LIMIT": "500",
        "LOG_LEVEL": "ERROR",
    }
    with _running("kinesis-local", ["node", str(package / "main.js")], environment, plain) as url:
        yield url


TARGETS = {"stand-in": stand_in, "moto": moto, "kinesis-local": kinesis_local}


@contextmanager
def _running(name: str, command: list[str], environment: Mapping[str, str], port: int) -> Iterator[str]:
    log = HOME / f"{name}.log"
    child = GuardedChild(command, log=log, environment=os.environ | environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(port):
            if not child.alive or time.monotonic() > deadline:
                raise TargetFailed(f"{name} did not start; see {log.relative_to(ROOT)}")
            time.sleep(0.05)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        child.stop(STOP_SECONDS)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TargetFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2_000:]}")


def _fingerprint(lock: Path) -> str:
    return f"{hashlib.sha256(lock.read_bytes()).hexdigest()} python {sys.version}"


def _current(home: Path, lock: Path) -> bool:
    seal = home / "conformance.lock"
    return seal.exists() and seal.read_text(encoding="utf-8") == _fingerprint(lock)


def _seal(home: Path, lock: Path) -> None:
    (home / "conformance.lock").write_text(_fingerprint(lock), encoding="utf-8")
