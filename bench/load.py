"""A steady load, and how long its records take to come out."""

import asyncio
import statistics
import time
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.peers.record import encode, key_of, sent_at
from models.routing import partition_of

WARM_UP_SECONDS = 1.0
DRAIN_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` records a second about `rows` rows, evenly spread."""

    rate: int
    seconds: float
    rows: int
    partitions: int

    @property
    def records(self) -> int:
        """How many in all."""
        return int(self.rate * self.seconds)


async def produce(producer: AIOKafkaProducer, topic: str, schedule: Schedule, first: int = 0) -> None:
    """Send the records when they are due; each carries the moment `send` was called."""
    keys = [key_of(row) for row in range(schedule.rows)]
    places = [partition_of(key, schedule.partitions) for key in keys]
    begun = time.monotonic()
    for number in range(schedule.records):
        due = begun + number / schedule.rate
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        row = number % schedule.rows
        value = encode(first + number, row, time.monotonic_ns())
        await producer.send(topic, value, key=keys[row], partition=places[row])
    await producer.flush()


async def latencies(consumer: AIOKafkaConsumer, records: int, skip: int) -> list[float]:
    """Milliseconds of all records but the first `skip`. Raises TimeoutError if they do not come."""
    found: list[float] = []
    seen = 0
    quiet_since = time.monotonic()
    while seen < records:
        batches = await consumer.getmany(timeout_ms=200)
        now = time.monotonic_ns()
        for batch in batches.values():
            for record in batch:
                seen += 1
                if seen > skip:
                    found.append((now - sent_at(record.value)) / 1e6)
            quiet_since = time.monotonic()
        if time.monotonic() - quiet_since > DRAIN_SECONDS:
            raise TimeoutError(f"{seen} of {records} records came out")
    return found


def percentile(values: list[float], percent: int) -> float:
    """Milliseconds."""
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 3)
