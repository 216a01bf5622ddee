"""A slot's transactional producer on a broker in memory."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import IllegalOperation, KafkaError
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import RecordMetadata
from faust.types import TP

from workers.engine.memory_broker import Fate, MemoryBroker, Row, Session, Transaction
from workers.engine.packing import RecordPacker

ROUND_TRIP = 0.001
"""Seconds a call takes, so that others run meanwhile as they do beside a network."""


class MemoryBatch(RecordPacker):
    """The record format of a real producer, so that what fits here fits there."""

    def rows(self) -> list[Row]:
        """What was appended."""
        records = DefaultRecordBatch(bytes(self._build()))
        return [(record.timestamp, record.key, record.value, record.headers) for record in records]


class MemoryProducer:
    """See UnitProducer."""

    def __init__(self, broker: MemoryBroker, transactional_id: str, batch_bytes: int) -> None:
        self.broker = broker
        self.transactional_id = transactional_id
        self.batch_bytes = batch_bytes
        self._session: Session | None = None
        self._failed = False

    async def start(self) -> None:
        """See UnitProducer."""
        await asyncio.sleep(ROUND_TRIP)
        self._session = self.broker.open_session(self.transactional_id)

    async def partitions_for(self, topic: str) -> set[int]:
        """See UnitProducer."""
        found = self.broker.partitions(topic)
        if not found:
            await asyncio.Event().wait()
        return set(range(found))

    async def begin_transaction(self) -> None:
        """See UnitProducer."""
        if self._session is None or self._session.transaction is not None:
            raise IllegalOperation("not started, or in a transaction")
        self._session.transaction = Transaction()  # nothing goes to the broker before the first batch

    def create_batch(self) -> MemoryBatch:
        """See UnitProducer."""
        return MemoryBatch(self.batch_bytes, transactional=True, now_ms=self.broker.now_ms())

    async def send_batch(self, batch: MemoryBatch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """See UnitProducer."""
        if self._session is None or self._session.transaction is None:
            raise IllegalOperation("not in a transaction")
        batch.close()
        return asyncio.ensure_future(self._write(batch, TP(topic, partition)))

    async def _write(self, batch: MemoryBatch, tp: TP) -> Any:
        transaction = await self._call()
        offset = self.broker.write(tp, batch.rows(), transaction)
        return RecordMetadata(tp.topic, tp.partition, tp, offset, None, 0, 0)

    async def send_offsets_to_transaction(self, offsets: Mapping[Any, Any], group_id: str) -> None:
        """See UnitProducer."""
        transaction = await self._call()
        transaction.offsets.update({(group_id, TP(*tp)): found for tp, found in offsets.items()})

    async def commit_transaction(self) -> None:
        """See UnitProducer."""
        transaction = await self._call()
        if self._session is not None:
            self._session.transaction = None
        self.broker.end(transaction, Fate.COMMITTED)

    async def stop(self) -> None:
        """See UnitProducer."""
        await asyncio.sleep(ROUND_TRIP)
        self._failed = True

    async def _call(self) -> Transaction:
        """A round trip to the broker inside of the transaction."""
        await asyncio.sleep(ROUND_TRIP)
        if self._failed or self._session is None:
            raise KafkaError("this producer has failed, or was stopped")
        try:
            return self.broker.check(self._session)
        except KafkaError:
            self._failed = True
            raise
