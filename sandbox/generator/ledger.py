"""What was sent and how each of it has to end: the yardstick of the demo and of the chaos harness."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

# What may surround a value in JSON or in a log line is no part of a token, and neither is the domain of an address.
_TOKEN = re.compile(r"[A-Za-z0-9+$./-]{6,}")


class Ending(StrEnum):
    """The three ways a change may end (P5)."""

    PUBLISHED = "published"
    FILTERED = "filtered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class SourceChange:
    """One record for the stream and what has to become of it."""

    number: int
    """Place in the order of sending, from 0."""
    kind: str
    """What the source did, for people: `users update`, `resent`, …"""
    partition_key: str
    """Records of one row share it, so that the stream keeps their order."""
    data: bytes = field(repr=False)
    ending: Ending
    reason: str = ""
    """Why it is filtered, or the failure code of its dead letter; empty if it is published."""
    row: str | None = None
    """`<entityType>:<entityId>` of its event; a row whose key changed is a new row."""
    version: int = 0
    """Counts the published changes of a row, from 1."""
    transaction: str = ""
    """Transaction id of the source: unique per change, the same if it is sent again."""
    repeats: int | None = None
    """Number of the change this one is a second delivery of; it must then get the same eventId."""
    org_id: str | None = None
    user_id: str | None = None
    canaries: tuple[str, ...] = field(default=(), repr=False)
    """Parts of redacted values in this record; none may appear outside of the source (P6)."""

    @property
    def change(self) -> int:
        """Number of the change itself, whichever delivery of it this is."""
        return self.number if self.repeats is None else self.repeats


@dataclass(slots=True)
class Canaries:
    """Values that redaction must remove, and the column each stands in. Finds them in whatever left the pipeline."""

    columns: dict[str, str] = field(default_factory=dict, repr=False)

    def plant(self, value: str, column: str) -> str:
        """Watch out for a value; it must be a whole token of at least 6 characters. Answers the value."""
        if _TOKEN.fullmatch(value) is None:
            raise ValueError(f"a value of {column} cannot be recognised as a token")
        self.columns[value] = column
        return value

    def planted(self, values: Iterable[object]) -> tuple[str, ...]:
        """Those among the values of a row, or inside of them."""
        texts = (value for value in values if isinstance(value, str))
        return tuple(token for text in texts for token in _TOKEN.findall(text) if token in self.columns)

    def leaked(self, text: str, own: Iterable[str] = ()) -> set[str]:
        """Columns of which a value appears in `text`; `own` values are searched inside of longer words, too."""
        found = {self.columns[token] for token in _TOKEN.findall(text) if token in self.columns}
        return found | {self.columns[value] for value in own if value in text}


def expected(changes: Iterable[SourceChange]) -> Counter[tuple[Ending, str]]:
    """How many of these changes must end how: (ending, reason) -> count."""
    return Counter((change.ending, change.reason) for change in changes)
