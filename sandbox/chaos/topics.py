"""What the harness asks Kafka itself, beside the workers: topics, dumps, committed offsets, log starts."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from sandbox.chaos.stages import CHANGELOG, GROUPS, SOURCES
from workers.engine.offsets import offset_fetch

DATA_TOPICS = ("in", "out", "receipts", "dead")
DUMP_SECONDS = 60.0
POLL_SECONDS = 5.0

Entry = tuple[int, int, str, str]
"""(partition, offset, key, value) of one record."""


@dataclass(slots=True)
class Dump:
    """All committed records of a topic; `complete` if the reader reached the end that it saw at first."""

    rows: list[Entry] = field(default_factory=list)
    complete: bool = False


class Topics:
    """Clients of the harness; they do not pass through the proxy."""

    def __init__(self, bootstrap: str, partitions: int, stages: tuple[str, ...]) -> None:
        self.bootstrap = bootstrap
        self.partitions = partitions
        self.stages = stages
        self._groups: dict[str, Any] = {}

    async def create(self) -> None:
        """Make all topics of the workload; the deletion of records needs `delete` among their policies."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            topics = [NewTopic(name, self.partitions, 1) for name in DATA_TOPICS]
            compact = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": "10000"}
            await admin.create_topics([*topics, NewTopic(CHANGELOG, self.partitions, 1, topic_configs=compact)])
        finally:
            await admin.close()

    async def __aenter__(self) -> Self:
        for stage in self.stages:
            group = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap, group_id=GROUPS[stage], enable_auto_commit=False,
                client_id="chaos-poller",
            )  # fmt: skip
            await group.start()
            self._groups[stage] = group
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for group in self._groups.values():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(group.stop(), 10)

    def partitions_of(self, topic: str) -> list[TopicPartition]:
        """All partitions of one of our topics."""
        return [TopicPartition(topic, index) for index in range(self.partitions)]

    async def committed(self, stage: str) -> dict[int, tuple[int, str]]:
        """{partition: (offset, metadata)} of a stage's group. Raises KafkaError, OSError or TimeoutError."""
        tps = self.partitions_of(SOURCES[stage])
        found = await asyncio.wait_for(offset_fetch(self._groups[stage], tps), POLL_SECONDS)
        return {tp.partition: (entry.offset, entry.metadata) for tp, entry in found.items()}

    async def dump(self, topic: str, until: Mapping[int, int] | None = None) -> Dump:
        """Read a topic from its log start to its end (or to `until`, by partition), committed records only."""
        records, complete = await read_all(self.bootstrap, self.partitions_of(topic), until)
        return Dump(sorted(map(_entry, records)), complete)

    async def delete_before(self, topic: str, offsets: Mapping[int, int]) -> dict[int, int]:
        """DeleteRecords; returns the log starts afterwards."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            wanted = {TopicPartition(topic, index): RecordsToDelete(offset) for index, offset in offsets.items()}
            await admin.delete_records(wanted)
        finally:
            await admin.close()
        return await self.log_starts(topic)

    async def log_starts(self, topic: str) -> dict[int, int]:
        """{partition: first offset}."""
        group = next(iter(self._groups.values()))
        found = await asyncio.wait_for(group.beginning_offsets(self.partitions_of(topic)), POLL_SECONDS)
        return {tp.partition: offset for tp, offset in found.items()}

    async def log_ends(self, topic: str) -> dict[int, int]:
        """{partition: offset behind the last record}."""
        group = next(iter(self._groups.values()))
        found = await asyncio.wait_for(group.end_offsets(self.partitions_of(topic)), POLL_SECONDS)
        return {tp.partition: offset for tp, offset in found.items()}


async def read_all(
    bootstrap: str, tps: Iterable[TopicPartition], until: Mapping[int, int] | None = None
) -> tuple[list[Any], bool]:
    """aiokafka's records from the log starts to the ends (or to `until`, by partition), committed ones only, and
    whether all ends were reached. Raises KafkaError or OSError."""
    found: list[Any] = []
    waiting = set(tps)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest",
        enable_auto_commit=False, client_id="chaos-dump",
    )  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(list(waiting))
        ends = await consumer.end_offsets(list(waiting))
        if until is not None:
            ends = {tp: min(end, until.get(tp.partition, 0)) for tp, end in ends.items()}
        await consumer.seek_to_beginning(*waiting)
        deadline = monotonic() + DUMP_SECONDS
        while waiting and monotonic() < deadline:
            waiting = {tp for tp in waiting if await consumer.position(tp) < ends[tp]}
            if not waiting:
                break
            for tp, records in (await consumer.getmany(*waiting, timeout_ms=200)).items():
                found += [record for record in records if record.offset < ends[tp]]
    finally:
        await consumer.stop()
    return found, not waiting


def _entry(record: Any) -> Entry:
    return record.partition, record.offset, (record.key or b"").decode(), (record.value or b"").decode()
