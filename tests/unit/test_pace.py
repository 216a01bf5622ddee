"""How fast a shard is read: its limits belong to all of its readers."""

import pytest

from models.retry import RETRY_OF, Component
from workers.kinesis.pace import Pace


def calls_in(pace: Pace, seconds: float, *, size: int = 0, behind: int = 1) -> int:
    now, calls = 1_000.0, 0
    while now < 1_000.0 + seconds:
        delay = pace.delay(now)
        if delay <= 1e-9:
            pace.called(now)
            pace.read(now, size, behind)
            calls += 1
        else:
            now += delay
    return calls


@pytest.mark.parametrize(("share", "calls"), [(1.0, 50), (0.8, 40), (0.2, 10)])
def test_a_reader_takes_its_share_of_the_calls(share: float, calls: int) -> None:
    assert calls_in(Pace(share, 0.0), 10) == pytest.approx(calls, abs=1)


def test_a_reader_takes_its_share_of_the_bytes() -> None:
    size = 10 << 20
    assert calls_in(Pace(0.5, 0.0), 100, size=size) * size == pytest.approx(100 * (1 << 20), rel=0.1)


def test_a_shard_that_stays_empty_is_read_once_a_second() -> None:
    assert calls_in(Pace(1.0, 0.25), 60, behind=0) == pytest.approx(60, abs=5)


def test_something_new_makes_it_fast_again() -> None:
    pace = Pace(1.0, 0.25)
    for now in range(5):
        pace.called(now)
        pace.read(now, 0, 0)
    assert pace.delay(4.0) == 1.0
    pace.called(5.0)
    pace.read(5.0, 100, 0)
    assert pace.delay(5.0) == pytest.approx(0.25)


def test_back_off_grows_and_is_never_the_same_for_two_readers() -> None:
    retry = RETRY_OF[Component.KINESIS]
    assert [retry.delay(n, 1.0) for n in (1, 2, 3)] == [0.1, 0.2, 1.0]
    assert retry.delay(1, 0.99) > retry.delay(1, 0.0)
    assert retry.delay(100, 1.0) == retry.longest
