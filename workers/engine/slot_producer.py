"""A slot's transactional producer: aiokafka's, which asks once and falls silent at once.

aiokafka repeats a transactional request whose answer was lost with its connection. The first copy may still be on its
way, and the epoch is that of the next transaction, too: a late EndTxn would commit half of it, a late TxnOffsetCommit
would set its offset back (reproduced: outputs twice). After InitProducerId every late copy is fenced, so an unanswered
request ends the producer. Records need no such care: their sequence numbers tell a copy.
"""

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)

from workers.engine.packing import RecordPacker
from workers.engine.produce_request import FlatProduceRequest

ASKED_ONCE = (AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, TxnOffsetCommitRequest)
NO_ANSWER = (
    kafka_errors.KafkaConnectionError,
    kafka_errors.RequestTimedOutError,
    kafka_errors.CorrelationIdError,
)


class Unanswered(kafka_errors.IncompatibleBrokerVersion, kafka_errors.OutOfOrderSequenceNumber):
    """The broker may have done it or not. Its parents are the two errors that aiokafka's handlers and its sender let
    through, instead of trying again and of writing a traceback."""


class AskingOnce(AIOKafkaClient):
    """The client of a SlotProducer."""

    given_up = False

    async def send(self, node_id: Any, request: Any, **options: Any) -> Any:
        """Raises Unanswered where aiokafka would try again."""
        if type(request) is ProduceRequest:
            request = FlatProduceRequest.of(request)
        if self.given_up:
            raise Unanswered("given up")
        try:
            return await super().send(node_id, request, **options)
        except NO_ANSWER as error:
            if isinstance(request, ASKED_ONCE):
                raise Unanswered(type(request).__name__) from error
            raise


class SlotProducer(AIOKafkaProducer):
    """See UnitProducer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.client.__class__ = AskingOnce  # aiokafka has no way to hand a client in

    def create_batch(self) -> RecordPacker:
        """See UnitProducer."""
        accumulator = self._message_accumulator
        return RecordPacker(accumulator._batch_size, accumulator._compression_type, transactional=True)

    async def stop(self) -> None:
        """Close the connections at once: a producer of an open transaction has nothing more to say."""
        self.client.given_up = True
        try:
            await self.client.close()
            await super().stop()
        finally:
            look_at_errors(self)


def look_at_errors(producer: AIOKafkaProducer) -> None:
    """aiokafka gives its error to futures that nobody awaits; asyncio would log each of them, some time later."""
    futures = [producer._txn_manager.wait_for_transaction_end()]
    for queue in producer._message_accumulator._batches.values():
        for batch in queue:
            futures += [batch.future, batch._drain_waiter]
    for future in futures:
        if future is not None and future.done() and not future.cancelled():
            future.exception()
