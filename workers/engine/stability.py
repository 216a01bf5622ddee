"""The last stable offset: readers of committed records stop there, behind the oldest open transaction of a partition.

A transaction that nobody ends (a producer that is gone, with a time-out of hours; KIP-890 calls it hanging) holds back
everything after it, and the lag of the group shows nothing: the log seems to end there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from faust.types import TP

LOOK_EVERY = 1.0
STUCK_SECONDS = 60.0
"""Twice the transaction time-out of a slot: an orderly producer has ended its transaction by then."""


@dataclass(frozen=True, slots=True)
class Held:
    """A partition whose last stable offset `stable` lies below its high watermark, and stands there since `since`."""

    stable: int
    high_watermark: int
    since: float


class StableOffsets:
    """Watches the source partitions of one stage; fed from what every fetch response says anyway."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._held: dict[TP, Held] = {}
        self._told: set[TP] = set()
        self._looked = 0.0
        self.ends: dict[TP, int] = {}
        """Last stable offsets, as of the last look; of a partition that is not fetched, as of its last fetch."""

    def look(self, states: Iterable[tuple[TP, int | None, int | None]], now: float) -> None:
        """`states`: (partition, last stable offset, high watermark) of the source partitions; `now` in seconds."""
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        held, ends = {}, {}
        for tp, stable, high_watermark in states:
            if stable is None or high_watermark is None:
                continue
            ends[tp] = stable
            if stable >= high_watermark:
                continue
            known = self._held.get(tp)
            since = known.since if known is not None and known.stable == stable else now
            held[tp] = Held(stable, high_watermark, since)
        self._held, self.ends = held, ends
        stuck = self.stuck(now)
        for tp in stuck.keys() - self._told:
            self._log.error(
                "%s/%s: an open transaction has held back everything behind offset %s for %.0f s; see docs/runbook.md",
                tp.topic, tp.partition, held[tp].stable, stuck[tp],
            )  # fmt: skip
        self._told = set(stuck)

    def stuck(self, now: float) -> dict[TP, float]:
        """Partitions held back for longer than any transaction of ours may last, and for how many seconds."""
        ages = {tp: now - held.since for tp, held in self._held.items()}
        return {tp: age for tp, age in ages.items() if age >= STUCK_SECONDS}
