"""A pause loses, repeats and reorders nothing: what has begun ends, what follows waits where it stands (P1-P5)."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.contract.stages import KitStages
from workers.engine.app import StageApp
from workers.engine.brake import NOTHING, Held
from workers.engine.delivery import Delivered, Order, Outcome, Retry, WindowOptions
from workers.engine.testing import Input, StageKit
from workers.engine.unit import Done, UnitOfWork

PLACE = KitStages()
WHOLE = Held(whole=True)
FIRST_SLOT = Held(slots=frozenset({0}))
USERS = Held(tables=frozenset({"users"}))
SLOTS = 2
LONG = 10.0


def table_of(record: Any) -> str:
    return str(record.key.decode().partition(":")[0])


class Stages:
    """Makes apps that obey what is held now, as a worker's watch sees to it before they join."""

    def __init__(self, kind: str, order: Order = Order.STRICT) -> None:
        self.kind = kind
        self.order = order
        self.held = NOTHING
        self.sent: list[tuple[bytes, bytes]] = []
        self.answers: Callable[[bytes], bool] = lambda _: True
        self.window = 100

    def __call__(self) -> StageApp:
        app = PLACE.app("stage", batch_records=50)
        app.brake.table_of = table_of
        app.brake.set(self.held)
        if self.kind == "processing":
            self._process(app)
        else:
            self._deliver(app)
        return app

    def _process(self, app: StageApp) -> None:
        @app.process("in", bury=lambda *_: None)
        async def work(unit: UnitOfWork) -> Done:
            for record in unit.batch or ():
                unit.send("out", record.key, record.value)
                unit.out()
            return Done()

    def _deliver(self, app: StageApp) -> None:
        def emit(unit: UnitOfWork, record: Input, outcome: Outcome, attempts: int, with_value: bool) -> None:
            unit.send("out", record.key, record.value)

        options = WindowOptions(order=self.order, max_records=self.window, max_calls=2)

        @app.deliver("in", emit=emit, options=options)
        async def work(records: Sequence[Input]) -> list[Outcome]:
            await asyncio.sleep(0.05)
            done: list[Outcome] = []
            for record in records:
                assert record.key is not None
                assert record.value is not None
                taken = self.answers(record.value)
                self.sent += [(record.key, record.value)] if taken else []
                done.append(Delivered() if taken else Retry("later"))
            return done

    def hold(self, kit: StageKit, held: Held) -> None:
        self.held = held
        kit.app.brake.set(held)


KINDS = pytest.mark.parametrize("kind", ["processing", "delivering"])
_numbers = itertools.count()


def records(*keys: str, partition: int = 0) -> list[Input]:
    return [Input(key.encode(), b"%d" % next(_numbers), partition) for key in keys]


def out(kit: StageKit) -> list[tuple[bytes | None, bytes | None]]:
    return kit.output("out")


def pairs(*groups: list[Input]) -> list[tuple[bytes | None, bytes | None]]:
    return [(one.key, one.value) for group in groups for one in group]


@KINDS
async def test_a_paused_stage_takes_nothing_and_goes_on_where_it_stood(kind: str) -> None:
    stages = Stages(kind)
    before, meanwhile = records("users:1", "orders:1"), records("users:1", "users:2", partition=0)
    async with StageKit(stages) as kit:
        await kit.feed("in", before)
        stages.hold(kit, WHOLE)
        assert not await kit.feed("in", meanwhile, within=LONG)
        assert (out(kit), kit.committed("in", 0)) == (pairs(before), 2)
        stages.hold(kit, NOTHING)
        assert await kit.settle()
        assert sorted(out(kit)) == sorted(pairs(before, meanwhile))
        assert kit.committed("in", 0) == 4


@KINDS
async def test_a_paused_stage_is_not_ready_and_says_why(kind: str) -> None:
    stages = Stages(kind)
    async with StageKit(stages) as kit:
        told = [kit.app.ready]
        stages.hold(kit, FIRST_SLOT)
        told.append(kit.app.ready)
        await kit.rebalance([1], within=0)  # others hold the paused one
        assert [*told, kit.app.ready] == [True, False, True]


@KINDS
async def test_a_stage_that_starts_while_it_is_paused_obeys_before_its_first_record(kind: str) -> None:
    stages = Stages(kind)
    async with StageKit(stages) as kit:
        stages.hold(kit, WHOLE)
        waiting = records("users:1")
        for orderly in (True, False):
            await kit.restart(orderly=orderly, within=0)
            await kit.feed("in", waiting if orderly else [], within=LONG)
            assert (out(kit), stages.sent) == ([], [])
        stages.hold(kit, NOTHING)
        assert await kit.settle()
        assert out(kit) == pairs(waiting)


@KINDS
async def test_a_paused_partition_holds_up_no_other(kind: str) -> None:
    stages = Stages(kind)
    held, free = records("users:1", "users:2"), records("users:3", partition=1)
    async with StageKit(stages) as kit:
        stages.hold(kit, FIRST_SLOT)
        await kit.feed("in", held + free, within=LONG)
        assert out(kit) == pairs(free)
        stages.hold(kit, NOTHING)
        assert await kit.settle()
        assert sorted(out(kit)) == sorted(pairs(held, free))


async def test_enrich_stops_each_partition_at_the_first_record_of_a_paused_table() -> None:
    stages = Stages("processing")
    ahead, behind = records("orders:1", "orders:2"), records("users:1", "orders:3", "users:2")
    elsewhere = records("orders:4", "orders:5", partition=1)
    async with StageKit(stages) as kit:
        stages.hold(kit, USERS)
        await kit.feed("in", ahead + behind + elsewhere, within=LONG)
        assert out(kit) == pairs(ahead, elsewhere)
        assert [kit.committed("in", index) for index in (0, 1)] == [2, 2]
        stages.hold(kit, NOTHING)
        assert await kit.settle()
        assert out(kit) == pairs(ahead, behind, elsewhere)


@pytest.mark.parametrize("order", [Order.STRICT, Order.BATCH])
async def test_publish_parks_the_entities_of_a_paused_table_and_sends_the_others(order: Order) -> None:
    stages = Stages("delivering", order)
    mixed = records("orders:1", "users:1", "orders:2", "users:1", "users:2", "orders:1")
    async with StageKit(stages) as kit:
        stages.hold(kit, USERS)
        await kit.feed("in", mixed, within=LONG)
        assert {key for key, _ in stages.sent} == {b"orders:1", b"orders:2"}
        assert kit.committed("in", 0) == 1, "never past what waits"
        stages.hold(kit, NOTHING)
        assert await kit.settle()
        assert sorted(stages.sent) == sorted(pairs(mixed)), "each once"
        of_user = [value for key, value in stages.sent if key == b"users:1"]
        assert of_user == [mixed[1].value, mixed[3].value]
        assert kit.committed("in", 0) == len(mixed)


async def test_publish_goes_on_behind_a_paused_table_until_its_window_is_full() -> None:
    stages = Stages("delivering")
    stages.window = 20
    first, others = records("users:1"), records(*(f"orders:{number}" for number in range(60)))
    async with StageKit(stages) as kit:
        stages.hold(kit, USERS)
        for one in [*first, *others]:
            await kit.feed("in", [one], within=0.2)
        await kit.advance(LONG)
        assert len(stages.sent) == stages.window - 1
        stages.hold(kit, NOTHING)
        assert await kit.settle(60)
        assert sorted(stages.sent) == sorted(pairs(first, others))


async def test_an_event_that_fails_while_its_table_is_paused_is_tried_again_only_afterwards() -> None:
    stages = Stages("delivering")
    stages.answers = lambda _: False
    waiting = records("users:1")
    async with StageKit(stages) as kit:
        await kit.feed("in", waiting, within=0.1)
        stages.hold(kit, USERS)
        await kit.advance(0.2)
        stages.answers = lambda _: True
        await kit.advance(120)
        assert stages.sent == []
        stages.hold(kit, NOTHING)
        assert await kit.settle()
        assert stages.sent == pairs(waiting)


@KINDS
async def test_when_it_is_at_rest_nothing_more_is_sent_or_committed(kind: str) -> None:
    stages = Stages(kind)
    async with StageKit(stages) as kit:
        feeding = asyncio.ensure_future(
            kit.feed("in", records(*(f"users:{n}" for n in range(80)), partition=0), within=0.06)
        )
        await kit.advance(0.03)
        stages.hold(kit, WHOLE)
        await kit.app.at_rest()
        rest = (len(stages.sent), len(out(kit)), kit.committed("in", 0))
        await feeding
        await kit.advance(LONG)
        assert kind == "processing" or 0 < len(stages.sent) < 80
        assert (len(stages.sent), len(out(kit)), kit.committed("in", 0)) == rest


@KINDS
@pytest.mark.parametrize("seed", range(6))
async def test_pauses_at_any_moment_lose_repeat_and_reorder_nothing(kind: str, seed: int) -> None:
    stages = Stages(kind)
    fed: list[Input] = []
    states = [WHOLE, USERS, FIRST_SLOT, NOTHING, Held(slots=frozenset({1}), tables=frozenset({"orders"})), NOTHING]
    async with StageKit(stages) as kit:
        for step in range(24):
            batch = [
                one
                for number in range(5)
                for one in records(
                    f"{'users' if (step + number) % 3 else 'orders'}:{number}", partition=(number * (seed + 1)) % SLOTS
                )
            ]
            fed += batch
            await kit.feed("in", batch, within=0.01 * ((step * 7 + seed) % 5))
            stages.hold(kit, states[(step * (seed + 2)) % len(states)])
            if kind == "processing" and step % 7 == seed:
                await kit.restart(orderly=bool(step % 2), within=0)
        stages.hold(kit, NOTHING)
        assert await kit.settle(60)
        done = out(kit)
        assert sorted(done) == sorted(pairs(fed))
        if kind == "delivering":
            assert sorted(stages.sent) == sorted(pairs(fed))
            done = list(stages.sent)
        for key in {one.key for one in fed}:
            assert [value for k, value in done if k == key] == [one.value for one in fed if one.key == key], key
