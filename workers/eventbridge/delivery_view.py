"""The buses of a stage and the windows before them, for metrics and the web view: names of buses and codes, nothing of
an event (P6)."""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from workers import metrics
from workers.engine.clock import monotonic
from workers.engine.window import Window
from workers.eventbridge.gate import BusGate
from workers.metrics import Distribution, Sample

MOST_STALLED = 10
"""That a view names."""


def measure(gates: Iterable[BusGate], windows: Iterable[Window], ages: Distribution) -> Iterator[Sample]:
    """Samples for a scrape. `ages`: of the events when their bus took them."""
    yield metrics.E2E.of(ages)
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


def _of_bus(gate: BusGate) -> Iterator[Sample]:
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


def report(gates: Iterable[BusGate], windows: Collection[Window]) -> dict[str, Any]:
    """The same for the web view, and the events that wait longest: where they stand in Kafka, not whose they are."""
    now = monotonic()
    stalled = sorted((lane for window in windows for lane in window.stalled()), key=lambda lane: lane.failed_at)
    return {
        "buses": {
            gate.name: {
                "circuit": gate.breaker.state, "trouble": gate.refused or gate.down, "in_flight": gate.calls,
                "in_flight_limit": gate.in_flight.limit, "reordered": gate.tally.reordered,
                "throttles": gate.tally.throttles,
                "held_back": sum(window.waiting(gate.name) for window in windows),
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
