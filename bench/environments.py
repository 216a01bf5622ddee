"""The interpreters of the peers: each peer has a virtual environment of its own, made from its locked requirements."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".bench"
REQUIREMENTS = ROOT / "requirements"
PRODUCT = "product"

Say = Callable[[str], None]


class EnvironmentFailed(Exception):
    """A peer's environment could not be made; the text says why."""


def interpreter(name: str, say: Say) -> Path:
    """The Python of environment `product`, `quix` or `faust`, made now if it is missing or its lock has changed.

    Raises EnvironmentFailed."""
    if name == PRODUCT:
        return Path(sys.executable)
    directory = HOME / f"env-{name}"
    python = directory / "bin" / "python"
    lock = REQUIREMENTS / f"bench-{name}.txt"
    if not _current(directory, lock):
        say(f"making the environment of {name} from {lock.relative_to(ROOT)}")
        shutil.rmtree(directory, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(directory)])
        _install(python, lock)
        _seal(directory, lock)
    return python


def library_path(name: str, say: Say) -> Path:
    """A directory to put on the path of the product's own interpreter, so that the library `name` (`uvloop`,
    `confluent`) is the only difference.

    Raises EnvironmentFailed."""
    directory = HOME / f"path-{name}"
    lock = REQUIREMENTS / f"bench-{name}.txt"
    if not _current(directory, lock):
        say(f"fetching {name} as {lock.relative_to(ROOT)} says")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        _install(Path(sys.executable), lock, "--target", str(directory))
        _seal(directory, lock)
    return directory


def versions(python: Path, *names: str) -> dict[str, str]:
    """Installed versions of distributions, as that interpreter sees them."""
    code = "import sys, importlib.metadata as m; print(*(m.version(name) for name in sys.argv[1:]))"
    found = subprocess.run([python, "-c", code, *names], capture_output=True, text=True, check=True)
    return dict(zip(names, found.stdout.split(), strict=True))


def _install(python: Path, lock: Path, *more: str) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "--no-deps", *more, "-r", str(lock)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2_000:]}")


def _fingerprint(lock: Path) -> str:
    return f"{hashlib.sha256(lock.read_bytes()).hexdigest()} python {sys.version}"


def _current(directory: Path, lock: Path) -> bool:
    seal = directory / "bench.lock"
    return seal.exists() and seal.read_text(encoding="utf-8") == _fingerprint(lock)


def _seal(directory: Path, lock: Path) -> None:
    (directory / "bench.lock").write_text(_fingerprint(lock), encoding="utf-8")
