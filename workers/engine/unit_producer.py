"""The seam behind a slot: everything the engine asks of a transactional producer.

aiokafka's producer fulfils it as it is. The in-memory one of the test kit (`memory_producer`) and the one that fails on
request (`faults`) pass the same suite, `tests/contract/test_unit_producer.py`.
"""

from asyncio import Future
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

Packed = tuple[bytes, bytes | None, bytes]
"""Key, value and packed headers of a record."""


class PackedBatch(Protocol):
    """Records of one partition, packed before anything is sent."""

    def append(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] | bytes,
        timestamp: int | None = None,
    ) -> Any:
        """None if the record does not fit any more; the first one always fits. `timestamp`: milliseconds, None is the
        batch's own time. `headers`: bytes are `packed_headers`. Raises TypeError for a key or value that is not bytes.
        """

    def extend(self, records: Iterator[Packed], most: int) -> Packed | None:
        """`append` for many, in a shorter way: as long as they are ordinary, fit, and take no more than `most` bytes.
        The first one that does not, which is for `append`; None: all were appended."""

    def close(self) -> None:
        """Nothing more is appended."""

    def record_count(self) -> int:
        """Records appended so far."""

    def size(self) -> int:
        """Bytes appended so far, framing included."""


class Written(Protocol):
    """Where a batch has landed; its records have consecutive offsets."""

    topic: str
    partition: int
    offset: int
    """Of the first record."""


class UnitProducer(Protocol):
    """One producer under one transactional id, one transaction at a time. After an error it is given up: nobody knows
    what the broker has of it, until the next `start` under the same id."""

    async def start(self) -> None:
        """InitProducerId: whoever had the transactional id is fenced, and its open transaction has ended."""

    async def partitions_for(self, topic: str) -> set[int]:
        """Partitions of a topic; for one that does not exist aiokafka's does not return."""

    async def begin_transaction(self) -> None:
        """Raises if one is open."""

    def create_batch(self) -> PackedBatch:
        """An empty batch."""

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "Future[Written]":
        """Send a closed batch. The future raises KafkaError if the broker refuses it; `ProducerFenced` or
        `InvalidProducerEpoch` if the transactional id has a new owner."""

    async def send_offsets_to_transaction(self, offsets: Mapping[Any, Any], group_id: str) -> None:
        """Commit {TopicPartition: OffsetAndMetadata} of a group together with the records."""

    async def commit_transaction(self) -> None:
        """Everything since `begin_transaction` becomes visible at once. After an error it may have or may not have."""

    async def stop(self) -> None:
        """Close the connections; an open transaction stays open until the next `start` under the same id."""
