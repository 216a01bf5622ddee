"""How fast a bus is written to: never more than the share of the quota, half after a throttle, back step by step."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.eventbridge.in_flight import InFlight
from workers.eventbridge.pace import BURST_SECONDS, Pace, Quota

rates = st.floats(5.0, 300.0)


few = settings(max_examples=30)


def sent_in(pace: Pace, start: float, seconds: float, *, entries: int = 10, most: int = 20_000) -> int:
    """Requests that go out if one goes whenever it may."""
    now, sent = start, 0
    while now < start + seconds and sent < most:
        delay = pace.delay(now)
        if delay > 1e-9:
            now += delay
            continue
        pace.sent(now, entries)
        sent += 1
    return sent


@few
@given(rates, st.floats(0.05, 1.0))
def test_no_more_than_the_share_of_the_quota_goes_out(quota: float, share: float) -> None:
    pace = Pace(Quota(requests=quota), lambda: share)
    rate = max(1.0, quota * share)
    assert sent_in(pace, 100.0, 2.0) <= rate * (2.0 + BURST_SECONDS) + 2


@few
@given(rates)
def test_entries_have_a_quota_of_their_own(quota: float) -> None:
    pace = Pace(Quota(entries=quota * 10))
    assert sent_in(pace, 100.0, 2.0) * 10 <= quota * 10 * (2.0 + BURST_SECONDS) + 20


@given(rates, st.lists(st.floats(0.0, 5.0), min_size=1, max_size=30))
def test_a_throttle_halves_the_rate_at_most_once_a_second(quota: float, gaps: list[float]) -> None:
    pace, now, halved_at = Pace(Quota(requests=quota)), 100.0, -math.inf
    for gap in gaps:
        now += gap
        pace.delay(now)
        before = pace.requests.rate
        if pace.throttled(now):
            assert now - halved_at >= 1.0
            halved_at = now
            assert pace.requests.rate <= max(1.0, before / 2)
        else:
            assert pace.requests.rate == before
        assert 1.0 <= pace.requests.rate <= max(1.0, quota)


@few
@given(rates)
def test_it_recovers_by_five_percent_of_the_quota_a_second_and_no_further(quota: float) -> None:
    pace = Pace(Quota(requests=quota))
    sent_in(pace, 100.0, 1.0)
    pace.throttled(101.0)
    low = pace.requests.rate
    pace.delay(102.0)
    assert pace.requests.rate == pytest.approx(min(quota, low + 0.05 * quota), rel=0.01, abs=1.0)
    pace.delay(130.0)
    assert pace.requests.rate == max(1.0, quota)


def test_without_a_quota_nothing_is_held_back_until_the_bus_throttles() -> None:
    pace = Pace(Quota())
    assert sent_in(pace, 100.0, 1.0, most=5_000) == 5_000


def test_without_a_quota_the_throttle_tells_the_rate_and_is_forgotten_in_the_end() -> None:
    pace, now = Pace(Quota()), 100.0
    for _ in range(2_000):
        now += 0.002
        pace.sent(now, 10)
    pace.throttled(now)
    assert pace.requests.rate == pytest.approx(250, rel=0.1)
    pace.delay(now + 10.0)
    assert pace.requests.rate == pytest.approx(500, rel=0.1)
    pace.delay(now + 80.0)
    assert pace.requests.rate == math.inf


def test_the_share_follows_the_partitions() -> None:
    share = [0.25]
    pace = Pace(Quota(requests=1_000), lambda: share[0])
    assert pace.requests.rate == 250
    share[0] = 1.0
    assert pace.requests.rate == 1_000


def test_under_full_throttle_one_request_a_second_is_left() -> None:
    pace, now = Pace(Quota(requests=1_000)), 100.0
    for _ in range(60):
        now += 1.0
        pace.sent(now, 10)
        pace.throttled(now)
    assert pace.requests.rate == 1.0


def answered(limit: InFlight, seconds: float, times: int, *, start: float = 0.0, failed: bool = False) -> float:
    now = start
    for _ in range(times):
        now += seconds
        limit.ended(now, seconds, reached=True, failed=failed)
    return now


def test_more_requests_are_on_their_way_as_long_as_answers_are_as_quick() -> None:
    limit = InFlight(32)
    answered(limit, 0.02, 100)
    assert limit.limit == 32


def test_fewer_are_when_answers_get_slow() -> None:
    limit = InFlight(32)
    now = answered(limit, 0.02, 100)
    limit.ended(now + 1.0, 0.5, reached=True, failed=False)
    assert limit.limit == 28


def test_one_is_left_when_nothing_is_answered() -> None:
    limit = InFlight(32)
    answered(limit, 0.02, 200, failed=True)
    assert limit.limit == 1


def test_a_limit_that_holds_nobody_back_stays() -> None:
    limit = InFlight(32)
    for now in range(100):
        limit.ended(now, 0.02, reached=False, failed=False)
    assert limit.limit == 8
