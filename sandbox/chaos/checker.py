"""The offline checker: pure functions over the evidence of one run. A doubt is never a PASS."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sandbox.chaos import bridged, exactly_once, outside, process, published, stall
from sandbox.chaos.evidence import Evidence, Finding

CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    *exactly_once.CHECKS, *outside.CHECKS, *bridged.CHECKS, *published.CHECKS, *process.CHECKS,
    *stall.CHECKS,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """FAIL: an invariant is broken. UNKNOWN: none is, but a fault did not fire or a reader saw not everything."""

    verdict: Literal["PASS", "FAIL", "UNKNOWN"]
    findings: tuple[Finding, ...]
    doubts: tuple[str, ...]
    figures: dict[str, Any]
    ended: bool = True
    """Whether the run came to its end."""


def check(evidence: Evidence) -> Verdict:
    """Judge one run."""
    findings = tuple(finding for one in CHECKS for finding in one(evidence))
    doubts = tuple(doubts_of(evidence))
    verdict: Literal["PASS", "FAIL", "UNKNOWN"] = "FAIL" if findings else "UNKNOWN" if doubts else "PASS"
    broken = {finding.invariant: finding.count for finding in findings}
    figures = (
        evidence.figures()
        | stall.figures(evidence)
        | published.figures(evidence)
        | {
            "lost": broken.get("lost", 0) + broken.get("delivered", 0),
            "duplicated": broken.get("duplicated", 0) + broken.get("receipts", 0),
            "order_errors": sum(
                broken.get(name, 0) for name in ("order", "version", "counter", "sink-order", "lineage")
            ),
        }
    )
    return Verdict(verdict, findings, doubts, figures, not evidence.final.get("aborted"))


def doubts_of(evidence: Evidence) -> Iterator[str]:
    """Why a run without findings proves nothing."""
    final, plan = evidence.final, evidence.plan
    if final.get("aborted"):
        yield f"the run did not come to its end: {final['aborted']}"
        return
    for number, action in enumerate(plan.actions):
        event = evidence.faults.get(number)
        if event is None or not event.get("fired"):
            proof = json.dumps(event.get("proof", {}))[:200] if event else "never begun"
            yield f"fault {number} ({action.kind} of {action.target} at {action.at:g} s) did not fire: {proof}"
    for topic, dump in final["topics"].items():
        if not dump["complete"]:
            yield f"the reader of {topic} did not reach its end"
    yield from published.doubts(evidence)
    if not evidence.source:
        yield "nothing was produced"
    last: dict[str, int] = {}
    for row in evidence.source:
        if row.number <= last.get(row.key, 0):
            yield f"the source itself is out of order: {row.key} version {row.number} at {row.where}"
            break
        last[row.key] = row.number
    if "count" in plan.workload.stages and final.get("fresh") is None:
        yield "no fresh worker showed its tables"
