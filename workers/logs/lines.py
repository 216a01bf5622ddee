"""A log line as data: what `cdc logs` shows, and what stands on stderr as JSON. Nothing in it is unmasked (P6)."""

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from workers.logs.redaction import masked

OURS = ("cdc", "workers")
"""Loggers whose extra fields are shown; libraries hang whatever they like on their records."""
PLAIN = (bool, int, float)
MOST_TEXT = 16 << 10
"""Characters of a message or an error; what is longer is cut, after it was masked."""
TRACE = "trace"
"""Name of the extra field that holds a trace id."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. `time` is ISO 8601 in UTC with milliseconds, so that lines sort by it as text."""

    time: str
    level: str
    logger: str
    worker: str
    message: str
    stage: str | None = None
    error: str | None = None
    """Traceback of an exception."""
    trace: str | None = None
    """Id of the trace that it belongs to."""
    fields: Mapping[str, Any] = msgspec.field(default_factory=dict)

    @property
    def size(self) -> int:
        """Characters, about."""
        return len(self.message) + len(self.error or "") + 200


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Whose lines they are."""

    worker: str = ""
    app: str = ""
    """CDC_APP: loggers of stages are named `cdc.<app>-<stage>`."""

    def line(self, record: logging.LogRecord) -> LogLine:
        """The line of a record. Masking is the last that happens to its texts."""
        fields = _fields(record)
        trace = fields.pop(TRACE, None)
        return LogLine(
            time=iso(record.created), level=record.levelname, logger=record.name, worker=self.worker,
            message=shown(record.getMessage()), stage=self._stage(record.name), error=_error(record),
            trace=None if trace is None else str(trace), fields=fields,
        )  # fmt: skip

    def _stage(self, logger: str) -> str | None:
        prefix = f"cdc.{self.app}-"
        return logger.removeprefix(prefix) if self.app and logger.startswith(prefix) else None


def iso(seconds: float) -> str:
    """A time as lines have it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(text: str) -> str:
    """A text as it may be read."""
    found = masked(text)
    return found if len(found) <= MOST_TEXT else f"{found[:MOST_TEXT]} … ({len(found) - MOST_TEXT} more characters)"


def _error(record: logging.LogRecord) -> str | None:
    text = record.exc_text or ""
    if record.exc_info and not text:
        text = "".join(traceback.format_exception(*record.exc_info))
    if record.stack_info:
        text = f"{text}\n{record.stack_info}"
    return shown(text.strip()) or None


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    if record.name.partition(".")[0] not in OURS:
        return {}
    return {
        name: value if isinstance(value, PLAIN) or value is None else shown(str(value))
        for name, value in vars(record).items()
        if name not in _STANDARD and not name.startswith("_")
    }
