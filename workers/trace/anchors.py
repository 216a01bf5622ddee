"""From a record of any topic to the raw record behind it."""

from typing import Any

from enrichers.written_view import buried_of
from models.buried import Buried
from models.raw import HEADER_SOURCE, raw_record
from models.receipt import receipt_record
from models.redrive import origin_of
from models.written import Place
from workers.trace.heads import EventHead, EventRecord, event_record
from workers.trace.scene import Anchor, Scene


async def anchor_of(scene: Scene, record: Any) -> Anchor | None:
    """The raw record behind a record of any topic."""
    topics = scene.topics
    if record.topic in topics.raw.values():
        return anchor_of_raw(scene, record)
    if record.topic == topics.events:
        event = event_record(record)
        return anchor_of_event(scene, event) if event is not None else None
    if record.topic == topics.dead:
        return anchor_of_letter(scene, buried_of(record)) or await _behind_letter(scene, buried_of(record))
    if record.topic == topics.receipts:
        receipt = receipt_record(record.value)
        return await anchor_at(scene, record.partition, receipt.offset) if receipt is not None else None
    origin = origin_of(record.headers)
    if origin is None:
        return None
    if origin.topic == topics.events:
        return await anchor_at(scene, origin.partition, origin.offset)
    return Anchor(
        Place(origin.topic, origin.partition, origin.offset), scene.source_of(origin.topic), origin.timestamp_ms
    )  # fmt: skip


async def anchor_at(scene: Scene, partition: int, offset: int) -> Anchor | None:
    record = await scene.reader.one(scene.tps(scene.topics.events, partition=partition)[0], offset)
    event = event_record(record) if record is not None else None
    return anchor_of_event(scene, event) if event is not None else None


async def _behind_letter(scene: Scene, buried: Buried) -> Anchor | None:
    """A letter of publish whose event was left out of it: the event itself tells."""
    letter = buried.letter
    if letter is None or letter.topic != scene.topics.events:
        return None
    return await anchor_at(scene, letter.partition, letter.offset)


def anchor_of_raw(scene: Scene, record: Any, event_id: str = "") -> Anchor:
    place = Place(record.topic, record.partition, record.offset)
    return Anchor(place, scene.source_of(record.topic), record.timestamp, event_id)


def anchor_of_event(scene: Scene, event: EventRecord) -> Anchor | None:
    if event.head.raw_offset < 0:
        return None
    place = Place(scene.raw_topic(event.source), event.partition, event.head.raw_offset)
    # P3: the eventId carries the commit time, and the change was in Kafka no earlier.
    return Anchor(place, scene.source_of(place.topic), _commit_ms(event.head), event.head.event_id)


def anchor_of_letter(scene: Scene, buried: Buried, event_id: str | None = None) -> Anchor | None:
    """The raw record of a dead letter; with an `event_id` only if it is that of the letter's change."""
    letter = buried.letter
    if letter is None:
        return None
    if letter.topic == scene.topics.events:
        event = event_record(_Letter(buried))
        fits = event is not None and event_id in (None, event.head.event_id)
        return anchor_of_event(scene, event) if event is not None and fits else None
    if event_id is not None and _named(scene, buried) != event_id:
        return None
    place = Place(letter.topic, letter.partition, letter.offset)
    return Anchor(place, scene.source_of(letter.topic), letter.timestamp_ms or letter.first_failed_ms)


def _named(scene: Scene, buried: Buried) -> str:
    letter, record = buried.letter, buried.record
    if letter is None or record.value is None:
        return ""
    raw = raw_record(
        topic=letter.topic, partition=letter.partition, offset=letter.offset, timestamp_ms=letter.timestamp_ms or 0,
        key=record.key, value=record.value, headers=record.headers, source=scene.source_of(letter.topic),
    )  # fmt: skip
    return scene.sight.view.names.of_record(raw).event_id


class _Letter:
    """A letter of publish as the record of `cdc.events` that it was."""

    def __init__(self, buried: Buried) -> None:
        letter, record = buried.letter, buried.record
        self.value, self.headers = record.value, [(n, v) for n, v in record.headers if n == HEADER_SOURCE]
        self.partition = letter.partition if letter is not None else 0
        self.offset = letter.offset if letter is not None else 0
        self.timestamp = (letter.timestamp_ms if letter is not None else None) or 0


def _commit_ms(head: EventHead) -> int:
    _, _, rest = head.event_id.partition("_")
    number = rest.partition("_")[0]
    return int(number) if number.isdecimal() and len(number) <= 15 else 0
