"""What a worker logs, and how."""

import logging
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from workers.logs.echoes import EchoFilter
from workers.logs.lines import LogPlace
from workers.logs.redaction import LoggerRedaction
from workers.logs.ring import LogRing, RingHandler

LIBRARIES = ("faust", "mode", "aiokafka", "asyncio", "botocore", "boto3", "urllib3", "kafka", "aiohttp")
LINE = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
QUIET: Mapping[int, tuple[str, ...]] = {
    logging.ERROR: LIBRARIES,
    logging.WARNING: ("workers",),  # mode logs the life of every service under the module that defines it
    logging.CRITICAL: ("aiokafka.consumer.group_coordinator",),  # says ERROR while a coordinator is being elected
}


class JsonLines(logging.Formatter):
    """One JSON object per line: `workers.logs.lines.LogLine`."""

    def __init__(self, place: LogPlace) -> None:
        super().__init__()
        self._place = place

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return msgspec.json.encode(self._place.line(record)).decode()


class LineStream(logging.StreamHandler):  # type: ignore[type-arg]
    """Lines on stderr."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is logging's
        """Says where a line was to come from that cannot be written; logging itself would print its arguments (P6)."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # else stderr itself is gone
            name = type(error).__name__
            self.stream.write(f"a log line of {record.name} could not be written: {name} at {record.lineno}\n")


@dataclass(frozen=True, slots=True)
class LoggerConfigOptions:
    """Where the lines of a process go, and which ones are written."""

    level: str
    """DEBUG, INFO, WARNING or ERROR."""
    libraries: tuple[str, ...] = LIBRARIES
    """Loggers of others: each sentence of theirs is written once in a while."""
    quiet: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: QUIET)
    """Level -> loggers that write nothing below it."""
    form: Literal["text", "json"] = "text"
    place: LogPlace = field(default_factory=LogPlace)

    def apply(self) -> None:
        """Set up logging of this process: lines on stderr, and the last of them in memory."""
        lines = LineStream(sys.stderr)
        lines.setFormatter(LoggerRedaction(LINE) if self.form == "text" else JsonLines(self.place))
        handlers: list[logging.Handler] = [lines, RingHandler(LogRing(uuid.uuid4().hex[:8]), self.place)]
        logging.basicConfig(level=self.level, handlers=handlers, force=True)
        for level, names in self.quiet.items():
            for name in names:
                # Never DEBUG: there the clients log the bytes they send (P6).
                logging.getLogger(name).setLevel(logging.INFO if self.level == "DEBUG" else level)
        echoes = EchoFilter(self.libraries)
        for handler in handlers:
            handler.addFilter(echoes)
