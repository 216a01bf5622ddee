"""The screen of `cdc status`: which state a stage is in, what somebody has to do, and that it fits a terminal."""

from dataclasses import replace
from typing import Any

import pytest

from models.pause import Pause, Target
from workers.cli.status_screen import screen, short, since, span
from workers.overview.figures import Figures, Gap, Stop
from workers.overview.judgement import DeadLetters, Overview, State, judge

NOW = 1_768_473_060_000
HOUR = 3_600_000
ENRICH = Figures("enrich", "Stable", 2, lag=0)
WHY = "the bus is moved to another account, and nobody knows when it will be there again; ask the platform team first"
STOP = Stop("cdc.raw.core/3", NOW - HOUR, "200 of the last 1,000 records would be dead letters. And more")
GAP = Gap("cdc.raw.core/1", 17, 40, 90)


def pause(target: Target) -> Pause:
    return Pause(target, NOW - 2 * HOUR, "ann@ops", WHY)


WHOLE, TABLE = pause(Target("enrich")), pause(Target("enrich", table="users"))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.IDLE),
        ({"rate": 3.0}, State.RUNNING),
        ({"lag": 9, "oldest_ms": NOW - 1_000}, State.RUNNING),
        ({"lag": 9}, State.IDLE),  # nothing but markers of transactions
        ({"redriven": 1}, State.RUNNING),
        ({"group_state": "PreparingRebalance"}, State.REBALANCING),
        ({"pauses": (TABLE,)}, State.PARTLY),
        ({"pauses": (WHOLE, TABLE)}, State.PAUSED),
        ({"pauses": (WHOLE,), "members": 0}, State.STOPPED),
        ({"pauses": (WHOLE,), "gaps": (GAP,)}, State.BLOCKED),
        ({"stops": (STOP,), "members": 0}, State.BLOCKED),
        ({"bus": "missing"}, State.BLOCKED),
    ],
)
def test_the_state_is_what_matters_first(changes: dict[str, Any], state: State) -> None:
    assert judge(replace(ENRICH, **changes), NOW).state is state


def test_a_bridge_is_not_behind_for_its_idle_shards() -> None:
    bridge = Figures("bridge", "Stable", 1, lag=None, oldest_ms=NOW - 60_000)
    assert judge(bridge, NOW).state is State.IDLE
    assert judge(replace(bridge, oldest_ms=NOW - 90_000), NOW).document(NOW)["behind_seconds"] == 90


@pytest.mark.parametrize(
    ("changes", "mend", "section"),
    [
        ({"stops": (STOP,)}, "cdc dlq stats", "stands-still"),
        ({"gaps": (GAP,)}, "CDC_ON_GAP=continue", "gap"),
        ({"bus": "missing", "bus_name": "b"}, "create it", "bus"),
        ({"bus": "not seen (AccessDenied)", "bus_name": "b"}, "cdc check", "bus"),
        ({"members": 0}, "cdc worker --stages enrich", "no-worker"),
        ({"danger": 0.5}, "raise retention.ms", "retention"),
        ({"danger": 0.9, "pauses": (WHOLE,)}, "cdc resume enrich --all --yes", "retention"),
    ],
)
def test_every_trouble_names_what_mends_it_and_where_to_read(changes: dict[str, Any], mend: str, section: str) -> None:
    (trouble,) = judge(replace(ENRICH, **changes), NOW).troubles
    assert mend in trouble.mend
    assert trouble.see == f"docs/status.md#{section}"


def test_a_healthy_stage_and_one_that_was_paused_on_purpose_are_no_trouble() -> None:
    assert judge(replace(ENRICH, danger=0.49), NOW).troubles == ()
    assert judge(replace(ENRICH, pauses=(WHOLE,)), NOW).troubles == ()


def overview(*figures: Figures, pauses: tuple[Pause, ...] = ()) -> Overview:
    stages = tuple(judge(one, NOW) for one in figures)
    return Overview(NOW, stages, DeadLetters(12, 20_000, whole=False), pauses, "cdc.", "cdc", ())


def at_its_worst() -> Overview:
    many = tuple(pause(Target("enrich", partition=number)) for number in range(9))
    figures = [
        Figures("bridge", "Stable", 10, None, NOW - 22 * HOUR, 0.92, "shardId-000000000000", 12_345.0),
        replace(ENRICH, lag=123_456_789, stops=(STOP,), gaps=(GAP,), pauses=many, redriven=7),
        Figures("publish", "Stable", 10, 9, bus="missing", bus_name="cdc-events", danger=0.6, danger_at="cdc.events/3"),
    ]
    return overview(*figures, pauses=many)


@pytest.mark.parametrize(("width", "lines"), [(80, 24), (160, 24)])
def test_the_worst_night_fits_a_terminal(width: int, lines: int) -> None:
    shown = list(screen(at_its_worst(), (width, lines)))
    assert max(map(len, shown)) <= width
    assert len(shown) < lines, "the prompt takes the last one"
    assert any(line.startswith("! bridge: NOW: 92%") for line in shown)
    left = sum(line.startswith("! ") for line in shown) - len(at_its_worst().troubles())
    assert any(line.startswith(f"and {-left} more") for line in shown) is bool(left)


def test_nothing_is_cut_where_there_is_no_terminal() -> None:
    shown = "\n".join(screen(at_its_worst(), None))
    assert shown.count(WHY) == 9
    assert shown.count("\n! ") == len(at_its_worst().troubles())


def test_the_oldest_trouble_comes_first_and_stages_without_workers_are_one() -> None:
    found = overview(
        replace(ENRICH, members=0),
        Figures("publish", "Empty", 0, 0, stops=(STOP,)),
        Figures("bridge", "Stable", 1, None),
    )
    assert [trouble.stage for trouble in found.troubles()] == ["publish", "enrich, publish"]
    assert found.troubles()[1].mend == "cdc worker --stages enrich,publish"


def test_what_was_too_much_to_count_says_so() -> None:
    assert any("20,000+ waiting" in line for line in screen(overview(ENRICH), (80, 24)))


@pytest.mark.parametrize(
    ("seconds", "told"), [(40, "40 s"), (119, "119 s"), (720, "12 min"), (18_720, "5.2 h"), (3 * 86_400, "3.0 d")]
)
def test_spans_are_told_in_one_unit(seconds: float, told: str) -> None:
    assert span(seconds) == told


@pytest.mark.parametrize(("number", "told"), [(7, "7"), (99_999, "99,999"), (123_456, "123 k"), (12.3e6, "12.3 M")])
def test_large_numbers_are_told_short(number: float, told: str) -> None:
    assert short(number) == told


def test_moments_that_are_near_are_told_without_their_date() -> None:
    assert since(NOW - HOUR, NOW) == "09:31Z"
    assert since(NOW - 20 * HOUR, NOW) == "2026-01-14 14:31Z"
    assert since(0, NOW) == "-"
