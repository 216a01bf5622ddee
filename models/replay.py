"""Replay: a range of `cdc.events` or of a raw topic comes again, and how far that is (ADR 49)."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from models.raw import Headers
from models.redrive import RedriveOrigin, RedriveRecord, redrive_headers

KEY_PREFIX = b"replay:"
"""Of the keys of replays in `cdc.dead-handled`; every other one is a letter's."""


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """What was asked for, in the words it was asked in. The same words name the same replay."""

    topic: str
    since: str
    until: str = ""
    """Empty: the moment at which it begins."""
    tables: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    limit: int | None = None

    @property
    def id(self) -> str:
        """16 hexadecimal digits."""
        asked = [self.topic, self.since, self.until, sorted(self.tables), sorted(self.keys), self.limit]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    def holds(self, tables: Collection[str], keys_of: Callable[[], Collection[str]]) -> bool:
        """Whether a record is meant that is known by these names. Its time is another question."""
        return (not self.tables or not self.tables.isdisjoint(tables)) and (
            not self.keys or not self.keys.isdisjoint(keys_of())
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """How far a replay is. Times are milliseconds since the epoch. `from_ms`, `to_ms`: by Kafka's timestamps, the first
    counts as in, the last as out."""

    id: str
    topic: str
    from_ms: int
    to_ms: int
    began_ms: int
    number: int
    """Its records come again for the `number`-th time."""
    written: int = 0
    reached: Mapping[int, int] = field(default_factory=dict)
    """By partition: the offset behind the last record that was written."""
    finished_ms: int = 0
    """0: it goes on."""

    @property
    def key(self) -> bytes:
        """Key of the record."""
        return KEY_PREFIX + self.id.encode()

    def advanced(self, places: Iterable[tuple[int, int]]) -> "Replay":
        """Once records at these places (partition, offset) stand, too."""
        reached, count = dict(self.reached), 0
        for partition, offset in places:
            reached[partition], count = offset + 1, count + 1
        return replace(self, reached=reached, written=self.written + count)

    def overlaps(self, topic: str, from_ms: int, to_ms: int) -> bool:
        """Whether an event may come from both. One of a raw topic may make the events of any later time."""
        return topic != self.topic or (from_ms < self.to_ms and self.from_ms < to_ms)

    def encode(self) -> bytes:
        """Value of the record; `decode` reads it back."""
        reached = {str(partition): offset for partition, offset in sorted(self.reached.items())}
        return json.dumps(
            {
                "topic": self.topic, "from": self.from_ms, "to": self.to_ms, "began": self.began_ms,
                "number": self.number, "written": self.written, "reached": reached, "finished": self.finished_ms,
            },
            separators=(",", ":"),
        ).encode()  # fmt: skip

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> "Replay":
        """Raises ValueError if this is no such record: what was done is not guessed."""
        try:
            found = json.loads(value)
            numbers = [found[name] for name in ("from", "to", "began", "number", "written", "finished")]
            reached = {int(partition): offset for partition, offset in found["reached"].items()}
            topic, name = found["topic"], key.removeprefix(KEY_PREFIX).decode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError("a replay that is not readable") from None
        if type(topic) is not str or any(type(number) is not int for number in (*numbers, *reached.values())):
            raise ValueError("a replay of another format")
        from_ms, to_ms, began_ms, number, written, finished_ms = numbers
        return cls(name, topic, from_ms, to_ms, began_ms, number, written, reached, finished_ms)


def next_number(earlier: Iterable[Replay], topic: str, from_ms: int, to_ms: int) -> int:
    """One more than that of any replay whose events may be among these: a bus that drops repeats tells them apart."""
    return 1 + max((one.number for one in earlier if one.overlaps(topic, from_ms, to_ms)), default=0)


def replayed(
    stage: str, topic: str, place: Sequence[int], key: bytes | None, value: bytes, headers: Headers, replay: Replay
) -> RedriveRecord:
    """A record of `topic` for its stage, in its own partition. `place`: partition, offset, Kafka timestamp in
    milliseconds."""
    partition, offset, timestamp_ms = place
    origin = RedriveOrigin(topic, partition, offset, max(0, timestamp_ms), 0, replay.began_ms)
    return RedriveRecord(stage, partition, key, value, redrive_headers(headers, origin, replay.number))
