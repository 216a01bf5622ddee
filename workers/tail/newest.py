"""The last records that fit, found from the ends of the logs backwards."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aiokafka import TopicPartition

from workers.kafka.log_reader import LogReader
from workers.kafka.logs import Tell

FIRST_SPAN, GROWTH = 4, 8
"""Offsets per wanted record that are looked at first (a transaction takes one, too), and how many times more next."""
T = TypeVar("T")

Bounds = Mapping[TopicPartition, tuple[int, int]]
"""Offsets from the first on and before the second."""


async def newest(
    reader: LogReader, bounds: Bounds, limit: int, pick: Callable[[Any], T | None], tell: Tell | None = None,
    doing: str = "records",
) -> tuple[list[T], bool]:  # fmt: skip
    """At most `limit` of what `pick` makes of records, the last ones by Kafka's time, oldest first; and whether there
    may be more before them. Raises KafkaError, CommandError."""
    found: dict[TopicPartition, list[tuple[int, T]]] = {tp: [] for tp in bounds}
    reached = {tp: end for tp, (_, end) in bounds.items()}
    span = FIRST_SPAN * limit
    while True:
        spans: dict[TopicPartition, tuple[int, int | None]] = {
            tp: (max(start, reached[tp] - span), reached[tp])
            for tp, (start, _) in bounds.items()
            if len(found[tp]) < limit and start < reached[tp]
        }
        earlier: dict[TopicPartition, list[tuple[int, T]]] = {tp: [] for tp in spans}
        async for records in reader.merged(spans, tell, doing):
            for record in records:
                tp = TopicPartition(record.topic, record.partition)
                if (picked := pick(record)) is not None:
                    earlier[tp].append((record.timestamp, picked))
                    del earlier[tp][:-limit]
        for tp, more in earlier.items():
            found[tp] = (more + found[tp])[-limit:]
            reached[tp] = spans[tp][0]
        # The newest of all are among so many newest of each partition.
        if all(len(found[tp]) >= limit or reached[tp] <= start for tp, (start, _) in bounds.items()):
            break
        span *= GROWTH
    merged = sorted((one for of_one in found.values() for one in of_one), key=lambda one: one[0])
    unread = any(reached[tp] > start for tp, (start, _) in bounds.items())
    return [picked for _, picked in merged[-limit:]], unread or len(merged) > limit
