"""What reading one shard means: iterators, positions, and whether something is missing. Pure: no clock, no network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from models.checkpoint import Checkpoint, ShardState
from models.position import Position
from models.shard import Shard
from workers.kinesis.lineage import Begin, Resume
from workers.kinesis.pages import Page, Record, data_bytes

SAFE_MS = 300_000
WHOLE = 1 << 62
"""Sub-sequence behind every user record of an aggregate: what the reader hands on, it hands on whole."""


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive records of one shard that are committed together, and the checkpoint that stands beside them."""

    shard: Shard
    records: tuple[Record, ...]
    size: int
    """Bytes of data."""
    after: Position | None
    """User records up to here were committed before: the first record may be an aggregate that was read in part."""
    covered_ms: int
    last: bool = False
    """The shard ends after them."""
    children: tuple[Shard, ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that arrived from `since_ms` on may have been deleted before they were read (milliseconds since the
    epoch)."""

    shard: Shard
    since_ms: int
    why: str


class ShardCursor:
    """The position of one reader. It runs ahead of the committed one: a slot that loses its records makes a new one
    from its checkpoint."""

    def __init__(self, shard: Shard, origin: Begin | Resume) -> None:
        self.shard = shard
        match origin:
            case Begin(start, covered_ms, since_ms):
                self._start, self.after, self.covered_ms, self._arrival_ms = start, None, covered_ms, 0
                self._since_ms, self._gap_ms = since_ms, 0
            case Resume(checkpoint, start):
                self._start, self.after, self.covered_ms = start, checkpoint.position, checkpoint.covered_ms
                self._arrival_ms, self._since_ms = checkpoint.arrival_ms, 0
                self._gap_ms = checkpoint.gap_ms
            case _:
                assert_never(origin)
        self._unproven = self._promised_ms > 0
        """Nobody has seen yet that the log still begins where we go on."""
        self._first = True
        self._safe = False
        """The position was once well ahead of the horizon: from then on it must not fall behind it."""
        self._forgiven = False

    @property
    def _promised_ms(self) -> int:
        """What has come since then must be there, or have been handed on. What was lost until a gap was put on record
        belongs to that gap."""
        return max(self.covered_ms, self._since_ms, self._gap_ms)

    def rebuild(self) -> None:
        """The iterator is gone: the next one begins at the position again."""
        self._unproven = self._promised_ms > 0 and not self._forgiven
        self._first = True

    def iterator(self) -> dict[str, Any]:
        """The part of a GetShardIterator request that says where. It is our last record, not the one behind it:
        Kinesis goes on at the horizon without a word when a position was trimmed, and whether the record is still
        there tells."""
        if self.after is not None:
            return {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": str(self.after.sequence)}
        if self._start.kind == "AT_TIMESTAMP":
            return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._start.timestamp_ms / 1000}
        return {"ShardIteratorType": "TRIM_HORIZON"}

    def gap(self, page: Page, now_ms: int, retention_ms: int) -> Gap | None:
        """Whether records between the position and this page may have been deleted.

        Not if the page begins with our last record; and not if everything that is old enough to be deleted had been
        read, because then nothing had come since: an idle shard loses its position to the retention, too."""
        horizon = now_ms - retention_ms
        found = self._gap(page, horizon)
        if found is None and not self._unproven:
            # Where this page brings us counts at once: the next one may be asked for a retention later.
            ahead = max(self.covered_ms, now_ms - page.millis_behind_latest)
            self._safe = self._safe or ahead >= horizon + SAFE_MS
        return found

    def _gap(self, page: Page, horizon: int) -> Gap | None:
        missed = self._arrival_ms >= horizon + SAFE_MS and not self._gap_ms
        """Whether our last record has to be there, by its age."""
        if not self._unproven:
            if self._safe and self.covered_ms < horizon:
                return Gap(self.shard, self.covered_ms, "reading fell behind the retention of the stream")
            return None
        if not (page.records or page.millis_behind_latest == 0 or page.ended):
            return None  # an empty page in the middle of the log says nothing
        if page.records and self.after is not None:
            if int(page.records[0].sequence_number) <= self.after.sequence:
                self._unproven = False
                return None
            if missed:
                return Gap(self.shard, self.covered_ms, "its last record is gone, though it is not old enough for that")
        if self._promised_ms < horizon:
            return Gap(self.shard, self._promised_ms, "its position is older than the retention of the stream")
        # At the tip nothing has come since: that the last record is missing, too, is odd only if it is young enough. If
        # the shard stayed unproven it would cover no more, and be a gap after another retention without a record.
        self._unproven = not page.records and self.after is not None and missed
        return None

    def forgive(self) -> None:
        """The gap is on record: go on behind it, also with another iterator."""
        self._unproven = self._safe = False
        self._forgiven = True

    def parts(self, page: Page, now_ms: int, *, max_records: int, max_bytes: int) -> list[Part]:
        """Cut a page into parts and move behind it. `now_ms`: when the page was asked for. A Kinesis record is never
        cut, so one larger record is a part of its own; a page without news is none."""
        records = page.records
        after = self.after if self._first else None
        if self._first and self.after is not None:
            # Compared as integers, and for an aggregate with the sub-sequence, when it is unpacked (P1).
            committed = self.after.sequence
            records = [record for record in records if int(record.sequence_number) >= committed]
        if page.records:
            self._first = False
        covered = self.covered_ms
        if page.ended:  # its children may have had records since it closed: they are promised from where it was
            covered = self._promised_ms
        elif not self._unproven:
            covered = max(covered, now_ms - page.millis_behind_latest)
        if records:
            covered = max(covered, records[-1].arrival_ms)
        found: list[Part] = []
        for start, stop, size in _cuts(records, max_records, max_bytes):
            part, last = tuple(records[start:stop]), stop == len(records)
            until = covered if last else max(self.covered_ms, part[-1].arrival_ms)
            ended = last and page.ended
            behind = None if start else after
            found.append(Part(self.shard, part, size, behind, until, ended, page.children if ended else ()))
        if page.ended and not records:
            found.append(Part(self.shard, (), 0, after, covered, True, page.children))
        if records:
            self.after = Position(int(records[-1].sequence_number), WHOLE)
            self._arrival_ms = records[-1].arrival_ms
            self._gap_ms, self._forgiven = 0, False
        self.covered_ms = covered
        return found


def _cuts(records: Sequence[Record], max_records: int, max_bytes: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, bytes) of the parts of a page."""
    whole = data_bytes(records)
    if len(records) <= max_records and whole <= max_bytes:
        if records:
            yield 0, len(records), whole
        return
    start, size = 0, 0
    for index, record in enumerate(records):
        if index > start and (index - start >= max_records or size + len(record.data) > max_bytes):
            yield start, index, size
            start, size = index, 0
        size += len(record.data)
    yield start, len(records), size


def advanced(
    before: Checkpoint | None, stream: str, part: Part, last: Position | None, user_records: int
) -> Checkpoint:
    """The checkpoint behind a part. `last`: its last user record, None if all of it was committed before."""
    shard = part.shard
    base = before or Checkpoint.first(stream, shard)
    return replace(
        base,
        state=ShardState.SHARD_END if part.last else base.state,
        sequence=str(last.sequence) if last is not None else base.sequence,
        sub_sequence=last.sub_sequence if last is not None else base.sub_sequence,
        gap_ms=0 if last is not None else base.gap_ms,
        arrival_ms=part.records[-1].arrival_ms if part.records else base.arrival_ms,
        records=base.records + user_records,
        covered_ms=max(base.covered_ms, part.covered_ms),
        children=part.children or base.children,
    )
