"""How many letters nobody has handled: counted beside the stages, each letter once, by one worker for all."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from models.buried import Buried
from models.handled import LetterId
from models.letter_selection import Selection
from workers import metrics
from workers.dead_letters.marks import CLIENT, Marks
from workers.dead_letters.reading import DeadLetters, letters, look
from workers.engine.app import StageApp
from workers.failures import CommandError
from workers.kafka.access import KafkaAccess, kafka_access
from workers.kafka.logs import ends
from workers.kafka.topics import Topics
from workers.role import Role, RoleTask
from workers.settings.worker import Settings

log = logging.getLogger("cdc.dead-letters")

STAGES = ("bridge", "enrich", "publish")
OTHER = "other"
"""A stage in the headers of a letter that is none of ours: anybody may write there (P6)."""
MOST = 100_000
"""Open letters that are counted; a letter takes about 200 bytes."""
LOOK_SECONDS = 60.0
READ_SECONDS, REST_SECONDS = 2.0, 10.0
"""Of one look, and between two that read on: a long topic is counted by several, and the stages have their turn."""
AT_ONCE = 20
"""Letters, before others in the process have their turn."""


@dataclass(slots=True)
class OpenLetters:
    """What is known of letters that nobody has handled."""

    reached: dict[int, int] = field(default_factory=dict)
    """By partition: offset behind the last letter that was looked at."""
    _open: dict[LetterId, tuple[str, int]] = field(default_factory=dict)
    """Stage, and Kafka's time of the letter: in a topic that was made anew another letter has its id."""

    @property
    def full(self) -> bool:
        """No more are counted before some are handled."""
        return len(self._open) >= MOST

    def add(self, letter: Buried) -> None:
        """The next one of its partition."""
        self.reached[letter.id.partition] = letter.id.offset + 1
        self._open[letter.id] = (letter.stage if letter.stage in STAGES else OTHER, letter.time_ms)

    def settle(self, marks: Marks, starts: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Forget what has been handled meanwhile, what Kafka has deleted, and all of a partition that was made anew."""
        for partition, end in ends.items():
            if self.reached.get(partition, 0) > end:
                self.reached[partition] = 0
        for letter, (_, time_ms) in list(self._open.items()):
            mark = marks.get(letter)
            handled = mark is not None and mark.letter_ms == time_ms
            gone = letter.offset < starts.get(letter.partition, 0) or letter.offset >= self.reached[letter.partition]
            if handled or gone:
                del self._open[letter]

    def by_stage(self) -> dict[str, int]:
        """Every stage, also those without any."""
        counts = Counter(stage for stage, _ in self._open.values())
        return {stage: counts[stage] for stage in (*STAGES, OTHER) if stage != OTHER or counts[stage]}


class LetterDepth(RoleTask):
    """Counts every minute, if anything was written since. What fails leaves the count as it was, and its age grows."""

    what = "open dead letters"

    def __init__(self, role: Role, count: Callable[[OpenLetters], Awaitable[bool]], **kwargs: Any) -> None:
        """`count` brings what is known up to date, and says whether that is everything; it raises what Kafka does."""
        self._count = count
        self._known = OpenLetters()
        self._whole_at: float | None = None
        self._due = 0.0
        super().__init__(role, log, **kwargs)

    async def act(self) -> None:
        """Count if that is due."""
        if not self._role.held:
            self._known, self._whole_at, self._due = OpenLetters(), None, 0.0
            return
        if monotonic() < self._due:
            return
        pause = LOOK_SECONDS
        try:
            if await self._count(self._known):
                self._whole_at = monotonic()
            else:
                pause = REST_SECONDS
        except (KafkaError, CommandError, OSError) as error:
            log.debug("open dead letters are not counted: %s", type(error).__name__)
        self._due = monotonic() + pause

    def show_in(self, app: StageApp) -> None:
        """How many there are."""
        app.measures.append(self.measure)

    def measure(self) -> Iterator[metrics.Sample]:
        """For `/metrics`: nothing before the first count."""
        if self._whole_at is not None:
            for stage, count in self._known.by_stage().items():
                yield metrics.DLQ_DEPTH.of(count, stage)
            yield metrics.DLQ_DEPTH_AGE.of(monotonic() - self._whole_at)


class KafkaCount:
    """Reads what came since the last count; the marks only if one was written."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends: dict[TopicPartition, int] = {}
        """Of letters and marks, when everything was counted."""

    async def __call__(self, known: OpenLetters) -> bool:
        """See `LetterDepth`."""
        async with kafka_access(self._settings) as kafka:
            topics = Topics.of(self._settings)
            parts = range(self._settings.partitions)
            both = [TopicPartition(topic, index) for topic in (topics.dead, topics.handled) for index in parts]
            now = await ends(kafka.connection, CLIENT, both, stable=True)
            if known.reached and now == self._ends:
                return True
            found = await look(self._settings, kafka, Selection(), _quiet)
            reached = {tp.partition: part.end for tp, part in found.ranges.items()}
            known.settle(found.marks, {tp.partition: start for tp, start in found.starts.items()}, reached)
            for tp, part in found.ranges.items():
                part.start = min(part.end, max(part.start, known.reached.get(tp.partition, 0)))
            if known.full or not await self._read(kafka, found, known):
                return known.full
            known.reached.update(reached)
            self._ends = now
            return True

    async def _read(self, kafka: KafkaAccess, found: DeadLetters, known: OpenLetters) -> bool:
        """Whether everything was read; what is left is for the next look."""
        until, read = monotonic() + READ_SECONDS, 0
        async with aclosing(letters(kafka, found, Selection(), lambda _: (), _quiet)) as unhandled:
            async for letter in unhandled:
                known.add(letter)
                read += 1
                if known.full or monotonic() > until:
                    return False
                if read % AT_ONCE == 0:
                    await asyncio.sleep(0)
        return True


def _quiet(_doing: str, _done: int, _total: int) -> None:
    """Nobody waits for it."""
