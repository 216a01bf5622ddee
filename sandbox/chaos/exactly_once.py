"""Checks of `count`: every input once, in order, with the right counter; tables and ledgers agree with the input."""

import base64
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from models.routing import partition_of
from sandbox.chaos.evidence import Evidence, Finding, Row
from sandbox.chaos.stages import SOURCES
from workers.engine.ledger import IN, Ledger


def source(evidence: Evidence) -> Iterator[Finding]:
    """`source`: what was acknowledged is in the input once; what was aborted is not."""
    if not evidence.complete(evidence.plan.workload.source):
        return
    there = Counter(row.uid for row in evidence.put_in)
    for type_, wanted, text in (
        ("ok", 1, "acknowledged records are not in the input once"),
        ("fail", 0, "records of aborted transactions, or never sent ones, are in the input"),
    ):
        wrong = [uid for uid, event in evidence.puts.items() if event["type"] == type_ and there[uid] != wanted]
        if wrong:
            event = evidence.puts[min(wrong)]
            witness = {name: event.get(name) for name in ("uid", "key", "version", "partition", "offset")}
            yield Finding("source", len(wrong), text, witness | {"times": there[min(wrong)]})


def lost(evidence: Evidence) -> Iterator[Finding]:
    """`lost`: every input has an output."""
    if not _counts(evidence) or not evidence.complete("out"):
        return
    there = {row.uid for row in evidence.out}
    missing = [row for row in evidence.source if row.uid not in there]
    if missing:
        first = missing[0]
        yield Finding("lost", len(missing), "inputs without an output", _witness(first) | {
            "last_of_partition": max(row.offset for row in missing if row.partition == first.partition),
        })  # fmt: skip


def duplicated(evidence: Evidence) -> Iterator[Finding]:
    """`duplicated`: no input has two outputs."""
    if not _counts(evidence):
        return
    places: dict[int, list[Row]] = defaultdict(list)
    for row in evidence.out:
        places[row.uid].append(row)
    twice = [rows for rows in places.values() if len(rows) > 1]
    if twice:
        rows = min(twice, key=lambda found: found[1])
        extra = sum(len(found) - 1 for found in twice)
        where = {"offsets": [row.where for row in rows], "counts": [row.count for row in rows]}
        yield Finding("duplicated", extra, "inputs with more than one output", _witness(rows[0]) | where)


def phantom(evidence: Evidence) -> Iterator[Finding]:
    """`phantom`: no output without an input; above all nothing of an aborted transaction."""
    if not _counts(evidence) or not evidence.complete("in"):
        return
    known = {row.uid for row in evidence.source}
    strange = [row for row in evidence.out if row.uid not in known]
    if strange:
        put = evidence.puts.get(strange[0].uid)
        what = {"put": put["type"] if put else "never put"}
        yield Finding("phantom", len(strange), "outputs of no committed input", _witness(strange[0]) | what)


def order(evidence: Evidence) -> Iterator[Finding]:
    """`order`: the outputs of a partition come in the order of its inputs, in the same partition."""
    if not _counts(evidence):
        return
    inputs = {row.uid: row for row in evidence.source}
    before: dict[int, Row] = {}
    wrong: list[tuple[Row, Row]] = []
    for row in evidence.out:
        cause = inputs.get(row.uid)
        if cause is None:
            continue
        last = before.get(row.partition)
        if cause.partition != row.partition or (last is not None and cause.offset < inputs[last.uid].offset):
            wrong.append((last or row, row))
        before[row.partition] = row
    if wrong:
        last, row = wrong[0]
        witness = _witness(row) | {"input": inputs[row.uid].where, "after": {"uid": last.uid, "at": last.where}}
        yield Finding("order", len(wrong), "outputs in another order than their inputs", witness)


def version(evidence: Evidence) -> Iterator[Finding]:
    """`version`: the versions of a key strictly increase by offset."""
    if not _counts(evidence):
        return
    before: dict[tuple[int, str], Row] = {}
    wrong: list[tuple[Row, Row]] = []
    for row in evidence.out:
        last = before.get((row.partition, row.key))
        if last is not None and row.number <= last.number:
            wrong.append((last, row))
        before[row.partition, row.key] = row
    if wrong:
        last, row = wrong[0]
        witness = _witness(row) | {"after": {"version": last.number, "at": last.where}}
        yield Finding("version", len(wrong), "a version of a key behind a later one", witness)


def reader(evidence: Evidence) -> Iterator[Finding]:
    """`reader`: who reads along during the faults sees each offset once, and nothing that is gone in the end."""
    topic = evidence.plan.workload.output
    if not evidence.complete(topic):
        return
    there = {(row.partition, row.offset): row.uid for row in evidence.rows(topic)}
    newest: dict[int, int] = {}
    wrong: list[dict[str, Any]] = []
    for event in evidence.history:
        if event["op"] == "read":
            for offset, uid in event["rows"]:
                partition = event["partition"]
                held = there.get((partition, offset))
                if held != uid or offset <= newest.get(partition, -1):
                    wrong.append({"uid": uid, "partition": partition, "offset": offset, "held_in_the_end": held})
                newest[partition] = offset
    if wrong:
        yield Finding("reader", len(wrong), "records seen during the faults that are not there in the end", wrong[0])


def counter(evidence: Evidence) -> Iterator[Finding]:
    """`counter`: the counter of an output is the number of inputs of its key up to there."""
    if not _counts(evidence) or not evidence.complete("in"):
        return
    seen: Counter[str] = Counter()
    expected: dict[int, int] = {}
    for row in evidence.source:
        seen[row.key] += 1
        expected[row.uid] = seen[row.key]
    wrong = [row for row in evidence.out if row.uid in expected and row.count != expected[row.uid]]
    if wrong:
        row = wrong[0]
        yield Finding("counter", len(wrong), "wrong counters", _witness(row) | {
            "count": row.count, "expected": expected[row.uid],
        })  # fmt: skip


def fold(evidence: Evidence) -> dict[int, dict[str, int]]:
    """What the table has to hold: {partition: {key: inputs of it}}."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for row in evidence.source:
        index = partition_of(row.key.encode(), evidence.plan.workload.partitions)
        found[index][row.key] = found[index].get(row.key, 0) + 1
    return dict(found)


def table_fresh(evidence: Evidence) -> Iterator[Finding]:
    """`table-fresh`: a worker that knows nothing but the changelog holds the fold of the input."""
    fresh = evidence.final.get("fresh")
    if not _counts(evidence) or fresh is None or not evidence.complete("in"):
        return
    wrong = differences(fold(evidence), held(fresh))
    if wrong:
        yield Finding("table-fresh", len(wrong), "entries that differ from the fold of the input", wrong[0])


def table_live(evidence: Evidence) -> Iterator[Finding]:
    """`table-live`: so do the running workers, a global table on every one; no slot has two owners."""
    live: Mapping[str, Any] = evidence.final.get("live", {})
    if not _counts(evidence) or not evidence.complete("in") or evidence.final.get("aborted"):
        return
    wanted = fold(evidence)
    silent = [name for name, found in live.items() if found is None]
    if silent:
        yield Finding("table-live", len(silent), "workers that did not show their tables", {"worker": silent[0]})
        return
    owners: dict[int, list[str]] = defaultdict(list)
    for name, found in live.items():
        for slot in found["slots"]:
            owners[slot].append(name)
    wrong: list[dict[str, Any]] = [
        {"slot": slot, "owners": owners[slot]}
        for slot in range(evidence.plan.workload.partitions) if len(owners[slot]) != 1
    ]  # fmt: skip
    for name, found in live.items():
        shown = held(found)
        whole = evidence.plan.workload.table == "global-table"
        part = wanted if whole else {slot: wanted.get(slot, {}) for slot in found["slots"]}
        shown = shown if whole else {slot: shown.get(slot, {}) for slot in found["slots"]}
        wrong += [{"worker": name} | difference for difference in differences(part, shown)]
    if wrong:
        yield Finding("table-live", len(wrong), "tables of running workers that differ from the fold", wrong[0])


def differences(
    wanted: Mapping[int, Mapping[str, int]], shown: Mapping[int, Mapping[str, int]]
) -> list[dict[str, Any]]:
    """Entries in which two tables differ."""
    wrong = []
    for index in sorted(wanted.keys() | shown.keys()):
        one, other = wanted.get(index, {}), shown.get(index, {})
        wrong += [
            {"partition": index, "key": key, "expected": one.get(key), "held": other.get(key)}
            for key in sorted(one.keys() | other.keys())
            if one.get(key) != other.get(key)
        ]
    return wrong


def ledger(evidence: Evidence) -> Iterator[Finding]:
    """`ledger`: the counts in the offset metadata balance, and their sum is the number of inputs of the partition."""
    for stage, committed in evidence.final.get("committed", {}).items():
        topic = SOURCES[stage]
        if not evidence.complete(topic) or not evidence.final["drained"].get(stage):
            continue
        inputs = Counter(
            row.partition for row in (evidence.source if topic == evidence.plan.workload.source else evidence.out)
        )
        wrong: list[dict[str, Any]] = []
        for partition, (offset, metadata) in committed.items():
            counts = Ledger.decode(metadata)
            if not counts.balanced or counts.counts.get(IN, 0) != inputs[int(partition)]:
                wrong.append({
                    "stage": stage, "partition": int(partition), "offset": offset, "ledger": counts.counts,
                    "inputs": inputs[int(partition)],
                })  # fmt: skip
        if wrong:
            yield Finding("ledger", len(wrong), "ledgers that do not add up", wrong[0])


def _counts(evidence: Evidence) -> bool:
    return "count" in evidence.plan.workload.stages


def _witness(row: Row) -> dict[str, Any]:
    return {"key": row.key, "uid": row.uid, "version": row.number, "partition": row.partition, "offset": row.offset}


def held(dump: Mapping[str, Any]) -> dict[int, dict[str, int]]:
    """{partition: {key: counter}} of what a worker showed of its table."""
    return {
        int(index): {base64.b64decode(key).decode(): int(value) for key, value in entries.items()}
        for index, entries in dump["partitions"].items()
        if entries
    }


CHECKS = (
    source, lost, duplicated, phantom, order, version, reader, counter, table_fresh, table_live, ledger,
)  # fmt: skip
