"""`cdc.events` -> EventBridge: at least once (P3), in order per entity (P4). Offsets move only past delivered
events."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from msgspec import UNSET

from models.dead_letter import DeadLetter, dead_headers
from models.labels import label
from models.outcome import ErrorCategory, Failure
from models.receipt import ReceiptRecord
from models.redrive import RedriveOrigin, origin_of, replay_of
from models.taxonomy import CATEGORY_OF
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.delivery import Delivered, Order, Undeliverable, WindowOptions
from workers.engine.obstacles import Obstacles
from workers.engine.stats import LETTER
from workers.engine.unit import UnitOfWork
from workers.engine.window import Window
from workers.eventbridge import delivery_view
from workers.eventbridge.bus import Receipt
from workers.eventbridge.claim_check import trouble_of
from workers.eventbridge.gate import BusGate, GateOptions, Gates
from workers.eventbridge.pace import Quota
from workers.eventbridge.sink import EventBridgeSink
from workers.eventbridge.stall_log import StallLog
from workers.kafka.topics import Topics
from workers.settings.publish import PublishSettings

STAGE = "publish"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Publish:
    """What the stage works with. `now_ms` stamps receipts and dead letters, never an event."""

    sink: EventBridgeSink
    topics: Topics
    fingerprint: str
    now_ms: Callable[[], int]
    window: WindowOptions = field(default_factory=WindowOptions)
    gate: GateOptions = field(default_factory=GateOptions)
    delivered: Callable[[Any], None] | None = None
    """Hears of every record whose receipt is written."""
    is_table: Callable[[str], bool] = field(default=lambda _: False)
    """Whether a table of this name is configured: it may be named as it is."""


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
            _send_receipt(publish, unit, record, outcome.receipt, attempts)
            if publish.delivered is not None:
                publish.delivered(record)
        else:
            letter = _letter(publish, record, outcome, attempts)
            value, headers = (record.value, record.headers) if with_value else (None, ())
            unit.send(publish.topics.dead, record.key, value, dead_headers(letter, headers))
            unit.notes[LETTER, letter.code] += 1

    def share() -> float:
        return len(app.slots.owned) / app.options.partitions

    def report(gate: BusGate) -> None:
        refused = f"the bus refuses everything: {gate.refused}" if gate.wanted and gate.refused else ""
        _tell(app.blockers, f"bus {gate.name}", refused)
        _tell(app.outages, f"bus {gate.name}", gate.down if gate.wanted else "")
        if not gate.wanted:  # whoever has its large events now hears of S3, too
            app.blockers.pop(trouble_of(gate.name), None)

    gates = Gates(publish.gate, monotonic, share, report)

    def windows() -> list[Window]:
        return [body for slot in app.slots.owned.values() for body in slot.bodies if isinstance(body, Window)]

    app.measures.append(lambda: delivery_view.measure(gates.by_bus.values(), windows(), publish.sink.ages.seconds))
    stalls = StallLog(app, lambda: [lane for window in windows() for lane in window.stalled()])
    app.before_boot.append(stalls.start)
    app.on_end.append(stalls.stop)
    app.reports["delivery"] = lambda: delivery_view.report(gates.by_bus.values(), windows())
    app.reports["bus"] = publish.sink.report
    topics = [publish.topics.events, *(topic for stage, topic in publish.topics.redrive.items() if stage == STAGE)]
    app.deliver_to(
        publish.sink, *topics, emit=emit, options=replace(publish.window, per_call=publish.sink.max_entries),
        gate_of=gates.of, name="publish_events",
        doc="Events to EventBridge, at least once, in order per entity.",
    )  # fmt: skip


def _tell(where: Obstacles, name: str, why: str) -> None:
    if why:
        where[name] = why
    else:
        where.pop(name, None)


def _send_receipt(publish: Publish, unit: UnitOfWork, record: Any, receipt: Receipt, attempts: int) -> None:
    told = receipt_of(receipt, attempts, record.offset, publish.now_ms())
    origin = _origin(publish, record)
    if origin is not None:
        told.offset, told.redriven, told.replay = origin.offset, record.offset, replay_of(record.headers)
    unit.send(publish.topics.receipts, receipt.event_id.encode(), _encode(told))


def receipt_of(receipt: Receipt, attempts: int, offset: int, now_ms: int) -> ReceiptRecord:
    """What `cdc.receipts` is told (docs/decisions/0046) of an event that was delivered for the first time."""
    number = receipt.sequence_number
    return ReceiptRecord(
        attempts=attempts, bus_event_id=receipt.bus_event_id, code=receipt.code, event_id=receipt.event_id,
        offset=offset, sequence_number=UNSET if number is None else number, time=now_ms,
    )  # fmt: skip


def _letter(publish: Publish, record: Any, outcome: Undeliverable, attempts: int) -> DeadLetter:
    try:
        source = msgspec.json.decode(record.value or b"", type=_Traced).metadata
    except (ValueError, RecursionError):
        source = _Metadata()
    failure = Failure(outcome.failure)
    category = ErrorCategory.PERMANENT if failure is Failure.EVENTBRIDGE_ERROR else CATEGORY_OF[failure]
    now, table = publish.now_ms(), source.source_table
    origin = _origin(publish, record)
    first = origin or RedriveOrigin(record.topic, record.partition, record.offset, record.timestamp, 0, now)
    return DeadLetter(
        stage=STAGE, code=failure, category=category, message=outcome.reason, attempts=first.attempts + attempts,
        first_failed_ms=first.first_failed_ms, last_failed_ms=now, stream="", shard=label(source.shard_id),
        sequence=label(source.sequence_number), sub_sequence=0, topic=first.topic, partition=first.partition,
        offset=first.offset, replay=replay_of(record.headers) if origin is not None else 0,
        fingerprint=publish.fingerprint, table=table if table is None or publish.is_table(table) else label(table),
        timestamp_ms=first.timestamp_ms, redriven=record.offset if origin is not None else None,
    )  # fmt: skip


def _origin(publish: Publish, record: Any) -> RedriveOrigin | None:
    """Which record of `cdc.events` comes again; None for one that comes for the first time. What somebody else wrote
    into the redrive topic stands for itself."""
    if record.topic != publish.topics.redrive.get(STAGE):
        return None
    return origin_of(record.headers) or RedriveOrigin(
        record.topic, record.partition, record.offset, record.timestamp, 0, publish.now_ms()
    )
