"""P4: what a window may send next, and what the answers make of it."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from models.outcome import ErrorCategory, Failure
from models.retry import RetryConfig
from workers.engine.delivery import Delivered, Order, Outcome, Retry, Undeliverable
from workers.engine.lanes import Channel, Item

WHERE = TP("events", 0)
RETRY = RetryConfig(0.2, 2.0, attempts=3)
ANY_ORDER = st.sampled_from(list(Order))


def channel(order: Order = Order.STRICT, keys: str = "") -> Channel:
    """With one record for each letter, whose key it is."""
    made = Channel("bus", order, RETRY)
    for place, key in enumerate(keys):
        made.add(item(place, key), 0.0)
    return made


def item(offset: int, key: str) -> Item:
    made = Item(SimpleNamespace(key=key.encode(), offset=offset), WHERE, offset, offset + 1, 0.0)
    made.prepared = offset
    return made


def offsets(items: Sequence[Item]) -> list[int]:
    return [one.record.offset for one in items]


def take(lanes: Channel, most: int = 10) -> list[Item]:
    return lanes.take(most, len)


def answer(lanes: Channel, items: Sequence[Item], *outcomes: Outcome, now: float = 0.0) -> Any:
    return lanes.land(items, outcomes, now, 0.999)


def test_strict_puts_one_event_of_an_entity_into_a_request() -> None:
    assert offsets(take(channel(Order.STRICT, "aabac"))) == [0, 2, 4]


def test_strict_sends_the_next_event_of_an_entity_when_the_one_before_was_accepted() -> None:
    lanes = channel(Order.STRICT, "aab")
    first = take(lanes)
    assert not lanes.ready
    answer(lanes, first, Delivered(), Delivered())
    assert offsets(take(lanes)) == [1]


def test_batch_puts_events_of_an_entity_into_one_request_in_order() -> None:
    lanes = channel(Order.BATCH, "aabac")
    assert offsets(take(lanes, 3)) == [0, 1, 3]
    assert offsets(take(lanes, 3)) == [2, 4]


def test_batch_has_one_request_of_an_entity_at_a_time() -> None:
    lanes = channel(Order.BATCH, "aaaa")
    assert offsets(take(lanes, 2)) == [0, 1]
    assert not lanes.ready


def test_batch_counts_what_was_accepted_after_a_failed_event_of_its_entity() -> None:
    lanes = channel(Order.BATCH, "aaab")
    landing = answer(lanes, take(lanes), Delivered(), Retry("again"), Delivered(), Delivered())
    assert (landing.settled, landing.reordered) == (3, 1)
    lanes.wake(9.0)
    assert offsets(take(lanes)) == [1]


def test_none_sends_everything_that_is_there() -> None:
    lanes = channel(Order.NONE, "aaba")
    first = take(lanes, 3)
    assert (offsets(first), offsets(take(lanes, 3))) == ([0, 1, 2], [3])


def test_a_failed_event_is_tried_again_before_the_later_ones_of_its_entity_and_others_go_on() -> None:
    lanes = channel(Order.STRICT, "aabb")
    answer(lanes, take(lanes), Retry("InternalFailure"), Delivered())
    assert offsets(take(lanes)) == [3]
    assert lanes.wake(0.1) is not None
    assert lanes.wake(0.2) is None
    assert offsets(take(lanes)) == [0]


def test_a_lane_backs_off_longer_from_failure_to_failure() -> None:
    lanes = channel(Order.STRICT, "a")
    waits, now = [], 0.0
    for _ in range(4):
        answer(lanes, take(lanes), Retry("InternalFailure"), now=now)
        wakes = lanes.wake(now)
        assert wakes is not None
        waits.append(round(wakes - now, 1))
        now = wakes
        lanes.wake(now)
    assert waits == [0.2, 0.4, 2.0, 2.0]


def test_a_lane_is_stalled_when_its_quick_tries_are_over() -> None:
    lanes = channel(Order.STRICT, "a")
    for now in (0.0, 10.0, 20.0):
        assert lanes.stalled() == []
        lanes.wake(now)
        answer(lanes, take(lanes), Retry("InternalFailure"), now=now)
    (stalled,) = lanes.stalled()
    assert (stalled.failed_at, stalled.reason) == (0.0, "InternalFailure")


def test_a_request_that_fails_as_a_whole_holds_its_channel_and_keeps_the_order_of_the_lanes() -> None:
    lanes = channel(Order.STRICT, "ab")
    answer(lanes, take(lanes), *[Retry("Timeout", whole=True)] * 2)
    assert (lanes.failures, lanes.resume_at > 0.0, lanes.wake(0.0)) == (1, True, None)
    assert sorted(offsets(take(lanes))) == [0, 1]


def test_calls_on_their_way_when_one_failed_do_not_lengthen_the_pause() -> None:
    lanes = channel(Order.STRICT, "ab")
    first, second = take(lanes, 1), take(lanes, 1)
    answer(lanes, first, Retry("Timeout", whole=True))
    answer(lanes, second, Retry("Timeout", whole=True))
    assert lanes.failures == 1


def test_a_throttled_request_holds_its_lanes_and_not_its_channel() -> None:
    lanes = channel(Order.STRICT, "abc")
    throttled = Retry("ThrottlingException", category=ErrorCategory.THROTTLING, whole=True)
    answer(lanes, take(lanes, 2), throttled, throttled)
    assert (lanes.failures, lanes.resume_at) == (0, 0.0)
    assert offsets(take(lanes)) == [2]


def test_a_wait_that_the_sink_asks_for_is_kept() -> None:
    lanes = channel(Order.STRICT, "a")
    answer(lanes, take(lanes), Retry("NotAuthorizedForSourceException", pause=10.0))
    assert lanes.wake(9.9) == 10.0


def test_an_unknown_error_is_given_up_after_its_tries() -> None:
    lanes, refused = channel(Order.STRICT, "a"), Undeliverable(Failure.EVENTBRIDGE_ERROR, "new")
    unknown = Retry("New", attempts=2, otherwise=refused)
    tried = take(lanes)
    assert answer(lanes, tried, unknown).settled == 0
    lanes.wake(9.0)
    assert answer(lanes, take(lanes), unknown).settled == 1
    assert tried[0].outcome is refused


def test_what_the_sink_leaves_out_of_a_call_stays_ready_in_its_place() -> None:
    lanes = channel(Order.STRICT, "abc")
    assert offsets(lanes.take(10, lambda _: 2)) == [0, 1]
    assert offsets(take(lanes)) == [2]


def test_one_event_goes_out_even_if_the_sink_says_that_none_fits() -> None:
    assert offsets(channel(Order.STRICT, "ab").take(10, lambda _: 0)) == [0]


@given(
    order=ANY_ORDER,
    keys=st.text("abc", min_size=1, max_size=12),
    most=st.integers(1, 4),
    picks=st.lists(st.integers(0, 2), max_size=30),
    failures=st.lists(st.booleans(), max_size=30),
)
def test_every_event_is_settled_once_and_in_order_of_its_entity(
    order: Order, keys: str, most: int, picks: list[int], failures: list[bool]
) -> None:
    lanes, now = channel(order, keys), 0.0
    open_calls: list[list[Item]] = []
    accepted: list[int] = []
    overtaken = 0
    while len(accepted) < len(keys):
        now += 1.0
        lanes.wake(now)
        while lanes.ready and len(open_calls) < 3:
            open_calls.append(take(lanes, most))
        if open_calls:
            call = open_calls.pop((picks.pop() if picks else 0) % len(open_calls))
            outcomes = [Retry("no") if failures and failures.pop() else Delivered() for _ in call]
            accepted += [one.record.offset for one, got in zip(call, outcomes, strict=True) if got == Delivered()]
            overtaken += answer(lanes, call, *outcomes, now=now).reordered
    assert sorted(accepted) == list(range(len(keys)))
    assert (lanes.lanes, lanes.failing) == ({}, set())
    if order is Order.STRICT:
        assert overtaken == 0
        for key in "abc":
            mine = [offset for offset in accepted if keys[offset] == key]
            assert mine == sorted(mine)


def test_tries_that_met_an_outage_do_not_count_for_a_code_nobody_knows() -> None:
    unknown = Retry("New", attempts=2, otherwise=Undeliverable(Failure.EVENTBRIDGE_ERROR, "New"))
    lanes, now = channel(Order.STRICT, "a"), 0.0
    told = [Retry("Timeout", whole=True), Retry("Throttled", category=ErrorCategory.THROTTLING), unknown, unknown]
    for outcome, settled in zip(told, [0, 0, 0, 1], strict=True):
        now += 10.0
        lanes.wake(now)
        assert answer(lanes, take(lanes), outcome, now=now).settled == settled
