"""The result of a run, and the table of many."""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from sandbox.chaos.checker import Verdict
from sandbox.chaos.plan import Plan

FILE = "result.json"
COLUMNS = (
    "scenario", "seed", "verdict", "produced", "lost", "duplicated", "order_errors", "faults", "kills", "rebalances",
    "pause_median", "pause_max", "engine_pause_max", "self_exits", "resent", "dead",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """One finished run, as it stands in `result.json`."""

    scenario: str
    seed: int
    verdict: str
    chaos_seconds: float
    run_seconds: float
    figures: Mapping[str, Any]
    findings: tuple[Mapping[str, Any], ...]
    doubts: tuple[str, ...]
    repeat: str
    """One command that does the same run again."""
    ended: bool = True
    """Whether the run came to its end; one that did not is run again by `--resume`."""

    @classmethod
    def of(cls, plan: Plan, verdict: Verdict, directory: Path, seconds: float) -> Self:
        """From the checker's verdict."""
        return cls(
            plan.scenario, plan.seed, verdict.verdict, plan.seconds, round(seconds, 1), verdict.figures,
            tuple(asdict(finding) for finding in verdict.findings), verdict.doubts,
            f"cdc chaos replay {shlex.quote(str(directory / 'plan.json'))}", verdict.ended,
        )  # fmt: skip

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read `result.json`. Raises ValueError, KeyError or TypeError if it is none."""
        return cls(**json.loads(file.read_text(encoding="utf-8")))

    def row(self) -> dict[str, Any]:
        """One line of the report."""
        return {name: getattr(self, name, None) if name in COLUMNS[:3] else self.figures.get(name) for name in COLUMNS}

    def story(self) -> list[str]:
        """What a person needs who has to look into it."""
        lines = [f"{self.verdict} {self.scenario}, seed {self.seed}"]
        for finding in self.findings:
            witness = json.dumps(finding["witness"])
            lines.append(f"  {finding['invariant']}: {finding['count']} {finding['text']}; smallest witness: {witness}")
        lines += [f"  unknown: {doubt}" for doubt in self.doubts]
        return [*lines, f"  repeat it: {self.repeat}"]


def keep(result: Result, directory: Path) -> None:
    """Write `result.json`, whole or not at all."""
    part = directory / f"{FILE}.part"
    part.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    part.rename(directory / FILE)


def finished(directory: Path) -> Result | None:
    """The result of a run that came to its end; None if there is none."""
    try:
        return Result.load(directory / FILE)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def collect(directory: Path) -> list[Result]:
    """All results below a directory, by scenario and seed."""
    found = [finished(file.parent) for file in directory.glob(f"*/{FILE}")]
    return sorted((result for result in found if result is not None), key=lambda one: (one.scenario, one.seed))


def relative(result: Result, command: str) -> Result:
    """The same with another command for repeating it."""
    return replace(result, repeat=command)


def table(results: Iterable[Result]) -> str:
    """The report as text."""
    rows = [[_cell(cell) for cell in result.row().values()] for result in results]
    heads = [name.replace("_", " ") for name in COLUMNS]
    widths = [max(len(line[place]) for line in [heads, *rows]) for place in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) if place in (0, 2) else cell.rjust(width)
                  for place, (cell, width) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in [heads, *rows]
    )  # fmt: skip


def _cell(value: Any) -> str:
    match value:
        case None:
            return "-"
        case Mapping():
            return f"{sum(value.values()):,}"
        case float():
            return f"{value:.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
