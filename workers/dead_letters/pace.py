"""How fast letters are redriven. Pure: time is a parameter."""

from dataclasses import dataclass

MAX_RECORDS = 500
"""Of one transaction: what a killed command has to do again, and one commit (a few milliseconds) for many letters."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`rate`: letters per second, None: as fast as Kafka takes them."""

    rate: float | None = None

    @property
    def at_once(self) -> int:
        """Letters of one transaction: those of a second at most."""
        return MAX_RECORDS if self.rate is None else max(1, min(MAX_RECORDS, int(self.rate)))

    def next_after(self, due: float, now: float, count: int) -> float:
        """When the next transaction may begin (seconds), after one of `count` letters that was `due` and begins `now`.
        Time that was lost is not made up for: the stage would get a burst."""
        return now if self.rate is None else max(due, now) + count / self.rate
