"""What the workers did while Kafka stood still: how much they read, how long they asked, what they held."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.chaos.evidence import Evidence, Finding

GROWTH = 8
"""Memory is about three times the data of a page, and the answers on their way come on top."""


@dataclass(slots=True)
class Stalled:
    """One process during the stall."""

    read: int = 0
    """Bytes of data read from Kinesis after the stall had begun."""
    asked_until: float = 0.0
    """Seconds after its begin at which GetRecords was last seen to be called."""
    looked_until: float = 0.0
    """Seconds after its begin at which the worker was last looked at."""
    grown: int = 0
    """Bytes of memory at its largest, more than when it began."""


def window(evidence: Evidence) -> tuple[float, float] | None:
    """(begin, end) of the first freeze of Kafka, in seconds of the history; None if there was none, or it did not
    fire."""
    begun = None
    for event in evidence.history:
        if event["process"] == "nemesis" and event["op"] == "broker-freeze":
            if event["type"] == "invoke":
                begun = event["t"]
            elif begun is not None and event.get("fired"):
                return begun, event["t"]
    return None


def stalled(evidence: Evidence) -> dict[str, Stalled]:
    """{worker and process id: what it did}, as far as it was seen."""
    found: dict[str, Stalled] = defaultdict(Stalled)
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    first: dict[str, int] = {}
    for t, name, rss, reads in _looks(evidence):
        one = found[name]
        one.looked_until = t
        one.grown = max(one.grown, rss - first.setdefault(name, rss))
        for shard, (calls, size) in reads.items():
            before = seen.get((name, shard))
            seen[name, shard] = (calls, size)
            if before is None:
                continue
            # A slot that is opened again has new readers, which count from nought.
            one.read += size - before[1] if calls >= before[0] else size
            if calls != before[0]:
                one.asked_until = t
    return dict(found)


def _looks(evidence: Evidence) -> Iterator[tuple[float, str, int, dict[str, Any]]]:
    """(seconds since the begin of the stall, process, memory, {shard: [calls, bytes]})"""
    during = window(evidence)
    if during is None:
        return
    for event in evidence.history:
        if event["op"] == "stats" and during[0] <= event["t"] <= during[1]:
            reads = event["stages"].get("bridge", {}).get("read", {})
            yield event["t"] - during[0], f"{event['process']}/{event['pid']}", event.get("rss", 0), reads


def figures(evidence: Evidence) -> dict[str, Any]:
    """For the report; empty for a run without a stall."""
    during = window(evidence)
    if during is None or not evidence.plan.workload.bridges:
        return {}
    found = stalled(evidence)
    return {
        "stall_seconds": round(during[1] - during[0], 1),
        "stall_read": {name: one.read for name, one in found.items()},
        "stall_asked_until": {name: round(one.asked_until, 1) for name, one in found.items()},
        "stall_looked_until": {name: round(one.looked_until, 1) for name, one in found.items()},
        "stall_grown": {name: one.grown for name, one in found.items()},
    }


def stalls(evidence: Evidence) -> Iterator[Finding]:
    """`stall`: while Kafka stands still, no worker reads more than it may hold in memory, or grows by more."""
    limit = evidence.plan.limits.get("stall_bytes")
    if limit is None:
        return
    found = stalled(evidence)
    wrong = [
        {"worker": worker, "read": one.read, "grown": one.grown}
        for worker, one in found.items() if one.read > limit or one.grown > GROWTH * limit
    ]  # fmt: skip
    if wrong:
        yield Finding(
            "stall", len(wrong), f"workers that read more than {limit:g} bytes while nothing commits", wrong[0]
        )


CHECKS = (stalls,)
