"""The log lines of all workers as one list, by time, and who could not be asked."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from workers.cluster.peers import OTHERS, Answer
from workers.logs.lines import LogLine
from workers.logs.ring import MOST_ANSWERED, LogFilter, Read

LEVELS = ("debug", "info", "warning", "error", "critical")
PATH = "/internal/logs"


class Asked(Protocol):
    """What asks all workers (workers.cluster.peers.Cluster)."""

    async def ask(self, path: str, query: Mapping[str, str] | None = None) -> tuple[Answer, ...]:
        """GET from every worker."""


class InvalidLogQuery(ValueError):
    """A query that cannot be answered; says which part of it."""


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What is wanted, as it travels in the query of a URL. `cursors`: where to go on, by worker."""

    level: str = "debug"
    stage: str | None = None
    worker: str | None = None
    since: str = ""
    grep: str = ""
    limit: int = 200
    cursors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "LogQuery":
        """Raises InvalidLogQuery."""
        level, limit = query.get("level", "debug").lower(), query.get("limit", "200")
        if level not in LEVELS:
            raise InvalidLogQuery(f"level is one of {', '.join(LEVELS)}")
        if not limit.isdecimal() or len(limit) > 9 or not 1 <= int(limit) <= MOST_ANSWERED:
            raise InvalidLogQuery(f"limit is a number from 1 to {MOST_ANSWERED}")
        try:
            cursors = msgspec.json.decode(query.get("cursors", "{}"), type=dict[str, str])
        except msgspec.MsgspecError:
            raise InvalidLogQuery("cursors are what an earlier answer gave") from None
        return cls(
            level, query.get("stage") or None, query.get("worker") or None, query.get("since", ""),
            query.get("grep", ""), int(limit), cursors,
        )  # fmt: skip

    def to_query(self) -> dict[str, str]:
        """`of` reads it back."""
        told = {
            "level": self.level, "stage": self.stage, "worker": self.worker, "since": self.since, "grep": self.grep,
            "limit": str(self.limit), "cursors": json.dumps(dict(self.cursors)) if self.cursors else None,
        }  # fmt: skip
        return {name: value for name, value in told.items() if value}

    @property
    def filter(self) -> LogFilter:
        """For the ring of one process."""
        return LogFilter(logging.getLevelNamesMapping()[self.level.upper()], self.stage, self.since, self.grep)


@dataclass(frozen=True, slots=True)
class ClusterLogs:
    """What all workers said. `missed`: lines that are gone or did not fit, by worker; `unreachable`: why, by worker."""

    lines: tuple[LogLine, ...]
    cursors: Mapping[str, str]
    missed: Mapping[str, int]
    unreachable: Mapping[str, str]
    workers: tuple[str, ...]
    """Who answered."""
    others: tuple[str, ...] = ()
    """Who else there is, and is not wanted."""

    def document(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "lines": msgspec.to_builtins(self.lines), "cursors": dict(self.cursors), "missed": dict(self.missed),
            "unreachable": dict(self.unreachable), "workers": list(self.workers),
        }  # fmt: skip


class _Told(msgspec.Struct):
    lines: list[LogLine]
    cursor: str
    missed: int = 0


def told(read: Read) -> dict[str, Any]:
    """The answer of one worker."""
    return {"lines": msgspec.to_builtins(read.lines), "cursor": read.cursor, "missed": read.missed}


async def logs_of(cluster: Asked, query: LogQuery) -> ClusterLogs:
    """Ask every worker. Never raises: who does not answer stands in `unreachable`."""
    return together(await cluster.ask(PATH, query.to_query()), query)


def together(answers: Iterable[Answer], query: LogQuery) -> ClusterLogs:
    """By time; of the same millisecond the lines of one worker keep their order. The newest `limit` lines remain."""
    lines: list[LogLine] = []
    cursors, missed, unreachable = dict(query.cursors), dict[str, int](), dict[str, str]()
    heard, others = list[str](), list[str]()
    for answer in answers:
        if query.worker is not None and answer.worker not in (query.worker, OTHERS):
            others.append(answer.worker)
            continue
        if answer.error is not None:
            unreachable[answer.worker] = answer.error
            continue
        try:
            found = msgspec.convert(answer.body, _Told)
        except msgspec.ValidationError:
            unreachable[answer.worker] = "its answer is none of this release"
            continue
        heard.append(answer.worker)
        cursors[answer.worker] = found.cursor
        lines += found.lines
        if found.missed:
            missed[answer.worker] = found.missed
    lines.sort(key=lambda line: line.time)
    for line in lines[: -query.limit]:
        missed[line.worker] = missed.get(line.worker, 0) + 1
    return ClusterLogs(tuple(lines[-query.limit :]), cursors, missed, unreachable, tuple(heard), tuple(others))
