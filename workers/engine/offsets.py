"""Committed offsets, read with the care that auto_offset_reset=none needs."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata

ATTEMPTS = 150
PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Committed:
    """Position of the group in one partition beside the bounds of its log; all are offsets."""

    offset: int | None
    metadata: str
    log_start: int
    log_end: int

    @property
    def in_log(self) -> bool:
        """Whether reading can go on exactly there: anything else is a gap, never a jump."""
        return self.offset is not None and self.log_start <= self.offset <= self.log_end


@dataclass(frozen=True, slots=True)
class Position:
    """Where a source partition goes on, with the metadata of its last commit (the ledger)."""

    offset: int
    metadata: str


async def offset_fetch(consumer: Any, partitions: Iterable[Any]) -> dict[Any, Any]:
    """{TopicPartition: OffsetAndMetadata} of the consumer's group; partitions without an offset are left out.

    aiokafka 0.14 ignores the error of the whole response (v2, v3): while a restarted broker still loads the group it
    reports "nothing committed" for every partition of a living group. Raises KafkaError after about 30 s.
    """
    wanted = {TopicPartition(*tp) for tp in partitions}
    by_topic: dict[str, list[int]] = defaultdict(list)
    for tp in wanted:
        by_topic[tp.topic].append(tp.partition)
    coordinator = consumer._coordinator
    error: KafkaError = KafkaError("no answer")
    for _ in range(ATTEMPTS):
        try:
            await coordinator.ensure_coordinator_known()
            request = OffsetFetchRequest(consumer._group_id, list(by_topic.items()))
            response = await coordinator._send_req(request)
            rows = {TopicPartition(topic, row[0]): row for topic, found in response.topics for row in found}
            codes = {getattr(response, "error_code", 0), *(row[3] for row in rows.values())} - {0}
            if not codes and rows.keys() >= wanted:
                return {tp: OffsetAndMetadata(row[1], row[2]) for tp, row in rows.items() if row[1] >= 0}
            error = for_code(codes.pop())() if codes else KafkaError("incomplete answer")
            if isinstance(error, NotCoordinatorForGroupError):
                coordinator.coordinator_dead()
        except KafkaError as raised:
            error = raised
        await asyncio.sleep(PAUSE)
    raise error


async def log_bounds(consumer: Any, partitions: Iterable[Any]) -> dict[Any, tuple[int, int]]:
    """{partition as given: (log start, log end)}; the end is the last stable offset of a read_committed consumer."""
    wanted = {tp: TopicPartition(*tp) for tp in partitions}
    if not wanted:
        return {}
    starts, ends = await asyncio.gather(
        consumer.beginning_offsets(list(wanted.values())), consumer.end_offsets(list(wanted.values()))
    )
    return {tp: (starts[key], ends[key]) for tp, key in wanted.items()}


async def committed(consumer: Any, partitions: Iterable[Any]) -> dict[Any, Committed]:
    """{partition as given: Committed}: one OffsetFetch and two ListOffsets requests."""
    wanted = {tp: TopicPartition(*tp) for tp in partitions}
    found = await offset_fetch(consumer, wanted.values())
    bounds = await log_bounds(consumer, wanted)
    positions = {}
    for tp, key in wanted.items():
        entry = found.get(key)
        positions[tp] = Committed(entry.offset if entry else None, entry.metadata if entry else "", *bounds[tp])
    return positions
