"""The test kit itself: time, and what only a broker in memory can be asked for."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import UnknownTopicOrPartitionError
from faust.types import TP

from models.catalogue import load_catalogue
from models.raw import Origin, raw_headers
from tests.contract.stages import KitStages
from tests.contract.test_stage_behaviours import (
    Bus,
    copying,
    counting,
    counts_of,
    delivering,
    each_counted_to,
    numbered,
)
from tests.unit.changes import USER, dms
from workers.app import make_enrich
from workers.engine.app import StageApp
from workers.engine.memory_broker import PartitionLog
from workers.engine.options import EngineOptions
from workers.engine.testing import Input, StageKit
from workers.engine.unit import Done, Pause, UnitOfWork
from workers.engine.virtual_time import VirtualTime
from workers.settings.worker import Settings

PLACE = KitStages()


def pausing(delay: float, seen: Counter[bytes] | None = None) -> Callable[[], StageApp]:
    """Waits `delay` at every record `wait` until a record `go` has come in partition 1."""

    def make() -> StageApp:
        app = PLACE.app("wait")
        flags = app.everywhere("flags", "what has come")

        @app.process("in", bury=lambda *_: None)
        async def wait(unit: UnitOfWork) -> Done | Pause:
            for record in unit.batch or ():
                if seen is not None:
                    seen[record.value] += 1
                if record.value == b"go":
                    flags[record.key] = b"1"
                elif record.value == b"wait" and flags.read(b"go", 1) is None:
                    return Pause(record.offset, delay)
                unit.send("out", record.key, record.value)
                unit.out()
            return Done()

        return app

    return make


# time


async def test_hours_of_waiting_take_no_time() -> None:
    async with StageKit(pausing(3_600.0)) as kit:
        started = kit.clock.time()
        assert not await kit.feed("in", [Input(b"k", b"1", 0), Input(b"k", b"wait", 0), Input(b"k", b"2", 0)])
        assert (kit.committed("in", 0), kit.held("in", 0)) == (1, True)
        assert not await kit.feed("in", [Input(b"go", b"go", 1)])
        await kit.advance(3_600)
        assert await kit.settle()
        assert [value for _, value in kit.output("out")] == [b"1", b"wait", b"2", b"go"]
        assert kit.clock.time() - started > 3_600


async def test_the_kit_gives_the_time_of_day_and_stamps_records_with_it() -> None:
    clock = VirtualTime(epoch_ms=1_000_000_000_000)
    async with StageKit(lambda: copying(PLACE), clock=clock) as kit:
        await kit.advance(5)
        await kit.feed("in", [(b"k", b"1"), Input(b"k", b"2", timestamp_ms=7)])
        first, second = kit.records("in")
        assert (first.timestamp, second.timestamp) == (clock.epoch_ms + 5_000 + first.timestamp % 1_000, 7)
        assert 1_000_000_005_000 <= kit.records("out")[0].timestamp <= clock.now_ms() < 1_000_000_010_000


async def test_the_same_run_gives_the_same_records_at_the_same_times() -> None:
    runs = []
    for _ in range(2):
        async with StageKit(lambda: counting(PLACE)) as kit:
            kit.abort_next(2)
            await kit.feed("in", numbered(0, 70))
            await kit.restart(orderly=False)
            await kit.feed("in", numbered(70, 140))
            runs.append([(record.timestamp, record.offset, record.value) for record in kit.records("out")])
    assert runs[0] == runs[1]
    assert len(runs[0]) == 140


async def test_the_loop_has_its_own_clock_again_afterwards() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time
    async with StageKit(lambda: copying(PLACE)) as kit:
        await kit.advance(86_400)
    assert loop.time == before
    await asyncio.wait_for(asyncio.sleep(0.001), 5)


async def test_time_does_not_overtake_a_thread() -> None:
    clock, release = VirtualTime(), threading.Event()
    clock.install()
    try:
        started = clock.time()
        work = asyncio.ensure_future(asyncio.wait_for(asyncio.to_thread(release.wait), 3_600))
        opener = threading.Timer(0.02, release.set)
        opener.start()
        assert await work
        assert clock.time() - started < 3_600
        await asyncio.sleep(3_600)
        assert clock.time() - started >= 3_600
    finally:
        clock.uninstall()


async def test_time_does_not_overtake_a_socket() -> None:
    clock = VirtualTime()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        clock.install()
        try:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\n")
            assert await asyncio.wait_for(reader.readline(), 3_600) == b"hello\n"
            writer.close()
            await writer.wait_closed()
        finally:
            clock.uninstall()


# what goes wrong


async def test_a_commit_without_an_answer_is_given_up_at_the_deadline_and_done_again() -> None:
    async with StageKit(lambda: counting(PLACE)) as kit:
        fault = kit.stall_next_commit()
        started = kit.clock.time()
        assert await kit.feed("in", numbered(0, 7), within=60)
        assert fault.fired == 1
        assert 20 <= kit.clock.time() - started < 30
        assert counts_of(kit.output("out")) == each_counted_to(1)


async def test_a_topic_that_refuses_pauses_the_slot_until_it_takes_records_again() -> None:
    async with StageKit(lambda: copying(PLACE)) as kit:
        fault = kit.refuse("out", UnknownTopicOrPartitionError)
        assert not await kit.feed("in", numbered(0, 14), within=60)
        assert fault.fired > 2
        assert kit.output("out") == []
        fault.lift()
        assert await kit.settle(60)
        assert sorted(kit.output("out")) == sorted(numbered(0, 14))


async def test_a_topic_that_does_not_exist_is_refused() -> None:
    topics = {"out": 0}
    async with StageKit(lambda: copying(PLACE), topics=topics) as kit:
        assert not await kit.feed("in", numbered(0, 14), within=60)
        assert (kit.output("out"), kit.committed("in", 0), kit.committed("in", 1)) == ([], 0, 0)
        kit.broker.counts["out"] = 2
        assert await kit.settle(60)
        assert len(kit.output("out")) == 14


async def test_a_changelog_made_anew_under_its_slot_stops_it_before_it_commits() -> None:
    async with StageKit(lambda: counting(PLACE)) as kit:
        for start in range(0, 70, 14):
            assert await kit.feed("in", numbered(start, start + 14))
        before = kit.output("out")
        changelog = kit.app.tables["seen"].changelog_topic_name
        for partition in range(2):
            kit.broker.logs[TP(changelog, partition)] = PartitionLog(TP(changelog, partition))
        assert not await kit.feed("in", numbered(0, 7), within=60)
        assert kit.output("out") == before
        assert not kit.app.ready


async def test_redelivery_runs_the_body_again_on_what_was_not_committed() -> None:
    seen = Counter[bytes]()
    async with StageKit(pausing(3_600.0, seen)) as kit:
        await kit.feed("in", [Input(b"k", b"1", 0), Input(b"k", b"wait", 0)])
        assert seen == {b"1": 1, b"wait": 1}
        await kit.redeliver()
        await kit.advance(5)  # far less than the pause: what is delivered anew does not wait for its end
        assert seen == {b"1": 1, b"wait": 2}
        await kit.feed("in", [Input(b"go", b"go", 1)])
        assert await kit.settle(3_600)
        assert [value for _, value in kit.output("out")] == [b"1", b"wait", b"go"]
        assert kit.app.slots.stats.rejoins == 0


async def test_a_unit_that_does_not_follow_the_last_commit_is_refused_and_a_rejoin_repairs_it() -> None:
    async with StageKit(lambda: counting(PLACE)) as kit:
        await kit.feed("in", numbered(0, 7))
        for slot in kit.app.slots.owned.values():
            slot.position = {tp: offset - 1 for tp, offset in slot.position.items()}
        assert await kit.feed("in", numbered(7, 14), within=60)
        assert kit.app.slots.stats.rejoins == 1
        assert counts_of(kit.output("out")) == each_counted_to(2)


async def test_redelivery_to_a_window_is_a_new_generation() -> None:
    bus = Bus()
    bus.failures_of[b"0"] = 10**9
    async with StageKit(lambda: delivering(bus)(PLACE)) as kit:
        await kit.feed("in", [(b"k0", b"0"), (b"k3", b"3")])
        generation = kit.stage.generation
        bus.failures_of.clear()
        assert await kit.redeliver()
        assert kit.stage.generation == generation + 1
        assert {value for _, value in bus.taken} == {b"0", b"3"}


async def test_a_slot_that_was_given_up_waits_and_forgets_its_table_until_it_comes_back() -> None:
    async with StageKit(lambda: counting(PLACE)) as kit:
        await kit.feed("in", numbered(0, 70))
        await kit.rebalance([1])
        assert len(kit.table("seen")) < len(kit.changelog("seen")) == 7
        await kit.feed("in", numbered(70, 140))
        assert 70 < len(kit.output("out")) < 140
        assert await kit.rebalance()
        assert kit.table("seen") == kit.changelog("seen") == {b"k%d" % key: b"20" for key in range(7)}
        assert counts_of(kit.output("out")) == each_counted_to(20)


async def test_a_body_that_ignores_stopping_is_cut_off_by_a_rebalance_and_its_batch_comes_again() -> None:
    tries = Counter[bytes]()

    def make() -> StageApp:
        app = PLACE.app("stubborn")

        @app.process("in", bury=lambda *_: None)
        async def stubborn(unit: UnitOfWork) -> Done:
            for record in unit.batch or ():
                tries[record.value] += 1
                if tries[record.value] == 1:
                    await asyncio.sleep(86_400)
                unit.send("out", record.key, record.value)
                unit.out()
            return Done()

        return app

    async with StageKit(make) as kit:
        assert not await kit.feed("in", [(b"k", b"1")])
        assert await kit.rebalance()
        assert (tries, kit.output("out")) == ({b"1": 2}, [(b"k", b"1")])


@pytest.mark.parametrize(("on_gap", "goes_on"), [("stop", False), ("continue", True)])
async def test_records_that_were_deleted_unread_are_a_gap(on_gap: str, goes_on: bool) -> None:
    async with StageKit(lambda: copying(PLACE, on_gap=on_gap)) as kit:
        await kit.feed("in", [Input(b"k", b"%d" % n, 0) for n in range(5)])
        await kit.rebalance([1])
        await kit.feed("in", [Input(b"k", b"%d" % n, 0) for n in range(5, 10)], within=0)
        kit.delete_records("in", 0, 8)
        assert await kit.rebalance() is goes_on
        assert kit.app.ready is goes_on
        values = [int(value or b"") for _, value in kit.output("out")]
        assert values == [*range(5), *([8, 9] if goes_on else [])]


# what is fed


async def test_records_keep_what_they_were_fed_with_and_a_later_offset_leaves_a_hole() -> None:
    met: list[Any] = []

    def make() -> StageApp:
        app = PLACE.app("look")

        @app.process("in", bury=lambda *_: None)
        async def look(unit: UnitOfWork) -> Done:
            for record in unit.batch or ():
                met.append(record)
                unit.drop("seen")
            return Done()

        return app

    async with StageKit(make) as kit:
        await kit.feed(
            "in", [Input(b"k", b"v", 1, 5, [("h", b"1")], 123), Input(None, None, 1, 9), Input(b"k", b"w", 1)]
        )
        assert [(r.partition, r.offset, r.key, r.value) for r in met] == [
            (1, 5, b"k", b"v"), (1, 9, None, None), (1, 10, b"k", b"w"),
        ]  # fmt: skip
        assert (met[0].headers, met[0].timestamp) == ((("h", b"1"),), 123)
        assert (kit.committed("in", 0), kit.committed("in", 1)) == (0, 11)
        with pytest.raises(ValueError, match="offset 3 of in/1 is taken"):
            await kit.feed("in", [Input(b"k", b"v", 1, 3)])


async def test_what_is_fed_at_once_is_one_batch_within_the_bounds_of_the_options() -> None:
    sizes: list[int] = []

    def make() -> StageApp:
        app = StageApp("size", EngineOptions("nowhere:9092", 1, batch_records=10))

        @app.process("in", bury=lambda *_: None)
        async def size(unit: UnitOfWork) -> Done:
            sizes.append(len(unit.batch or ()))
            for _ in unit.batch or ():
                unit.drop("counted")
            return Done()

        return app

    async with StageKit(make) as kit:
        for count in (3, 25, 1):
            await kit.feed("in", [(b"k", b"v")] * count)
    assert sizes == [3, 10, 10, 5, 1]


async def test_entries_another_worker_wrote_appear_at_once_or_after_a_take_over() -> None:
    def make() -> StageApp:
        app = PLACE.app("tables")
        app.everywhere("shared", "on every worker")
        app.partitioned("own", "of a slot")
        app.process("in", bury=lambda *_: None)(_drop_all)
        return app

    async with StageKit(make) as kit:
        await kit.put("shared", {b"a": b"1", b"b": b"2"})
        await kit.put("own", {b"a": b"1"})
        assert (kit.table("shared"), kit.table("own")) == ({b"a": b"1", b"b": b"2"}, {})
        await kit.rebalance()
        assert kit.table("own") == {b"a": b"1"}
        await kit.put("shared", {b"a": None})
        assert kit.table("shared") == kit.changelog("shared") == {b"b": b"2"}


async def _drop_all(unit: UnitOfWork) -> Done:
    for _ in unit.batch or ():
        unit.drop("all")
    return Done()


# the kit and its app


async def test_a_kit_outside_of_its_block_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with StageKit"):
        _ = StageKit(lambda: copying(PLACE)).app


async def test_the_end_of_an_app_is_told_to_it_at_every_restart() -> None:
    ends: list[str] = []

    def make() -> StageApp:
        app = copying(PLACE)

        async def end() -> None:
            ends.append("end")

        app.on_end.append(end)
        return app

    async with StageKit(make) as kit:
        await kit.restart()
        assert ends == ["end"]
    assert ends == ["end", "end"]


async def test_an_error_of_a_body_is_repeated_and_never_ends_its_actor() -> None:
    def make() -> StageApp:
        app = PLACE.app("broken")

        @app.process("in", bury=lambda *_: None)
        async def broken(unit: UnitOfWork) -> Done:
            raise ConnectionError(repr(unit))

        return app

    async with StageKit(make) as kit:
        assert not await kit.feed("in", [(b"k", b"v")], within=100)
        assert kit.held("in", 0) or kit.held("in", 1)
        assert sum(kit.committed("in", index) for index in range(2)) == 0


async def test_the_enrich_stage_as_the_worker_builds_it_runs_in_the_kit() -> None:
    settings = Settings(_env_file=None, partitions=2, redaction_key="a redaction key for tests")
    lookups = load_catalogue("telephony", None).lookups
    headers = raw_headers(
        Origin("stream", "shardId-000000000002", "4967", 0, 1768473060400), adapter="dms", table="users"
    )
    row = b'["core","users",7]'
    async with StageKit(lambda: make_enrich(settings)) as kit:
        fault = kit.abort_next()
        assert await kit.feed("cdc.raw.core", [Input(row, dms("insert", USER), headers=headers)])
        assert fault.fired == 1
        assert [key for key, _ in kit.output("cdc.events")] == [b"users:7"]
        assert {name: len(kit.table(name)) for name in lookups if kit.table(name)} == {"users": 1}
        assert await kit.feed("cdc.raw.core", [Input(row, b"{", headers=headers)])
        assert len(kit.output("cdc.dead")) == 1
