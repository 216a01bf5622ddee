"""Parents before children, whoever owns them; and nothing is taken for absent that is only late."""

from dataclasses import dataclass, field

import pytest

from models.checkpoint import Boot, Checkpoint, ShardState, Start
from models.shard import Shard
from workers.kinesis.lineage import (
    TRIM_HORIZON,
    Begin,
    Blocked,
    Decision,
    Ended,
    Orphaned,
    Resume,
    Unbooted,
    Vanished,
    decide,
)

LATEST = Start("AT_TIMESTAMP", 5_000)


def checkpoint(shard: str, *, ended: bool = False, sequence: str = "7", covered_ms: int = 9_000) -> Checkpoint:
    state = ShardState.SHARD_END if ended else ShardState.ACTIVE
    return Checkpoint("arn", shard, state, sequence, 0, 0, 1, (), covered_ms)


def boot(*shards: str, start: Start = LATEST) -> Boot:
    return Boot("arn", start, tuple(Shard(name, 0, 9) for name in shards), 0, 6_000)


@dataclass
class Knowledge:
    boot: Boot | None = None
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def checkpoint(self, shard: str) -> Checkpoint | None:
        return self.checkpoints.get(shard)

    def vanished(self, shard: str) -> bool:
        return shard in self.gone


def decided(shard: Shard, *, own: Checkpoint | None = None, **known: object) -> Decision:
    return decide(shard, own, Knowledge(**known))  # type: ignore[arg-type]


MERGED = Shard("m", 0, 9, ("p", "q"))


def test_a_shard_that_was_read_to_its_end_is_never_read_again() -> None:
    assert decided(Shard("a", 0, 9), own=checkpoint("a", ended=True), boot=boot("a"), gone={"a"}) == Ended()


def test_a_known_shard_goes_on_behind_its_checkpoint() -> None:
    own = checkpoint("a")
    assert decided(Shard("a", 0, 9), own=own, boot=boot()) == Resume(own)


def test_a_shard_without_a_record_yet_goes_on_where_it_was_to_begin() -> None:
    own = checkpoint("a", sequence="")
    assert decided(Shard("a", 0, 9), own=own, boot=boot("a")) == Resume(own, LATEST)


def test_nobody_begins_before_the_stream_is_booted() -> None:
    assert decided(Shard("a", 0, 9)) == Unbooted()
    assert decided(Shard("a", 0, 9), own=checkpoint("a", sequence="")) == Unbooted()


def test_shards_of_the_boot_begin_where_the_boot_says() -> None:
    assert decided(Shard("a", 0, 9), boot=boot("a")) == Begin(LATEST, 5_000, 6_000)


def test_parents_that_were_trimmed_before_the_boot_block_nobody() -> None:
    assert decided(MERGED, boot=boot("m")) == Begin(LATEST, 5_000, 6_000)


def test_a_child_of_the_boot_waits_for_its_parent_of_the_boot() -> None:
    assert decided(MERGED, boot=boot("m", "p", "q")) == Blocked(("p", "q"))


@pytest.mark.parametrize("late", ["p", "q"])
def test_a_merged_shard_waits_for_both_parents(late: str) -> None:
    other = {"p": "q", "q": "p"}[late]
    known = {other: checkpoint(other, ended=True), late: checkpoint(late)}
    assert decided(MERGED, boot=boot("p", "q"), checkpoints=known) == Blocked((late,))


def test_a_child_begins_at_the_horizon_even_if_the_stream_began_at_latest() -> None:
    known = {"p": checkpoint("p", ended=True, covered_ms=8_000), "q": checkpoint("q", ended=True, covered_ms=7_000)}
    assert decided(MERGED, boot=boot("p", "q"), checkpoints=known) == Begin(TRIM_HORIZON, 7_000, 7_000)


def test_a_child_of_a_parent_that_was_ended_by_hand_is_promised_nothing() -> None:
    parent = checkpoint("parent", ended=True, sequence="", covered_ms=0)
    found = decided(
        Shard("child", 0, 4, ("parent",)), boot=boot("parent", start=TRIM_HORIZON), checkpoints={"parent": parent}
    )
    assert found == Begin(TRIM_HORIZON, 0, 0)


def test_a_parent_nobody_has_seen_yet_blocks_until_it_is_certainly_gone() -> None:
    assert decided(MERGED, boot=boot("a")) == Blocked(("p", "q"))
    assert decided(MERGED, boot=boot("a"), gone={"p", "q"}) == Orphaned(("p", "q"), 6_000)


def test_a_parent_that_left_the_stream_half_read_blocks_until_its_owner_has_put_that_on_record() -> None:
    known = {"p": checkpoint("p", ended=True), "q": checkpoint("q")}
    assert decided(MERGED, boot=boot("p", "q"), checkpoints=known, gone={"q"}) == Blocked(("q",))


def test_a_shard_that_left_the_stream_half_read_is_a_loss() -> None:
    own = checkpoint("a")
    assert decided(Shard("a", 0, 9), own=own, boot=boot("a"), gone={"a"}) == Vanished(9_000)


def test_a_child_that_was_told_of_and_left_before_it_was_read_is_a_loss() -> None:
    known = {"p": checkpoint("p", ended=True)}
    assert decided(Shard("c", 0, 4, ("p",)), boot=boot("p"), checkpoints=known, gone={"c"}) == Vanished(6_000)
