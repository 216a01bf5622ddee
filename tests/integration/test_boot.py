"""First boots, configuration records and whole changelogs: what does not fit is refused, never guessed."""

import asyncio
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupLoadInProgressError
from aiokafka.protocol.commit import OffsetFetchRequest

from tests.integration.stage import PARTITIONS, Bench, eventually, running
from workers.engine import boot
from workers.engine.app import StageApp
from workers.engine.configuration import read_config
from workers.engine.errors import BootRefused
from workers.engine.ledger import Ledger
from workers.engine.offsets import offset_fetch
from workers.engine.stages import Stage, StageWorker
from workers.engine.unit import Done, UnitOfWork


@pytest.fixture
async def bench(kafka_bootstrap: str, tmp_path: Path) -> Bench:
    made = Bench(kafka_bootstrap, str(tmp_path))
    await made.create("in", "in2", "out")
    await made.create("config", compact=True)
    await made.create_changelog("count", "seen")
    return made


def counting(bench: Bench, *sources: str, tables: tuple[str, ...] = ("seen",), **options: Any) -> StageApp:
    """Counts records per key; reads `in`, or the named sources."""
    app = bench.app("count", **({"config_topic": bench.topic("config")} | options))
    seen, *_ = [app.partitioned(name, "records per key") for name in tables]

    @app.process(*(bench.topic(name) for name in sources or ("in",)), bury=lambda *_: None)
    async def count(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            seen[record.key] = b"%d" % (int(seen.get(record.key) or b"0") + 1)
            unit.send(bench.topic("out"), record.key, seen[record.key])
            unit.out()
        return Done()

    return app


def numbered(count: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % (n % 7), b"%d" % n) for n in range(count)]


async def has(bench: Bench, count: int) -> bool:
    return len(await bench.read("out")) >= count


async def worked(bench: Bench, count: int = 20) -> None:
    """A first life of the stage."""
    await bench.put("in", numbered(count))
    async with running(counting(bench)):
        await eventually(lambda: has(bench, count))


async def refusal(app: StageApp) -> str:
    with pytest.raises(BootRefused) as refused:
        async with running(app):
            pass
    return str(refused.value)


async def look_at_the_topics(app: StageApp) -> None:
    """What the consumer does by itself every five minutes."""
    thread = app.consumer._thread

    async def look() -> None:
        await thread._ensure_consumer()._client.force_metadata_update()

    await thread.call(look)


async def test_the_first_boot_writes_offsets_and_the_configuration_record_together(bench: Bench) -> None:
    app = counting(bench)
    async with running(app):
        record = await read_config(app)
    assert record is not None
    assert record.sources == {bench.topic("in"): PARTITIONS}
    assert record.changelogs == {bench.topic("count-seen-changelog"): PARTITIONS}
    assert {ledger.since for _, ledger in (await bench.committed("count", "in")).values()} == {0}


async def test_two_workers_that_boot_together_do_not_set_each_other_back(bench: Bench) -> None:
    """One looks, and freezes; the other boots, works and leaves; the first one writes what it had seen."""
    frozen, thawed = asyncio.Event(), asyncio.Event()
    write = boot._write

    async def freezing(app: Any, *args: Any) -> None:
        if app is slow and not frozen.is_set():
            frozen.set()
            await thawed.wait()
        await write(app, *args)

    slow = counting(bench)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(boot, "_write", freezing)
    try:
        late = asyncio.ensure_future(boot.first_boot(slow))
        await frozen.wait()
        await worked(bench)
        thawed.set()
        await late
    finally:
        monkeypatch.undo()
    positions = await bench.committed("count", "in")
    assert sum(ledger.counts.get("in", 0) for _, ledger in positions.values()) == 20


async def test_a_boot_that_comes_through_between_two_looks_is_no_lost_offset(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has looked for offsets; another one boots; the first one finds the other's configuration record."""
    slow, quick = counting(bench), counting(bench)
    overtaken = False

    async def reading(app: Any) -> Any:
        nonlocal overtaken
        if app is slow and not overtaken:
            overtaken = True
            await boot.first_boot(quick)
        return await read_config(app)

    monkeypatch.setattr(boot, "read_config", reading)
    await boot.first_boot(slow)
    assert overtaken
    assert {offset for offset, _ in (await bench.committed("count", "in")).values()} == {0}


async def test_an_emptied_changelog_is_refused_and_never_an_empty_table(bench: Bench) -> None:
    await worked(bench)
    await bench.recreate("count-seen-changelog")
    text = await refusal(counting(bench))
    assert "it was truncated" in text
    assert "cdc table rebuild" in text


async def test_a_changelog_emptied_under_a_running_stage_stops_its_slots_at_the_next_assignment(bench: Bench) -> None:
    await worked(bench)
    app = counting(bench)
    async with running(app):
        await bench.recreate("count-seen-changelog")
        await look_at_the_topics(app)

        async def stopped() -> bool:
            return len(app.consumer.open_gaps) == PARTITIONS

        await eventually(stopped)
        assert not app.ready
        assert all("it was truncated" in text for text in app.consumer.open_gaps.values())
        await bench.put("in", numbered(20))
    assert len(await bench.read("out")) == 20


async def test_a_worker_with_another_source_is_refused_while_others_run(bench: Bench) -> None:
    first = counting(bench, session_timeout=1.0)
    async with running(first):
        text = await refusal(counting(bench, "in", "in2", session_timeout=1.0))
        assert bench.topic("in2") in text
        assert first.ready


async def test_a_stage_alone_may_begin_to_read_a_further_source(bench: Bench) -> None:
    await worked(bench)
    await bench.put("in2", numbered(5))
    async with running(counting(bench, "in", "in2")):
        await eventually(lambda: has(bench, 25))


async def test_a_stage_may_not_forget_a_source(bench: Bench) -> None:
    async with running(counting(bench, "in", "in2")):
        pass
    assert f"the stage reads {bench.topic('in2')}" in await refusal(counting(bench, "in"))


async def test_another_key_column_is_refused(bench: Bench) -> None:
    app = counting(bench)
    app.contract["key.users"] = "ID"
    async with running(app):
        pass
    other = counting(bench)
    other.contract["key.users"] = "Email"
    assert "key.users is 'Email' here and 'ID' in the record" in await refusal(other)


async def test_values_of_a_newer_release_are_refused(bench: Bench) -> None:
    newer = counting(bench)
    newer.table_values = 2
    async with running(newer):
        pass
    assert "a newer release" in await refusal(counting(bench))


async def test_a_changed_partition_count_is_refused_at_start(bench: Bench) -> None:
    await worked(bench)
    await bench.widen("in")
    assert f"{bench.topic('in')} has {PARTITIONS + 1} partitions" in await refusal(counting(bench))


async def test_a_partition_count_that_changes_under_a_running_stage_ends_the_worker_with_exit_3(bench: Bench) -> None:
    await worked(bench)
    app = counting(bench)
    worker = StageWorker({"count": lambda: app})
    refused = asyncio.Event()
    worker.refuse = refused.set  # type: ignore[method-assign]
    [stage] = worker.stages
    assert isinstance(stage, Stage)
    await stage.start()
    try:

        async def ready() -> bool:
            return app.ready

        await eventually(ready)
        await bench.widen("in")
        await look_at_the_topics(app)
        await asyncio.wait_for(refused.wait(), 60)
    finally:
        await stage.stop()
    assert isinstance(app.crash_reason, BootRefused)


async def test_offsets_that_vanished_are_refused_though_nothing_was_written_yet(bench: Bench) -> None:
    """The configuration record is a trace of its own: a stage that never wrote a record is protected too."""
    async with running(counting(bench)):
        pass
    await bench.delete_group("count")
    assert "its configuration record is there" in await refusal(counting(bench))


async def test_the_metadata_of_an_offset_says_how_far_the_changelogs_were_written(bench: Bench) -> None:
    await worked(bench)
    consumer = AIOKafkaConsumer(bootstrap_servers=bench.bootstrap, isolation_level="read_uncommitted")
    await consumer.start()
    try:
        logs = [TopicPartition(bench.topic("count-seen-changelog"), index) for index in range(PARTITIONS)]
        ends = await consumer.end_offsets(logs)
    finally:
        await consumer.stop()
    ledgers: dict[int, Ledger] = {
        index: ledger for index, (_, ledger) in (await bench.committed("count", "in")).items()
    }
    # The last offset of each log is the marker of the commit that wrote the entry before it.
    assert {index: ledger.changelogs["seen"].last for index, ledger in ledgers.items()} == {
        tp.partition: end - 2 for tp, end in ends.items()
    }


async def test_a_coordinator_that_still_loads_is_not_a_lost_offset(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted broker says for a while "nothing committed", with an error of the whole answer beside it."""
    await worked(bench)
    loading, booting = 0, ContextVar("booting", default=False)
    send_request = GroupCoordinator._send_req

    async def fetch(*arguments: Any) -> Any:
        token = booting.set(True)  # aiokafka asks for itself, too, now and then
        try:
            return await offset_fetch(*arguments)
        finally:
            booting.reset(token)

    async def answer(self: GroupCoordinator, request: Any) -> Any:
        nonlocal loading
        response = await send_request(self, request)
        if isinstance(request, OffsetFetchRequest) and booting.get() and loading < 3:
            loading += 1
            response.error_code = GroupLoadInProgressError.errno
            response.topics = [(topic, [(row[0], -1, "", 0) for row in rows]) for topic, rows in response.topics]
        return response

    monkeypatch.setattr(boot, "offset_fetch", fetch)
    monkeypatch.setattr(GroupCoordinator, "_send_req", answer)
    async with running(counting(bench)):
        await bench.put("in", numbered(20))
        await eventually(lambda: has(bench, 40))
    assert loading == 3


async def test_a_stage_alone_may_give_a_table_up_and_forgets_how_far_it_was_written(bench: Bench) -> None:
    await bench.create_changelog("count", "other")
    await worked(bench)  # writes `seen`
    await bench.put("in", numbered(20))
    async with running(counting(bench, tables=("other",))):
        await eventually(lambda: has(bench, 40))
    for _, ledger in (await bench.committed("count", "in")).values():
        assert set(ledger.changelogs) == {"other"}
