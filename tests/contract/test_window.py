"""The window before a sink that fails: what is sent again, in which order, and what waits meanwhile."""

import random

import pytest

from tests.contract.windows import PER_CALL, ROUND_TRIP, World, first_deliveries
from workers.engine.delivery import Order

ONE = (b"a:1", "event")
OTHER = (b"b:1", "event")
BESIDE = (b"a:2", "event")


async def test_only_what_failed_is_sent_again() -> None:
    world = World()
    async with world.kit:
        world.sink.script.append("one fails")
        await world.feed([ONE, BESIDE, (b"a:3", "event")])
        assert await world.kit.settle(within=60)
        await world.finish()
    assert sorted(world.sink.sent.values()) == [1, 1, 2]


async def test_an_event_that_was_not_accepted_is_not_acknowledged() -> None:
    world = World()
    async with world.kit:
        world.sink.failing = lambda value: value == b"event-0"
        await world.feed([ONE, BESIDE])
        assert not await world.kit.settle(within=60)
        assert world.kit.output("receipts") == []
        world.check()
        world.sink.failing = lambda _: False
        await world.finish()


async def test_nothing_is_acknowledged_while_it_is_on_its_way() -> None:
    world = World()
    async with world.kit:
        world.sink.script.append("time-out")
        await world.feed([ONE])
        await world.kit.advance(5)
        assert world.sink.on_their_way.total() == 1
        assert not world.kit.output("receipts")
        world.check()
        await world.finish()


async def test_a_thousand_events_of_an_entity_arrive_in_order_though_a_third_of_the_tries_fails() -> None:
    world, chance = World(max_records=400), random.Random(7)
    async with world.kit:
        world.sink.failing = lambda _: chance.random() < 0.3
        await world.feed([ONE] * 1_000)
        assert await world.kit.settle(within=3_600)
        world.check()
    assert first_deliveries(world.sink) == {b"a:1": list(range(1_000))}
    assert world.sink.sent.total() > 1_300


async def test_ten_minutes_of_throttling_and_rebalances_lose_nothing_and_make_no_dead_letter() -> None:
    world = World()
    async with world.kit:
        world.sink.script.extend(["throttle", "throttle one"] * 5_000)
        await world.feed([ONE, OTHER, BESIDE] * 20)
        for _ in range(5):
            await world.kit.advance(60)
            await world.kit.rebalance(within=0)
            await world.kit.advance(60)
            assert world.kit.output("dead") == []
            assert not any(gate.down for gate in world.gates.by_bus.values())
        world.sink.script.clear()
        await world.finish()


async def test_a_bus_that_is_down_stops_no_other_bus() -> None:
    world = World(max_records=100)
    async with world.kit:
        world.sink.down.add("a")
        await world.feed([ONE, OTHER] * 20)
        await world.kit.advance(60)
        assert first_deliveries(world.sink).keys() == {b"b:1"}
        assert len(world.sink.accepted) == 20
        assert world.gates.of("a").down
        assert not world.gates.of("b").down
        await world.finish()


async def test_a_bus_that_comes_back_is_tried_by_one_call_at_a_time() -> None:
    world = World(max_records=100)
    async with world.kit:
        world.sink.down.add("a")
        await world.feed([(b"a:%d" % key, "event") for key in range(60)])
        await world.kit.advance(300)
        tries = len(world.sink.script)
        before = world.sink.sent.total()
        await world.kit.advance(300)
        assert tries == 0
        assert world.sink.sent.total() - before <= PER_CALL * (300 / 30 + 1)
        await world.finish()


async def test_a_stalled_bus_keeps_no_more_in_memory_than_the_window_holds() -> None:
    world = World(max_records=100)
    async with world.kit:
        world.sink.down.add("a")
        await world.feed([(b"a:%d" % (n % 50), "event") for n in range(20_000)])
        await world.kit.advance(120)
        assert 0 < max(window.records for window in world.windows) <= 100
        assert any(world.kit.held("events", index) for index in range(2))
        assert all(sum(len(batch) for batch in queue) <= 20 for queue in world.kit.stage.consumer.inflight.values())


async def test_a_window_takes_no_second_batch_before_there_is_room_for_its_bytes() -> None:
    """P7: few records may be many bytes. A batch beyond the bound comes in alone."""
    world, large = World(max_records=1_000, max_bytes=4_000), "event" + "x" * 1_000
    async with world.kit:
        world.sink.down.add("a")
        for _ in range(4):
            await world.feed([(b"a:1", large)] * 5)
        await world.kit.advance(120)
        [full] = [window for window in world.windows if window.records]
        assert full.records == 5
        assert world.kit.held("events", full.slot.index)
        world.sink.down.clear()
        await world.finish()


async def test_a_graceful_stop_delivers_what_is_on_its_way_and_sends_nothing_again() -> None:
    world = World()
    async with world.kit:
        await world.feed([ONE, OTHER, BESIDE] * 10)
        for _ in range(10):
            await world.kit.advance(ROUND_TRIP * 1.5)
            await world.kit.restart(within=0)
        await world.finish()
    assert set(world.sink.sent.values()) == {1}


async def test_one_hot_entity_is_limited_by_its_round_trip_alone() -> None:
    world = World(max_records=200)
    async with world.kit:
        started = world.kit.clock.time()
        await world.feed([ONE] * 100)
        while len(world.sink.accepted) < 100:
            await world.kit.advance(ROUND_TRIP)
        assert world.kit.clock.time() - started <= 100 * ROUND_TRIP * 1.1
        await world.finish()


async def test_requests_are_filled_as_long_as_others_are_on_their_way() -> None:
    world = World(max_records=400, max_calls=2)
    sizes: list[int] = []
    take = world.sink._take
    world.sink._take = lambda prepared: sizes.append(len(prepared)) or take(prepared)  # type: ignore[func-returns-value,method-assign]
    async with world.kit:
        await world.feed([(b"a:%d" % (n % 40), "event") for n in range(300)])
        await world.finish()
    assert sum(sizes) / len(sizes) > 0.9 * PER_CALL


async def test_batch_sends_events_of_an_entity_together_and_counts_those_that_overtake() -> None:
    world = World(Order.BATCH)
    async with world.kit:
        world.sink.script.append("one fails")
        await world.feed([ONE] * 6)
        assert await world.kit.settle(within=60)
        await world.finish()
        assert world.gates.of("a").tally.reordered == PER_CALL - 1
    assert first_deliveries(world.sink)[b"a:1"] == [1, 2, 0, 3, 4, 5]


@pytest.mark.parametrize("order", list(Order))
async def test_every_order_delivers_everything(order: Order) -> None:
    world, chance = World(order), random.Random(11)
    async with world.kit:
        world.sink.failing = lambda _: chance.random() < 0.3
        await world.feed([ONE, OTHER, BESIDE, ONE, (b"a:1", "refused"), (b"b:1", "poison")] * 20)
        await world.finish()
