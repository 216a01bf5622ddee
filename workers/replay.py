"""A range of `cdc.events` or of a raw topic comes again, through `cdc.redrive.<stage>` (ADR 49).

P8: how far it is stands in the same transaction as the records, so a command that is killed goes on where it was. P4: a
record comes again in its own partition, behind those that stood before it. No redrive topic is read here: what comes
again does not do so by itself.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from enrichers.replay_view import ReplayView, Seen
from models.redrive import RedriveRecord
from models.replay import Replay, ReplayOrder, replayed
from workers.dead_letters.marks import CLIENT, Mark, send_mark, transaction
from workers.dead_letters.pace import MAX_RECORDS, Pace
from workers.dead_letters.reading import settled
from workers.dead_letters.writing import write_again
from workers.engine.slot_producer import SlotProducer
from workers.failures import CommandError
from workers.kafka.access import KafkaAccess
from workers.kafka.log_ranges import LogRange, in_order
from workers.kafka.logs import Tell
from workers.kafka.topics import DAY_MS, Topics
from workers.settings.worker import Settings

DOING = "records replayed"
CLOCKS_MS = 3_600_000
"""By how much writers of one partition may disagree on the time: so far behind the end of a range is looked for records
of it."""
REMEMBERED_MS = 30 * DAY_MS
"""A replay is known for so long: longer than what it wrote stands in Kafka, and longer than any bus knows a repeat."""

Place = tuple[int, int]
"""Partition, offset."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a topic that has to be read for a replay."""

    ranges: dict[TopicPartition, LogRange]
    gone: list[str]
    """Where records of the range have been deleted, or may have been."""
    held_back: tuple[str, ...] = ()
    """Partitions with an open transaction: what stands behind it cannot be read yet."""

    def lost(self) -> list[str]:
        """`gone`, and what retention has deleted while it was read."""
        under = [f"{_name(tp)}: records were deleted while it was read" for tp, r in self.ranges.items() if not r.whole]
        return [*self.gone, *under]


@dataclass(slots=True)
class ReplayTally:
    """What a replay does, or did this time."""

    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records by table and event type; empty where nobody knows them."""
    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    """First and last offset, by partition."""
    oldest_ms: int = 0
    newest_ms: int = 0
    left_out: int = 0
    """Records in the range of which no event is made."""

    @property
    def records(self) -> int:
        """How many come again."""
        return self.kinds.total()

    def count(self, seen: Seen, place: Place, timestamp_ms: int) -> None:
        """One more."""
        partition, offset = place
        self.oldest_ms = min(self.oldest_ms or timestamp_ms, timestamp_ms)
        self.newest_ms = max(self.newest_ms, timestamp_ms)
        self.kinds[seen.table, seen.event_type] += 1
        self.places[partition] = (self.places.get(partition, (offset, offset))[0], offset)


async def stretch(settings: Settings, kafka: KafkaAccess, replay: Replay) -> Stretch:
    """Find out where to read. Raises CommandError if the topic is not the one that was read before, KafkaError."""
    tps = [TopicPartition(replay.topic, index) for index in range(settings.partitions)]
    goals, held_back = await settled(kafka, tps)
    consumer = AIOKafkaConsumer(**kafka.connection.client(CLIENT), isolation_level="read_committed")
    await consumer.start()
    try:
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(tps)
        since = await consumer.offsets_for_times(dict.fromkeys(tps, replay.from_ms))
        until = await consumer.offsets_for_times(dict.fromkeys(tps, replay.to_ms + CLOCKS_MS))
    finally:
        await consumer.stop()
    kept_ms = await _retention_ms(kafka, replay.topic)
    ranges, gone = {}, []
    for tp in tps:
        reached, start, goal = replay.reached.get(tp.partition), starts[tp], goals[tp]
        if reached is not None and reached > goal:
            raise CommandError(
                f"{_name(tp)} ends at {goal}, and this replay was at {reached}: it is another topic of that name",
                hint="another --to makes it another replay",
            )
        begins = since[tp].offset if since.get(tp) else goal
        may_be_old = kept_ms is None or replay.began_ms - replay.from_ms >= kept_ms
        if (start > reached) if reached is not None else (start > 0 and begins <= start and may_be_old):
            gone.append(f"{_name(tp)}: what stood before offset {start} is gone")
        end = min(goal, until[tp].offset) if until.get(tp) else goal
        begin = min(max(start, begins, reached or 0), end)
        ranges[tp] = LogRange(tp, begin, end, whole=True)
    return Stretch(ranges, gone, tuple(f"{_name(tp)} from {goals[tp]} on" for tp in held_back))


async def _retention_ms(kafka: KafkaAccess, topic: str) -> int | None:
    """How long its records are kept at least; None if nobody knows, or if size deletes them, too."""
    responses = await kafka.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    found = {
        entry[0]: entry[1] for response in responses for code, *_, entries in response.resources if not code
        for entry in entries
    }  # fmt: skip
    return int(found.get("retention.ms") or 0) if found.get("retention.bytes") == "-1" else None


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"


@dataclass(frozen=True, slots=True)
class Replaying:
    """One replay, at one moment. The same object plans and writes, so that both see the same records."""

    order: ReplayOrder
    replay: Replay
    stage: str
    view: ReplayView
    found: Stretch

    async def plan(self, kafka: KafkaAccess, tell: Tell) -> ReplayTally:
        """What would be done."""
        tally = ReplayTally()
        async with aclosing(self._read(kafka, tell)) as records:
            async for _ in self.chosen(records, tally):
                pass
        return tally

    async def write(
        self, kafka: KafkaAccess, producer: SlotProducer, topics: Topics, *, pace: Pace, now_ms: Callable[[], int],
        tell: Tell, total: int, forget: Iterable[Replay],
    ) -> ReplayTally:  # fmt: skip
        """Do it; `tell` hears how many of `total` records stand. Raises what `sole_writer` translates, KafkaError,
        CommandError."""
        tally = ReplayTally()
        marks = ProgressMarks(self.replay, iter(forget))
        async with aclosing(self._read(kafka, lambda *_: None)) as records:
            await write_again(
                producer, topics, self.chosen(records, tally), marks.of, pace=pace,
                tell=lambda done: tell(DOING, done, total),
            )  # fmt: skip
        if marks.replay.written and not self.found.held_back:
            await finish(producer, topics, marks.replay, now_ms())
        return tally

    def _read(self, kafka: KafkaAccess, tell: Tell) -> AsyncGenerator[Any]:
        return in_order(kafka.connection, self.found.ranges, tell, "records read", client_id=CLIENT)

    async def chosen(
        self, records: AsyncIterable[Any], tally: ReplayTally
    ) -> AsyncIterator[tuple[Place, RedriveRecord]]:
        """Those to write of `records`, which stand behind what the replay has reached. They are counted in `tally`."""
        left = None if self.order.limit is None else self.order.limit - self.replay.written
        if left == 0:
            return
        async for record in records:
            if not self.replay.from_ms <= record.timestamp < self.replay.to_ms:
                continue
            seen = self.view.seen(record)
            if seen is None:
                tally.left_out += 1
                continue
            if not self.order.holds(seen.names, partial(self.view.keys, seen, record)):
                continue
            place = record.partition, record.offset
            tally.count(seen, place, record.timestamp)
            yield place, replayed(
                self.stage, record.topic, (*place, record.timestamp), record.key, record.value, record.headers,
                self.replay,
            )  # fmt: skip
            if tally.records == left:
                return


@dataclass(slots=True)
class ProgressMarks:
    """What is written down with the records of a transaction."""

    replay: Replay
    forget: Iterator[Replay]

    def of(self, places: Sequence[Place]) -> list[Mark]:
        """How far the replay is with these records; and old ones are forgotten."""
        self.replay = self.replay.advanced(places)
        gone = [Mark(one.key, None) for one in islice(self.forget, MAX_RECORDS)]
        return [Mark(self.replay.key, self.replay.encode()), *gone]


async def finish(producer: SlotProducer, topics: Topics, replay: Replay, now_ms: int) -> None:
    """Write down that nothing is left."""
    done = replace(replay, finished_ms=now_ms)
    async with transaction(producer):
        await (await send_mark(producer, topics.handled, Mark(done.key, done.encode())))


def obsolete_replays(known: Iterable[Replay], now_ms: int) -> list[Replay]:
    """Those nobody will ask for any more."""
    return [one for one in known if one.began_ms < now_ms - REMEMBERED_MS]
