"""What `cdc checkpoint status` says of a shard."""

from models.checkpoint import UNKNOWN_COVER_MS, Boot, Checkpoint, ShardState, Start
from models.shard import Shard
from workers.positions.shards import Scene, ShardStatus, State, judge

NOW, HOUR = 100 * 3_600_000, 3_600_000
WHOLE = (1 << 128) - 1
PARENT, CHILD = Shard("p", 0, WHOLE), Shard("c", 0, WHOLE, ("p",))


def at(shard: Shard, *, behind_ms: int = 0, ended: bool = False, covered_ms: int | None = None) -> Checkpoint:
    state = ShardState.SHARD_END if ended else ShardState.ACTIVE
    covered = NOW - behind_ms if covered_ms is None else covered_ms
    return Checkpoint("arn", shard.id, state, "7", 2, covered, 5, shard.parents, covered)


def judged(
    *found: Checkpoint, listed: tuple[Shard, ...] | None = (PARENT, CHILD), owner: str | None = "w1",
    everything: bool = False,
) -> dict[str, ShardStatus]:  # fmt: skip
    names = {shard.id: shard for shard in listed} if listed is not None else None
    scene = Scene(
        Boot("arn", Start("TRIM_HORIZON"), (PARENT,), 0, NOW - HOUR), {one.shard: (4, one) for one in found},
        names, 24 * HOUR if names is not None else None,
        {4: owner} if owner is not None else {}, 8, NOW,
    )  # fmt: skip
    return {status.shard: status for status in judge(scene, everything=everything)}


def test_a_shard_is_read_by_whoever_holds_its_slot() -> None:
    shard = judged(at(PARENT, behind_ms=12 * HOUR))["p"]
    assert (shard.state, shard.slot, shard.owner, shard.records) == (State.READING, 4, "w1", 5)
    assert (shard.behind_ms, shard.share, shard.overdue) == (12 * HOUR, 0.5, False)


def test_a_shard_whose_slot_nobody_holds_is_idle() -> None:
    assert judged(at(PARENT), owner=None)["p"].state is State.IDLE


def test_a_child_waits_for_its_parent_by_name() -> None:
    child = judged(at(PARENT))["c"]
    assert (child.state, child.waits_for, child.behind_ms) == (State.BLOCKED, ("p",), None)


def test_a_child_that_may_begin_is_behind_since_its_parent_closed() -> None:
    child = judged(at(PARENT, behind_ms=6 * HOUR, ended=True))["c"]
    assert (child.state, child.share) == (State.NOT_BEGUN, 0.25)


def test_a_shard_at_the_end_of_the_retention_is_overdue() -> None:
    assert judged(at(PARENT, behind_ms=24 * HOUR))["p"].overdue


def test_an_active_shard_that_left_the_stream_is_lost() -> None:
    found = judged(at(PARENT), listed=(CHILD,))
    assert (found["p"].state, found["p"].overdue, found["p"].listed) == (State.LOST, True, False)


def test_a_shard_that_ended_and_left_is_shown_only_if_everything_is() -> None:
    assert "p" not in judged(at(PARENT, ended=True), listed=(CHILD,))
    assert judged(at(PARENT, ended=True), listed=(CHILD,), everything=True)["p"].state is State.ENDED


def test_without_a_listing_nothing_is_lost_and_no_share_is_told() -> None:
    found = judged(at(PARENT, behind_ms=48 * HOUR), listed=None)["p"]
    assert (found.state, found.share, found.overdue, found.listed) == (State.READING, None, False, None)


def test_a_position_that_covers_nothing_is_behind_by_nobody_knows_how_much() -> None:
    found = judged(at(PARENT, covered_ms=UNKNOWN_COVER_MS))["p"]
    assert (found.state, found.behind_ms, found.overdue) == (State.READING, None, False)
