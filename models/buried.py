"""One record of `cdc.dead` as people are told of it: a dead letter, a gap, or something that nobody can read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from models.dead_letter import GAP_PREFIX, DeadLetter
from models.handled import Handled, LetterId
from models.outcome import ErrorCategory, Failure
from models.raw import HEADER_TABLE
from models.redrive import DeadRecord

GAP = "GAP"
"""Instead of a code: offsets or shards that were lost before anybody read them."""
UNREADABLE = "UNREADABLE"
"""Instead of a code: the headers are not those of a dead letter."""
CODES = (*(failure.value for failure in Failure), GAP, UNREADABLE)
CATEGORIES = tuple(category.value for category in ErrorCategory)
Kind = tuple[str, str, str, str]
"""Stage, code, table, message: what letters are counted by."""
PUBLISH = "publish"
"""The stage whose letters hold events."""
_PLACE = re.compile(r"line \d+ column \d+", re.ASCII)
_GAP_NUMBERS = ("partition", "start", "end", "since")


@dataclass(frozen=True, slots=True)
class Buried:
    """`letter` is None for a gap and for what cannot be read."""

    id: LetterId
    record: DeadRecord
    size: int | None
    """Bytes of the original; None if it was left out of the letter."""
    letter: DeadLetter | None = None
    gap: Mapping[str, str] = field(default_factory=dict)
    """What is known of a gap: stage, and topic, partition, start, end or stream, shard, since, why."""
    handled: Handled | None = None

    @classmethod
    def of(cls, record: DeadRecord, handled: Handled | None = None) -> "Buried":
        """Read a record. What was done with another record of the same id does not count."""
        if handled is not None and handled.letter_ms != record.timestamp_ms:
            handled = None
        gap = {
            name.removeprefix(GAP_PREFIX): value.decode("utf-8", "replace")
            for name, value in record.headers
            if name.startswith(GAP_PREFIX)
        }
        letter = None
        if not gap:
            try:
                letter = DeadLetter.from_headers(record.headers)
            except ValueError:
                letter = None
        size = len(record.value) if record.value is not None else None
        return cls(LetterId(record.partition, record.offset), record, size, letter, gap, handled)

    def without_value(self) -> "Buried":
        """The same for lists, which must not keep every original in memory."""
        return replace(self, record=replace(self.record, value=None))

    @property
    def time_ms(self) -> int:
        """When it was written, by Kafka's timestamp."""
        return self.record.timestamp_ms

    @property
    def stage(self) -> str:
        """`enrich`, `publish`, `bridge`; empty if it cannot be read."""
        return self.letter.stage if self.letter is not None else self.gap.get("stage", "")

    @property
    def code(self) -> str:
        """A Failure, GAP or UNREADABLE."""
        if self.letter is not None:
            return self.letter.code.value
        return GAP if self.gap else UNREADABLE

    @property
    def category(self) -> str:
        """An ErrorCategory, or empty."""
        return self.letter.category.value if self.letter is not None else ""

    @property
    def table(self) -> str:
        """Unique name of the table, as far as anybody knew it; else empty."""
        if self.letter is not None and self.letter.table is not None:
            return self.letter.table
        return dict(self.record.headers).get(HEADER_TABLE, b"").decode("utf-8", "replace")

    @property
    def message(self) -> str:
        """What is wrong with it, in words that hold no value of a row."""
        if self.letter is not None:
            return self.letter.message
        if not self.gap:
            return "no dead letter of this pipeline"
        found = self.gap
        if "topic" in found:
            where = f"{found['topic']}/{found.get('partition', '?')}"
            return f"lost unread: {where}, offsets {found.get('start', '?')} to {found.get('end', '?')}"
        return f"lost unread: {found.get('shard', '?')} of {found.get('stream', '?')}: {found.get('why', '?')}"

    @property
    def kind(self) -> Kind:
        """What it is counted by; where in its bytes a record is broken makes no kind of its own."""
        return self.stage, self.code, self.table, _PLACE.sub("line … column …", self.message)

    @property
    def replay(self) -> int:
        """How often it had been redriven when it failed."""
        return self.letter.replay if self.letter is not None else 0

    def document(self) -> dict[str, Any]:
        """For programs: everything but key and payload."""
        found: dict[str, Any] = {
            "id": str(self.id), "timeMs": self.time_ms, "stage": self.stage, "code": self.code,
            "table": self.table or None, "message": self.message, "bytes": self.size,
        }  # fmt: skip
        if self.letter is not None:
            told = self.letter.to_json()
            found |= {"letter": {name: told[name] for name in told if name not in ("stage", "code", "message")}}
        elif self.gap:
            found["gap"] = {
                name: int(text) if name in _GAP_NUMBERS and text.isdecimal() else text
                for name, text in self.gap.items()
            }
        if self.handled is not None:
            found["handled"] = {"action": self.handled.action, "atMs": self.handled.at_ms}
        return found
