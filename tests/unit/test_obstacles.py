"""What stands in the way of a stage is as old as its name."""

import pytest

from workers.engine.obstacles import Obstacles, earliest


class Clock:
    """In seconds."""

    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_another_reason_is_the_same_obstacle(clock: Clock) -> None:
    found = Obstacles(clock)
    found["bus b"] = "AccessDenied"
    clock.now = 20.0
    found["bus b"] = "ExpiredToken"
    assert (found["bus b"], found.since_ms("bus b")) == ("ExpiredToken", 10_000)


def test_an_obstacle_that_comes_again_is_new(clock: Clock) -> None:
    found = Obstacles(clock)
    found["bus b"] = "AccessDenied"
    assert found.pop("bus b", None) == "AccessDenied"
    clock.now = 20.0
    found["bus b"] = "AccessDenied"
    assert found.since_ms("bus b") == 20_000


def test_what_is_no_obstacle_is_as_old_as_nothing(clock: Clock) -> None:
    found = Obstacles(clock)
    assert found.pop("bus b", None) is None
    with pytest.raises(KeyError):
        found.since_ms("bus b")


def test_the_earliest_is_of_those_that_are_noted() -> None:
    assert (earliest([0, 7, 5]), earliest([0]), earliest([])) == (5, 0, 0)
