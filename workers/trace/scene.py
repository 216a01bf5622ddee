"""What a trace works with: the rules, a reader, and how it looks through a part of the topics."""

from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import TopicPartition

from models.dead_letter import import_of
from models.raw import Headers
from models.written import Place
from workers.kafka.access import KafkaAccess
from workers.kafka.log_reader import LogReader
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics
from workers.settings.worker import Settings
from workers.tail.view import Sight

CLIENT = "cdc-trace"
CLOCKS_MS = 60_000
"""By how much the clocks of writers may differ: so much earlier is looked for what follows from a record."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AtOrigin:
    """A record of another topic with the place that it had, or claims, as one of `topic`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Kafka timestamp, milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def imported(self) -> bytes:
        """Which record of a queue it is, if it never stood in `topic`."""
        return import_of(self.headers)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A raw record, whether or not Kafka still holds it: all that becomes of it stands in its partition."""

    place: Place
    source: str
    since_ms: int = 0
    """Nothing about it was written before; milliseconds since the epoch."""
    event_id: str = ""
    imported: AtOrigin | None = None
    """If it came out of a queue: another record stands at `place`, or none."""

    @property
    def import_id(self) -> bytes:
        """Empty for a record of a topic."""
        return self.imported.imported if self.imported is not None else b""


@dataclass(frozen=True, slots=True)
class Scene:
    """One look at one Kafka."""

    settings: Settings
    kafka: KafkaAccess
    reader: LogReader
    sight: Sight
    now_ms: Callable[[], int]
    tell: Tell

    @property
    def topics(self) -> Topics:
        """Names."""
        return Topics.of(self.settings)

    def tps(self, *topics: str, partition: int | None = None) -> list[TopicPartition]:
        """All partitions of topics, or one of each."""
        chosen = range(self.settings.partitions) if partition is None else (partition,)
        return [TopicPartition(topic, index) for topic in topics for index in chosen]

    def source_of(self, topic: str) -> str:
        """Name of the source by its raw topic; empty if it is none."""
        return self.sight.view.sources.get(topic, "")

    def raw_topic(self, source: str) -> str:
        """That of a source; of an event that does not name one, that of the first."""
        raw = self.topics.raw
        return raw.get(source) or next(iter(raw.values()))

    async def scan(
        self, tps: Collection[TopicPartition], from_ms: int, pick: Callable[[Any], T | None], *, doing: str,
        to_ms: int | None = None, enough: int | None = None, done: Callable[[Any], bool] = lambda _: False,
    ) -> list[T]:  # fmt: skip
        """What `pick` makes of records written from a time on, in order: `enough` of it, or up to the one of which
        `done` says so. Raises KafkaError, CommandError."""
        bounds = await self.reader.bounds(tps)
        starts = await self.reader.at_time(tps, from_ms) if from_ms > 0 else {tp: b[0] for tp, b in bounds.items()}
        stops = {tp: end for tp, (_, end) in bounds.items()}
        if to_ms is not None:
            later = await self.reader.at_time(tps, to_ms)
            stops = {tp: min(later[tp], stop) for tp, stop in stops.items()}
        spans: dict[TopicPartition, tuple[int, int | None]] = {
            tp: (max(starts[tp], bounds[tp][0]), stops[tp]) for tp in tps
        }
        found: list[T] = []
        async with aclosing(self.reader.merged(spans, self.tell, doing)) as lists:
            async for records in lists:
                for record in records:
                    if (picked := pick(record)) is not None:
                        found.append(picked)
                    if (enough is not None and len(found) >= enough) or done(record):
                        return found
        return found
