"""What is installed here: versions of the product, of Python and of what it stands on, extras, and the commit."""

import json
import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from models.sources.dms_typed import COMPILED

PRODUCT = "cdc-worker"
STANDS_ON = ("faust-streaming", "mode-streaming", "aiokafka", "aiohttp", "boto3", "pydantic", "click")
NOT_EXTRAS = ("dev", "testing")
ROOT = Path(__file__).parents[1]
GIT_SECONDS = 5.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Version:
    """Everything a report of a bug needs."""

    version: str
    commit: str | None
    """Full hash, if it was installed from Git or runs in a checkout; `-dirty` behind it if files differ."""
    compiled: bool
    """Whether the modules on the way of a change are machine code (docs/decisions/0065)."""
    python: str
    platform: str
    dependencies: dict[str, str]
    extras: dict[str, bool]
    """Whether everything that an extra needs is installed."""

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)


@cache
def version() -> Version:
    """Looks at installed packages only; of a checkout Git is asked for the commit."""
    return Version(
        version=metadata.version(PRODUCT),
        commit=_commit(),
        compiled=is_compiled(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        dependencies={name: found for name in STANDS_ON if (found := installed(name)) is not None},
        extras=_extras(),
    )


def is_compiled() -> bool:
    """Whether this is the compiled build."""
    return COMPILED


def installed(name: str) -> str | None:
    """The version of a distribution, None without it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _extras() -> dict[str, bool]:
    found: dict[str, bool] = {}
    for line in metadata.requires(PRODUCT) or ():
        needed, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", marker)
        name = _NAME.match(needed.strip())
        if extra is not None and name is not None and extra[1] not in NOT_EXTRAS:
            # botocore is there anyway; what its extra brings is named for it
            distribution = "awscrt" if "[crt]" in needed else name[0]
            found[extra[1]] = found.get(extra[1], True) and installed(distribution) is not None
    return dict(sorted(found.items()))


def _commit() -> str | None:
    try:
        told = metadata.distribution(PRODUCT).read_text("direct_url.json")
        commit = json.loads(told or "{}").get("vcs_info", {}).get("commit_id")
    except (metadata.PackageNotFoundError, ValueError):
        commit = None
    return str(commit) if commit else _commit_of_checkout()


def _commit_of_checkout() -> str | None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return None
    words = [git, "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=GIT_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.strip() or None
