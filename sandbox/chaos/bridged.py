"""Checks of the bridge: raw holds what the stream held, once and in order through the lineage of shards, and the
checkpoints say so."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.chaos.evidence import Evidence, Finding

SHARD_END = "SHARD_END"

Place = tuple[str, int, int]
"""(shard, sequence number, sub-sequence): P1's name of a change."""


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """A change as it stands in the stream or in the raw topic."""

    partition: int
    """Number of the shard in the stream."""
    offset: int
    key: str
    uid: int
    number: int
    """Version of the row."""
    place: Place
    crc: int

    def witness(self) -> dict[str, Any]:
        """What a person needs to find it."""
        shard, sequence, sub = self.place
        return {
            "key": self.key, "uid": self.uid, "version": self.number, "partition": self.partition,
            "offset": self.offset, "shard": shard, "sequence": str(sequence), "sub_sequence": sub,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A checkpoint as it stands in its topic."""

    slot: int
    offset: int
    shard: str
    ended: bool
    position: tuple[int, int]
    """(sequence number, sub-sequence); (-1, 0) before the first record."""
    records: int

    def witness(self) -> dict[str, Any]:
        """What a person needs to find it."""
        return {
            "shard": self.shard, "slot": self.slot, "offset": self.offset, "ended": self.ended,
            "sequence": str(self.position[0]), "sub_sequence": self.position[1], "records": self.records,
        }  # fmt: skip


def copies(evidence: Evidence, topic: str) -> list[Copy]:
    """Of `stream` or `raw`, by partition and offset."""
    found = []
    for partition, offset, key, value, shard, sequence, sub, crc in evidence.final["topics"][topic]["rows"]:
        uid, version = (int(part) for part in value.split(":"))
        found.append(Copy(partition, offset, key, uid, version, (shard, int(sequence or 0), sub), crc))
    return sorted(found)


def marks(evidence: Evidence) -> dict[str, list[Mark]]:
    """{shard: its checkpoints in their order}"""
    found: dict[str, list[Mark]] = defaultdict(list)
    for slot, offset, shard, state, sequence, sub, records, _gaps in evidence.final["topics"]["checkpoints"]["rows"]:
        position = (int(sequence), sub) if sequence else (-1, 0)
        found[shard].append(Mark(slot, offset, shard, state == SHARD_END, position, records))
    return {shard: sorted(entries) for shard, entries in found.items()}


def lost(evidence: Evidence) -> Iterator[Finding]:
    """`lost`: every change of the stream stands in the raw topic."""
    if not _bridged(evidence):
        return
    there = {copy.place for copy in copies(evidence, "raw")}
    missing = [copy for copy in copies(evidence, "stream") if copy.place not in there]
    if missing:
        yield Finding("lost", len(missing), "changes of the stream that are not in raw", missing[0].witness())


def duplicated(evidence: Evidence) -> Iterator[Finding]:
    """`duplicated`: no change stands in the raw topic twice."""
    if not _bridged(evidence):
        return
    places: dict[Place, list[Copy]] = defaultdict(list)
    for copy in copies(evidence, "raw"):
        places[copy.place].append(copy)
    twice = [found for found in places.values() if len(found) > 1]
    if twice:
        first = min(twice)
        where = {"offsets": [f"{copy.partition}@{copy.offset}" for copy in first]}
        extra = sum(len(found) - 1 for found in twice)
        yield Finding("duplicated", extra, "changes that are in raw more than once", first[0].witness() | where)


def phantom(evidence: Evidence) -> Iterator[Finding]:
    """`phantom`: nothing else stands there, and the bytes are those of the stream."""
    if not _bridged(evidence):
        return
    known = {copy.place: copy for copy in copies(evidence, "stream")}
    wrong = []
    for copy in copies(evidence, "raw"):
        cause = known.get(copy.place)
        if cause is None or (cause.key, cause.uid, cause.number, cause.crc) != (
            copy.key,
            copy.uid,
            copy.number,
            copy.crc,
        ):
            wrong.append(copy.witness() | {"in_stream": cause.witness() if cause else None})
    if wrong:
        yield Finding("phantom", len(wrong), "records of raw that the stream does not have like this", wrong[0])


def order(evidence: Evidence) -> Iterator[Finding]:
    """`order`: the changes of a row stand in one partition, in the order in which they were put."""
    if not _bridged(evidence):
        return
    before: dict[str, Copy] = {}
    wrong = []
    for copy in copies(evidence, "raw"):
        last = before.setdefault(copy.key, copy)
        if last.partition != copy.partition or copy.number < last.number:
            wrong.append(copy.witness() | {"after": last.witness()})
        before[copy.key] = copy
    if wrong:
        yield Finding("order", len(wrong), "changes of a row behind later ones, or in another partition", wrong[0])


def lineage(evidence: Evidence) -> Iterator[Finding]:
    """`lineage`: no change of a row from a child shard stands before one from its ancestors."""
    if not _bridged(evidence):
        return
    ancestors = _ancestors(evidence)
    first: dict[str, dict[str, Copy]] = defaultdict(dict)
    wrong = []
    for copy in copies(evidence, "raw"):
        seen, shard = first[copy.key], copy.place[0]
        early = next((child for name, child in seen.items() if shard in ancestors.get(name, ())), None)
        if early is not None:
            wrong.append(copy.witness() | {"child": early.witness()})
        seen.setdefault(shard, copy)
    if wrong:
        yield Finding("lineage", len(wrong), "changes of a row behind those from a child of their shard", wrong[0])


def _ancestors(evidence: Evidence) -> dict[str, set[str]]:
    """{shard: its parents, their parents, and so on}; children are listed after their parents."""
    found: dict[str, set[str]] = {}
    for shard in sorted(evidence.final["shards"], key=lambda one: str(one["id"])):
        parents = set(shard["parents"])
        found[shard["id"]] = parents.union(*(found.get(parent, set()) for parent in parents))
    return found


def checkpoint(evidence: Evidence) -> Iterator[Finding]:
    """`checkpoint`: each one counts exactly the records of raw up to its position; none goes back, none comes after the
    end of its shard, and the last one stands at the last record."""
    if not _bridged(evidence):
        return
    positions: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for copy in copies(evidence, "raw"):
        positions[copy.place[0]].append(copy.place[1:])
    found = marks(evidence)
    wrong: list[Mapping[str, Any]] = []
    for shard in sorted(positions.keys() | found.keys()):
        held = sorted(positions[shard])
        last: Mark | None = None
        for mark in found.get(shard, ()):
            counted = bisect_right(held, mark.position)
            if mark.records != counted:
                wrong.append(mark.witness() | {"in_raw": counted})
            elif last is not None and (mark.position < last.position or last.ended):
                wrong.append(mark.witness() | {"after": last.witness()})
            last = mark
        if held and (last is None or last.position != held[-1]):
            wrong.append({"shard": shard, "last": last.witness() if last else None, "in_raw": len(held)})
    if wrong:
        yield Finding("checkpoint", len(wrong), "checkpoints that do not fit what stands in raw", wrong[0])


def shard_end(evidence: Evidence) -> Iterator[Finding]:
    """`shard-end`: every closed shard has its SHARD_END, and no open one has."""
    if not _bridged(evidence):
        return
    found = marks(evidence)
    wrong = [
        {"shard": shard["id"], "closed": shard["closed"], "checkpoints": len(found.get(shard["id"], ()))}
        for shard in sorted(evidence.final["shards"], key=lambda one: str(one["id"]))
        if shard["closed"] != any(mark.ended for mark in found.get(shard["id"], ()))
    ]
    if wrong:
        yield Finding("shard-end", len(wrong), "shards whose end is not what their checkpoints say", wrong[0])


def loss_on_record(evidence: Evidence) -> Iterator[Finding]:
    """`loss`: nothing was deleted, so no checkpoint and no dead letter speaks of a gap."""
    if not _bridged(evidence):
        return
    counted = [row for row in evidence.final["topics"]["checkpoints"]["rows"] if row[7]]
    dead = evidence.final["topics"]["dead"]["rows"]
    if counted or dead:
        witness = {"checkpoint": counted[0][:4] if counted else None, "dead": dead[0][:2] if dead else None}
        yield Finding("loss", len(counted) + len(dead), "records of a gap though nothing was deleted", witness)


def _bridged(evidence: Evidence) -> bool:
    """Whether a bridge ran, and everything it left was read to its end."""
    whole = all(evidence.complete(topic) for topic in ("stream", "raw", "checkpoints"))
    return evidence.plan.workload.bridges and whole and "shards" in evidence.final


CHECKS = (lost, duplicated, phantom, order, lineage, checkpoint, shard_end, loss_on_record)
