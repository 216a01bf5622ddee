"""The ceilings: what a careful user gets out of aiokafka alone, with prepared batches and no framework.

`idempotent`: getmany -> send_batch, one round of batches under way while the next one is read. `transactions`: the same
loop, one transaction per round with outputs and offsets of all partitions. `slots`: one such loop and one transactional
producer per partition, as the engine has them.
"""

import asyncio
import functools
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.peers.record import arguments, decode, kept

BATCH_BYTES = 900_000
COMMIT_SECONDS = 5.0


class Work:
    """Decode, forward and (work `table`) remember; packs the batches to send."""

    def __init__(self, given: Any) -> None:
        self.output = given.output
        self.changelog = f"{given.group}-tasks-changelog"
        self.table: dict[bytes, bytes] | None = {} if given.work == "table" else None

    def pack(self, producer: AIOKafkaProducer, records: Iterable[Any]) -> list[tuple[str, Any]]:
        """[(topic, batch)] for the records of one partition."""
        packed: list[tuple[str, Any]] = []
        batch = producer.create_batch()
        changed: dict[bytes, bytes] = {}
        for record in records:
            decode(record.value)
            if self.table is not None:
                changed[record.key] = kept(record.value)
            batch = _append(producer, packed, self.output, batch, record.key, record.value)
        packed.append((self.output, batch))
        if self.table is not None:
            self.table.update(changed)
            batch = producer.create_batch()
            for key, value in changed.items():
                batch = _append(producer, packed, self.changelog, batch, key, value)
            packed.append((self.changelog, batch))
        return packed


def _append(
    producer: AIOKafkaProducer, packed: list[tuple[str, Any]], topic: str, batch: Any, key: bytes, value: bytes
) -> Any:
    if batch.append(key=key, value=value, timestamp=None) is None:
        packed.append((topic, batch))
        batch = producer.create_batch()
        batch.append(key=key, value=value, timestamp=None)
    return batch


async def send(producer: AIOKafkaProducer, packed: list[tuple[str, Any]], partition: int) -> list[Any]:
    """Hand batches over; returns their deliveries."""
    deliveries = []
    for topic, batch in packed:
        batch.close()
        deliveries.append(await producer.send_batch(batch, topic, partition=partition))
    return deliveries


async def idempotent(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, work: Work) -> None:
    """At least once: offsets are committed every COMMIT_SECONDS, behind what was delivered."""
    await producer.start()
    under_way: list[Any] = []
    done: dict[TopicPartition, int] = {}
    committed = time.monotonic()
    while True:
        found = await consumer.getmany(timeout_ms=1_000)
        deliveries: list[Any] = []
        for tp, records in found.items():
            deliveries += await send(producer, work.pack(producer, records), tp.partition)
        await asyncio.gather(*under_way)
        if done and time.monotonic() - committed > COMMIT_SECONDS:
            await consumer.commit(done)
            committed = time.monotonic()
        under_way = deliveries
        done |= {tp: records[-1].offset + 1 for tp, records in found.items()}


async def transactions(
    consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, work: Work, group: str, partitions: list[TopicPartition]
) -> None:
    """Exactly once: each round of `partitions` is one transaction."""
    await producer.start()
    while True:
        found = await consumer.getmany(*partitions, timeout_ms=1_000)
        if not found:
            continue
        packed = {tp: work.pack(producer, records) for tp, records in found.items()}
        await producer.begin_transaction()
        deliveries: list[Any] = []
        for tp, batches in packed.items():
            deliveries += await send(producer, batches, tp.partition)
        await asyncio.gather(*deliveries)
        offsets = {tp: records[-1].offset + 1 for tp, records in found.items()}
        await producer.send_offsets_to_transaction(offsets, group)
        await producer.commit_transaction()


async def run(given: Any) -> None:
    """Until the process is ended."""
    consumer = AIOKafkaConsumer(
        given.source, bootstrap_servers=given.bootstrap, group_id=given.group, enable_auto_commit=False,
        auto_offset_reset="earliest", isolation_level="read_committed",
    )  # fmt: skip
    producer = functools.partial(
        AIOKafkaProducer, bootstrap_servers=given.bootstrap, max_batch_size=BATCH_BYTES, max_request_size=14 << 20,
        retry_backoff_ms=20,
    )  # fmt: skip
    work = Work(given)
    await consumer.start()
    while len(consumer.assignment()) < given.partitions:
        await asyncio.sleep(0.02)
    match given.mode:
        case "idempotent":
            await idempotent(consumer, producer(enable_idempotence=True), work)
        case "transactions":
            await transactions(consumer, producer(transactional_id=given.group), work, given.group, [])
        case "slots":
            loops = [
                transactions(
                    consumer, producer(transactional_id=f"{given.group}-{tp.partition}"), work, given.group, [tp]
                )
                for tp in consumer.assignment()
            ]
            await asyncio.gather(*loops)


def main() -> None:
    """Run until a signal."""
    parser = arguments(__doc__)
    parser.add_argument("--mode", choices=("idempotent", "transactions", "slots"), required=True)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
