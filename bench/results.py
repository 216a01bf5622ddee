"""The file of results: what was measured, on what, in which window; and the ratios that come out of it."""

import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.environments import ROOT

Run = dict[str, Any]
Round = dict[str, Any]


@dataclass(slots=True)
class Results:
    """One JSON file. A round is kept when all its runs are done: nothing is compared across rounds."""

    path: Path
    head: dict[str, Any]
    rounds: list[Round] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, head: dict[str, Any], say: Callable[[str], None]) -> "Results":
        """Go on with the file if it is about the same thing; else put it aside and begin anew."""
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["head"] == head:
                say(f"going on with {path}: {len(found['rounds'])} rounds are there")
                return cls(path, head, found["rounds"])
            aside = path.with_name(f"{path.stem}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
            differs = ", ".join(name for name in head if found["head"].get(name) != head[name])
            say(f"{path} is about another {differs}: kept as {aside.name}")
            path.rename(aside)
        return cls(path, head)

    def done(self, section: str) -> int:
        """Rounds of a section that are there."""
        return sum(1 for one in self.rounds if one["section"] == section)

    def add(self, section: str, window: str, order: Sequence[str], runs: Mapping[str, Run]) -> None:
        """Keep a complete round."""
        self.rounds.append({"section": section, "window": window, "order": list(order), "runs": dict(runs)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps({"head": self.head, "rounds": self.rounds}, indent=1), encoding="utf-8")
        temporary.replace(self.path)

    def of(self, section: str) -> list[Round]:
        """The rounds of a section."""
        return [one for one in self.rounds if one["section"] == section]

    def ratio(self, section: str, figure: str, first: str, second: str) -> float | None:
        """Median over the rounds of `figure` of `first` over that of `second`."""
        pairs = [
            one["runs"][first][figure] / one["runs"][second][figure] for one in self.of(section)
            if first in one["runs"] and second in one["runs"] and one["runs"][second][figure]
        ]  # fmt: skip
        return _rounded(statistics.median(pairs)) if pairs else None

    def median(self, section: str, figure: str, name: str) -> float | None:
        """Median over the rounds of one figure of one peer: for the reader, never to be compared."""
        found = [one["runs"][name][figure] for one in self.of(section) if name in one["runs"]]
        return _rounded(statistics.median(found)) if found else None

    def spread(self, section: str, figure: str, first: str, second: str) -> list[float]:
        """The ratios of all rounds, lowest first."""
        return sorted(
            _rounded(one["runs"][first][figure] / one["runs"][second][figure]) for one in self.of(section)
            if first in one["runs"] and second in one["runs"] and one["runs"][second][figure]
        )  # fmt: skip


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """What this runs on, as far as it changes figures."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": model, "cores": os.cpu_count(), "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "kernel": platform.release(), "python": platform.python_version(),
    }  # fmt: skip


def source_code(*rooms: str) -> str:
    """A fingerprint of what is measured, in these rooms, and of what measures: other code is another result."""
    digest = hashlib.sha256()
    for room in ("bench", *rooms):
        for file in sorted((ROOT / room).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
