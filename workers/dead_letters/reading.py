"""`cdc.dead` read from the outside, up to where it ended when the reading began."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition

from models.buried import Buried
from models.handled import Action, LetterId
from models.letter_selection import Selection
from models.redrive import DeadRecord
from workers.dead_letters.marks import CLIENT, Marks, read_marks
from workers.kafka.access import KafkaAccess
from workers.kafka.log_ranges import LogRange, in_order
from workers.kafka.logs import Tell, ends
from workers.kafka.topics import Topics
from workers.settings.worker import Settings

PATIENCE = 5.0
"""Seconds that open transactions get to end; letters behind those that do not are left out, and it is said."""
PAUSE = 0.1
FIRST_SPAN, GROWTH = 4, 8
"""Offsets per letter that `newest` looks at first (a transaction takes one, too), and by how much more after that."""

KeysOf = Callable[[Buried], Collection[str]]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """What there is to read, at one moment."""

    ranges: dict[TopicPartition, LogRange]
    marks: Marks
    held_back: tuple[str, ...] = ()
    """Partitions with an open transaction, and where it begins: what stands behind it cannot be read."""
    starts: dict[TopicPartition, int] = field(default_factory=dict)
    """Where the logs begin. Letters before that are gone, and nobody asks any more what was done with them."""
    goals: dict[int, int] = field(default_factory=dict)
    """By partition: where reading ends."""
    hidden: frozenset[int] = frozenset()
    """Partitions of `held_back`."""
    seen: set[LetterId] = field(default_factory=set)
    """Of the ids that are asked for, those that were read, whatever else is asked of them."""

    def missing(self, ids: Collection[LetterId], *, whole: bool) -> list[LetterId]:
        """Those that are none: nothing stands there, and nothing is known of it. `whole`: all of the selection was
        read; else only what lies outside of the logs."""
        found = []
        for letter in sorted(set(ids) - self.seen - self.marks.keys()):
            beyond = letter.offset >= self.goals.get(letter.partition, 0)
            if (beyond or whole) and not (beyond and letter.partition in self.hidden):
                found.append(letter)
        return found

    def last(self, offsets: int) -> "DeadLetters":
        """Only the end of every partition."""
        ends = {tp: replace(found, start=max(found.start, found.end - offsets)) for tp, found in self.ranges.items()}
        return replace(self, ranges=ends)

    def beyond(self, other: "DeadLetters") -> frozenset[int]:
        """Partitions of which `other`, the end of this, has not everything."""
        return frozenset(tp.partition for tp, found in self.ranges.items() if found.start < other.ranges[tp].start)


async def look(
    settings: Settings, kafka: KafkaAccess, selection: Selection, tell: Tell, *, fenced: bool = False,
) -> DeadLetters:  # fmt: skip
    """Find out where to read for a selection. `fenced`: as for `read_marks`. Raises NotFoundError if a topic is
    missing, KafkaError."""
    topics = Topics.of(settings)
    await kafka.require(dict.fromkeys((topics.dead, topics.handled), settings.partitions))
    marks = await read_marks(settings, kafka, tell, fenced=fenced)
    tps = [TopicPartition(topics.dead, index) for index in range(settings.partitions)]
    goals, held_back = await settled(kafka, tps)
    consumer = AIOKafkaConsumer(**kafka.connection.client(CLIENT), isolation_level="read_committed")
    await consumer.start()
    try:
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(tps)
        since = dict(starts)
        if selection.since_ms is not None and not selection.ids:  # of ids it is told why they do not fit
            later = await consumer.offsets_for_times(dict.fromkeys(tps, selection.since_ms))
            since = {tp: later[tp].offset if later.get(tp) else goals[tp] for tp in tps}
    finally:
        await consumer.stop()
    ranges = {tp: _range(tp, max(starts[tp], since[tp]), goals[tp], selection.ids) for tp in tps}
    told = tuple(f"{tp.topic}/{tp.partition} from {goals[tp]} on" for tp in held_back)
    ends_at, hidden = {tp.partition: goal for tp, goal in goals.items()}, frozenset(tp.partition for tp in held_back)
    return DeadLetters(ranges, marks, told, starts, ends_at, hidden)


async def letters(
    kafka: KafkaAccess, found: DeadLetters, selection: Selection, keys_of: KeysOf, tell: Tell, *,
    doing: str = "dead letters", handled: Collection[Action | None] = (None,),
) -> AsyncGenerator[Buried]:  # fmt: skip
    """Those of a selection to which `handled` was done (None: nothing yet), oldest first by Kafka's time; in a
    partition always in its order. Raises KafkaError, CommandError if there is no progress."""
    async with aclosing(in_order(kafka.connection, found.ranges, tell, doing, client_id=CLIENT)) as records:
        async for r in records:
            dead = DeadRecord(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            buried = Buried.of(dead, found.marks.get(LetterId(r.partition, r.offset)))
            if buried.id in selection.ids:
                found.seen.add(buried.id)
            action = buried.handled.action if buried.handled is not None else None
            if action in handled and selection.holds(buried, keys_of):
                yield buried


Read = Callable[[DeadLetters], AsyncGenerator[Buried]]


async def newest(found: DeadLetters, limit: int, read: Read) -> tuple[list[Buried], bool]:
    """At most `limit` letters, newest first and without their originals, and whether there may be more. `read` gives
    those of a part, oldest first. Of a long topic only the end is read."""
    span = FIRST_SPAN * limit
    while True:
        part = found.last(span)
        kept: deque[Buried] = deque(maxlen=limit)
        counts = Counter[int]()
        async with aclosing(read(part)) as selected:
            async for letter in selected:
                counts[letter.id.partition] += 1
                kept.append(letter.without_value())
        unread = found.beyond(part)
        # The newest letters of all are among so many newest of each partition.
        if all(counts[partition] >= limit for partition in unread):
            return list(reversed(kept)), bool(unread) or counts.total() > limit
        span *= GROWTH


async def settled(
    kafka: KafkaAccess, tps: list[TopicPartition]
) -> tuple[dict[TopicPartition, int], list[TopicPartition]]:
    """Where to read to: to the high watermarks of now, once every transaction before them has ended; of the partitions
    where one has not, where it begins."""
    goals = await ends(kafka.connection, CLIENT, tps, stable=False)
    deadline = monotonic() + PATIENCE
    while True:
        stable = await ends(kafka.connection, CLIENT, tps, stable=True)
        held_back = [tp for tp in tps if stable[tp] < goals[tp]]
        if not held_back or monotonic() >= deadline:
            break
        await asyncio.sleep(PAUSE)
    return {tp: min(goals[tp], stable[tp]) for tp in tps}, held_back


def _range(tp: TopicPartition, start: int, end: int, ids: frozenset[LetterId]) -> LogRange:
    """Of single letters only what lies between the first and the last of them is read."""
    if ids:
        offsets = [found.offset for found in ids if found.partition == tp.partition]
        start = max(start, min(offsets, default=end))
        end = min(end, max(offsets, default=-1) + 1)
    return LogRange(tp, min(start, end), end, whole=True)
