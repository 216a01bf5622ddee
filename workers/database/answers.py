"""What the database has answered, kept for a while: bounded in number and in age, hits and misses apart."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from enrichers.state import LookupEntry

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row of a lookup: `schema` is that of the source, `key` the text of its key."""

    lookup: str
    schema: str
    key: str


@dataclass(frozen=True, slots=True)
class AnswerLimits:
    """A row that was found may get another owner, and one that was not may come: hence the ages, in seconds."""

    found_seconds: float = 60.0
    found_rows: int = 100_000
    missing_seconds: float = 10.0
    missing_rows: int = 100_000


class Aged(Generic[Value]):
    """Values that are forgotten when they are old, and when there are too many: the oldest first."""

    def __init__(self, most: int, seconds: float, now: Callable[[], float]) -> None:
        self.most = most
        self.seconds = seconds
        self._now = now
        self._kept: dict[Wanted, tuple[float, Value]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, wanted: Wanted) -> Value | None:
        """The value, unless it is too old."""
        kept = self._kept.get(wanted)
        if kept is None:
            return None
        at, value = kept
        if self._now() - at >= self.seconds:
            del self._kept[wanted]
            return None
        return value

    def put(self, wanted: Wanted, value: Value) -> None:
        """As of now."""
        self._kept.pop(wanted, None)
        if len(self._kept) >= self.most:
            del self._kept[next(iter(self._kept))]
        self._kept[wanted] = (self._now(), value)

    def drop(self, wanted: Wanted) -> None:
        """Forget one."""
        self._kept.pop(wanted, None)


class Answers:
    """Both caches. A row is in one of them at most."""

    def __init__(self, limits: AnswerLimits, now: Callable[[], float]) -> None:
        self.found: Aged[LookupEntry] = Aged(limits.found_rows, limits.found_seconds, now)
        self.missing: Aged[bool] = Aged(limits.missing_rows, limits.missing_seconds, now)

    def keep(self, wanted: Wanted, entry: LookupEntry | None) -> None:
        """What the database just said; None: there is no such row."""
        if entry is None:
            self.found.drop(wanted)
            self.missing.put(wanted, True)
        else:
            self.missing.drop(wanted)
            self.found.put(wanted, entry)
