"""A seed is enough to know what a run will do."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.chaos.plan import Plan
from sandbox.chaos.scenarios import SCENARIOS, make_plan
from workers.failures import CommandError, NotFoundError

SEEDS = range(1, 21)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_seed_gives_the_same_plan_and_another_seed_another_one(scenario: str) -> None:
    plans = [make_plan(scenario, seed, 60.0) for seed in SEEDS]
    assert plans == [make_plan(scenario, seed, 60.0) for seed in SEEDS]
    assert len({str(plan.actions) for plan in plans}) == len(plans)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_plan_survives_its_file(scenario: str) -> None:
    plan = make_plan(scenario, 4, 60.0)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("seconds", [12.0, 60.0])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_plan_holds_what_its_scenario_is_about(scenario: str, seconds: float) -> None:
    for seed in SEEDS:
        kinds = {action.kind for action in make_plan(scenario, seed, seconds).actions}
        assert kinds
        assert set(SCENARIOS[scenario].musts) <= kinds


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_worker_leaves_that_has_not_joined(scenario: str) -> None:
    for seed in SEEDS:
        plan = make_plan(scenario, seed, 60.0)
        there = {worker.name for worker in plan.workers}
        for action in plan.actions:
            if action.kind == "join":
                there.add(action.target)
            elif action.kind in ("kill", "term", "stop", "leave"):
                assert action.target in there, (seed, action)


def test_a_frozen_worker_stays_frozen_beyond_its_session() -> None:
    plans = [make_plan("table", seed, 60.0) for seed in SEEDS]
    stops = [action.seconds for plan in plans for action in plan.actions if action.kind == "stop"]
    assert stops
    assert min(stops) > plans[0].workload.session_timeout


def test_a_bus_outage_has_eight_slots_and_five_rebalances() -> None:
    plan = make_plan("bus-outage", 1, 600.0)
    assert plan.workload.partitions == 8
    assert sum(action.kind in ("join", "leave", "term", "kill") for action in plan.actions) == 5
    assert next(action.seconds for action in plan.actions if action.kind == "sink-outage") == 600.0


def test_a_throttled_bus_throttles_for_the_whole_run_among_five_rebalances() -> None:
    plan = make_plan("publish-throttled", 1, 600.0)
    assert plan.workload.partitions == 8
    assert sum(action.kind in ("join", "leave", "term", "kill") for action in plan.actions) == 5
    [throttle] = [action for action in plan.actions if action.kind == "bus-throttle"]
    assert (throttle.seconds, throttle.options) == (600.0, {"kind": "throttle"})


def test_a_plan_that_does_not_exist_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Plan.load(tmp_path / "plan.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"version": 99})])
def test_a_file_that_is_no_plan_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CommandError):
        Plan.load(file)


def test_only_plans_with_network_faults_put_the_workers_behind_the_proxy() -> None:
    plan = make_plan("network", 1, 60.0)
    assert plan.behind_proxy
    assert not replace(plan, actions=()).behind_proxy


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shards_of_a_plan_are_never_too_few_to_merge(seed: int) -> None:
    plan = make_plan("bridge-reshard", seed, 60.0)
    opened = plan.workload.shards
    for action in plan.actions:
        steps = action.options["steps"] if action.kind == "reshard-down" else [[action.kind]]
        for step in steps:
            assert step[0] != "merge" or opened > 1, action
            opened += {"split": 1, "merge": -1}.get(step[0], 0)


def test_shards_are_changed_right_before_and_right_after_kills() -> None:
    apart = []
    for seed in SEEDS:
        actions = make_plan("bridge-reshard", seed, 60.0).actions
        reshards = [action.at for action in actions if action.kind in ("split", "merge")]
        kills = [action.at for action in actions if action.kind == "kill"]
        apart += [round(kill - reshard, 2) for kill in kills for reshard in reshards if abs(kill - reshard) <= 0.4]
    assert min(sum(seconds < 0 for seconds in apart), sum(seconds > 0 for seconds in apart)) >= len(SEEDS)


def test_all_workers_are_free_when_shards_change_without_them() -> None:
    for seed in SEEDS:
        plan = make_plan("bridge-reshard", seed, 60.0)
        joined: dict[str, float] = {}
        for action in plan.actions:
            if action.kind == "join":
                joined[action.target] = action.at
            elif action.kind == "leave":
                joined.pop(action.target)
            elif action.kind == "reshard-down":
                assert not joined, (seed, action)


@pytest.mark.parametrize("seconds", [60.0, 600.0])
def test_a_stall_is_as_long_as_the_run_and_each_kind_has_a_seed(seconds: float) -> None:
    plans = [make_plan("bridge-stall", seed, seconds) for seed in (1, 2, 3)]
    middles = []
    for plan in plans:
        stall, *middle, end = plan.actions
        assert (stall.kind, stall.seconds) == ("broker-freeze", seconds)
        assert end.at > stall.at + seconds
        assert all(stall.at < action.at < stall.at + seconds for action in middle)
        middles.append([action.kind for action in middle])
    assert middles == [[], ["split"], ["kill"]]
