"""From a question to the raw records it is about."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from enrichers.written_view import buried_of
from models.raw import HEADER_SEQUENCE, HEADER_SUB_SEQUENCE
from models.receipt import receipt_record
from models.written import Place, Writer, stamp
from workers.failures import NotFoundError
from workers.tail.newest import newest
from workers.tail.row_key import RowKey, row_key
from workers.trace.anchors import anchor_at, anchor_of, anchor_of_event, anchor_of_raw, event_id_of_letter
from workers.trace.heads import EventRecord, event_record
from workers.trace.question import Kind, Question
from workers.trace.scene import CLOCKS_MS, Anchor, Scene

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """Kafka's time. Without a begin: of an eventId its commit, of a row the last day, of all else the last hour."""

    from_ms: int | None = None
    to_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """`searched` says where was looked, for people."""

    anchors: tuple[Anchor, ...]
    more: bool = False
    searched: str = ""


async def find(scene: Scene, asked: Question, window: Window, limit: int) -> Found:
    """The last `limit` raw records that are meant, oldest first. Raises KafkaError, CommandError."""
    match asked.kind:
        case Kind.EVENT:
            return await _event(scene, asked, window)
        case Kind.ROW:
            return await _row(scene, asked, window, limit)
        case Kind.KINESIS:
            return await _kinesis(scene, asked, window, limit)
        case Kind.SEQUENCE:
            return await _offset(scene, asked, limit)
        case Kind.PLACE | Kind.LETTER:
            return await _place(scene, asked)
        case Kind.BUS_EVENT:
            return await _bus_event(scene, asked, window)
        case Kind.CORRELATION:
            return await _correlation(scene, asked, window, limit)


async def _event(scene: Scene, asked: Question, window: Window) -> Found:
    """Events first, and dead letters, which are few; only then raw records, whose names have to be made."""
    topics, wanted = scene.topics, asked.text.encode()
    from_ms = asked.commit_ms - CLOCKS_MS if window.from_ms is None else window.from_ms

    def written(record: Any) -> Any:
        if record.topic == topics.dead:
            return record if event_id_of_letter(scene, buried_of(record)) == asked.text else None
        event = event_record(record) if wanted in (record.value or b"") else None
        return record if event is not None and event.head.event_id == asked.text else None

    def raw(record: Any) -> Any:
        named = scene.sight.view.names.of_record(scene.sight.view.raw_record(record))
        return record if named.event_id == asked.text else None

    for topic_names, pick, doing in (
        ((topics.events, topics.dead), written, "events and dead letters looked at"),
        (tuple(topics.raw.values()), raw, "raw records looked at"),
    ):
        records = await scene.scan(
            scene.tps(*topic_names), from_ms, pick, doing=doing, to_ms=window.to_ms, enough=1
        )  # fmt: skip
        for record in records:
            if (anchor := await anchor_of(scene, record)) is not None:
                return Found((replace(anchor, event_id=asked.text),))
    searched = f"events, dead letters and raw records {_between(from_ms, window.to_ms or scene.now_ms())}"
    return Found((), searched=searched)


async def _row(scene: Scene, asked: Question, window: Window, limit: int) -> Found:
    sight, raw = scene.sight, tuple(scene.topics.raw.values())
    key = row_key(asked.text, sight.catalogue, sight.view.letters.rows, sight.pins)
    home = key.partition(scene.settings.partitions)

    def pick(record: Any) -> Anchor | None:
        return anchor_of_raw(scene, record) if _is_row(key, record, scene) else None

    where = "" if home is None else f" in partition {home}"
    return await _newest(scene, raw, window, DAY_MS, limit, pick, f"raw records{where}", partition=home)


def _is_row(key: RowKey, record: Any, scene: Scene) -> bool:
    if key.raw is not None:
        return bool(record.key == key.raw)
    return not key.names.isdisjoint(scene.sight.view.keys(record, Writer.BRIDGE))


async def _kinesis(scene: Scene, asked: Question, window: Window, limit: int) -> Found:
    sequence = asked.text.encode()
    sub = None if asked.sub_sequence is None else b"%d" % asked.sub_sequence

    def pick(record: Any) -> Anchor | None:
        headers = dict(record.headers)
        if headers.get(HEADER_SEQUENCE) != sequence or (sub is not None and headers.get(HEADER_SUB_SEQUENCE) != sub):
            return None
        return anchor_of_raw(scene, record)

    return await _newest(scene, tuple(scene.topics.raw.values()), window, HOUR_MS, limit, pick, "raw records")


async def _offset(scene: Scene, asked: Question, limit: int) -> Found:
    """A sequence is an offset, and does not say of which partition: every one is asked."""
    anchors = []
    for tp in scene.tps(*scene.topics.raw.values(), partition=asked.partition):
        record = await scene.reader.one(tp, asked.offset)
        if record is not None:
            anchors.append(anchor_of_raw(scene, record))
    searched = f"offset {asked.offset} of every partition of the raw topics"
    return Found(tuple(anchors[:limit]), len(anchors) > limit, searched)


async def _place(scene: Scene, asked: Question) -> Found:
    topics, place = scene.topics, asked.place or Place("", 0, 0)
    if asked.kind is Kind.LETTER:
        place = Place(topics.dead, place.partition, place.offset)
    known = (*topics.raw.values(), topics.events, topics.dead, topics.receipts, *topics.redrive.values())
    if place.topic not in known or place.partition >= scene.settings.partitions:
        raise NotFoundError(
            "no such place", hint=f"topics: {', '.join(known)}; partitions 0 to {scene.settings.partitions - 1}"
        )
    tp = scene.tps(place.topic, partition=place.partition)[0]
    start, end = (await scene.reader.bounds([tp]))[tp]
    searched = (
        f"{place}; the log holds the offsets {start} to {end - 1}" if end > start else f"{place}; the log is empty"
    )
    record = await scene.reader.one(tp, place.offset)
    anchor = await anchor_of(scene, record) if record is not None else None
    if anchor is None and place.topic in topics.raw.values() and place.offset < start:
        anchor = Anchor(place, scene.source_of(place.topic))
    return Found((anchor,) if anchor is not None else (), searched=searched)


async def _bus_event(scene: Scene, asked: Question, window: Window) -> Found:
    wanted = asked.text.encode()

    def pick(record: Any) -> tuple[int, int, str] | None:
        receipt = receipt_record(record.value) if wanted in (record.value or b"").lower() else None
        return (record.partition, receipt.offset, receipt.event_id) if receipt is not None else None

    found, _, searched = await _last(scene, (scene.topics.receipts,), window, HOUR_MS, 1, pick, "receipts")
    if not found:
        return Found((), searched=searched)
    partition, offset, _ = found[0]
    anchor = await anchor_at(scene, partition, offset)
    return Found((anchor,) if anchor is not None else (), searched=f"{searched}; its event is gone")


async def _correlation(scene: Scene, asked: Question, window: Window, limit: int) -> Found:
    wanted = f'"correlationId":"{asked.text}"'.encode()

    def pick(record: Any) -> EventRecord | None:
        return event_record(record) if wanted in (record.value or b"") else None

    found, more, searched = await _last(scene, (scene.topics.events,), window, HOUR_MS, limit, pick, "events")
    anchors = [await anchor_of_event(scene, event) for event in found]
    return Found(tuple(anchor for anchor in anchors if anchor is not None), more, searched)


async def _newest(
    scene: Scene, topics: tuple[str, ...], window: Window, back_ms: int, limit: int,
    pick: Callable[[Any], Anchor | None], what: str, *, partition: int | None = None,
) -> Found:  # fmt: skip
    found, more, searched = await _last(scene, topics, window, back_ms, limit, pick, what, partition=partition)
    return Found(tuple(found), more, searched)


async def _last(
    scene: Scene, topics: tuple[str, ...], window: Window, back_ms: int, limit: int, pick: Callable[[Any], T | None],
    what: str, *, partition: int | None = None,
) -> tuple[list[T], bool, str]:  # fmt: skip
    """The last ones in the window; whether there may be more; where was looked."""
    to_ms = scene.now_ms() if window.to_ms is None else window.to_ms
    from_ms = to_ms - back_ms if window.from_ms is None else window.from_ms
    tps = scene.tps(*topics, partition=partition)
    bounds, since = await scene.reader.bounds(tps), await scene.reader.at_time(tps, from_ms)
    ends = {tp: end for tp, (_, end) in bounds.items()}
    if window.to_ms is not None:
        until = await scene.reader.at_time(tps, window.to_ms)
        ends = {tp: min(until[tp], end) for tp, end in ends.items()}
    parts = {tp: (max(since[tp], bounds[tp][0]), ends[tp]) for tp in tps}
    found, more = await newest(scene.reader, parts, limit, pick, scene.tell, f"{what} looked at")
    return found, more, f"{what} {_between(from_ms, to_ms)}"


def _between(from_ms: int, to_ms: int) -> str:
    return f"from {stamp(from_ms) or 'the beginning'} to {stamp(to_ms)}"
