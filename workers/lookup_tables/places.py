"""The raw record that an event was made of, or the last one of a row."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from models.raw import HEADER_REDRIVEN, HEADER_SOURCE, RawRecord, raw_record_of
from models.redrive import redriven_raw
from models.routing import partition_of
from workers.engine.offsets import log_bounds
from workers.failures import NotFoundError
from workers.kafka.access import KafkaAccess
from workers.kafka.log_ranges import LogRange, in_order
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics
from workers.rebuild.changelogs import CLIENT
from workers.settings.worker import Settings

STAGE = "enrich"
EVENT_PREFIX = "evt_"
CLOCKS_MS = 3_600_000
"""How far the clock of the source may be ahead of Kafka's: from there on an event is looked for."""
OURS_MS = 60_000
"""How far the clocks of two workers may be apart."""
FIRST_SPAN, GROWTH = 2_000, 8
"""Offsets of a partition that are looked at first for the last record of a row, and by how much more after that."""


class _Metadata(msgspec.Struct, rename="camel"):
    sequence: str = ""
    enrichment: dict[str, Any] = {}


class _Event(msgspec.Struct, rename="camel"):
    event_id: str
    org_id: Any = None
    user_id: Any = None
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


_event = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class MadeEvent:
    """An event, and what it says of its owner: redacted when it was made."""

    event_id: str
    topic: str
    partition: int
    offset: int
    org_id: Any
    user_id: Any
    source: str
    stale: bool

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "eventId": self.event_id, "topic": self.topic, "partition": self.partition, "offset": self.offset,
            "orgId": self.org_id, "userId": self.user_id, "source": self.source, "stale": self.stale,
        }  # fmt: skip


def is_event_id(text: str) -> bool:
    """Whether it looks like the id of an event: `evt_<commit time ms>_<20 hex>`."""
    head, _, digest = text.removeprefix(EVENT_PREFIX).partition("_")
    return text.startswith(EVENT_PREFIX) and head.isascii() and head.isdecimal() and bool(digest)


async def find_event(
    settings: Settings, kafka: KafkaAccess, event_id: str, tell: Tell
) -> tuple[MadeEvent, RawRecord]:  # fmt: skip
    """The first event of that id, and the raw record it was made of. Raises NotFoundError, KafkaError."""
    topics = Topics.of(settings)
    await kafka.require({topics.events: settings.partitions})
    since_ms = max(0, int(event_id.removeprefix(EVENT_PREFIX).partition("_")[0]) - CLOCKS_MS)
    tps = [TopicPartition(topics.events, index) for index in range(settings.partitions)]
    ranges = await _since(kafka, tps, since_ms)
    quoted = json.dumps(event_id).encode()
    async with aclosing(in_order(kafka.connection, ranges, tell, "events", client_id=CLIENT)) as records:
        async for record in records:
            if record.value is None or quoted not in record.value:
                continue
            try:
                event = _event.decode(record.value)
            except msgspec.MsgspecError:
                continue
            if event.event_id == event_id:
                return _made(record, event), await _raw_of(settings, kafka, record, event)
    raise NotFoundError(
        f"{topics.events} holds no event {event_id}",
        hint=f"`cdc trace {event_id}` says whether one was made of its record; Kafka keeps events 7 days",
    )


async def event_of(settings: Settings, kafka: KafkaAccess, raw: RawRecord, tell: Tell) -> MadeEvent | None:
    """The event that was made of a raw record, if one was, and if Kafka still holds it. Raises NotFoundError,
    KafkaError."""
    topics = Topics.of(settings)
    await kafka.require({topics.events: settings.partitions})
    ranges = await _since(kafka, [TopicPartition(topics.events, raw.partition)], max(0, raw.timestamp_ms - OURS_MS))
    async with aclosing(in_order(kafka.connection, ranges, tell, "events", client_id=CLIENT)) as records:
        async for record in records:
            headers = dict(record.headers)
            if HEADER_REDRIVEN in headers or headers.get(HEADER_SOURCE, b"").decode("utf-8", "replace") != raw.source:
                continue
            try:
                event = _event.decode(record.value or b"")
                offset = int(event.metadata.sequence.rpartition("-")[2])
            except (msgspec.MsgspecError, ValueError):
                continue
            if offset == raw.offset:
                return _made(record, event)
            if offset > raw.offset:
                return None  # P2: the events of a raw partition stand in its order
    return None


def _made(record: Any, event: _Event) -> MadeEvent:
    made = event.metadata.enrichment
    return MadeEvent(
        event.event_id, record.topic, record.partition, record.offset, event.org_id, event.user_id,
        str(made.get("source", "")), bool(made.get("stale")),
    )  # fmt: skip


async def _raw_of(settings: Settings, kafka: KafkaAccess, record: Any, event: _Event) -> RawRecord:
    topics, headers = Topics.of(settings), dict(record.headers)
    redriven = headers.get(HEADER_REDRIVEN)
    source = headers.get(HEADER_SOURCE, b"").decode("utf-8", "replace")
    number = redriven.decode() if redriven is not None else event.metadata.sequence.rpartition("-")[2]
    topic = topics.redrive[STAGE] if redriven is not None else topics.raw.get(source)
    if topic is None or not number.isdecimal():
        raise NotFoundError("the event does not say which raw record it was made of", hint="name its row instead")
    tp = TopicPartition(topic, record.partition)
    offset = int(number)
    bounds = (await _bounds(kafka, [tp]))[tp]
    if not bounds[0] <= offset < bounds[1]:
        raise NotFoundError(
            f"{topic}/{record.partition} does not hold the raw record {offset} any more",
            hint="Kafka keeps raw records 7 days; name the row instead",
        )
    async for found in _records(kafka, LogRange(tp, offset, offset + 1, whole=True)):
        if redriven is not None:
            return redriven_raw(found, {raw: name for name, raw in topics.raw.items()})
        return raw_record_of(found, source)
    raise NotFoundError(f"{topic}/{record.partition} holds no record at {offset}")


async def last_raw(settings: Settings, kafka: KafkaAccess, key: bytes, tell: Tell) -> RawRecord:
    """The last raw record of a row, of any source. Raises NotFoundError, KafkaError."""
    topics = Topics.of(settings)
    sources = {raw: name for name, raw in topics.raw.items()}
    await kafka.require(dict.fromkeys(sources, settings.partitions))
    index = partition_of(key, settings.partitions)
    tps = [TopicPartition(topic, index) for topic in sources]
    bounds = await _bounds(kafka, tps)
    span = FIRST_SPAN
    while True:
        ranges = {tp: LogRange(tp, max(start, end - span), end, whole=True) for tp, (start, end) in bounds.items()}
        found = None
        async with aclosing(in_order(kafka.connection, ranges, tell, "raw records", client_id=CLIENT)) as records:
            async for record in records:
                if record.key == key:
                    found = record
        if found is not None:
            return raw_record_of(found, sources[found.topic])
        if all(one.start == bounds[tp][0] for tp, one in ranges.items()):
            raise NotFoundError(
                "no raw record of that row is left", hint="Kafka keeps raw records 7 days; is its key spelt right?"
            )
        span *= GROWTH


async def _records(kafka: KafkaAccess, wanted: LogRange) -> AsyncIterator[Any]:
    read = in_order(kafka.connection, {wanted.tp: wanted}, lambda *_: None, "record", client_id=CLIENT)
    async with aclosing(read) as records:
        async for record in records:
            yield record


async def _bounds(kafka: KafkaAccess, tps: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    consumer = AIOKafkaConsumer(**kafka.connection.client(CLIENT), isolation_level="read_committed")
    await consumer.start()
    try:
        return await log_bounds(consumer, tps)
    finally:
        await consumer.stop()


async def _since(kafka: KafkaAccess, tps: list[TopicPartition], since_ms: int) -> dict[TopicPartition, LogRange]:
    consumer = AIOKafkaConsumer(**kafka.connection.client(CLIENT), isolation_level="read_committed")
    await consumer.start()
    try:
        bounds = await log_bounds(consumer, tps)
        later = await consumer.offsets_for_times(dict.fromkeys(tps, since_ms))
    finally:
        await consumer.stop()
    return {
        tp: LogRange(tp, min(max(start, later[tp].offset if later.get(tp) else end), end), end, whole=True)
        for tp, (start, end) in bounds.items()
    }
