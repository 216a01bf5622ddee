"""Somebody who reads the output while everything breaks: an aborted record seen once is seen here, not in the end."""

import asyncio
import contextlib
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from sandbox.chaos.history import History
from sandbox.chaos.topics import Topics

AGAIN_SECONDS = 0.5
STOP_SECONDS = 5.0


class Reader:
    """A read_committed consumer of one topic, which writes all it reads into the history."""

    def __init__(
        self, topics: Topics, topic: str, history: History,
        uid_of: Callable[[bytes], int] = lambda value: int(value.split(b":")[0]),
    ) -> None:  # fmt: skip
        """`uid_of` takes the uid out of a value."""
        self.topics = topics
        self.topic = topic
        self.history = history
        self.uid_of = uid_of
        self._positions = dict.fromkeys(topics.partitions_of(topic), 0)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.ensure_future(self._live())

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _live(self) -> None:
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.topics.bootstrap, isolation_level="read_committed", enable_auto_commit=False,
                auto_offset_reset="earliest", client_id="chaos-reader",
            )  # fmt: skip
            try:
                await consumer.start()
                consumer.assign(list(self._positions))
                for tp, position in self._positions.items():
                    consumer.seek(tp, position)
                while True:
                    for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                        rows = [[record.offset, self.uid_of(record.value)] for record in records]
                        self.history.add("reader", "read", "ok", partition=tp.partition, rows=rows)
                        self._positions[tp] = records[-1].offset + 1
            except (KafkaError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)
            finally:
                with contextlib.suppress(Exception):
                    await asyncio.wait_for(consumer.stop(), STOP_SECONDS)
