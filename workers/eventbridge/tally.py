"""What is counted of every bus and of the windows before it: names of buses and codes, nothing of an event (P6)."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from models.outcome import ErrorCategory
from workers import metrics
from workers.aws.errors import ErrorCodes
from workers.engine.clock import monotonic
from workers.engine.delivery import Delivered, Outcome, Retry
from workers.engine.window import Window
from workers.metrics import Distribution, Sample

if TYPE_CHECKING:
    from workers.eventbridge.gate import BusGate

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
MOST_STALLED = 10
"""That a view names."""


class BusTally:
    """Of one bus, since the start of the stage."""

    def __init__(self) -> None:
        self.entries: Counter[str] = Counter()
        """delivered | refused | again"""
        self.errors = ErrorCodes()
        """Of entries; every entry of a request that failed as a whole."""
        self.throttles = 0
        """Requests with a throttle in their answer, or for an answer."""
        self.slowed = 0
        """Times the pace was halved."""
        self.reordered = 0
        self._spread = [0] * (len(BOUNDS) + 1)
        self._seconds = 0.0

    def ended(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """One request."""
        self._spread[bisect_left(BOUNDS, seconds)] += 1
        self._seconds += seconds
        delivered = sum(1 for outcome in outcomes if isinstance(outcome, Delivered))
        self.entries["delivered"] += delivered
        if delivered == len(outcomes):
            return
        throttled = False
        for outcome in outcomes:
            if isinstance(outcome, Retry):
                self.entries["again"] += 1
                self.errors.count(outcome.reason)
                throttled |= outcome.category is ErrorCategory.THROTTLING
            elif not isinstance(outcome, Delivered):
                self.entries["refused"] += 1
        self.throttles += throttled

    @property
    def seconds(self) -> Distribution:
        """How long requests took."""
        return Distribution(BOUNDS, self._spread, self._seconds)


def measure(gates: "Iterable[BusGate]", windows: Iterable[Window]) -> Iterator[Sample]:
    """Samples for a scrape."""
    for gate in gates:
        yield from _of_bus(gate)
    now, oldest, stalled, longest, records, size = monotonic(), 0.0, 0, 0.0, 0, 0
    for window in windows:
        records += window.records
        size += window.bytes
        oldest = max(oldest, window.oldest(now))
        lanes = window.stalled()
        stalled += len(lanes)
        longest = max(longest, *(now - lane.failed_at for lane in lanes), 0.0)
    yield metrics.PUBLISH_WAITING.of(records)
    yield metrics.PUBLISH_WAITING_BYTES.of(size)
    yield metrics.PUBLISH_OLDEST_SECONDS.of(oldest)
    yield metrics.PUBLISH_STALLED.of(stalled)
    yield metrics.PUBLISH_STALL_SECONDS.of(longest)


def _of_bus(gate: "BusGate") -> Iterator[Sample]:
    bus, tally = gate.name, gate.tally
    for outcome, number in tally.entries.items():
        yield metrics.PUBLISH_ENTRIES.of(number, bus, outcome)
    for code, number in tally.errors.items():
        yield metrics.PUBLISH_ERRORS.of(number, bus, code)
    yield metrics.PUBLISH_SECONDS.of(tally.seconds, bus)
    yield metrics.PUBLISH_THROTTLES.of(tally.throttles, bus)
    yield metrics.PUBLISH_REORDERED.of(tally.reordered, bus)
    yield metrics.PUBLISH_IN_FLIGHT.of(gate.calls, bus)
    yield metrics.PUBLISH_IN_FLIGHT_LIMIT.of(gate.in_flight.limit, bus)
    if gate.pace.requests.rate < math.inf:
        yield metrics.PUBLISH_RATE.of(gate.pace.requests.rate, bus)
    yield metrics.PUBLISH_BUS_UP.of(0 if gate.down or gate.refused else 1, bus)
    yield metrics.PUBLISH_CIRCUIT_OPENED.of(gate.breaker.opened, bus)


def report(gates: "Iterable[BusGate]", windows: Iterable[Window]) -> dict[str, Any]:
    """The same for the web view, and the events that wait longest: where they stand in Kafka, not whose they are."""
    now = monotonic()
    stalled = sorted((lane for window in windows for lane in window.stalled()), key=lambda lane: lane.failed_at)
    return {
        "buses": {
            gate.name: {
                "circuit": gate.breaker.state, "trouble": gate.refused or gate.down, "in_flight": gate.calls,
                "in_flight_limit": gate.in_flight.limit, "reordered": gate.tally.reordered,
                "throttles": gate.tally.throttles,
                "requests_per_second": None if math.isinf(gate.pace.requests.rate) else gate.pace.requests.rate,
            }
            for gate in gates
        },
        "stalled": [
            {
                "topic": lane.items[0].tp.topic, "partition": lane.items[0].tp.partition,
                "offset": lane.items[0].record.offset, "failures": lane.failures, "reason": lane.reason,
                "seconds": round(now - lane.failed_at, 1), "waiting": len(lane.items),
            }
            for lane in stalled[:MOST_STALLED]
        ],
    }  # fmt: skip
