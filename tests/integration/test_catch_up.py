"""Reading a compacted partition to its end: what was committed is seen, whoever else has a transaction open there."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from tests.integration.stage import Bench
from workers.engine.catch_up import read_to_end


@pytest.fixture
async def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    made = Bench(kafka_bootstrap, str(tmp_path))
    await made.create("points", compact=True)
    return made


async def producer(bench: Bench, name: str) -> AIOKafkaProducer:
    made = AIOKafkaProducer(bootstrap_servers=bench.bootstrap, transactional_id=f"{bench.prefix}-{name}")
    await made.start()
    return made


async def test_a_checkpoint_hidden_behind_another_slots_open_transaction_is_waited_for(bench: Bench) -> None:
    """The last stable offset ends before it: a reader that stops there takes the slot back to an older position."""
    other, ours = await producer(bench, "other"), await producer(bench, "ours")
    topic = bench.topic("points")
    await other.begin_transaction()
    await other.send_and_wait(topic, b"theirs", key=b"other", partition=0)
    await ours.begin_transaction()
    await ours.send_and_wait(topic, b"ours", key=b"slot", partition=0)
    await ours.commit_transaction()
    found: dict[bytes, bytes] = {}

    def apply(record: Any) -> None:
        found[record.key] = record.value

    reading = asyncio.ensure_future(
        read_to_end({"bootstrap_servers": bench.bootstrap, "client_id": "test"}, {TP(topic, 0): 0}, apply)
    )
    done, _ = await asyncio.wait([reading], timeout=2)
    assert not done, "it ended at the last stable offset"
    await other.abort_transaction()
    await reading
    assert found == {b"slot": b"ours"}
    await ours.stop()
    await other.stop()


async def test_an_empty_partition_has_nothing_to_wait_for(bench: Bench) -> None:
    found: list[Any] = []
    client = {"bootstrap_servers": bench.bootstrap, "client_id": "test"}
    await asyncio.wait_for(read_to_end(client, {TP(bench.topic("points"), 0): 0}, found.append), 20)
    assert found == []
