"""What stands in the topics behind a raw record: events, dead letters, what came again, receipts."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiokafka import TopicPartition

from enrichers.written_view import buried_of
from models.buried import Buried
from models.dead_letter import DeadLetter, import_of
from models.handled import Handled, LetterId
from models.receipt import ReceiptRecord, receipt_record
from models.redrive import RedriveOrigin, origin_of
from workers.dead_letters.marks import read_marks
from workers.trace.heads import EventRecord, event_record, raw_offset_of, shown_head
from workers.trace.scene import CLOCKS_MS, Anchor, Scene


@dataclass(frozen=True, slots=True)
class Again:
    """A record of `cdc.redrive.<stage>` that is this change."""

    stage: str
    topic: str
    partition: int
    offset: int
    time_ms: int
    origin: RedriveOrigin

    @property
    def tp(self) -> TopicPartition:
        """Where it stands."""
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One answer of the bus, and where it stands."""

    head: ReceiptRecord
    partition: int
    offset: int
    time_ms: int


@dataclass(slots=True)
class Aftermath:
    """All of it, each in the order of its topic."""

    events: list[EventRecord] = field(default_factory=list)
    letters: list[Buried] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    def last_again(self, stage: str) -> Again | None:
        """What a stage has to read of it last."""
        return next((again for again in reversed(self.again) if again.stage == stage), None)

    def failed_again(self, again: Again) -> bool:
        """Whether it was a dead letter once more."""
        return any(
            buried.letter is not None and (buried.stage, buried.letter.redriven) == (again.stage, again.offset)
            for buried in self.letters
        )


async def look(scene: Scene, anchor: Anchor) -> Aftermath:
    """Every topic is read in one partition, from when its record can have been written. Raises KafkaError,
    CommandError."""
    place, found = anchor.place, Aftermath()
    since = max(0, anchor.since_ms - CLOCKS_MS)
    if anchor.imported is None:
        found.events += await _events(scene, anchor, since, redriven=None)
    await _letters_and_again(scene, anchor, since, found)
    for again in found.again:
        if again.stage == "enrich":
            found.events += await _events(scene, anchor, max(0, again.time_ms - CLOCKS_MS), redriven=again.offset)
    event_id = found.events[0].head.event_id if found.events else anchor.event_id
    for event in found.events:
        found.receipts += await _receipts(scene, event_id, (place.partition, event.offset), event.time_ms)
    for again in found.again:
        if again.stage == "publish" and event_id:  # its event may be gone long before the letter that it became
            of = (place.partition, again.origin.offset)
            found.receipts += await _receipts(scene, event_id, of, again.time_ms, redriven=again.offset)
    if found.letters:
        marks = await read_marks(scene.settings, scene.kafka, scene.tell)
        found.letters = [
            _marked(letter, marks.get(LetterId(place.partition, letter.id.offset))) for letter in found.letters
        ]
    return found


async def events_are_gone(scene: Scene, again: Again) -> bool:
    """Whether retention may have deleted what was made of a record that came again."""
    (events,) = scene.tps(scene.topics.events, partition=again.partition)
    start, _ = (await scene.reader.bounds([events]))[events]
    since = (await scene.reader.at_time([events], max(0, again.time_ms - CLOCKS_MS)))[events]
    return 0 < start >= since


async def earlier_event(scene: Scene, anchor: Anchor, event_id: str, from_ms: int, to_ms: int) -> EventRecord | None:
    """The event of this id that another raw record made before."""
    wanted = event_id.encode()

    def pick(record: Any) -> EventRecord | None:
        event = event_record(record) if wanted in (record.value or b"") else None
        return event if event is not None and event.head.event_id == event_id else None

    found = await scene.scan(
        scene.tps(scene.topics.events, partition=anchor.place.partition), max(0, from_ms - CLOCKS_MS), pick,
        doing="events looked at", to_ms=to_ms + CLOCKS_MS, enough=1,
    )  # fmt: skip
    return found[0] if found else None


async def _events(scene: Scene, anchor: Anchor, from_ms: int, *, redriven: int | None) -> list[EventRecord]:
    place = anchor.place

    def pick(record: Any) -> EventRecord | None:
        event = event_record(record)
        if event is None or event.redriven != redriven or not event.is_of(anchor.source, place.offset):
            return None
        return replace(event, shown=shown_head(scene.sight.view.letters.event(record.value).content))

    def beyond(record: Any) -> bool:
        """P2: the events of a raw partition stand in its order, so nothing of it follows."""
        event = event_record(record)
        if event is None or event.source != anchor.source:
            return False
        if redriven is not None:
            return event.redriven is not None and event.redriven > redriven
        return event.redriven is None and event.head.raw_offset > place.offset

    tps = scene.tps(scene.topics.events, partition=place.partition)
    return await scene.scan(tps, from_ms, pick, doing="events looked at", enough=1, done=beyond)


async def _letters_and_again(scene: Scene, anchor: Anchor, from_ms: int, found: Aftermath) -> None:
    topics, place = scene.topics, anchor.place
    stages = {topic: stage for stage, topic in topics.redrive.items()}
    at_raw = {(place.topic, place.partition, place.offset)}
    at_events = {(topics.events, event.partition, event.offset) for event in found.events}
    meant, readable = at_raw | at_events, at_events if anchor.imported is not None else at_raw | at_events
    event_id = (found.events[0].head.event_id if found.events else anchor.event_id).encode()

    def pick(record: Any) -> Buried | Again | None:
        if record.topic == topics.dead:
            letter = buried_of(record)
            return letter if _is_its(letter) else None
        origin = origin_of(record.headers)
        if origin is None or not (_is_at(origin, record) or _names(record)):
            return None
        return Again(stages[record.topic], record.topic, record.partition, record.offset, record.timestamp, origin)

    def _is_its(buried: Buried) -> bool:
        letter = buried.letter
        if letter is None:
            return tells_of(buried.gap, readable)
        return _is_at(letter, buried.record) or (letter.topic == topics.events and _names(buried.record))

    def _is_at(origin: RedriveOrigin | DeadLetter, record: Any) -> bool:
        """All that came out of queues claims one place of raw."""
        if origin.topic != topics.events and import_of(record.headers) != anchor.import_id:
            return False
        return (origin.topic, origin.partition, origin.offset) in meant

    def _names(record: Any) -> bool:
        """A change that came again made another event, which its id and its place in raw connect with this change."""
        if not event_id or b'"eventId":"' + event_id + b'"' not in (record.value or b""):
            return False
        return raw_offset_of(record.value) == place.offset

    tps = scene.tps(topics.dead, *topics.redrive.values(), partition=place.partition)
    picked: list[Buried | Again] = await scene.scan(tps, from_ms, pick, doing="dead letters and redrives looked at")
    for one in picked:
        if isinstance(one, Again):
            found.again.append(one)
        else:
            found.letters.append(one.without_value())


def tells_of(gap: Mapping[str, str], meant: Collection[tuple[str, int, int]]) -> bool:
    """Whether one of these places was lost unread."""
    numbers = [gap.get(name, "") for name in ("partition", "start", "end")]
    if not all(number.isdecimal() and len(number) < 20 for number in numbers):
        return False
    partition, start, end = map(int, numbers)
    return any(gap.get("topic") == topic and partition == p and start <= offset < end for topic, p, offset in meant)


async def _receipts(
    scene: Scene, event_id: str, place: tuple[int, int], written_ms: int, *, redriven: int | None = None
) -> list[Receipt]:
    """`place`: partition and offset of the event. `written_ms`: when what was sent was written."""
    wanted, (partition, offset) = event_id.encode(), place

    def pick(record: Any) -> Receipt | None:
        receipt = receipt_record(record.value) if record.key == wanted else None
        if receipt is None or receipt.offset != offset or receipt.redriven_at != redriven:
            return None
        return Receipt(receipt, record.partition, record.offset, record.timestamp)

    tps = scene.tps(scene.topics.receipts, partition=partition)
    return await scene.scan(tps, max(0, written_ms - CLOCKS_MS), pick, doing="receipts looked at", enough=1)


def _marked(letter: Buried, handled: Handled | None) -> Buried:
    return replace(letter, handled=handled) if handled is not None and handled.letter_ms == letter.time_ms else letter
