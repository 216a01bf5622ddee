"""Checks of the publisher: the bus took every event, with the same bytes each time, and the offsets say so. What stands
in `outside` about first deliveries, receipts and dead letters holds here, too."""

from collections.abc import Iterator
from typing import Any

from sandbox.chaos.evidence import Evidence, Finding, Row
from sandbox.chaos.publishing import LOOK_SECONDS, STAGE

UNSEEN_SECONDS = LOOK_SECONDS + 4.0
"""After its loss a bus may be sent events for so long: until the next look, on a busy machine."""


def published(evidence: Evidence) -> Iterator[Finding]:
    """`delivered`, `sink-phantom`: the bus took every event and nothing else. What it took while it did not exist went
    nowhere: `nowhere` has a bound of its own (docs/decisions/0048)."""
    if not _publishes(evidence) or not evidence.complete("events"):
        return
    good = {row.uid: row for row in evidence.source if not evidence.is_refused(row.uid)}
    missing = [row for uid, row in good.items() if uid not in evidence.deliveries]
    if missing:
        yield Finding("delivered", len(missing), "events that the bus never took", _witness(missing[0]))
    strange = sorted(uid for uid in evidence.deliveries if uid not in good)
    if strange:
        event = evidence.deliveries[strange[0]][0]
        witness = {"uid": strange[0], "key": event["key"], "request": event["request"]}
        yield Finding("sink-phantom", len(strange), "the bus took what is no event of `events`", witness)


def same_bytes(evidence: Evidence) -> Iterator[Finding]:
    """`same-bytes`: every repeat of an event is the same event, byte for byte."""
    if not _publishes(evidence):
        return
    wrong = [
        {"uid": uid, "key": events[0]["key"], "times": len(events), "requests": [event["request"] for event in events]}
        for uid, events in sorted(evidence.deliveries.items())
        if len({event["digest"] for event in events}) > 1
    ]
    if wrong:
        yield Finding("same-bytes", len(wrong), "events that were repeated with other bytes", wrong[0])


def crowded(evidence: Evidence) -> Iterator[Finding]:
    """`crowded`: no request has two events of one entity."""
    found = evidence.final["bus"]["crowded"] if _publishes(evidence) else []
    if found:
        yield Finding("crowded", len(found), "requests with several events of one entity", found[0])


def nowhere(evidence: Evidence) -> Iterator[Finding]:
    """`nowhere`: a bus that was lost is sent nothing once it was looked for."""
    if not _publishes(evidence):
        return
    proofs = [event.get("proof", {}) for event in evidence.faults.values() if event["op"] == "bus-loss"]
    losses = [(proof["lost"], proof["back"]) for proof in proofs if "lost" in proof]
    wrong = [
        {"uid": event["uid"], "key": event["key"], "seconds": round(min(late), 2) if late else None}
        for event in _gone(evidence)
        if not (late := [event["at"] - lost for lost, back in losses if lost - 1 <= event["at"] <= back + 1])
        or min(late) > UNSEEN_SECONDS
    ]
    if wrong:
        yield Finding("nowhere", len(wrong), "events that a bus took which was known to be gone", wrong[0])


def position(evidence: Evidence) -> Iterator[Finding]:
    """`position`: the committed offsets stand behind the last event of each partition."""
    if not _publishes(evidence) or not evidence.final["drained"].get(STAGE):
        return
    last = {row.partition: row for row in evidence.source}
    committed = evidence.final["committed"].get(STAGE, {})
    wrong = [
        _witness(row) | {"committed": committed.get(str(index))}
        for index, row in sorted(last.items())
        if committed.get(str(index), (-1, ""))[0] <= row.offset
    ]
    if wrong:
        yield Finding("position", len(wrong), "partitions whose committed offset is not behind their end", wrong[0])


def doubts(evidence: Evidence) -> Iterator[str]:
    """Why a run of a publisher proves nothing. A Custom Event Bus tells of no repeat."""
    if not evidence.plan.workload.publishes:
        return
    if not _publishes(evidence):
        yield "the bus does not remember everything it took"
    slow = any(action.kind == "bus-slow" for action in evidence.plan.actions)
    if slow and not evidence.plan.workload.custom_bus and not evidence.figures()["resent"]:
        yield "nothing was repeated: no kill came between acceptance and commit"


def figures(evidence: Evidence) -> dict[str, Any]:
    """Of a publisher: events whose every copy went nowhere, and refused entries by code."""
    if not _publishes(evidence):
        return {}
    arrived = {uid for uid, events in evidence.deliveries.items() if not all(event["nowhere"] for event in events)}
    return {
        "nowhere": len(evidence.deliveries) - len(arrived), "entry_failures": evidence.final["bus"]["failed"],
    }  # fmt: skip


def _gone(evidence: Evidence) -> list[dict[str, Any]]:
    return [event for events in evidence.deliveries.values() for event in events if event["nowhere"]]


def _publishes(evidence: Evidence) -> bool:
    """Whether a publisher ran, and the ledger of its bus remembers everything."""
    bus = evidence.final.get("bus")
    return evidence.plan.workload.publishes and bus is not None and not bus["forgotten"]


def _witness(row: Row) -> dict[str, Any]:
    return {"key": row.key, "uid": row.uid, "version": row.number, "partition": row.partition, "offset": row.offset}


CHECKS = (published, same_bytes, crowded, nowhere, position)
