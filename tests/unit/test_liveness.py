"""When a process that runs is dead all the same, and when it is not."""

from workers.probes.liveness import BLOCKED_SECONDS, STUCK_SECONDS, Life


def test_a_worker_that_moves_on_lives() -> None:
    life = Life(0)
    for second in range(1_000):
        life = life.seen({"enrich: raw/0": second // 200}, second)
        assert life.reasons(second) == []


def test_work_in_hand_that_does_not_move_for_five_minutes_is_a_dead_worker() -> None:
    life = Life(0)
    for second in range(int(STUCK_SECONDS) + 1):
        life = life.seen({"enrich: raw/0": 7, "enrich: raw/1": second}, second)
        assert life.reasons(second) == []
    life = life.seen({"enrich: raw/0": 7, "enrich: raw/1": 0}, STUCK_SECONDS + 1)
    assert life.reasons(STUCK_SECONDS + 1) == ["enrich: raw/0 has work and has not moved for 301 s"]


def test_work_that_waited_for_somebody_else_begins_anew() -> None:
    life = Life(0).seen({"enrich: raw/0": 7}, 0)
    life = life.seen({}, STUCK_SECONDS - 1)  # an outage, a pause, a rebalance
    life = life.seen({"enrich: raw/0": 7}, STUCK_SECONDS)
    life = life.seen({"enrich: raw/0": 7}, STUCK_SECONDS + 10)
    assert life.reasons(STUCK_SECONDS + 10) == []


def test_an_event_loop_that_does_not_run_is_a_dead_worker() -> None:
    life = Life(0).seen({}, 100)
    assert life.reasons(100 + BLOCKED_SECONDS) == []
    assert life.reasons(101 + BLOCKED_SECONDS) == ["the event loop has not run for 31 s"]


def test_time_in_which_nobody_looked_does_not_count_as_standing_still() -> None:
    life = Life(0).seen({"enrich: raw/0": 7}, 0).seen({"enrich: raw/0": 7}, 10)
    reasons = life.reasons(10 + STUCK_SECONDS)
    assert reasons == ["the event loop has not run for 300 s"]
