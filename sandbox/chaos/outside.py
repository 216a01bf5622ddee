"""Checks of `deliver`: every event reaches the sink in order per key, and nothing is committed before it does."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import inf
from typing import Any

from sandbox.chaos.evidence import Evidence, Finding, Row


def delivered(evidence: Evidence) -> Iterator[Finding]:
    """`delivered`: the sink took every event at least once, or refused it for good; and nothing else."""
    if not _delivers(evidence) or not evidence.complete("out"):
        return
    rows = {row.uid: row for row in evidence.out}
    missing = [
        row for row in evidence.out
        if row.uid not in (evidence.refusals if evidence.is_refused(row.uid) else evidence.deliveries)
    ]  # fmt: skip
    if missing:
        yield Finding("delivered", len(missing), "events that never reached the sink", _witness(missing[0]))
    strange = sorted(uid for uid in evidence.deliveries if uid not in rows)
    if strange:
        event = evidence.deliveries[strange[0]][0]
        witness = {"uid": strange[0], "key": event["key"], "t": event["t"]}
        yield Finding("sink-phantom", len(strange), "the sink took events that are not in `out`", witness)


def sink_order(evidence: Evidence) -> Iterator[Finding]:
    """`sink-order`: the first deliveries of a key come in the order of its events."""
    if not (_delivers(evidence) or evidence.plan.workload.publishes):
        return
    places = {row.uid: row for row in evidence.out}
    newest: dict[str, Row] = {}
    wrong: list[tuple[Row, Row]] = []
    firsts = sorted((events[0]["t"], n, uid) for n, (uid, events) in enumerate(evidence.deliveries.items()))
    for _, _, uid in firsts:
        row = places.get(uid)
        if row is None:
            continue
        last = newest.get(row.key)
        if last is not None and row.offset < last.offset:
            wrong.append((last, row))
        else:
            newest[row.key] = row
    if wrong:
        last, row = wrong[0]
        witness = _witness(row) | {"after": {"uid": last.uid, "version": last.number, "at": last.where}}
        yield Finding("sink-order", len(wrong), "first deliveries of a key out of order", witness)


def committed_past(evidence: Evidence) -> Iterator[Finding]:
    """`committed-past`: at no look were offsets committed past an event that the sink had not taken or refused."""
    if not _delivers(evidence):
        return
    offsets: dict[int, list[int]] = defaultdict(list)
    latest: dict[int, list[float]] = defaultdict(list)
    holders: dict[int, list[Row]] = defaultdict(list)
    for row in evidence.out:
        at = _ended(evidence, row.uid)
        before, holder = (latest[row.partition][-1], holders[row.partition][-1]) if latest[row.partition] else (-1, row)
        offsets[row.partition].append(row.offset)
        latest[row.partition].append(max(before, at))
        holders[row.partition].append(row if at > before else holder)
    wrong: list[dict[str, Any]] = []
    for event in evidence.history:
        if event["op"] != "committed" or event.get("stage") != "deliver" or event["type"] != "ok":
            continue
        for partition, offset in event["offsets"].items():
            index = bisect_left(offsets[int(partition)], offset) - 1
            if index >= 0 and latest[int(partition)][index] > event["t"]:
                witness = _witness(holders[int(partition)][index])
                wrong.append(witness | {"committed": offset, "t": event["t"]})
    if wrong:
        yield Finding("committed-past", len(wrong), "offsets committed past an undelivered event", wrong[0])


def receipts(evidence: Evidence) -> Iterator[Finding]:
    """`receipts`, `dead-letters`: each event has exactly one of the two, and the right one."""
    if not (_delivers(evidence) or evidence.plan.workload.publishes):
        return
    if not (evidence.complete("receipts") and evidence.complete("dead")):
        return
    for invariant, topic, refused in (("receipts", "receipts", False), ("dead-letters", "dead", True)):
        found = Counter(row.uid for row in evidence.rows(topic))
        wrong = [row for row in evidence.out if found.pop(row.uid, 0) != (evidence.is_refused(row.uid) == refused)]
        if wrong:
            yield Finding(invariant, len(wrong), f"events without exactly one record in {topic}", _witness(wrong[0]))
        if found:
            uid = min(found)
            yield Finding(invariant, len(found), f"records in {topic} of no event", {"uid": uid, "times": found[uid]})


def resends(evidence: Evidence) -> Iterator[Finding]:
    """`resends`: repeats are bounded by the window: per rebalance or kill, what the slots' windows hold."""
    if not _delivers(evidence) or "sink" not in evidence.final:
        return
    figures, workload = evidence.figures(), evidence.plan.workload
    ends = figures["rebalances"] + len(evidence.exits)
    bound = evidence.final["sink"].get("lost_events", 0) + ends * workload.window_records * workload.partitions
    if figures["resent"] > bound:
        witness = {"resent": figures["resent"], "bound": bound, "rebalances": figures["rebalances"]}
        yield Finding("resends", figures["resent"] - bound, "more repeats than the windows can hold", witness)


def _delivers(evidence: Evidence) -> bool:
    return "deliver" in evidence.plan.workload.stages


def _ended(evidence: Evidence, uid: int) -> float:
    """When the sink took the event first, or refused it."""
    if uid in evidence.deliveries:
        return float(evidence.deliveries[uid][0]["t"])
    return evidence.refusals.get(uid, inf)


def _witness(row: Row) -> dict[str, Any]:
    return {"key": row.key, "uid": row.uid, "version": row.number, "partition": row.partition, "offset": row.offset}


CHECKS = (delivered, sink_order, committed_past, receipts, resends)
