"""`cdc.events` -> EventBridge: at least once (P3), in order per entity (P4). Offsets move only past delivered
events."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from models.dead_letter import DeadLetter
from models.event import read_envelope
from models.outcome import ErrorCategory, Failure
from models.taxonomy import CATEGORY_OF
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.delivery import Delivered, Order, Undeliverable, WindowOptions
from workers.engine.unit import UnitOfWork
from workers.engine.window import Window
from workers.eventbridge import tally
from workers.eventbridge.bus import Receipt
from workers.eventbridge.gate import BusGate, GateOptions, Gates
from workers.eventbridge.pace import Quota
from workers.eventbridge.sink import EventBridgeSink
from workers.publish_settings import PublishSettings
from workers.topics import Topics

STAGE = "publish"


@dataclass(frozen=True, slots=True)
class Publish:
    """What the stage works with. `now_ms` stamps receipts and dead letters, never an event."""

    sink: EventBridgeSink
    topics: Topics
    fingerprint: str
    now_ms: Callable[[], int]
    window: WindowOptions = field(default_factory=WindowOptions)
    gate: GateOptions = field(default_factory=GateOptions)


def window_options(settings: PublishSettings) -> WindowOptions:
    """Of every slot."""
    return WindowOptions(
        order=Order(settings.publish_order), max_calls=settings.put_events_in_flight,
        fill_seconds=settings.put_events_fill, max_records=settings.publish_window_records,
        max_bytes=settings.publish_window_bytes, call_timeout=settings.put_events_timeout,
        retry=settings.retry_put_events,
    )  # fmt: skip


def gate_options(settings: PublishSettings) -> GateOptions:
    """Of every bus."""
    quota = Quota(settings.put_events_quota, settings.put_events_entry_quota)
    return GateOptions(quota, settings.put_events_in_flight, settings.circuit)


class _Metadata(msgspec.Struct, rename="camel"):
    sequence_number: str = ""
    shard_id: str = ""
    source_table: str | None = None


class _Traced(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


def add_publish(app: StageApp, publish: Publish) -> None:
    """Register the stage's window."""

    def emit(
        unit: UnitOfWork, record: Any, outcome: Delivered | Undeliverable, attempts: int, with_value: bool
    ) -> None:
        if isinstance(outcome, Delivered):
            _send_receipt(publish, unit, record, outcome, attempts)
        else:
            letter = _letter(publish, record, outcome, attempts)
            unit.send(publish.topics.dead, record.key, record.value if with_value else None, letter.to_headers())

    def share() -> float:
        return len(app.slots.owned) / app.options.partitions

    def report(gate: BusGate) -> None:
        _tell(app.blockers, f"bus {gate.name}", gate.refused and f"the bus refuses everything: {gate.refused}")
        _tell(app.outages, f"bus {gate.name}", gate.down)

    gates = Gates(publish.gate, monotonic, share, report)

    def windows() -> list[Window]:
        return [body for slot in app.slots.owned.values() for body in slot.bodies if isinstance(body, Window)]

    app.measures.append(lambda: tally.measure(gates.by_bus.values(), windows()))
    app.reports["delivery"] = lambda: tally.report(gates.by_bus.values(), windows())
    bus = publish.sink.bus
    app.reports["bus"] = lambda: {"health": bus.health, "trouble": bus.trouble}
    app.deliver_to(
        publish.sink, publish.topics.events, emit=emit, options=replace(publish.window, per_call=bus.max_entries),
        gate_of=gates.of, name="publish_events",
        doc="Events to EventBridge, at least once, in order per entity.",
    )  # fmt: skip


def _tell(where: dict[str, str], name: str, why: str) -> None:
    if why:
        where[name] = why
    else:
        where.pop(name, None)


def _send_receipt(publish: Publish, unit: UnitOfWork, record: Any, outcome: Delivered, attempts: int) -> None:
    event_id = read_envelope(record.value).event_id
    bus_event_id = outcome.receipt.bus_event_id if isinstance(outcome.receipt, Receipt) else ""
    receipt = {
        "attempts": attempts, "busEventId": bus_event_id, "eventId": event_id, "offset": record.offset,
        "time": publish.now_ms(),
    }  # fmt: skip
    unit.send(publish.topics.receipts, event_id.encode(), msgspec.json.encode(receipt))


def _letter(publish: Publish, record: Any, outcome: Undeliverable, attempts: int) -> DeadLetter:
    try:
        origin = msgspec.json.decode(record.value or b"", type=_Traced).metadata
    except (msgspec.MsgspecError, RecursionError):
        origin = _Metadata()
    failure = Failure(outcome.failure)
    category = ErrorCategory.PERMANENT if failure is Failure.EVENTBRIDGE_ERROR else CATEGORY_OF[failure]
    now = publish.now_ms()
    return DeadLetter(
        stage=STAGE, code=failure, category=category, message=outcome.reason, attempts=attempts, first_failed_ms=now,
        last_failed_ms=now, stream="", shard=origin.shard_id, sequence=origin.sequence_number, sub_sequence=0,
        topic=record.topic, partition=record.partition, offset=record.offset, replay=0,
        fingerprint=publish.fingerprint, table=origin.source_table,
    )  # fmt: skip
