"""Kafka is away: said once for all stages of a process, ever less often, and once more when it is there again."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from workers.engine.clock import monotonic

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between two lines that say the same."""

log = logging.getLogger("cdc.kafka")


@dataclass(slots=True)
class Absence:
    """Stages that start together find together that nobody answers."""

    servers: str
    now: Callable[[], float] = monotonic
    _since: float | None = None
    _told: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By reason: when it may be said again, and the pause after that."""

    def tell(self, why: str) -> None:
        """An attempt of any stage has failed."""
        at = self.now()
        if self._since is None:
            self._since = at
        due, pause = self._told.get(why, (at, FIRST_PAUSE))
        if at < due:
            return
        log.warning("waiting for Kafka at %s: %s", self.servers, why)
        self._told[why] = at + pause, min(pause * 2, LONGEST_PAUSE)

    def over(self) -> None:
        """An attempt of any stage came through."""
        if self._since is None:
            return
        log.info("Kafka at %s is there, after %.0f s", self.servers, self.now() - self._since)
        self._since = None
        self._told.clear()


_ABSENCES: dict[str, Absence] = {}


def absence_of(servers: str) -> Absence:
    """The one of this process."""
    return _ABSENCES.setdefault(servers, Absence(servers))
