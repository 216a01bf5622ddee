"""The jars of Apache Kafka: fetched by Maven coordinates, each checked against `jars.sha256`.

`jars.sha256` names every jar by its path in a Maven repository, which is its coordinates, so that no POM is read to
fetch them. `python -m sandbox.kafka --pin` writes the file anew (after a change of VERSION).
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from workers.failures import CommandError, UnreachableError

VERSION = "4.1.2"
# Kafka logs through slf4j and brings no binding of its own; this one writes to stderr and needs no file.
ENDPOINTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.slf4j:slf4j-simple:1.7.36")
PINS = Path(__file__).with_name("jars.sha256")
PARALLEL = 4
ATTEMPTS = 3
TIMEOUT_SECONDS = 30
ABANDONED_SECONDS = 3600

Report = Callable[[str], None]


class FetchError(Exception):
    """A jar could not be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One file of the distribution: `path` is relative to a Maven repository, e.g. `org/x/y/1.0/y-1.0.jar`."""

    sha256: str
    path: str

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def coordinates(self) -> tuple[str, str, str]:
        """(group, artifact, version)."""
        *group, artifact, version, _ = self.path.split("/")
        return ".".join(group), artifact, version


Fetch = Callable[[Jar, Path], Path]


def cache_directory(configured: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """`configured`, else CDC_CACHE_DIR, else `cdc-worker` in the user's cache directory."""
    if configured is not None:
        return configured.expanduser().absolute()
    if own := environ.get("CDC_CACHE_DIR"):
        return Path(own).expanduser().absolute()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "cdc-worker"


def pinned_jars(pins: Path = PINS) -> list[Jar]:
    """What `jars.sha256` lists, in class path order."""
    lines = (line.split() for line in pins.read_text(encoding="utf-8").splitlines() if line.strip())
    return [Jar(sha256, path) for sha256, path in lines]


def class_path(cache: Path, jars: list[Jar] | None = None) -> str:
    """Value of java's `-cp`."""
    return os.pathsep.join(str(_place(cache) / jar.path) for jar in jars or pinned_jars())


def install(cache: Path, *, jars: list[Jar] | None = None, fetch: Fetch | None = None, report: Report) -> int:
    """Fetch the jars that are missing or wrong; returns how many. Files that are there and right are left alone.

    Raises UnreachableError if a jar cannot be fetched and CommandError if its checksum is wrong; both name the file.
    """
    place = _place(cache)
    wanted = [jar for jar in jars or pinned_jars() if _sha256(place / jar.path) != jar.sha256]
    if not wanted:
        return 0
    place.mkdir(parents=True, exist_ok=True)
    for abandoned in place.glob(".incoming-*"):
        # Left by a set-up that was killed; a younger one may be another set-up at work.
        if time.time() - abandoned.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(abandoned, ignore_errors=True)
    report(f"fetching {len(wanted)} jars of Apache Kafka {VERSION} into {place}")
    with (
        tempfile.TemporaryDirectory(prefix=".incoming-", dir=place) as incoming,
        ThreadPoolExecutor(PARALLEL) as pool,
    ):
        tasks = [pool.submit(_install_one, jar, place, Path(incoming), fetch or fetch_by_maven) for jar in wanted]
        try:
            for number, (jar, task) in enumerate(zip(wanted, tasks, strict=True), start=1):
                size = task.result()
                report(f"[{number}/{len(wanted)}] {jar.name} {size / 1e6:.1f} MB")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return len(wanted)


def _place(cache: Path) -> Path:
    return cache / "kafka-jars"


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


def _install_one(jar: Jar, place: Path, incoming: Path, fetch: Fetch) -> int:
    try:
        fetched = fetch(jar, incoming)
    except FetchError as error:
        raise UnreachableError(
            f"could not fetch {jar.name}: {error}",
            hint="check the network (or the proxy in HTTPS_PROXY) and run `python -m sandbox.kafka --setup` again; "
            "what was fetched is kept",
        ) from None
    actual = _sha256(fetched)
    if actual != jar.sha256:
        raise CommandError(
            f"{jar.name} has SHA-256 {actual}, expected {jar.sha256}",
            hint="it is not the file that was pinned and was not kept: run `python -m sandbox.kafka --setup` again; if "
            "it stays so, something between this machine and the repository alters files",
        )
    target = place / jar.path
    target.parent.mkdir(parents=True, exist_ok=True)
    size = fetched.stat().st_size
    fetched.replace(target)
    return size


def _maven(repo_cache: Path) -> Any:
    # Imported here: starting Kafka with the jars in place needs neither jgo nor requests.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    # A mirror is a `central = URL` line in the [repositories] section of jgo's own settings file.
    remotes = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    return MavenContext(repo_cache=repo_cache, remote_repos=remotes, timeout=TIMEOUT_SECONDS)


def fetch_by_maven(jar: Jar, incoming: Path) -> Path:
    """Download a jar below `incoming`. Raises FetchError after ATTEMPTS attempts."""
    import requests  # noqa: PLC0415

    group, artifact, version = jar.coordinates
    wanted = _maven(incoming).project(group, artifact).at_version(version).artifact()
    reason = ""
    for attempt in range(ATTEMPTS):
        time.sleep(attempt)  # 0, 1, 2 seconds
        with contextlib.suppress(FileNotFoundError):
            (incoming / jar.path).unlink()  # jgo takes a torn file for a whole one
        try:
            path: Path = wanted.resolve()
        except (requests.RequestException, RuntimeError, OSError) as error:
            reason = _first_cause(error)
        else:
            return path
    raise FetchError(reason)


def _first_cause(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return f"{type(error).__name__}: {error}".splitlines()[0]


def pin(pins: Path, *, report: Report) -> list[Jar]:
    """Resolve ENDPOINTS with all they need and write their sums to `pins`. It trusts what it gets: review the diff."""
    with tempfile.TemporaryDirectory(prefix="cdc-pin-") as directory:
        context = _maven(Path(directory))
        dependencies = []
        for endpoint in ENDPOINTS:
            group, artifact, version = endpoint.split(":")
            component = context.project(group, artifact).at_version(version)
            dependencies.append(_dependency(component.artifact()))
        direct, transitive = context.resolver.resolve(dependencies)
        jars: dict[str, Jar] = {}
        for item in [*direct, *(each for each in transitive if each.scope in ("compile", "runtime"))]:
            file = item.artifact.resolve()
            path = file.relative_to(directory).as_posix()
            jars[path] = Jar(_sha256(file) or "", path)
            report(path)
    text = "".join(f"{jar.sha256}  {jar.path}\n" for jar in sorted(jars.values(), key=lambda jar: jar.path))
    draft = pins.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    shutil.move(draft, pins)
    return list(jars.values())


def _dependency(artifact: Any) -> Any:
    from jgo.maven import Dependency  # noqa: PLC0415

    return Dependency(artifact, scope="compile")
