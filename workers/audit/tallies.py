"""Counts what stands in the topics. Every output names the input it came from, so that each is attributed exactly:
events by `cdc-source` and `metadata.sequence`, receipts by `offset`, dead letters by their headers, raw records by
shard and sequence. What was made of a redriven record names its offset in the redrive topic beside that.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from models.dead_letter import GAP_PREFIX, PREFIX, import_of
from models.raw import (
    HEADER_REDRIVEN,
    HEADER_RETIRED,
    HEADER_SEQUENCE,
    HEADER_SHARD,
    HEADER_SOURCE,
    HEADER_STREAM,
    HEADER_SUB_SEQUENCE,
)
from workers.audit.counts import Edge, Place

NOWHERE = -1
ShardOrigin = tuple[str, str, str]
"""(raw topic, name of the stream, shard), as raw records tell it."""


class InputTally:
    """Committed records at the offsets `low` .. `high - 1` of one source partition."""

    __slots__ = ("high", "low", "markers", "records", "tombstones")

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high
        self.records = 0
        self.markers = 0
        """Of these: markers of rows that got another key."""
        self.tombstones = 0
        """Of these: other records without a value."""

    def note(self, record: Any) -> None:
        """Count a record if it lies in the range."""
        if self.low <= record.offset < self.high:
            self.records += 1
            if record.value is None:
                retired = record.key is not None and any(name == HEADER_RETIRED for name, _ in record.headers)
                self.markers += retired
                self.tombstones += not retired


class OutputTally:
    """Outputs of one kind whose inputs stand at the offsets `low` .. `high - 1` of one source partition.

    A stage works off a partition in order, so the inputs of its outputs only grow: one that does not is an input that
    ended twice."""

    __slots__ = ("_elsewhere", "_last", "before", "edge", "high", "later", "low", "nameless", "offsets",
                 "records", "seen_below", "twice")  # fmt: skip

    def __init__(
        self, low: int, high: int, *, before: Edge | None = None, keep: bool = False, elsewhere: Any = ()
    ) -> None:
        self.low = low
        self.high = high
        self.before = before or Edge()
        """Where inputs from `low` on begin in the log of the outputs."""
        self.records = 0
        self.twice = 0
        self.nameless = 0
        """Records that may be outputs but name no input: counted, not attributed."""
        self.edge = 0
        """Outputs of inputs from `high` on stand at this offset of their own log or above it."""
        self.later = False
        """There are such outputs."""
        self.seen_below = False
        """An output of an input below `low` is still there, hence all later ones are."""
        self.offsets: array[int] | None = array("q") if keep else None
        """Inputs, in order."""
        self._last = NOWHERE
        self._elsewhere = elsewhere

    def note(self, source_offset: int, offset: int) -> None:
        """`source_offset`: of the input; `offset`: of the output in its own log."""
        if source_offset >= self.high:
            self.later = True
            return
        self.edge = max(self.edge, offset + 1)
        if source_offset < self.low:
            if self.before.end is not None and offset >= self.before.end:
                self.twice += 1  # an earlier audit had seen the one that belongs to this input
            else:
                self.seen_below = True
            return
        if offset < self.before.later:
            return  # of another source with the same name, before it was made anew
        self.records += 1
        if source_offset <= self._last or _holds(self._elsewhere, source_offset):
            self.twice += 1
        self._last = max(self._last, source_offset)
        if self.offsets is not None:
            self.offsets.append(source_offset)


class ShardTally:
    """Raw records of one shard behind `since` (None: from its first) and up to `place`."""

    __slots__ = ("_ends", "_last", "markers", "place", "records", "since", "twice")

    def __init__(self, since: Place | None, place: Place | None, ends: Mapping[int, int | None] | None = None) -> None:
        """`ends`: by partition of raw, where an earlier audit had seen all records up to `since`."""
        self.since = since
        self._ends = ends or {}
        self.place = place
        self.records = 0
        self.markers = 0
        self.twice = 0
        self._last: dict[int, Place] = {}

    def note(self, place: Place, partition: int, offset: int, *, marker: bool) -> None:
        """Count a record of this shard, and markers beside it."""
        if self.place is None or place > self.place:
            return
        if self.since is not None and place <= self.since:
            end = self._ends.get(partition)
            self.twice += end is not None and offset >= end
            return
        if marker:
            self.markers += 1
            return
        self.records += 1
        if place <= self._last.get(partition, (NOWHERE, NOWHERE)):
            self.twice += 1
        self._last[partition] = max(place, self._last.get(partition, place))


class RawTally:
    """All shards of the raw topics."""

    def __init__(self, shards: Mapping[ShardOrigin, Sequence[ShardTally]]) -> None:
        """Several of one origin: streams of one name whose records cannot be told apart."""
        self.shards = shards
        self.strangers: dict[ShardOrigin, int] = defaultdict(int)
        """Records of shards that have no checkpoint."""
        self.foreign: dict[str, int] = defaultdict(int)
        """Records by topic that came from no shard: somebody else wrote them."""

    def note(self, record: Any) -> None:
        """Count one raw record."""
        found = dict(record.headers)
        try:
            stream, shard = found[HEADER_STREAM].decode(), found[HEADER_SHARD].decode()
            place = (int(found[HEADER_SEQUENCE]), int(found.get(HEADER_SUB_SEQUENCE, b"0")))
        except (KeyError, ValueError):
            self.foreign[record.topic] += 1
            return
        tallies = self.shards.get((record.topic, stream, shard))
        if tallies is None:
            self.strangers[record.topic, stream, shard] += 1
            return
        for tally in tallies:
            tally.note(place, record.partition, record.offset, marker=HEADER_RETIRED in found)


class _Metadata(msgspec.Struct):
    sequence: str = ""
    replay: int = 0


class _Event(msgspec.Struct):
    metadata: _Metadata


class _Receipt(msgspec.Struct):
    offset: int = NOWHERE
    redriven: int | None = None


_event = msgspec.json.Decoder(_Event)
_receipt = msgspec.json.Decoder(_Receipt)


def input_of_event(value: bytes | None) -> int | None:
    """Offset of the raw record an event was made of; NOWHERE for a replayed change, which carries the sequence of its
    first time; None for what this pipeline did not make."""
    try:
        metadata = _event.decode(value or b"").metadata
        _, _, offset = metadata.sequence.partition("-")
        return NOWHERE if metadata.replay else int(offset)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def source_of_event(headers: Any) -> str | None:
    """Name of the source whose raw topic holds the input of an event; None for one of before they told it."""
    found = dict(headers).get(HEADER_SOURCE)
    return found.decode("utf-8", "replace") if found is not None else None


def redriven_input_of_event(headers: Any) -> int | None:
    """Offset in `cdc.redrive.enrich` of the record an event was made of; None for one of a raw topic."""
    return _offset(dict(headers).get(HEADER_REDRIVEN))


def input_of_receipt(value: bytes | None) -> tuple[int, bool] | None:
    """Offset of the event a receipt is for, and whether that is one in `cdc.redrive.publish`; NOWHERE for a receipt of
    before they told it; None for what is none."""
    try:
        found = _receipt.decode(value or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return (found.offset, False) if found.redriven is None else (found.redriven, True)


def input_of_letter(headers: Any) -> tuple[str, str, int, int] | None:
    """(stage, topic, partition, offset) of the record a dead letter stands for."""
    return _where(dict(headers), PREFIX, "offset")


def redriven_input_of_letter(headers: Any) -> int | None:
    """Offset in the redrive topic of the stage; None for a letter of a record that came for the first time."""
    return _offset(dict(headers).get(f"{PREFIX}redriven"))


def is_gap(headers: Any) -> bool:
    """Whether a record without key and value tells of a gap; how much it swallowed stands in the ledger."""
    return _where(dict(headers), GAP_PREFIX, "start") is not None


def is_imported(headers: Any) -> bool:
    """Whether a dead letter came out of a queue, and was not redriven since: no input of a stage became it."""
    return bool(import_of(headers)) and redriven_input_of_letter(headers) is None


def _where(found: dict[str, bytes], prefix: str, offset: str) -> tuple[str, str, int, int] | None:
    try:
        return (
            found[f"{prefix}stage"].decode(), found[f"{prefix}topic"].decode(), int(found[f"{prefix}partition"]),
            int(found[f"{prefix}{offset}"]),
        )  # fmt: skip
    except (KeyError, ValueError):
        return None


def _offset(found: bytes | None) -> int | None:
    return int(found) if found is not None and found.isdigit() else None


def _holds(ordered: Any, offset: int) -> bool:
    index = bisect_left(ordered, offset)
    return index < len(ordered) and ordered[index] == offset
