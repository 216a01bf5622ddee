"""Which records are shown."""

from dataclasses import dataclass, field
from typing import Any

from enrichers.written_view import WrittenView
from models.raw import HEADER_TABLE
from models.written import Writer, Written
from workers.filters import Filter
from workers.tail.row_key import RowKey

SECOND_MS = 1_000


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `records` of every `per_ms` milliseconds."""

    records: int
    per_ms: int = SECOND_MS

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """`10`, `10/s` or `1/m`. Raises ValueError."""
        count, slash, unit = text.strip().partition("/")
        spans = {"s": SECOND_MS, "m": 60 * SECOND_MS}
        if not (count.isascii() and count.isdecimal() and len(count) < 10 and int(count)) or (
            slash and unit not in spans
        ):
            raise ValueError("not like 10/s or 1/m")
        return cls(int(count), spans[unit or "s"])


@dataclass(slots=True)
class Sample:
    """Thins records out by their own time, so that the same records give the same sample, live or later."""

    rate: Rate
    left_out: int = 0
    _span: int = -1
    _taken: int = 0

    def takes(self, time_ms: int) -> bool:
        """Whether the next record is one of the sample."""
        span = time_ms // self.rate.per_ms
        if span != self._span:
            self._span, self._taken = span, 0
        self._taken += 1
        if self._taken <= self.rate.records:
            return True
        self.left_out += 1
        return False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Every condition that is given must hold. `tables`: unique names."""

    tables: frozenset[str] = frozenset()
    key: RowKey | None = None
    where: Filter | None = None
    sample: Sample | None = None
    until_ms: int | None = None
    """Kafka's time; counts as out."""
    seen: list[int] = field(default_factory=lambda: [0])
    """How many records were looked at."""

    def pick(self, record: Any, writer: Writer, view: WrittenView) -> Written | None:
        """The record as it is shown; None if it is not wanted. P6: the filter is asked of what is shown alone."""
        self.seen[0] += 1
        if self.until_ms is not None and record.timestamp >= self.until_ms:
            return None
        if self._is_another(record, writer):
            return None
        written = view.written(record, writer)
        if self.tables and written.table not in self.tables:
            return None
        if self.key is not None and not self._is_its(record, writer, written, view):
            return None
        if self.where is not None and not self.where.matches(written.asked()):
            return None
        if self.sample is not None and not self.sample.takes(record.timestamp):
            return None
        return written

    def _is_another(self, record: Any, writer: Writer) -> bool:
        """Cheap, and before anything is decoded: the bridge has written the table beside the record."""
        if not self.tables or writer is not Writer.BRIDGE:
            return False
        name = dict(record.headers).get(HEADER_TABLE)
        return name is not None and name.decode("utf-8", "replace") not in self.tables

    def _is_its(self, record: Any, writer: Writer, written: Written, view: WrittenView) -> bool:
        names = self.key.names if self.key is not None else frozenset()
        return written.event_id in names or not names.isdisjoint(view.keys(record, writer))
