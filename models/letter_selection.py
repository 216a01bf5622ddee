"""Which records of `cdc.dead` a command is about."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from models.buried import Buried
from models.handled import LetterId
from models.start_position import StartAt

_AGO = re.compile(r"(\d{1,9})\s*([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Selection:
    """Every given condition must hold; of several values of one condition any may. Empty: it does not matter."""

    ids: frozenset[LetterId] = frozenset()
    stages: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    """As they are shown, or as they stand in Kafka."""
    since_ms: int | None = None
    until_ms: int | None = None
    """Milliseconds since the epoch, by the letter's Kafka timestamp; `since_ms` counts as in, `until_ms` as out."""

    @property
    def narrows(self) -> bool:
        """Whether it says anything."""
        return self != Selection()

    def holds(self, buried: Buried, keys_of: Callable[[Buried], Collection[str]]) -> bool:
        """Whether this is one of them. `keys_of` says under which names its key is known."""
        return (
            (not self.ids or buried.id in self.ids)
            and (self.since_ms is None or buried.time_ms >= self.since_ms)
            and (self.until_ms is None or buried.time_ms < self.until_ms)
            and (not self.stages or buried.stage in self.stages)
            and (not self.codes or buried.code in self.codes)
            and (not self.categories or buried.category in self.categories)
            and (not self.tables or buried.table in self.tables)
            and (not self.keys or not self.keys.isdisjoint(keys_of(buried)))
        )


def moment(text: str, now_ms: int) -> int:
    """`2h` (so long ago: s, m, h, d, w) or a moment in ISO 8601 (without a zone: UTC), in milliseconds since the epoch.
    Raises ValueError."""
    if (ago := _AGO.fullmatch(text.strip())) is not None:
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1_000
    try:
        start = StartAt.parse(text)
    except ValueError:
        start = StartAt()
    if start.kind != "AT_TIMESTAMP":
        raise ValueError("neither a time like 2026-01-15T10:00:00Z nor an age like 90s, 30m, 2h, 7d")
    return start.timestamp_ms
