"""EventBridge as the sink of a window: which record goes to which bus, in which bytes."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from models.bus_health import EventBridgeHC
from models.raw import HEADER_REDRIVEN, HEADER_REPLAY, Headers
from models.redrive import origin_of
from models.trace_context import traceparent_of
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable
from workers.eventbridge.bus import IBus, Prepared
from workers.eventbridge.entry import EntryRules, entry_of
from workers.eventbridge.tally import EventAges
from workers.tracing.spans import Hop, HopSpans

MAX_DIGITS = 9
"""Of a number in a header: a longer one takes its time to read."""
MAX_OFFSET_DIGITS = 19
NO_TABLES: Mapping[str, IBus] = MappingProxyType({})


class EventBridgeSink:
    """All buses behind one sink; a bus is a channel. `of_table`: buses of the tables that do not go to `bus`. `now`, in
    seconds since the epoch, is for the ages that are counted, and for nothing that is sent."""

    def __init__(
        self, bus: IBus, rules: EntryRules, of_table: Mapping[str, IBus] = NO_TABLES,
        *, now: Callable[[], float] = time.time, spans: HopSpans | None = None,
    ) -> None:  # fmt: skip
        self.bus = bus
        self.ages = EventAges()
        self._now = now
        self._spans = spans
        self.buses: Mapping[str, IBus] = {one.name: one for one in (bus, *of_table.values())}
        self._rules = rules
        self._of_source = {f"{rules.source}.{table}": one for table, one in of_table.items()}

    @property
    def max_entries(self) -> int:
        """Of one request to the bus that takes the most."""
        return max(bus.max_entries for bus in self.buses.values())

    def prepare(self, record: Any) -> Prepared | Undeliverable:
        """See Sink."""
        times, parent, written_ms = 0, None, record.timestamp
        if headers := record.headers:
            times, parent = redriven(headers), traceparent_of(headers)
            if times and (origin := origin_of(headers)) is not None:
                written_ms = origin.timestamp_ms
        entry = entry_of(record.key, record.value, self._rules, redriven=times, written_ms=written_ms, parent=parent)
        if isinstance(entry, Undeliverable):
            return entry
        if entry.replay or entry.redriven:
            entry = msgspec.structs.replace(entry, again=again(record, redriven=bool(entry.redriven)))
        return self._of_source.get(entry.source, self.bus).prepare(entry)

    def fit(self, prepared: Sequence[Prepared]) -> int:
        """See Sink."""
        return self.buses[prepared[0].channel].fit(prepared)

    async def put(self, prepared: Sequence[Prepared]) -> Sequence[Outcome]:
        """See Sink."""
        began = self._now()
        outcomes = await self.buses[prepared[0].channel].put(prepared)
        now = self._now()
        if self._spans is not None:
            self._trace(self._spans, prepared, outcomes, now - began)
        self.ages.add([
            now - one.entry.time
            for one, outcome in zip(prepared, outcomes, strict=False)
            if isinstance(outcome, Delivered) and not one.entry.replay and not one.entry.redriven
        ])  # fmt: skip
        return outcomes

    def _trace(
        self, spans: HopSpans, prepared: Sequence[Prepared], outcomes: Sequence[Outcome], seconds: float
    ) -> None:
        """Of the events that a bus has, or will never have: each try before is part of their hop."""
        hops = [
            Hop(one.entry.span, one.entry.parent, 0, {
                "cdc.bus": one.channel, "cdc.event_id": one.entry.event_id,
                "cdc.outcome": type(outcome).__name__.lower(),
            })
            for one, outcome in zip(prepared, outcomes, strict=False)
            if one.entry.span is not None and one.entry.span.sampled and not isinstance(outcome, Retry)
        ]  # fmt: skip
        if hops:
            spans.ended(hops, seconds, prepared[0].channel, "PutEvents")

    def report(self) -> dict[str, Any]:
        """Health for the web view: of the bus in the worst state, and of each one if there are several."""
        told = {name: {"health": bus.health, "trouble": bus.trouble} for name, bus in self.buses.items()}
        worst: dict[str, Any] = max(told.values(), key=lambda one: _SEVERITY[one["health"]])
        return worst | ({"buses": told} if len(told) > 1 else {})


def redriven(headers: Headers) -> int:
    """How often a record of a redrive topic has come again; 0 for one of `cdc.events`, and for a header that is none of
    ours."""
    for name, value in headers:
        if name == HEADER_REPLAY:
            raw = value or b""
            return int(raw) if raw.isdigit() and len(raw) <= MAX_DIGITS else 0
    return 0


def again(record: Any, *, redriven: bool) -> str:
    """Where in the redrive topics a record came from, enrich before publish: the same for the same record on every try,
    and another one for each time that somebody sends it again (docs/decisions/0054)."""
    raw = next((value for name, value in record.headers if name == HEADER_REDRIVEN), None) or b""
    made = f".e{int(raw)}" if raw.isdigit() and len(raw) <= MAX_OFFSET_DIGITS else ""
    return made + (f".p{record.offset}" if redriven else "")


_SEVERITY = {EventBridgeHC.OK: 0, EventBridgeHC.UNKNOWN: 1, EventBridgeHC.IN_ALARM: 2}
