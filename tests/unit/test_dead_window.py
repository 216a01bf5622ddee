"""How many dead letters are too many: counted over what commits, and nothing else."""

from collections import Counter

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.dead_window import DeadWindow, WholesalePoison
from workers.engine.ledger import IN
from workers.engine.options import DeadLimit
from workers.engine.unit import Advance
from workers.settings.worker import SettingsError, load_settings

SOURCE, AGAIN = TP("raw", 0), TP("redrive", 0)


def unit(dead: list[bool], tp: TP = SOURCE) -> dict[TP, Advance]:
    """How a unit moves its source, by what became of each input: a dead letter, or anything else."""
    letters = [(place, "why") for place, died in enumerate(dead) if died]
    return {tp: Advance(0, len(dead), Counter({IN: len(dead)}), letters)}


def window(limit: DeadLimit | None) -> tuple[DeadWindow, list[str]]:
    told: list[str] = []
    found = DeadWindow(limit, lambda why, *_: told.append(why))
    found.uncounted.add(AGAIN.topic)
    return found, told


def first_too_many(dead: list[bool], limit: DeadLimit) -> int | None:
    """Place of the first record at which so many of the last ones are dead letters."""
    for place in range(len(dead)):
        last = dead[max(0, place + 1 - limit.records) : place + 1]
        if dead[place] and sum(last) >= limit.letters:
            return place
    return None


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=9), max_size=12),
    st.integers(1, 5).flatmap(lambda letters: st.builds(DeadLimit, st.just(letters), st.integers(letters, 12))),
    st.lists(st.booleans(), max_size=40),
)
def test_the_unit_with_the_letter_that_is_too_many_is_the_first_that_may_not_commit(
    units: list[list[bool]], limit: DeadLimit, failures: list[bool]
) -> None:
    """Whatever attempts failed before, and whatever is redriven in between."""
    ours, told = window(limit)
    stopped_at = first_too_many([died for one in units for died in one], limit)
    done = 0
    fails = iter(failures)
    for dead in units:
        while next(fails, False):
            try:
                ours.withdraw(ours.admit(unit(dead)))
            except WholesalePoison:
                break
        ours.admit(unit([True] * 9, AGAIN))
        if stopped_at is not None and stopped_at < done + len(dead):
            with pytest.raises(WholesalePoison) as refused:
                ours.admit(unit(dead))
            assert refused.value.clean == dead.index(True)
            assert len(told) == 1
            return
        ours.admit(unit(dead))
        done += len(dead)
    assert not told


def test_a_stage_that_stands_still_admits_no_dead_letter_any_more_and_everything_else() -> None:
    ours, told = window(DeadLimit(2, 10))
    with pytest.raises(WholesalePoison):
        ours.admit(unit([False, True, True]))
    ours.admit(unit([False] * 100))
    with pytest.raises(WholesalePoison):
        ours.admit(unit([False, True]))
    assert len(told) == 1


def test_units_of_two_slots_that_commit_at_the_same_time_are_counted_together() -> None:
    ours, _ = window(DeadLimit(4, 100))
    both = [ours.admit(unit([True])), ours.admit(unit([True, True]))]
    with pytest.raises(WholesalePoison):
        ours.admit(unit([True]))
    assert [len(one.letters) for one in both] == [1, 2]


def test_without_a_limit_everything_may_become_a_dead_letter() -> None:
    ours, told = window(None)
    for _ in range(10):
        ours.admit(unit([True] * 1_000))
    assert not told


@pytest.mark.parametrize(
    ("environment", "limit"),
    [
        ({}, DeadLimit(200, 1_000)),
        ({"CDC_DEAD_WINDOW": "5/50"}, DeadLimit(5, 50)),
        ({"CDC_DEAD_WINDOW": "off"}, None),
        ({"CDC_DEAD_WINDOW": "off", "CDC_ON_DEAD": "stop"}, DeadLimit(1, 1)),
    ],
)
def test_the_settings_say_how_many_are_too_many(
    environment: dict[str, str], limit: DeadLimit | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CDC_DEAD_WINDOW", "CDC_ON_DEAD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load_settings(env_file=None).dead_limit == limit


@pytest.mark.parametrize("text", ["200", "0/10", "11/10", "200 of 1000", "-1/10", "1/", ""])
def test_a_window_that_is_none_is_a_mistake_of_the_settings(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_DEAD_WINDOW", text)
    with pytest.raises(SettingsError, match="dead"):
        load_settings(env_file=None)
