"""What a library says again and again is said once in a while: the Kafka clients of all slots together log hundreds of
lines a second while a broker is away (245 measured), and hide what the worker itself says."""

import logging
import time
from collections.abc import Callable

SECONDS = 30.0
DECIDED = "_echo_passes"
"""Attribute of a record."""
REMEMBERED = 1_000
"""Different sentences; some libraries put what changes into the sentence itself."""


class EchoFilter(logging.Filter):
    """Lets one sentence of a library through per `seconds`, and says with the next one how many there were between.

    A sentence is a message without its arguments; loggers that are not below `libraries` are let alone."""

    def __init__(
        self, libraries: tuple[str, ...], seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._libraries = frozenset(libraries)
        self._seconds = seconds
        self._clock = clock
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}
        """When it was said last, and how often it was kept back since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name.partition(".")[0] not in self._libraries:
            return True
        if (decided := getattr(record, DECIDED, None)) is not None:  # another handler has asked before
            return bool(decided)
        setattr(record, DECIDED, passes := self._passes(record))
        return passes

    def _passes(self, record: logging.LogRecord) -> bool:
        sentence, now = (record.name, record.levelno, str(record.msg)), self._clock()
        at, kept_back = self._said.get(sentence, (float("-inf"), 0))
        if now - at < self._seconds:
            self._said[sentence] = at, kept_back + 1
            return False
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[sentence] = now, 0
        if kept_back:
            record.msg = f"{record.getMessage()} ({kept_back} more like this in {now - at:.0f} s)"
            record.args = None
        return True
