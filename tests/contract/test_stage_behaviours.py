"""What a stage does, whatever goes wrong: the same in the test kit and on a real Kafka."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from models.retry import RetryConfig
from models.routing import partition_of
from tests.contract.stages import KINDS, Pair, Place, Stage, Stages, bury_unseen_errors, stages_of
from tests.integration.stage import PARTITIONS
from workers.engine.app import StageApp
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable, WindowOptions
from workers.engine.errors import DataError
from workers.engine.slot import Slot
from workers.engine.unit import Done, Pause, UnitOfWork

TOPICS = ("in", "out", "dead")
KEYS = 7


@pytest.fixture(scope="module", autouse=True)
def unseen_errors() -> Iterator[None]:
    yield
    bury_unseen_errors()


@pytest.fixture(params=KINDS)
def stages(request: pytest.FixtureRequest, tmp_path: Path) -> Stages:
    return stages_of(request.param, request, tmp_path)


def numbered(first: int, last: int) -> list[tuple[bytes, bytes]]:
    return [(b"k%d" % (n % KEYS), b"%d" % n) for n in range(first, last)]


def burying(place: Place) -> Callable[[UnitOfWork, Any, DataError, bool], None]:
    def bury(unit: UnitOfWork, record: Any, _error: DataError, with_value: bool) -> None:
        unit.send(place.topic("dead"), record.key, record.value if with_value else None)

    return bury


def counting(place: Place) -> StageApp:
    """Counts the records of each key in a table and writes `value:count` for each; `forget` deletes the entry."""
    app = place.app("count")
    table = app.partitioned("seen", "records per key")

    @app.process(place.topic("in"), bury=burying(place))
    async def count(unit: UnitOfWork) -> Done:
        for record in unit.batch or ():
            if record.value == b"forget":
                del table[record.key]
                unit.drop("forgotten")
                continue
            seen = int(table.get(record.key) or b"0") + 1
            table[record.key] = b"%d" % seen
            unit.send(place.topic("out"), record.key, b"%s:%d" % (record.value, seen))
            unit.out()
        return Done()

    return app


def copying(place: Place, body: Callable[[UnitOfWork, Any], None] | None = None, **options: Any) -> StageApp:
    """Copies `in` to `out`; `body` sees each record first and may raise."""
    app = place.app("copy", **options)

    @app.process(place.topic("in"), bury=burying(place))
    async def copy(unit: UnitOfWork) -> Done | Pause:
        for record in unit.batch or ():
            if unit.full:
                return Pause(record.offset, 0.0)
            if body is not None:
                body(unit, record)
            unit.send(place.topic("out"), record.key, record.value)
            unit.out()
        return Done()

    return app


def has(stage: Stage, topic: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return len(await stage.output(topic)) >= count

    return check


def holds(condition: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return condition()

    return check


def counts_of(records: list[Pair]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for key, value in records:
        found.setdefault(key or b"", []).append(int((value or b"").split(b":")[1]))
    return found


def values_of(records: list[Pair], key: bytes) -> list[bytes | None]:
    return [value for found, value in records if found == key]


def each_counted_to(n: int) -> dict[bytes, list[int]]:
    return {b"k%d" % key: list(range(1, n + 1)) for key in range(KEYS)}


async def entries(stage: Stage, table: str) -> dict[bytes, bytes]:
    return dict(stage.app.tables[table].data.items())


# units


async def test_a_transaction_that_fails_halfway_leaves_no_output_no_offset_and_no_table_change(stages: Stages) -> None:
    async with stages.running(counting, topics=TOPICS, tables=("seen",)) as stage:
        fault = stage.faults.abort_next(3)
        await stage.feed("in", numbered(0, 70))
        await stage.until(holds(lambda: fault.fired == 3))
        await stage.until(has(stage, "out", 70))
        assert counts_of(await stage.output("out")) == each_counted_to(10)
        assert await entries(stage, "seen") == {b"k%d" % key: b"10" for key in range(KEYS)}
        assert stage.app.slots.stats.aborted == 3


async def test_a_commit_whose_answer_was_lost_is_not_repeated(stages: Stages) -> None:
    async with stages.running(counting, topics=TOPICS, tables=("seen",)) as stage:
        fault = stage.faults.lose_answers(3)
        await stage.feed("in", numbered(0, 70))
        await stage.until(has(stage, "out", 70))
        await stage.feed("in", numbered(70, 140))
        await stage.until(has(stage, "out", 140))
        assert fault.fired == 3
        assert counts_of(await stage.output("out")) == each_counted_to(20)
        assert stage.app.slots.stats.rejoins == 0


async def test_a_pause_commits_the_prefix_and_delivers_the_rest_again(stages: Stages) -> None:
    opened: list[bool] = []

    def make(place: Place) -> StageApp:
        app = place.app("wait")

        @app.process(place.topic("in"), bury=burying(place))
        async def wait(unit: UnitOfWork) -> Done | Pause:
            for record in unit.batch or ():
                if record.value == b"wait" and not opened:
                    return Pause(record.offset, 0.1)
                unit.send(place.topic("out"), record.key, record.value)
                unit.out()
            return Done()

        return app

    async with stages.running(make, topics=TOPICS) as stage:
        await stage.feed("in", [(b"k", b"1"), (b"k", b"2"), (b"k", b"wait"), (b"k", b"3")])
        await stage.until(has(stage, "out", 2))
        assert sorted(offset for offset, _ in (await stage.committed("in")).values()) == [0, 2]
        opened.append(True)
        await stage.until(has(stage, "out", 4))
        assert values_of(await stage.output("out"), b"k") == [b"1", b"2", b"wait", b"3"]


async def test_a_full_unit_ends_early_and_the_rest_of_the_batch_follows(stages: Stages) -> None:
    async with stages.running(lambda place: copying(place, output_bytes=10_000), topics=TOPICS) as stage:
        await stage.feed("in", [(b"k", b"%04d" % n * 250) for n in range(60)])
        await stage.until(has(stage, "out", 60))
        assert values_of(await stage.output("out"), b"k") == [b"%04d" % n * 250 for n in range(60)]
        assert stage.app.slots.stats.units >= 6


async def test_a_record_that_cannot_be_written_is_buried_alone_and_its_neighbours_go_on(stages: Stages) -> None:
    def poison(unit: UnitOfWork, record: Any) -> None:
        if record.value in (b"13", b"40"):
            raise DataError("poison")

    async with stages.running(lambda place: copying(place, poison), topics=TOPICS) as stage:
        fault = stage.too_large("out", 10_000)
        await stage.feed("in", [*numbered(0, 60), (b"k1", b"x" * 20_000), (b"k1", b"60")])
        await stage.until(has(stage, "dead", 3))
        await stage.until(has(stage, "out", 59))
        found = await stage.output("out")
        fine = [pair for pair in numbered(0, 60) if pair[1] not in (b"13", b"40")]
        assert sorted(found) == sorted([*fine, (b"k1", b"60")])
        assert values_of(found, b"k1") == [b"%d" % n for n in range(1, 60, 7)] + [b"60"]
        assert sorted(await stage.output("dead")) == [(b"k1", b"x" * 20_000), (b"k5", b"40"), (b"k6", b"13")]
        assert fault.fired >= 1
        assert stage.app.slots.stats.rejoins == 0


async def test_a_body_that_raises_is_tried_again_and_nothing_is_lost(stages: Stages) -> None:
    raised = Counter[bytes]()

    def clumsy(_unit: UnitOfWork, record: Any) -> None:
        if record.value == b"5" and not raised[record.value]:
            raised[record.value] += 1
            raise ValueError("a bug")

    async with stages.running(lambda place: copying(place, clumsy), topics=TOPICS) as stage:
        await stage.feed("in", numbered(0, 21))
        await stage.until(has(stage, "out", 21))
        assert raised == {b"5": 1}
        assert sorted(await stage.output("out")) == sorted(numbered(0, 21))


async def test_the_ledger_accounts_for_outputs_drops_and_dead_letters(stages: Stages) -> None:
    def make(place: Place) -> StageApp:
        app = place.app("sort")

        @app.process(place.topic("in"), bury=burying(place))
        async def sort(unit: UnitOfWork) -> Done:
            for record in unit.batch or ():
                match int(record.value) % 3:
                    case 0:
                        unit.send(place.topic("out"), record.key, record.value)
                        unit.out()
                    case 1:
                        unit.drop("boring")
                    case _:
                        unit.send(place.topic("dead"), record.key, record.value)
                        unit.dead()
            return Done()

        return app

    async with stages.running(make, topics=TOPICS) as stage:
        await stage.feed("in", numbered(0, 30))
        await stage.until(has(stage, "out", 10))
        await stage.restart()
        await stage.feed("in", numbered(30, 60))
        await stage.until(has(stage, "out", 20))
        await stage.until(has(stage, "dead", 20))
        ledgers = [ledger for _, ledger in (await stage.committed("in")).values()]
        assert all(ledger.balanced for ledger in ledgers)
        total = sum((Counter(ledger.counts) for ledger in ledgers), Counter[str]())
        assert total == {"in": 60, "out": 20, "drop.boring": 20, "dead": 20}


async def test_records_of_an_aborted_transaction_are_never_seen(stages: Stages) -> None:
    async with stages.running(copying, topics=TOPICS) as stage:
        await stage.feed("in", numbered(0, 7))
        await stage.feed("in", [(b"k%d" % n, b"aborted") for n in range(KEYS)], aborted=True)
        await stage.feed("in", numbered(7, 14))
        await stage.until(has(stage, "out", 14))
        assert sorted(await stage.output("out")) == sorted(numbered(0, 14))
        # 7 + 7 + 7 records and one control marker in each partition
        assert sum(offset for offset, _ in (await stage.committed("in")).values()) == 21 + PARTITIONS


async def test_an_idle_source_is_committed_past_trailing_records_of_an_aborted_transaction(stages: Stages) -> None:
    async with stages.running(lambda place: copying(place, trailing_seconds=0.1), topics=TOPICS) as stage:
        await stage.feed("in", numbered(0, 7))
        await stage.feed("in", numbered(7, 14), aborted=True)

        async def moved() -> bool:
            return sum(offset for offset, _ in (await stage.committed("in")).values()) == 14 + PARTITIONS

        await stage.until(moved)
        assert len(await stage.output("out")) == 7


# tables


async def test_a_unit_reads_its_own_writes_and_a_deleted_entry_is_gone(stages: Stages) -> None:
    async with stages.running(counting, topics=TOPICS, tables=("seen",)) as stage:
        fault = stage.faults.abort_next()
        await stage.feed("in", [(b"a", b"1"), (b"a", b"2"), (b"a", b"forget"), (b"a", b"3"), (b"b", b"1")])
        await stage.until(has(stage, "out", 4))
        await stage.feed("in", [(b"b", b"forget"), (b"c", b"1")])
        await stage.until(has(stage, "out", 5))
        assert fault.fired == 1
        assert values_of(await stage.output("out"), b"a") == [b"1:1", b"2:2", b"3:1"]
        await stage.until(_equals(stage, "seen", {b"a": b"1", b"c": b"1"}))
        await stage.restart()
        assert await entries(stage, "seen") == {b"a": b"1", b"c": b"1"}


def _equals(stage: Stage, table: str, wanted: dict[bytes, bytes]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return await entries(stage, table) == wanted

    return check


def asking(place: Place) -> StageApp:
    """`ask <key>` waits until any slot has written that key, and tells its value."""
    app = place.app("owners")
    owners = app.everywhere("owners", "who owns a key")

    @app.process(place.topic("in"), bury=burying(place))
    async def answer(unit: UnitOfWork) -> Done | Pause:
        for record in unit.batch or ():
            if not record.value.startswith(b"ask "):
                owners[record.key] = record.value
                unit.drop("learnt")
                continue
            owner = owners.find(record.value.removeprefix(b"ask "), PARTITIONS)
            if owner is None:
                return Pause(record.offset, 0.05)
            unit.send(place.topic("out"), record.key, owner)
            unit.out()
        return Done()

    return app


async def test_every_slot_finds_what_any_slot_wrote_to_a_global_table(stages: Stages) -> None:
    keys = [b"k%d" % n for n in range(KEYS)]
    assert {partition_of(key, PARTITIONS) for key in keys} == set(range(PARTITIONS))
    questions = [(asker, b"ask " + key) for asker in keys for key in keys]
    async with stages.running(asking, topics=TOPICS, tables=("owners",)) as stage:
        await stage.feed("in", [(key, b"of " + key) for key in keys])
        await stage.feed("in", questions)
        await stage.until(has(stage, "out", len(questions)))
        await stage.restart()
        await stage.feed("in", questions)
        await stage.until(has(stage, "out", 2 * len(questions)))
        assert Counter(await stage.output("out")) == {(asker, b"of " + key): 2 for asker in keys for key in keys}


# restarts and rebalances


async def test_a_killed_stage_goes_on_with_its_tables_and_positions(stages: Stages) -> None:
    async with stages.running(counting, topics=TOPICS, tables=("seen",)) as stage:
        await stage.feed("in", numbered(0, 70))
        await stage.until(has(stage, "out", 35))
        await stage.restart(orderly=False)
        await stage.feed("in", numbered(70, 140))
        await stage.until(has(stage, "out", 140))
        assert counts_of(await stage.output("out")) == each_counted_to(20)


async def test_a_rebalance_delivers_again_what_was_not_committed_and_nothing_else(stages: Stages) -> None:
    seen = Counter[bytes]()

    def make(place: Place) -> StageApp:
        app = place.app("wait")

        @app.process(place.topic("in"), bury=burying(place))
        async def wait(unit: UnitOfWork) -> Done | Pause:
            for record in unit.batch or ():
                seen[record.value] += 1
                if record.value == b"2":
                    return Pause(record.offset, 3_600.0)
                unit.send(place.topic("out"), record.key, record.value)
                unit.out()
            return Done()

        return app

    async with stages.running(make, topics=TOPICS) as stage:
        await stage.feed("in", [(b"k", b"0"), (b"k", b"1"), (b"k", b"2"), (b"k", b"3")])
        await stage.until(has(stage, "out", 2))
        assert seen == {b"0": 1, b"1": 1, b"2": 1}
        await stage.rebalance()
        await stage.until(holds(lambda: seen[b"2"] == 2))
        assert seen == {b"0": 1, b"1": 1, b"2": 2}
        assert values_of(await stage.output("out"), b"k") == [b"0", b"1"]


async def test_a_fenced_slot_rejoins_and_goes_on_without_a_repeat(stages: Stages) -> None:
    async with stages.running(counting, topics=TOPICS, tables=("seen",)) as stage:
        await stage.feed("in", numbered(0, 70))
        await stage.until(has(stage, "out", 70))
        for partition in range(PARTITIONS):
            await stage.fence(partition)
        await stage.feed("in", numbered(70, 140))
        await stage.until(has(stage, "out", 140))
        assert stage.app.slots.stats.rejoins >= 1
        assert counts_of(await stage.output("out")) == each_counted_to(20)


# the window


class Bus:
    """A sink that answers as told, and remembers what it took."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, bytes]] = []
        self.failures_of: Counter[bytes] = Counter()
        self.refused: set[bytes] = set()
        self.together: list[list[bytes]] = []

    async def put(self, records: Sequence[Any]) -> list[Outcome]:
        self.together.append([record.key for record in records])
        await asyncio.sleep(0.002)
        return [self._one(record) for record in records]

    def _one(self, record: Any) -> Outcome:
        if self.failures_of[record.value] > 0:
            self.failures_of[record.value] -= 1
            return Retry("throttled")
        if record.value in self.refused:
            return Undeliverable("REFUSED", "refused")
        self.taken.append((record.key, record.value))
        return Delivered()

    def values(self, key: bytes) -> list[int]:
        return [int(value) for found, value in self.taken if found == key]


def delivering(bus: Bus) -> Callable[[Place], StageApp]:
    def make(place: Place) -> StageApp:
        app = place.app("deliver")

        def emit(unit: UnitOfWork, record: Any, outcome: Any, attempts: int, with_value: bool) -> None:
            topic = "out" if isinstance(outcome, Delivered) else "dead"
            unit.send(place.topic(topic), record.key, b"%s:%d" % (record.value, attempts) if with_value else None)

        app.deliver(place.topic("in"), emit=emit, options=WindowOptions(retry=RetryConfig(0.01, 0.1)))(bus.put)
        return app

    return make


async def test_a_window_keeps_the_order_of_a_key_and_a_retry_holds_back_only_its_own(stages: Stages) -> None:
    bus = Bus()
    bus.failures_of.update({b"0": 4, b"8": 2, b"24": 2})
    async with stages.running(delivering(bus), topics=TOPICS) as stage:
        await stage.feed("in", numbered(0, 70))
        await stage.until(has(stage, "out", 70))
        assert bus.failures_of.total() == 0
        assert {key: bus.values(b"k%d" % key) for key in range(KEYS)} == {
            key: list(range(key, 70, KEYS)) for key in range(KEYS)
        }
        assert all(len(keys) == len(set(keys)) for keys in bus.together)
        assert (b"k0", b"0:5") in await stage.output("out")


async def test_what_the_sink_refuses_is_emitted_and_its_lane_goes_on(stages: Stages) -> None:
    bus = Bus()
    bus.refused.update({b"5", b"23"})
    async with stages.running(delivering(bus), topics=TOPICS) as stage:
        await stage.feed("in", numbered(0, 42))
        await stage.until(has(stage, "out", 40))
        await stage.until(has(stage, "dead", 2))
        assert sorted(await stage.output("dead")) == [(b"k2", b"23:1"), (b"k5", b"5:1")]
        assert bus.values(b"k5") == [12, 19, 26, 33, 40]
        ledgers = [ledger for _, ledger in (await stage.committed("in")).values()]
        assert all(ledger.balanced for ledger in ledgers)
        assert sum(ledger.counts.get("dead", 0) for ledger in ledgers) == 2


async def test_offsets_stay_behind_what_was_not_delivered_and_a_restart_sends_that_again(stages: Stages) -> None:
    fed, stuck = numbered(0, 42), (b"k0", b"14")
    partition = partition_of(b"k0", PARTITIONS)
    beside = [pair for pair in fed if partition_of(pair[0], PARTITIONS) == partition]
    offset = beside.index(stuck)
    bus = Bus()
    bus.failures_of[b"14"] = 10**9
    starts: list[str] = []

    def make(place: Place) -> StageApp:
        if starts:  # not before the first app has stopped, or it would still deliver what was stuck
            bus.failures_of.clear()
        starts.append("start")
        return delivering(bus)(place)

    async with stages.running(make, topics=TOPICS) as stage:

        async def stands_still() -> bool:
            at = {index: position for index, (position, _) in (await stage.committed("in")).items()}
            return len(bus.taken) == 42 - 4 and sum(at.values()) == 42 - len(beside) + offset

        await stage.feed("in", fed)
        await stage.until(stands_still)
        assert (await stage.committed("in"))[partition][0] == offset
        await stage.restart()
        await stage.until(has(stage, "out", 42))
        sent_again = {pair for pair in beside[offset + 1 :] if pair[0] != b"k0"}
        assert sent_again
        assert Counter(bus.taken) == {pair: 2 if pair in sent_again else 1 for pair in fed}
        assert bus.values(b"k0") == [0, 7, 14, 21, 28, 35]


# sources outside of Kafka


async def test_a_slot_task_commits_outputs_and_starts_again_after_an_exception(stages: Stages) -> None:
    starts = Counter[int]()

    def make(place: Place) -> StageApp:
        app = place.app("pull")

        @app.slot_task(place.topic("slots"))
        async def pull(slot: Slot, stopping: asyncio.Event) -> None:
            starts[slot.index] += 1
            for n in range(3):
                async with UnitOfWork(slot) as unit:
                    unit.send(place.topic("out"), b"%d" % slot.index, b"%d:%d" % (starts[slot.index], n))
                    unit.took(1)
                if n == 1 and starts[slot.index] == 1:
                    raise ConnectionError("the source went away")
            await stopping.wait()

        return app

    async with stages.running(make, topics=("slots", "out")) as stage:
        await stage.until(has(stage, "out", 5 * PARTITIONS))
        found = await stage.output("out")
        for index in range(PARTITIONS):
            assert values_of(found, b"%d" % index) == [b"1:0", b"1:1", b"2:0", b"2:1", b"2:2"]
        assert stage.app.slots.stats.inputs == 5 * PARTITIONS
