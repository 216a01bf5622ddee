"""Ranges of partitions, read as one: in the order in which Kafka got their records."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from workers.kafka.connection import KafkaConnection
from workers.kafka.log_reader import log_reader
from workers.kafka.logs import FETCH_BYTES, Tell


@dataclass(slots=True)
class LogRange:
    """The offsets `start` .. `end - 1` of a partition."""

    tp: TopicPartition
    start: int
    end: int
    whole: bool
    """Nothing of what was to be read is missing. Retention may end that while we read."""


async def in_order(
    connection: KafkaConnection, ranges: Mapping[TopicPartition, LogRange], tell: Tell, doing: str, *, client_id: str
) -> AsyncGenerator[Any]:
    """Merge by Kafka's timestamps; within a partition the order of its offsets is kept, whatever its timestamps say.

    Lookups are read across partitions and sources, so their owners should come first here, too, if they came first
    then. Raises KafkaError, CommandError if there is no progress."""
    spans = {tp: (found.start, found.end) for tp, found in ranges.items() if found.start < found.end}
    if not spans:
        return
    async with (
        log_reader(connection, client_id, fetch_bytes=FETCH_BYTES) as reader,
        aclosing(reader.merged(spans, tell, doing)) as lists,
    ):
        async for records in lists:
            for tp in reader.lost:
                ranges[tp].whole = False
            for record in records:
                yield record
