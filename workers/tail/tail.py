"""Records of several stages, past and live, as `cdc tail` and the view Peek show them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from enrichers.written_view import WrittenView
from models.written import Writer, Written
from workers.kafka.log_reader import LogReader
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics
from workers.settings.worker import Settings
from workers.tail.newest import newest
from workers.tail.selection import Wanted
from workers.tail.start import Mark

CLIENT = "cdc-tail"
DOING = "records looked at"


@dataclass(frozen=True, slots=True)
class TailOrder:
    """What is to be read."""

    wanted: Wanted
    since: Mark | None = None
    """None: what is written from now on."""
    last: int | None = None
    """Begin with the last so many that fit, instead of `since`."""
    until: Mark | None = None
    """None: the ends of the logs as they are now. Nothing is followed beyond it."""
    follow: bool = True
    partitions: frozenset[int] = frozenset()
    """Empty: all, or the one of the key."""
    limit: int | None = None


def topics_of(settings: Settings, writer: Writer) -> tuple[str, ...]:
    """What a stage has written."""
    topics = Topics.of(settings)
    match writer:
        case Writer.BRIDGE:
            return tuple(topics.raw.values())
        case Writer.ENRICH:
            return (topics.events,)
        case Writer.PUBLISH:
            return (topics.receipts,)
        case Writer.DEAD:
            return (topics.dead,)


@dataclass(slots=True)
class Tail:
    """One look. `written` may be asked for once."""

    reader: LogReader
    view: WrittenView
    order: TailOrder
    writers: Mapping[str, Writer]
    """Whose records stand in which topic."""
    partitions: int
    more: bool = False
    """Of `last`: there may be earlier ones that fit."""

    async def written(self, tell: Tell | None = None) -> AsyncGenerator[list[Written]]:
        """Lists of what is wanted, in order of Kafka's time; an empty one every now and then while nothing comes.
        Raises KafkaError, CommandError."""
        order, left = self.order, self.order.limit
        tps = self._tps()
        bounds = await self.reader.bounds(tps)
        starts = await self._starts(bounds)
        ends = await self._ends(bounds)
        if order.last is not None:
            before = {tp: (start, ends[tp]) for tp, (start, _) in bounds.items()}
            found, self.more = await newest(self.reader, before, order.last, self._pick, tell, DOING)
            yield found
            if left is not None and (left := left - len(found)) <= 0:
                return
            starts = ends
        spans: dict[TopicPartition, tuple[int, int | None]] = {
            tp: (starts[tp], None if order.follow else ends[tp]) for tp in tps
        }
        async with aclosing(self.reader.merged(spans, None if order.follow else tell, DOING)) as lists:
            async for records in lists:
                picked = [written for record in records if (written := self._pick(record)) is not None]
                if left is not None:
                    picked = picked[:left]
                    left -= len(picked)
                yield picked
                if left == 0:
                    return

    def _pick(self, record: Any) -> Written | None:
        return self.order.wanted.pick(record, self.writers[record.topic], self.view)

    def _tps(self) -> list[TopicPartition]:
        order = self.order
        chosen = order.partitions or frozenset(range(self.partitions))
        if order.wanted.key is not None and not order.partitions:
            home = order.wanted.key.partition(self.partitions)
            chosen = chosen if home is None else frozenset((home,))
        return [TopicPartition(topic, index) for topic in self.writers for index in sorted(chosen)]

    async def _starts(self, bounds: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, int]:
        since = self.order.since
        if since is None:
            return {tp: end for tp, (_, end) in bounds.items()}
        if since.offset is not None:
            return {tp: min(max(since.offset, start), end) for tp, (start, end) in bounds.items()}
        found = await self.reader.at_time(list(bounds), since.time_ms or 0)
        return {tp: max(found[tp], start) for tp, (start, _) in bounds.items()}

    async def _ends(self, bounds: Mapping[TopicPartition, tuple[int, int]]) -> dict[TopicPartition, int]:
        until = self.order.until
        if until is None:
            return {tp: end for tp, (_, end) in bounds.items()}
        if until.offset is not None:
            return {tp: min(until.offset, end) for tp, (_, end) in bounds.items()}
        found = await self.reader.at_time(list(bounds), until.time_ms or 0)
        return {tp: min(found[tp], end) for tp, (_, end) in bounds.items()}
