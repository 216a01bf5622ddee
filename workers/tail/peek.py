"""Samples of what the stages write, for whoever looks at the page, taken so that no pipeline feels it.

A look begins when somebody asks for a stage, and ends when nobody does any more. Every second it reads at most
PER_LOOK records, the newest ones, and jumps over the rest; there is one look per stage and process, however many people
watch. What was read is masked once and kept for all of them.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from enrichers.written_view import WrittenView
from models.written import Writer, Written
from workers.engine.runner import describe
from workers.failures import CommandError
from workers.filters import Filter
from workers.kafka.access import kafka_access
from workers.kafka.log_reader import LogReader, log_reader
from workers.settings.worker import Settings
from workers.tail.selection import Wanted
from workers.tail.tail import Tail, TailOrder, topics_of
from workers.tail.view import open_sight

log = logging.getLogger("cdc.web")
CLIENT = "cdc-peek"
PER_LOOK = 60
"""Records that one look reads in EVERY_SECONDS at most, over all partitions."""
EVERY_SECONDS = 1.0
KEPT = 500
"""Records of a stage that can be seen."""
FIRST = 30
IDLE_SECONDS = 20.0
"""A look ends so long after the last question."""
MAX_WAIT_MS = 10
FILTER_SECONDS = 0.5
"""What filters of one question may cost."""
T = TypeVar("T")
TOO_SLOW = "the filter is slow: {} records were not asked"


@dataclass(frozen=True, slots=True)
class Peeked:
    """The answer to one question: records in order, oldest first, each with its number."""

    records: tuple[tuple[int, Written], ...]
    next: int
    """Ask for what comes after this number."""
    jumped: int = 0
    """Offsets that were jumped over since the look began: the stage writes more than can be looked at."""
    told: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """For the page."""
        return {
            "records": [{"number": number, **written.document()} for number, written in self.records],
            "next": self.next, "jumped": self.jumped, "told": list(self.told),
        }  # fmt: skip


@dataclass(slots=True)
class Look:
    """One stage that is looked at."""

    settings: Settings
    writer: Writer
    now: Callable[[], float] = monotonic
    """Seconds; only differences count."""
    kept: deque[tuple[int, Written]] = field(default_factory=lambda: deque(maxlen=KEPT))
    number: int = 0
    jumped: int = 0
    trouble: str = ""
    asked_at: float = 0.0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    def ask(self) -> None:
        """Somebody looks. Begins, or begins again."""
        self.asked_at = self.now()
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._run())

    @property
    def idle(self) -> bool:
        """Nobody asks any more."""
        return self.now() - self.asked_at > IDLE_SECONDS

    def keep(self, records: list[Written]) -> None:
        """For those who ask."""
        for written in records:
            self.number += 1
            self.kept.append((self.number, written))

    async def _run(self) -> None:
        try:
            await self._look()
            self.trouble = ""
        except (CommandError, KafkaError, OSError) as error:
            self.trouble = str(error) if isinstance(error, CommandError) else type(error).__name__
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  a bug here ends a look, not a worker
            self.trouble = "this is a bug, see the log of the worker"
            log.error("peek: %s", describe(error))
        finally:
            self.news.set()

    async def _look(self) -> None:
        topics = topics_of(self.settings, self.writer)
        view = open_sight(self.settings, say=lambda _: None).view
        async with kafka_access(self.settings) as kafka, log_reader(
            kafka.connection, CLIENT, max_wait_ms=MAX_WAIT_MS
        ) as reader:  # fmt: skip
            await kafka.require(dict.fromkeys(topics, self.settings.partitions))
            tps = [TopicPartition(topic, index) for topic in topics for index in range(self.settings.partitions)]
            reached = await self._first(reader, view, topics, tps)
            turn = 0
            while not self.idle:
                self.news.set()
                self.trouble = ""
                await asyncio.sleep(EVERY_SECONDS)
                self.news.clear()
                ends = {tp: end for tp, (_, end) in (await reader.bounds(tps)).items()}
                spans, jumped = shares(reached, ends, PER_LOOK, turn)
                async for records in reader.merged(spans):
                    self.keep([view.written(record, self.writer) for record in records])
                self.jumped += jumped
                reached, turn = ends, turn + 1

    async def _first(
        self, reader: LogReader, view: WrittenView, topics: tuple[str, ...], tps: list[TopicPartition]
    ) -> dict[TopicPartition, int]:  # fmt: skip
        """What is there already; and from where on news are read."""
        ends = {tp: end for tp, (_, end) in (await reader.bounds(tps)).items()}
        if not self.kept:
            order = TailOrder(Wanted(), last=FIRST, follow=False)
            before = Tail(reader, view, order, dict.fromkeys(topics, self.writer), self.settings.partitions)
            async for written in before.written():
                self.keep(written)
        return ends


def shares(
    reached: dict[TopicPartition, int], ends: dict[TopicPartition, int], most: int, turn: int
) -> tuple[dict[TopicPartition, tuple[int, int | None]], int]:
    """What of the news of all partitions is read: the last ones of each, `most` offsets in all; and how many offsets
    are jumped over. With more partitions than that they take turns."""
    news = sorted(tp for tp, end in ends.items() if end > reached.get(tp, end))
    at = turn * most % len(news) if len(news) > most else 0
    chosen = (news[at:] + news[:at])[:most]
    left, spans = most, dict[TopicPartition, tuple[int, int | None]]()
    for position, tp in enumerate(sorted(chosen, key=lambda tp: ends[tp] - reached[tp])):
        share = min(ends[tp] - reached[tp], left // (len(chosen) - position))
        spans[tp] = (ends[tp] - share, ends[tp])
        left -= share
    total = sum(ends[tp] - reached[tp] for tp in news)
    return spans, total - (most - left)


@dataclass(slots=True)
class Peeks:
    """All looks of a process."""

    looks: dict[Writer, Look] = field(default_factory=dict)
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One filter at a time."""

    async def since(
        self, settings: Settings, writer: Writer, after: int, wanted: Wanted, *, limit: int, wait: float = 0.0
    ) -> Peeked:
        """What has come after that number and is wanted, the last `limit` of it. Waits at most so many seconds for the
        first look to begin. Raises CommandError if Kafka cannot be read."""
        look = self.looks.get(writer)
        if look is None or look.settings is not settings:
            look = self.looks[writer] = Look(settings, writer)
        look.ask()
        if not look.kept and wait:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(look.news.wait(), wait)
        if look.trouble:
            raise CommandError(look.trouble, hint="`cdc check` says more")
        news = [one for one in look.kept if one[0] > after and _is_plainly(one[1], wanted)]
        told: tuple[str, ...] = ()
        if wanted.where is not None:
            async with self.asking:
                news, unasked = await asyncio.to_thread(filtered, news, wanted.where, lambda one: one[1].asked())
            told = (*wanted.where.told(), *((TOO_SLOW.format(unasked),) if unasked else ()))
        return Peeked(tuple(news[-limit:]), look.number, look.jumped, told)

    async def end(self) -> None:
        """Of the process."""
        for look in self.looks.values():
            if look.task is not None:
                look.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await look.task


def _is_plainly(written: Written, wanted: Wanted) -> bool:
    """All but the filter."""
    names = wanted.key.names if wanted.key is not None else None
    return (not wanted.tables or written.table in wanted.tables) and (
        names is None or written.entity in names or written.event_id in names
    )


def filtered(
    records: Sequence[T], where: Filter, document: Callable[[T], Any], seconds: float = FILTER_SECONDS
) -> tuple[list[T], int]:
    """Those that match, and how many were not asked because time was up. For a thread of its own: one document may
    take a second."""
    found: list[T] = []
    end = monotonic() + seconds
    for position, one in enumerate(records):
        if monotonic() > end:
            return found, len(records) - position
        if where.matches(document(one)):
            found.append(one)
    return found, 0
