"""From what was pasted to the trails it is about."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from enrichers.pipeline import Pipeline
from models.trail import Trails
from workers.failures import NotFoundError
from workers.kafka.access import KafkaAccess, kafka_access
from workers.kafka.log_reader import log_reader
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics
from workers.settings.worker import Settings
from workers.tail.row_key import read_pins
from workers.tail.view import open_sight
from workers.trace.question import Question
from workers.trace.scene import CLIENT, Anchor, Scene
from workers.trace.search import Window, find
from workers.trace.trail import follow

MAX_WAIT_MS = 10


@dataclass(slots=True)
class Tracing:
    """Answers questions about one Kafka. What was found once is not searched for again."""

    scene: Scene
    pipeline: Pipeline
    _anchors: dict[Question, tuple[tuple[Anchor, ...], bool]] = field(default_factory=dict)

    async def trails(self, asked: Question, window: Window, limit: int) -> Trails:
        """As they stand now; none if nothing was found. Raises KafkaError, CommandError."""
        known, searched = self._anchors.get(asked), ""
        if known is None:
            found = await find(self.scene, asked, window, limit)
            known, searched = (found.anchors, found.more), found.searched
            if found.anchors:
                self._anchors[asked] = known
        anchors, more = known
        trails = [await follow(self.scene, anchor, self.pipeline) for anchor in anchors]
        return Trails(str(asked), tuple(trails), more, "" if anchors else searched)


@asynccontextmanager
async def tracing(
    settings: Settings, *, now_ms: Callable[[], int], tell: Tell, say: Callable[[str], None]
) -> AsyncIterator[Tracing]:  # fmt: skip
    """Connect. Raises UnreachableError, DeniedError, NotFoundError if topics are missing."""
    async with kafka_access(settings) as kafka:
        await _require(settings, kafka)
        pins = await read_pins(settings, kafka, open_sight(settings, say=lambda _: None).catalogue, tell)
        sight = open_sight(settings, pins, say)
        async with log_reader(kafka.connection, CLIENT, max_wait_ms=MAX_WAIT_MS) as reader:
            scene = Scene(settings, kafka, reader, sight, now_ms, tell)
            yield Tracing(scene, Pipeline(sight.catalogue, sight.options))


async def _require(settings: Settings, kafka: KafkaAccess) -> None:
    topics = Topics.of(settings)
    needed = (*topics.raw.values(), topics.events, topics.dead, topics.receipts, *topics.redrive.values())
    await kafka.require(dict.fromkeys((*needed, topics.handled), settings.partitions))


def nothing_found(trails: Trails) -> NotFoundError:
    """What to say of no trail at all."""
    return NotFoundError(
        f"nothing was found of this {trails.asked}: {trails.searched}",
        hint="older than what Kafka keeps? Not forwarded yet (`cdc checkpoint status`)? A table of your own, "
        "and CDC_TABLES is not set here? --from looks further back",
    )
