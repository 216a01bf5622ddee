"""P2 and the rules of the engine on a real broker: a unit is all or nothing, whatever fails in the middle of it."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.integration.stage import Bench, eventually, running
from workers.engine import runner, slot
from workers.engine.app import StageApp
from workers.engine.errors import BootRefused, DataError
from workers.engine.slot import Slot
from workers.engine.unit import Done, Pause, UnitOfWork


@pytest.fixture
def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    return Bench(kafka_bootstrap, str(tmp_path))


def counting(bench: Bench, **options: Any) -> StageApp:
    """Counts the records of each key in a table and writes `value:count` for each."""
    app = bench.app("count", **options)
    table = app.partitioned("seen", "records per key")

    def bury(unit: UnitOfWork, record: Any, _error: Exception, with_value: bool) -> None:
        unit.send(bench.topic("dead"), record.key, record.value if with_value else None)

    @app.process(bench.topic("in"), bury=bury)
    async def count(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            seen = int(table.get(record.key) or b"0") + 1
            table[record.key] = b"%d" % seen
            unit.send(bench.topic("out"), record.key, b"%s:%d" % (record.value, seen))
            unit.out()
        return Done()

    return app


def copying(bench: Bench, **options: Any) -> StageApp:
    """Copies records, without a table."""
    app = bench.app("copy", **options)
    app.traces.add(bench.topic("out"))

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def copy(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            unit.send(bench.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    return app


async def prepared(bench: Bench) -> None:
    await bench.create("in", "out", "dead", max_message_bytes="2000000")
    await bench.create_changelog("count", "seen")


def numbered(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % (n % 7), b"%d" % n) for n in range(first, last)]


async def has(bench: Bench, topic: str, count: int) -> bool:
    return len(await bench.read(topic)) >= count


def counts_of(records: list[Any]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for record in records:
        found.setdefault(record.key, []).append(int(record.value.split(b":")[1]))
    return found


async def test_a_transaction_that_fails_halfway_leaves_no_output_and_no_table_change(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepared(bench)
    failures = Counter[str]()
    commit = Slot._transact

    async def failing(self: Slot, producer: Any, outputs: Any, offsets: Any) -> Any:
        if outputs and failures["fired"] < 3:
            failures["fired"] += 1
            real = producer.send_offsets_to_transaction

            async def refuse(*_: Any) -> None:
                producer.send_offsets_to_transaction = real
                raise KafkaError("injected after the records were produced")

            producer.send_offsets_to_transaction = refuse
        return await commit(self, producer, outputs, offsets)

    monkeypatch.setattr(Slot, "_transact", failing)
    await bench.put("in", numbered(0, 210))
    async with running(counting(bench)):
        await eventually(lambda: has(bench, "out", 210))
    found = counts_of(await bench.read("out"))
    assert failures["fired"] == 3
    assert found == {b"k%d" % key: list(range(1, 31)) for key in range(7)}


async def test_a_commit_whose_answer_was_lost_is_not_repeated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await prepared(bench)
    lost = Counter[str]()
    commit = Slot._transact

    async def losing(self: Slot, producer: Any, outputs: Any, offsets: Any) -> Any:
        ends = await commit(self, producer, outputs, offsets)
        if outputs and lost["fired"] < 3:
            lost["fired"] += 1
            raise KafkaError("injected after the commit")
        return ends

    monkeypatch.setattr(Slot, "_transact", losing)
    await bench.put("in", numbered(0, 210))
    app = counting(bench)
    async with running(app):
        await eventually(lambda: has(bench, "out", 210))
        await bench.put("in", numbered(0, 70))
        await eventually(lambda: has(bench, "out", 280))
        assert app.slots.stats.rejoins == 0  # repaired where it happened
    assert lost["fired"] == 3
    assert counts_of(await bench.read("out")) == {b"k%d" % key: list(range(1, 41)) for key in range(7)}


async def test_a_produce_that_fails_is_repeated_and_nothing_is_skipped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prepared(bench)
    failures = Counter[str]()
    send_batch = AIOKafkaProducer.send_batch

    async def failing(self: AIOKafkaProducer, *args: Any, **kwargs: Any) -> Any:
        if failures["fired"] < 3:
            failures["fired"] += 1
            raise KafkaError("injected before the records were produced")
        return await send_batch(self, *args, **kwargs)

    await bench.put("in", numbered(0, 210))
    monkeypatch.setattr(AIOKafkaProducer, "send_batch", failing)
    async with running(counting(bench)):
        await eventually(lambda: has(bench, "out", 210))
    assert failures["fired"] == 3
    assert counts_of(await bench.read("out")) == {b"k%d" % key: list(range(1, 31)) for key in range(7)}


async def test_a_restarted_stage_goes_on_with_its_tables_and_positions(bench: Bench) -> None:
    await prepared(bench)
    await bench.put("in", numbered(0, 70))
    async with running(counting(bench)):
        await eventually(lambda: has(bench, "out", 70))
    await bench.put("in", numbered(70, 140))
    async with running(counting(bench)):
        await eventually(lambda: has(bench, "out", 140))
    assert counts_of(await bench.read("out")) == {b"k%d" % key: list(range(1, 21)) for key in range(7)}


async def test_the_ledger_of_a_partition_adds_up_across_restarts(bench: Bench) -> None:
    await prepared(bench)
    for first in (0, 50):
        await bench.put("in", numbered(first, first + 50))
        async with running(counting(bench)):
            await eventually(lambda first=first: has(bench, "out", first + 50))  # type: ignore[misc]
    ledgers = [ledger for _, ledger in (await bench.committed("count", "in")).values()]
    assert sum(ledger.counts.get("in", 0) for ledger in ledgers) == 100
    assert all(ledger.balanced for ledger in ledgers)


async def test_a_record_too_large_to_write_is_buried_and_its_neighbours_go_on(bench: Bench) -> None:
    await prepared(bench)
    await bench.create("small", max_message_bytes="10000")
    app = bench.app("copy")

    def bury(unit: UnitOfWork, record: Any, _error: Exception, with_value: bool) -> None:
        unit.send(bench.topic("dead"), record.key, record.value if with_value else None)

    @app.process(bench.topic("in"), bury=bury)
    async def copy(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            unit.send(bench.topic("small"), record.key, record.value)
            unit.out()
        return Done()

    records = [(b"k%d" % (n % 7), b"x" * (50_000 if n in (13, 40) else 10)) for n in range(60)]
    await bench.put("in", records)
    async with running(app):
        await eventually(lambda: has(bench, "small", 58))
        await eventually(lambda: has(bench, "dead", 2))
        assert app.slots.stats.rejoins == 0
    assert len(await bench.read("small")) == 58
    assert len(await bench.read("dead")) == 2


async def test_a_pause_commits_the_prefix_and_delivers_the_rest_again(bench: Bench) -> None:
    await prepared(bench)
    app = bench.app("wait")
    opened = False

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def wait(unit: UnitOfWork) -> Done | Pause:
        for record in unit.batch or ():
            if record.value == b"wait" and not opened:
                return Pause(record.offset, 0.1)
            unit.send(bench.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    await bench.put("in", [(b"k", b"1"), (b"k", b"2"), (b"k", b"wait"), (b"k", b"3")])
    async with running(app):
        await eventually(lambda: has(bench, "out", 2))
        opened = True
        await eventually(lambda: has(bench, "out", 4))
    assert [record.value for record in await bench.read("out")] == [b"1", b"2", b"wait", b"3"]


async def test_a_full_unit_ends_early_and_the_rest_of_the_batch_follows(bench: Bench) -> None:
    await prepared(bench)
    app = bench.app("copy", output_bytes=10_000)

    @app.process(bench.topic("in"), bury=lambda *_: None)
    async def copy(unit: UnitOfWork) -> Done | Pause:
        for record in unit.batch or ():
            if unit.full:
                return Pause(record.offset, 0.0)
            unit.send(bench.topic("out"), record.key, record.value * 1_000)
            unit.out()
        return Done()

    await bench.put("in", [(b"k", b"x") for _ in range(100)])
    async with running(app):
        await eventually(lambda: has(bench, "out", 100))
        assert app.slots.stats.units >= 10
    assert len(await bench.read("out")) == 100


async def test_a_zombie_cannot_commit_after_its_slot_has_a_new_owner(bench: Bench) -> None:
    await prepared(bench)
    zombie, owner = counting(bench), counting(bench)
    old = zombie.slots.new_producer(0)
    await old.start()
    await old.begin_transaction()
    await old.send(bench.topic("out"), b"from the zombie", partition=0)
    new = owner.slots.new_producer(0)
    await new.start()
    with pytest.raises(KafkaError):
        await old.commit_transaction()
    await new.stop()
    await old.stop()
    assert await bench.read("out") == []


async def test_a_stage_whose_offsets_vanished_refuses_to_start_at_the_beginning(bench: Bench) -> None:
    await prepared(bench)
    await bench.put("in", numbered(0, 10))
    async with running(counting(bench)):
        await eventually(lambda: has(bench, "out", 10))
    await bench.delete_group("count")
    with pytest.raises(BootRefused, match="offsets were lost"):
        async with running(counting(bench)):
            pass
    assert len(await bench.read("out")) == 10


async def test_a_stage_without_tables_knows_its_earlier_boots_by_what_it_wrote(bench: Bench) -> None:
    await bench.create("in", "out", "dead")

    await bench.put("in", numbered(0, 10))
    async with running(copying(bench)):
        await eventually(lambda: has(bench, "out", 10))
    await bench.delete_group("copy")
    with pytest.raises(BootRefused, match="is not empty"):
        async with running(copying(bench)):
            pass


async def test_a_topic_that_is_missing_pauses_the_slot_and_moves_nobody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CONFIGURATION_PAUSE", 0.5)
    monkeypatch.setattr(slot, "METADATA_TIMEOUT", 1.0)
    await bench.create("in")
    app = copying(bench)
    app.traces.clear()
    await bench.put("in", numbered(0, 20))
    async with running(app):

        async def paused() -> bool:
            return bool(app.slots.owned) and all("does not exist" in one.why for one in app.slots.owned.values())

        await eventually(paused)
        assert not app.ready
        await bench.create("out")
        await eventually(lambda: has(bench, "out", 20))
        assert app.slots.stats.rejoins == 0
    assert len(await bench.read("out")) == 20


async def test_a_dead_letter_that_is_refused_pauses_its_slot_until_it_is_accepted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CONFIGURATION_PAUSE", 0.5)
    await bench.create("in", "out", max_message_bytes="2000000")
    await bench.create("dead", max_message_bytes="1000")
    app = bench.app("copy")

    def bury(unit: UnitOfWork, record: Any, _error: Exception, with_value: bool) -> None:
        unit.send(bench.topic("dead"), record.key, record.value if with_value else None, [("why", b"x" * 5_000)])

    @app.process(bench.topic("in"), bury=bury)
    async def refuse_one(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            if record.value == b"7":
                raise DataError("refused by the body")
            unit.send(bench.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    async with running(app):
        await bench.put("in", numbered(0, 20))

        async def paused() -> bool:
            return any("is refused" in one.why for one in app.slots.owned.values())

        await eventually(paused)
        assert not app.ready
        await bench.configure("dead", max_message_bytes="2000000")
        await eventually(lambda: has(bench, "out", 19))
        await eventually(lambda: has(bench, "dead", 1))
        assert app.slots.stats.rejoins == 0
    assert [record.key for record in await bench.read("dead")] == [b"k0"]


async def test_records_of_10_mib_pass_through_a_small_memory(bench: Bench) -> None:
    await bench.create("in", "out", max_message_bytes=str(12 << 20))
    app = copying(bench, memory_budget=16 << 20)
    large = {5, 6, 13}
    await bench.put("in", [(b"k%d" % (n % 3), b"x" * ((10 << 20) if n in large else 10)) for n in range(20)])
    async with running(app):
        await eventually(lambda: has(bench, "out", 20))
    sizes = [len(record.value) for record in await bench.read("out")]
    assert sorted(sizes) == [10] * 17 + [10 << 20] * 3
