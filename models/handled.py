"""What was done with a record of `cdc.dead`: one record of `cdc.dead-handled` for each, compacted by its id."""

import json
from dataclasses import dataclass
from typing import Literal

Action = Literal["redriven", "dropped"]
ACTIONS: tuple[Action, ...] = ("redriven", "dropped")


@dataclass(frozen=True, slots=True, order=True)
class LetterId:
    """Where a record stands in `cdc.dead`. Written `<partition>:<offset>`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "LetterId":
        """Raises ValueError."""
        partition, _, offset = text.strip().partition(":")
        if not all(part.isascii() and part.isdecimal() and len(part) < 20 for part in (partition, offset)):
            raise ValueError(f"{text}: not PARTITION:OFFSET, like 3:1841")
        return cls(int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class Handled:
    """A decision about one letter. Times are milliseconds since the epoch."""

    letter: LetterId
    action: Action
    at_ms: int
    letter_ms: int
    """Kafka timestamp of the letter: in a topic that was made anew, another record has the same id."""

    @property
    def key(self) -> bytes:
        """Key of the record."""
        return str(self.letter).encode()

    def encode(self) -> bytes:
        """Value of the record; `decode` reads it back."""
        return json.dumps(
            {"action": self.action, "at": self.at_ms, "letter": self.letter_ms}, separators=(",", ":")
        ).encode()

    @classmethod
    def decode(cls, key: bytes | None, value: bytes) -> "Handled":
        """Raises ValueError if this is no such record: what was done is not guessed."""
        try:
            letter = LetterId.parse((key or b"").decode())
            found = json.loads(value)
            action, at_ms, letter_ms = found["action"], found["at"], found["letter"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError("a record that is not readable") from None
        if action not in ACTIONS or type(at_ms) is not int or type(letter_ms) is not int:
            raise ValueError("a record of another format")
        return cls(letter, action, at_ms, letter_ms)
