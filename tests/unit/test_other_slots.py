"""What a slot believes of the checkpoints of others: a reset may have taken back what stood there before."""

from dataclasses import dataclass
from typing import Any

from models.checkpoint import Boot, Checkpoint, ShardState, Start
from models.shard import Shard
from workers.kinesis.checkpoints import CheckpointBook, CheckpointWatch
from workers.kinesis.known_checkpoints import KnownCheckpoints

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/core"
PARENT, CHILD = Shard("a", 0, 9), Shard("c", 0, 9, ("a",))
BOOT = Boot(ARN, Start("TRIM_HORIZON"), (PARENT,), 0, 0)
ENDED = Checkpoint(ARN, "a", ShardState.SHARD_END, "7", 0, 0, 5, (), 0, (CHILD,))
OPENED_AT = 10.0


@dataclass
class Written:
    """A record of the topic."""

    key: bytes
    value: bytes | None
    partition: int = 0


class Listed:
    """See ShardDirectory: both listings lack every shard."""

    directory: Any

    def __init__(self) -> None:
        self.directory = self

    def absent(self, _shard: str, _complete_as_of: float) -> bool:
        return True


def watching(*written: Written) -> CheckpointWatch:
    watch = CheckpointWatch({}, "checkpoints", 1, lambda _: None)
    for record in written:
        watch.follower._apply(record)
    return watch


def known(watch: CheckpointWatch, complete_as_of: float) -> KnownCheckpoints:
    """What a slot knows that was opened at 10 s, while the watch has read up to `complete_as_of`."""
    watch.follower.complete_as_of = complete_as_of
    source: Any = Listed()
    return KnownCheckpoints(CheckpointBook(), watch, OPENED_AT, source, ARN)


def test_others_are_believed_once_everything_before_the_slot_was_opened_has_been_read() -> None:
    watch = watching(Written(BOOT.key, BOOT.encode()), Written(ENDED.key, ENDED.encode()))
    late = known(watch, OPENED_AT - 1)
    assert (late.boot, late.checkpoint("a"), late.vanished("a")) == (None, None, False)
    complete = known(watch, OPENED_AT + 1)
    assert (complete.boot, complete.checkpoint("a"), complete.vanished("a")) == (BOOT, ENDED, True)


def test_who_waits_for_others_does_not_wait_for_the_next_regular_look() -> None:
    watch = watching()
    assert not watch.past(OPENED_AT)
    assert watch.follower.wanted == OPENED_AT


def test_children_of_a_checkpoint_that_was_taken_back_are_not_told() -> None:
    told = Written(ENDED.key, ENDED.encode())
    assert watching(told).take_children(ARN) == [CHILD]
    assert watching(told, Written(ENDED.key, None)).take_children(ARN) == []
