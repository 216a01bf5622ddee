"""The seam behind a slot: what the engine relies on in a transactional producer, in memory and on a real Kafka."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, MessageSizeTooLargeError
from aiokafka.structs import OffsetAndMetadata

from tests.contract.stages import bury_unseen_errors
from tests.integration.stage import PARTITIONS, Bench
from workers.engine.app import StageApp
from workers.engine.errors import Broken, DataError, Fenced, sort_error
from workers.engine.faults import Faults
from workers.engine.memory_broker import MemoryBroker
from workers.engine.memory_producer import MemoryProducer
from workers.engine.offsets import offset_fetch
from workers.engine.types import TP
from workers.engine.unit_producer import UnitProducer

GROUP = "stage"
BATCH_BYTES = 10_000


class Place(Protocol):
    """A broker to write to, and somebody to look at it."""

    def topic(self, name: str) -> str:
        """The topic's name here."""

    def producer(self, slot: int) -> UnitProducer:
        """A producer under the transactional id of a slot."""

    async def read(self, topic: str) -> list[Any]:
        """Committed records, partition by partition."""

    async def end(self, topic: str, partition: int) -> int:
        """The high watermark."""

    async def committed(self, topic: str, partition: int) -> int | None:
        """Committed offset of the group."""


class MemoryPlace:
    """In memory."""

    def __init__(self) -> None:
        self.broker = MemoryBroker(lambda: time.time_ns() // 1_000_000, {})
        self.broker.default_partitions = PARTITIONS

    def topic(self, name: str) -> str:
        return name

    def producer(self, slot: int) -> UnitProducer:
        return MemoryProducer(self.broker, f"{GROUP}-{slot}", BATCH_BYTES)

    async def read(self, topic: str) -> list[Any]:
        return [record for index in range(PARTITIONS) for record in self.broker.log(topic, index).read(0)]

    async def end(self, topic: str, partition: int) -> int:
        return self.broker.log(topic, partition).end

    async def committed(self, topic: str, partition: int) -> int | None:
        found = self.broker.offsets.get((GROUP, TP(topic, partition)))
        return found.offset if found is not None else None


class KafkaPlace:
    """On a real broker."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.app: StageApp = bench.app(GROUP, producer_batch_bytes=BATCH_BYTES)

    def topic(self, name: str) -> str:
        return self.bench.topic(name)

    def producer(self, slot: int) -> UnitProducer:
        made: UnitProducer = self.app.slots.new_producer(slot)
        return made

    async def read(self, topic: str) -> list[Any]:
        return await self.bench.read(topic)

    async def end(self, topic: str, partition: int) -> int:
        tp = TopicPartition(self.topic(topic), partition)
        async with AIOKafkaConsumer(bootstrap_servers=self.bench.bootstrap) as consumer:
            ends: dict[TopicPartition, int] = await consumer.end_offsets([tp])
        return ends[tp]

    async def committed(self, topic: str, partition: int) -> int | None:
        tp = TopicPartition(self.topic(topic), partition)
        async with AIOKafkaConsumer(bootstrap_servers=self.bench.bootstrap, group_id=self.topic(GROUP)) as consumer:
            found = (await offset_fetch(consumer, [tp])).get(tp)
        return found.offset if found is not None else None


async def eventually(look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Wait until the answer is the wanted one."""
    async with asyncio.timeout(10):
        while await look() != wanted:
            await asyncio.sleep(0.02)


class Desk:
    """Producers of one test, stopped at its end."""

    def __init__(self, place: Place, wrap: Callable[[UnitProducer], UnitProducer]) -> None:
        self.place = place
        self._wrap = wrap
        self._made: list[UnitProducer] = []

    async def producer(self, slot: int = 0) -> UnitProducer:
        """A started one."""
        made = self._wrap(self.place.producer(slot))
        self._made.append(made)
        await made.start()
        return made

    async def send(self, producer: UnitProducer, topic: str, *values: bytes, partition: int = 0) -> int:
        """One batch; returns the offset of its first record."""
        batch = producer.create_batch()
        for value in values:
            assert batch.append(timestamp=None, key=b"k", value=value, headers=[]) is not None
        batch.close()
        written = await (await producer.send_batch(batch, self.place.topic(topic), partition=partition))
        return written.offset

    async def commit_offset(self, producer: UnitProducer, offset: int) -> None:
        """The group's offset of in/0."""
        tp = TopicPartition(self.place.topic("in"), 0)
        await producer.send_offsets_to_transaction({tp: OffsetAndMetadata(offset, "{}")}, self.place.topic(GROUP))

    async def values(self, topic: str) -> list[bytes | None]:
        """Committed values."""
        return [record.value for record in await self.place.read(topic)]

    async def comes_true(self, topic: str, *values: bytes | None) -> None:
        """Wait until these are the committed values: a broker writes its markers after it has answered EndTxn."""
        await eventually(lambda: self.values(topic), list(values))

    async def stop(self) -> None:
        """Every producer; a fenced one may not answer."""
        for producer in self._made:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(producer.stop(), 5)
        self._made.clear()


@pytest.fixture(scope="module", autouse=True)
def unseen_errors() -> Iterator[None]:
    yield
    bury_unseen_errors()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture(params=["memory", "memory-behind-faults", "kafka"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path, faults: Faults) -> AsyncIterator[Desk]:
    place: Place = MemoryPlace()
    if request.param.startswith("kafka"):
        bench = Bench(request.getfixturevalue("kafka_bootstrap"), str(tmp_path))
        await bench.create("in", "out", "other")
        place = KafkaPlace(bench)
    made = Desk(place, faults.wrap if request.param.endswith("faults") else lambda producer: producer)
    yield made
    await made.stop()


async def test_nothing_is_visible_before_the_commit_and_everything_after_it(desk: Desk) -> None:
    producer = await desk.producer()
    await producer.begin_transaction()
    await desk.send(producer, "out", b"1", b"2")
    await desk.send(producer, "other", b"3", partition=1)
    await desk.commit_offset(producer, 5)
    assert (await desk.values("out"), await desk.values("other")) == ([], [])
    assert await desk.place.committed("in", 0) is None
    await producer.commit_transaction()
    await desk.comes_true("out", b"1", b"2")
    await desk.comes_true("other", b"3")
    await eventually(lambda: desk.place.committed("in", 0), 5)  # an OffsetFetch right after the commit may be early


async def test_a_batch_tells_the_offset_of_its_first_record_and_a_commit_takes_one_offset(desk: Desk) -> None:
    producer = await desk.producer()
    await producer.begin_transaction()
    assert await desk.send(producer, "out", b"1", b"2") == 0
    assert await desk.send(producer, "out", b"3") == 2
    await producer.commit_transaction()
    await eventually(lambda: desk.place.end("out", 0), 4)
    await producer.begin_transaction()
    assert await desk.send(producer, "out", b"4") == 4
    await producer.commit_transaction()
    await desk.comes_true("out", b"1", b"2", b"3", b"4")
    assert [record.offset for record in await desk.place.read("out")] == [0, 1, 2, 4]


async def test_what_a_predecessor_left_open_has_ended_when_the_successor_has_started(desk: Desk) -> None:
    older = await desk.producer()
    await older.begin_transaction()
    await desk.send(older, "out", b"lost")
    await desk.commit_offset(older, 5)
    newer = await desk.producer()
    assert await desk.place.committed("in", 0) is None
    await newer.begin_transaction()
    assert await desk.send(newer, "out", b"kept") == 2  # the aborted record and its marker have offsets, too
    await newer.commit_transaction()
    await desk.comes_true("out", b"kept")


async def test_a_stopped_producer_leaves_its_transaction_open_until_its_successor_starts(desk: Desk) -> None:
    older, neighbour = await desk.producer(0), await desk.producer(1)
    await older.begin_transaction()
    await desk.send(older, "out", b"lost")
    await older.stop()
    await neighbour.begin_transaction()
    await desk.send(neighbour, "out", b"behind it")
    await neighbour.commit_transaction()
    assert await desk.values("out") == []  # the last stable offset stands in front of the open transaction
    await desk.producer(0)
    await desk.comes_true("out", b"behind it")


async def test_a_fenced_producer_commits_nothing_and_its_error_says_fenced(desk: Desk) -> None:
    zombie = await desk.producer()
    await zombie.begin_transaction()
    await desk.send(zombie, "out", b"from the zombie")
    await desk.producer()
    with pytest.raises(KafkaError) as caught:
        await zombie.commit_transaction()
    assert isinstance(sort_error(caught.value), Fenced)
    assert await desk.values("out") == []


async def test_a_producer_fenced_between_two_transactions_cannot_write_another_one(desk: Desk) -> None:
    zombie = await desk.producer()
    await zombie.begin_transaction()
    await desk.send(zombie, "out", b"before")
    await zombie.commit_transaction()
    await desk.producer()
    await zombie.begin_transaction()
    with pytest.raises(KafkaError) as caught:
        await desk.send(zombie, "out", b"from the zombie")
    assert isinstance(sort_error(caught.value), Fenced)
    await desk.comes_true("out", b"before")


async def test_producers_of_other_slots_are_not_fenced(desk: Desk) -> None:
    one, other = await desk.producer(0), await desk.producer(1)
    for producer, value in ((one, b"one"), (other, b"other")):
        await producer.begin_transaction()
        await desk.send(producer, "out", value)
        await producer.commit_transaction()
    await desk.comes_true("out", b"one", b"other")


async def test_a_transaction_without_effects_leaves_no_trace(desk: Desk) -> None:
    producer = await desk.producer()
    for _ in range(2):
        await producer.begin_transaction()
        await producer.commit_transaction()
    assert await desk.place.end("out", 0) == 0


async def test_offsets_alone_make_a_transaction(desk: Desk) -> None:
    producer = await desk.producer()
    await producer.begin_transaction()
    await desk.commit_offset(producer, 3)
    await producer.commit_transaction()
    await eventually(lambda: desk.place.committed("in", 0), 3)
    assert await desk.place.end("in", 0) == 0


async def test_a_record_keeps_key_value_headers_and_time(desk: Desk) -> None:
    producer = await desk.producer()
    await producer.begin_transaction()
    batch = producer.create_batch()
    batch.append(timestamp=1_700_000_000_123, key=b"k", value=None, headers=[("h", b"1"), ("h", b"2")])
    batch.append(timestamp=None, key=None, value=b"v", headers=[])
    await (await producer.send_batch(batch, desk.place.topic("out"), partition=1))
    before = time.time()
    await producer.commit_transaction()
    await desk.comes_true("out", None, b"v")
    first, second = await desk.place.read("out")
    assert (first.partition, first.timestamp, first.key, first.value) == (1, 1_700_000_000_123, b"k", None)
    assert tuple(first.headers) == (("h", b"1"), ("h", b"2"))
    assert (second.key, second.value, tuple(second.headers)) == (None, b"v", ())
    assert abs(second.timestamp / 1000 - before) < 60


async def test_a_batch_takes_its_first_record_whatever_its_size_and_then_is_full(desk: Desk) -> None:
    producer = await desk.producer()
    batch = producer.create_batch()
    assert batch.append(timestamp=None, key=b"k", value=b"x" * 2 * BATCH_BYTES, headers=[]) is not None
    assert batch.append(timestamp=None, key=b"k", value=b"", headers=[]) is None
    assert batch.record_count() == 1
    assert batch.size() > 2 * BATCH_BYTES
    small = producer.create_batch()
    fitting = 0
    while small.append(timestamp=None, key=b"k", value=b"x" * 100, headers=[]) is not None:
        fitting += 1
    assert 80 <= fitting <= 95
    assert small.record_count() == fitting


async def test_a_closed_batch_takes_nothing(desk: Desk) -> None:
    producer = await desk.producer()
    batch = producer.create_batch()
    batch.close()
    assert batch.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None


@pytest.mark.parametrize("wrong", [{"key": "k"}, {"value": 1}], ids=["key", "value"])
async def test_keys_and_values_are_bytes(desk: Desk, wrong: dict[str, Any]) -> None:
    batch: Any = (await desk.producer()).create_batch()
    with pytest.raises(TypeError):
        batch.append(**({"timestamp": None, "key": b"k", "value": b"v", "headers": []} | wrong))


async def test_nothing_is_sent_outside_of_a_transaction(desk: Desk) -> None:
    producer = await desk.producer()
    with pytest.raises(IllegalOperation):
        await desk.send(producer, "out", b"1")
    await producer.begin_transaction()
    with pytest.raises((IllegalOperation, AssertionError)):
        await producer.begin_transaction()


async def test_the_partitions_of_a_topic_are_known(desk: Desk) -> None:
    producer = await desk.producer()
    assert set(await producer.partitions_for(desk.place.topic("out"))) == set(range(PARTITIONS))


@pytest.fixture(params=["memory", "kafka"])
async def faulty(request: pytest.FixtureRequest, tmp_path: Path, faults: Faults) -> AsyncIterator[Desk]:
    place: Place = MemoryPlace()
    if request.param == "kafka":
        bench = Bench(request.getfixturevalue("kafka_bootstrap"), str(tmp_path))
        await bench.create("in", "out", "other")
        place = KafkaPlace(bench)
    made = Desk(place, faults.wrap)
    yield made
    await made.stop()


async def test_an_aborted_transaction_leaves_nothing_once_its_successor_has_started(
    faulty: Desk, faults: Faults
) -> None:
    fault = faults.abort_next()
    producer = await faulty.producer()
    await producer.begin_transaction()
    await faulty.send(producer, "out", b"lost")
    await faulty.commit_offset(producer, 5)
    with pytest.raises(KafkaError) as caught:
        await producer.commit_transaction()
    await faulty.producer()
    assert isinstance(sort_error(caught.value), Broken)
    assert fault.fired == 1
    assert await faulty.values("out") == []
    assert await faulty.place.committed("in", 0) is None


async def test_a_commit_whose_answer_was_lost_has_happened(faulty: Desk, faults: Faults) -> None:
    fault = faults.lose_answers()
    producer = await faulty.producer()
    await producer.begin_transaction()
    await faulty.send(producer, "out", b"kept")
    with pytest.raises(KafkaError) as caught:
        await producer.commit_transaction()
    await faulty.producer()
    assert isinstance(sort_error(caught.value), Broken)
    assert fault.fired == 1
    await faulty.comes_true("out", b"kept")


async def test_a_batch_too_large_for_its_topic_is_a_data_error_until_the_fault_is_lifted(
    faulty: Desk, faults: Faults
) -> None:
    fault = faults.too_large(faulty.place.topic("out"), 1_000)
    producer = await faulty.producer()
    await producer.begin_transaction()
    await faulty.send(producer, "out", b"small")
    await faulty.send(producer, "other", b"x" * 2_000)
    with pytest.raises(MessageSizeTooLargeError) as caught:
        await faulty.send(producer, "out", b"x" * 2_000)
    assert isinstance(sort_error(caught.value), DataError)
    fault.lift()
    await faulty.send(producer, "out", b"x" * 2_000)
    assert fault.fired == 1


async def test_nothing_of_a_producer_that_was_cut_off_arrives_and_its_successor_works(
    faulty: Desk, faults: Faults
) -> None:
    dead = await faulty.producer()
    await dead.begin_transaction()
    await faulty.send(dead, "out", b"lost")
    faults.cut()
    with pytest.raises(KafkaError):
        await dead.commit_transaction()
    successor = await faulty.producer()
    await successor.begin_transaction()
    await faulty.send(successor, "out", b"kept")
    await successor.commit_transaction()
    await faulty.comes_true("out", b"kept")
