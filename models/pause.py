"""Pauses: what an operator holds back, since when, and why. Records of the compacted topic `cdc.pauses` (ADR 53).

Three kinds of record share its one partition, told apart by their keys: a pause (`enrich`, `enrich|table|users`,
`enrich|partition|3`), an entry of the history (`audit|…`), and the word of a worker that it obeys (`obeyed|…`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

SEPARATOR = "|"
TABLE, PARTITION = "table", "partition"
AUDIT, OBEYED = "audit", "obeyed"
WHY_CHARACTERS = 300
HISTORY = 1_000
"""Entries of the history that are kept."""

Action = Literal["paused", "resumed", "ended"]
"""`ended`: its time was over."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What is paused: a stage, or one table or partition of it."""

    stage: str
    table: str = ""
    partition: int = -1

    @property
    def text(self) -> str:
        """Key of its record."""
        if self.table:
            return SEPARATOR.join((self.stage, TABLE, self.table))
        if self.partition >= 0:
            return SEPARATOR.join((self.stage, PARTITION, str(self.partition)))
        return self.stage

    @property
    def part(self) -> str:
        """Which part of the stage, in words."""
        if self.table:
            return f"table {self.table}"
        return f"partition {self.partition}" if self.partition >= 0 else "stage"

    def __str__(self) -> str:
        return self.stage if self.part == "stage" else f"{self.stage}, {self.part}"

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Raises ValueError."""
        match text.split(SEPARATOR, 2):
            case [stage] if stage:
                return cls(stage)
            case [stage, kind, name] if stage and kind == TABLE and name:
                return cls(stage, table=name)
            case [stage, kind, number] if stage and kind == PARTITION and number.isascii() and number.isdecimal():
                return cls(stage, partition=int(number))
        raise ValueError(f"{text!r} is no key of a pause")


@dataclass(frozen=True, slots=True)
class Pause:
    """Times are milliseconds since the epoch; `until_ms` 0: until somebody resumes it."""

    target: Target
    since_ms: int
    by: str
    why: str
    until_ms: int = 0

    def over(self, now_ms: int) -> bool:
        """Its time has passed: nobody has to resume it."""
        return 0 < self.until_ms <= now_ms

    def encode(self) -> bytes:
        """Value of its record."""
        found: dict[str, Any] = {"since": self.since_ms, "by": self.by, "why": self.why}
        return _dumps(found | ({"until": self.until_ms} if self.until_ms else {}))

    @classmethod
    def decode(cls, target: Target, value: bytes) -> "Pause":
        """What cannot be read holds all the same: to go on by mistake cannot be taken back, to wait can."""
        try:
            found = json.loads(value)
            return cls(target, int(found["since"]), str(found["by"]), str(found["why"]), int(found.get("until") or 0))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(target, 0, "", "its record in Kafka cannot be read; resume it to remove it")

    def document(self) -> dict[str, Any]:
        """For scripts and pages."""
        of = {"stage": self.target.stage, "table": self.target.table or None,
              "partition": self.target.partition if self.target.partition >= 0 else None}  # fmt: skip
        return of | {"since": self.since_ms, "by": self.by, "why": self.why, "until": self.until_ms or None}


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the history."""

    at_ms: int
    action: Action
    target: Target
    by: str
    why: str = ""
    number: int = 0
    """Among the changes that were written together."""

    @property
    def key(self) -> str:
        """Of its record: the keys of all entries stand in the order of time."""
        return SEPARATOR.join((AUDIT, f"{self.at_ms:014}", f"{self.number:03}", self.target.text))

    def encode(self) -> bytes:
        """Value of its record."""
        return _dumps({"action": self.action, "at": self.at_ms, "by": self.by, "why": self.why})

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {"at": self.at_ms, "action": self.action, "target": self.target.text, "by": self.by, "why": self.why}


@dataclass(frozen=True, slots=True)
class Obeyed:
    """A worker's word: what it does of a stage in these slots follows all changes up to this offset."""

    stage: str
    worker: str
    offset: int
    slots: frozenset[int]

    @property
    def key(self) -> str:
        """Of its record."""
        return SEPARATOR.join((OBEYED, self.stage, self.worker))

    def encode(self) -> bytes:
        """Value of its record."""
        return _dumps({"offset": self.offset, "slots": sorted(self.slots)})


@dataclass(slots=True)
class PauseBook:
    """Everything the topic says, as far as it was read. Never raises for what stands there."""

    pauses: dict[Target, Pause] = field(default_factory=dict)
    history: dict[str, Change] = field(default_factory=dict)
    """By key."""
    obeyed: dict[str, Obeyed] = field(default_factory=dict)
    """By key."""
    changed_at: int = -1
    """Offset of the last pause or resume."""
    changed_ms: int = 0
    """Kafka timestamp of it."""
    strange: int = 0
    """Records that nobody can place."""

    def apply(self, key: bytes | None, value: bytes | None, offset: int, timestamp_ms: int) -> None:
        """One record, in their order."""
        try:
            text = (key or b"").decode()
            kind, _, rest = text.partition(SEPARATOR)
            match kind:
                case "audit":
                    self._audit(text, rest, value)
                case "obeyed":
                    self._obey(text, rest, value)
                case _:
                    self._pause(Target.parse(text), value, offset, timestamp_ms)
        except (ValueError, KeyError, TypeError, RecursionError):
            self.strange += 1

    def _pause(self, target: Target, value: bytes | None, offset: int, timestamp_ms: int) -> None:
        if value is None:
            self.pauses.pop(target, None)
        else:
            self.pauses[target] = Pause.decode(target, value)
        self.changed_at, self.changed_ms = offset, timestamp_ms

    def _audit(self, key: str, rest: str, value: bytes | None) -> None:
        if value is None:
            self.history.pop(key, None)
            return
        found = json.loads(value)
        _, number, target = rest.split(SEPARATOR, 2)
        change = self.history[key] = Change(
            int(found["at"]), found["action"], Target.parse(target), str(found["by"]), str(found["why"]), int(number)
        )
        # Whoever was away for so long that the tombstone was compacted meanwhile learns of the end from this.
        known = self.pauses.get(change.target)
        if change.action != "paused" and known is not None and known.since_ms <= change.at_ms:
            del self.pauses[change.target]

    def _obey(self, key: str, rest: str, value: bytes | None) -> None:
        if value is None:
            self.obeyed.pop(key, None)
            return
        found = json.loads(value)
        stage, _, worker = rest.partition(SEPARATOR)
        self.obeyed[key] = Obeyed(stage, worker, int(found["offset"]), frozenset(map(int, found["slots"])))

    def of(self, stage: str, now_ms: int) -> tuple[Pause, ...]:
        """What holds now, of one stage."""
        return tuple(p for t, p in sorted(self.pauses.items()) if t.stage == stage and not p.over(now_ms))

    def now(self, now_ms: int) -> tuple[Pause, ...]:
        """What holds now."""
        return tuple(pause for _, pause in sorted(self.pauses.items()) if not pause.over(now_ms))

    def next_end(self, now_ms: int) -> int | None:
        """When the next of them ends by itself."""
        return min((pause.until_ms for pause in self.now(now_ms) if pause.until_ms), default=None)

    def obeying(self, stage: str, offset: int) -> frozenset[int]:
        """Slots whose workers follow all changes up to this offset."""
        words = (word for word in self.obeyed.values() if word.stage == stage and word.offset >= offset)
        return frozenset(slot for word in words for slot in word.slots)


Record = tuple[bytes, bytes | None]
"""Key and value."""


def pausing(book: PauseBook, asked: Iterable[Pause]) -> list[Record]:
    """Records that begin these pauses. One that holds already keeps its beginning, and gets the new reason and end."""
    changes, records = [], []
    for pause in asked:
        known = book.pauses.get(pause.target)
        lasting = known is not None and known.since_ms and not known.over(pause.since_ms)
        kept = replace(pause, since_ms=known.since_ms) if known is not None and lasting else pause
        records.append((pause.target.text.encode(), kept.encode()))
        changes.append(Change(pause.since_ms, "paused", pause.target, pause.by, pause.why))
    return records + _told(book, changes)


def resuming(book: PauseBook, targets: Iterable[Target], *, by: str, why: str, now_ms: int) -> list[Record]:
    """Records that end these pauses, and clear away those whose time is over."""
    asked = set(targets)
    over = {target for target, pause in book.pauses.items() if pause.over(now_ms)}
    changes = [Change(now_ms, "resumed", target, by, why) for target in sorted(asked - over)]
    changes += [Change(book.pauses[target].until_ms, "ended", target, "", "its time was over") for target in over]
    records: list[Record] = [(target.text.encode(), None) for target in sorted(asked | over)]
    return records + _told(book, changes)


def _told(book: PauseBook, changes: list[Change]) -> list[Record]:
    """The history of what is written with it; old entries go, and the words of workers about earlier changes."""
    numbered = [replace(change, number=number) for number, change in enumerate(changes)]
    records: list[Record] = [(change.key.encode(), change.encode()) for change in numbered]
    surplus = max(0, len(book.history) + len(numbered) - HISTORY)
    records += [(key.encode(), None) for key in sorted(book.history)[:surplus]]
    return records + [(key.encode(), None) for key in sorted(book.obeyed)]


def _dumps(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
