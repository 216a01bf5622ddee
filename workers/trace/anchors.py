"""From a record of any topic to the raw record behind it."""

from typing import Any

from enrichers.written_view import buried_of
from models.buried import Buried
from models.dead_letter import DeadLetter, import_of
from models.receipt import receipt_record
from models.redrive import RedriveOrigin, origin_of
from models.written import Place
from workers.trace.heads import EventHead, EventRecord, event_record
from workers.trace.scene import Anchor, AtOrigin, Scene


async def anchor_of(scene: Scene, record: Any) -> Anchor | None:
    """The raw record behind a record of any topic."""
    topics = scene.topics
    if record.topic in topics.raw.values():
        return anchor_of_raw(scene, record)
    if record.topic == topics.events:
        event = event_record(record)
        return await anchor_of_event(scene, event) if event is not None else None
    if record.topic == topics.dead:
        return await anchor_of_letter(scene, buried_of(record))
    if record.topic == topics.receipts:
        receipt = receipt_record(record.value)
        return await anchor_at(scene, record.partition, receipt.offset) if receipt is not None else None
    origin = origin_of(record.headers)
    if origin is None:
        return None
    if origin.topic == topics.events:
        return await anchor_at(scene, origin.partition, origin.offset)
    return _anchor(scene, _again_at_origin(record, origin))


async def anchor_at(scene: Scene, partition: int, offset: int) -> Anchor | None:
    record = await scene.reader.one(scene.tps(scene.topics.events, partition=partition)[0], offset)
    event = event_record(record) if record is not None else None
    return await anchor_of_event(scene, event) if event is not None else None


def anchor_of_raw(scene: Scene, record: Any, event_id: str = "") -> Anchor:
    place = Place(record.topic, record.partition, record.offset)
    return Anchor(place, scene.source_of(record.topic), record.timestamp, event_id)


async def anchor_of_event(scene: Scene, event: EventRecord) -> Anchor | None:
    if event.head.raw_offset < 0:
        return None
    if event.redriven is not None:
        tp = scene.tps(scene.topics.redrive["enrich"], partition=event.partition)[0]
        again = await scene.reader.one(tp, event.redriven)
        if again is not None and import_of(again.headers) and (origin := origin_of(again.headers)) is not None:
            return _anchor(scene, _again_at_origin(again, origin), event.head.event_id)
    place = Place(scene.raw_topic(event.source), event.partition, event.head.raw_offset)
    # P3: the eventId carries the commit time, and the change was in Kafka no earlier.
    return Anchor(place, scene.source_of(place.topic), _commit_ms(event.head), event.head.event_id)


async def anchor_of_letter(scene: Scene, buried: Buried) -> Anchor | None:
    """The raw record of a dead letter."""
    letter = buried.letter
    if letter is None:
        return None
    if letter.topic != scene.topics.events:
        return _anchor(scene, _letter_at_origin(buried, letter))
    event = event_record(_letter_at_origin(buried, letter))
    if event is None or event.head.raw_offset < 0:  # it was left out of the letter: the event itself tells
        return await anchor_at(scene, letter.partition, letter.offset)
    return await anchor_of_event(scene, event)


def event_id_of_letter(scene: Scene, buried: Buried) -> str:
    """That of the change, or of the event, that a dead letter is about; empty if that is not known."""
    letter = buried.letter
    if letter is None or buried.record.value is None:
        return ""
    original = _letter_at_origin(buried, letter)
    if letter.topic != scene.topics.events:
        return _event_id(scene, original)
    event = event_record(original)
    return event.head.event_id if event is not None else ""


def _anchor(scene: Scene, original: AtOrigin, event_id: str = "") -> Anchor:
    imported = original if original.imported else None
    return Anchor(
        Place(original.topic, original.partition, original.offset), scene.source_of(original.topic), original.timestamp,
        event_id or (_event_id(scene, original) if imported is not None else ""), imported,
    )  # fmt: skip


def _event_id(scene: Scene, original: AtOrigin) -> str:
    return scene.sight.view.names.of_record(scene.sight.view.raw_record(original)).event_id


def _letter_at_origin(buried: Buried, letter: DeadLetter) -> AtOrigin:
    record = buried.record
    return AtOrigin(
        letter.topic, letter.partition, letter.offset, letter.timestamp_ms or letter.first_failed_ms, record.key,
        record.value, record.headers,
    )  # fmt: skip


def _again_at_origin(record: Any, origin: RedriveOrigin) -> AtOrigin:
    return AtOrigin(
        origin.topic, origin.partition, origin.offset, origin.timestamp_ms, record.key, record.value, record.headers
    )


def _commit_ms(head: EventHead) -> int:
    _, _, rest = head.event_id.partition("_")
    number = rest.partition("_")[0]
    return int(number) if number.isdecimal() and len(number) <= 15 else 0
