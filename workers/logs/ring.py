"""The last log lines of this process, masked, for whoever asks from another machine (`cdc logs`)."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from workers.logs.lines import LogLine, LogPlace

MOST_LINES = 5_000
MOST_BYTES = 4 << 20
MOST_ANSWERED = 1_000
"""Lines of one answer, the newest."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are wanted."""

    level: int = logging.NOTSET
    """At least."""
    stage: str | None = None
    since: str = ""
    """Time as lines have it; later ones."""
    grep: str = ""
    """Text in the line, whatever its case."""

    def wants(self, line: LogLine) -> bool:
        """Whether a line is shown."""
        if line.time < self.since or (self.stage is not None and line.stage != self.stage):
            return False
        if logging.getLevelNamesMapping().get(line.level, logging.CRITICAL) < self.level:
            return False
        return not self.grep or self.grep.casefold() in f"{line.logger}: {line.message} {line.error or ''}".casefold()


@dataclass(frozen=True, slots=True)
class Read:
    """What a ring gave. `cursor`: where to go on; `missed`: lines that were asked for and are gone, or did not fit into
    the answer."""

    lines: tuple[LogLine, ...]
    cursor: str
    missed: int


class LogRing:
    """Bounded by count and by bytes; threads log, too."""

    def __init__(self, born: str, most_lines: int = MOST_LINES, most_bytes: int = MOST_BYTES) -> None:
        """`born` tells this ring from that of an earlier process of the same name."""
        self._born = born
        self._lines: deque[LogLine] = deque()
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._bytes = 0
        self._first = 0
        """Number of the oldest line."""
        self._lock = threading.Lock()

    def add(self, line: LogLine) -> None:
        """Keep a line; the oldest ones make room for it."""
        with self._lock:
            self._lines.append(line)
            self._bytes += line.size
            while len(self._lines) > self._most_lines or (self._bytes > self._most_bytes and len(self._lines) > 1):
                self._bytes -= self._lines.popleft().size
                self._first += 1

    def read(self, wanted: LogFilter, cursor: str = "", limit: int = MOST_ANSWERED) -> Read:
        """Lines behind a cursor; one of another ring, or none, means all there are."""
        born, _, number = cursor.rpartition(".")
        after = int(number) if born == self._born and number.isdecimal() else None
        with self._lock:
            end = self._first + len(self._lines)
            lines = tuple(islice(self._lines, max(0, (after or 0) - self._first), None))
            gone = 0 if after is None else max(0, self._first - after)
        found = [line for line in lines if wanted.wants(line)]
        cut = max(0, len(found) - limit)
        return Read(tuple(found[cut:]), f"{self._born}.{end}", gone + cut)


class RingHandler(logging.Handler):
    """Puts what is logged into a ring."""

    def __init__(self, ring: LogRing, place: LogPlace) -> None:
        super().__init__()
        self.ring = ring
        self._line: Callable[[logging.LogRecord], LogLine] = place.line

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler. What cannot be formatted is reported by the handler of stderr."""
        try:
            self.ring.add(self._line(record))
        except Exception:  # noqa: BLE001  a log call never fails whoever makes it
            return


def ring_of_process() -> LogRing:
    """The ring of the handler that logging was set up with; an empty one if it has none."""
    found = (handler.ring for handler in logging.getLogger().handlers if isinstance(handler, RingHandler))
    return next(found, LogRing("none"))
