"""Following all partitions of a compacted topic, for as long as the stage lives."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from workers.engine.clock import monotonic
from workers.engine.runner import describe

log = logging.getLogger("cdc.follower")

BOUNDS_EVERY = 2.0
"""Seconds between two looks at the high watermarks."""
START_SECONDS = 200.0
"""Less than what the probe of life takes for a standstill, and enough for several servers that do not answer."""
POLL_MS = 200
PAUSE = 1.0


class Follower:
    """Calls `apply` for every committed record, from the beginning of each partition on, and knows up to which moment
    it has seen everything. It may be late, behind an open transaction for example: its users must be safe with that."""

    def __init__(self, client: dict[str, Any], topic: str, partitions: int, apply: Callable[[Any], None]) -> None:
        self._client = client
        self._tps = [TopicPartition(topic, index) for index in range(partitions)]
        self._apply = apply
        self._task: asyncio.Task[None] | None = None
        self.complete_as_of = float("-inf")
        """Everything that was committed before this (monotonic seconds) has been applied."""
        self.wanted = float("-inf")
        """Somebody waits for `complete_as_of` to pass this: the next look at the high watermarks does not wait."""
        self.moved = asyncio.Event()
        """Set at every record; whoever waits clears it."""
        self.trouble = ""
        """Name of the error that keeps it from reading, or nothing."""
        self._turns = 0

    @property
    def in_hand(self) -> dict[str, int]:
        """For the probe of life, by name: a number that moves as long as somebody follows, whether Kafka answers or
        not. Nobody else would notice that nobody follows: what is known only grows old."""
        return {f"following {self._tps[0].topic}": self._turns} if self._task is not None else {}

    def start(self) -> None:
        """Begin to follow; a broker that is away is waited for."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        positions = dict.fromkeys(self._tps, 0)
        while True:
            self._turns += 1
            try:
                await self._follow(positions)
            except Exception as error:  # noqa: BLE001  the world, or what `apply` stumbled over: it is read again
                if not isinstance(error, (KafkaError, OSError)):
                    log.error("%s: following it failed: %s", self._tps[0].topic, describe(error))
                self.trouble = type(error).__name__
            await asyncio.sleep(PAUSE)

    async def _follow(self, positions: dict[TopicPartition, int]) -> None:
        reader = AIOKafkaConsumer(
            **self._client, isolation_level="read_committed", auto_offset_reset="none", enable_auto_commit=False,
            fetch_max_wait_ms=POLL_MS,
        )  # fmt: skip
        # High watermarks are asked for by another consumer: the last stable offset may hide a committed record.
        bounds = AIOKafkaConsumer(**self._client, isolation_level="read_uncommitted", enable_auto_commit=False)
        try:
            async with asyncio.timeout(START_SECONDS):  # brokers that are frozen answer none of many servers
                await asyncio.gather(reader.start(), bounds.start())
            reader.assign(self._tps)
            begins = await bounds.beginning_offsets(self._tps)
            for tp in self._tps:
                reader.seek(tp, max(begins[tp], positions[tp]))
            asked, ends = float("-inf"), dict.fromkeys(self._tps, 0)
            while True:
                self._turns += 1
                try:
                    batches = await reader.getmany(timeout_ms=POLL_MS)
                except OffsetOutOfRangeError as error:  # compacted away, or the topic was made anew
                    begins = await bounds.beginning_offsets(list(error.args[0]))
                    for tp, begin in begins.items():
                        reader.seek(tp, begin)
                    continue
                for records in batches.values():
                    for record in records:
                        self._apply(record)
                    self.moved.set()
                for tp in self._tps:
                    positions[tp] = await reader.position(tp)
                if asked > self.complete_as_of and all(positions[tp] >= ends[tp] for tp in self._tps):
                    self.complete_as_of, self.trouble = asked, ""
                    self.moved.set()
                due = monotonic() - asked >= BOUNDS_EVERY or asked < self.wanted
                if asked <= self.complete_as_of and due:
                    now = monotonic()
                    ends, asked = await bounds.end_offsets(self._tps), now
        finally:
            await asyncio.gather(reader.stop(), bounds.stop(), return_exceptions=True)
