"""The bridge's own arithmetic: shards to slots, pages to parts, positions to bytes."""

import pytest

from models.checkpoint import Checkpoint, ShardState
from workers.kinesis.intake import UNIT_BYTES, UNIT_RECORDS, parts_of
from workers.kinesis.reader import Page, Record
from workers.kinesis.shards import Shard

SPACE = 1 << 128


def uniform(count: int) -> list[Shard]:
    bounds = [SPACE * index // count for index in range(count + 1)]
    return [Shard(f"s{i}", bounds[i], bounds[i + 1] - 1, ()) for i in range(count)]


def page(sizes: list[int], iterator: str | None = "next") -> Page:
    records = [Record(sequence_number=str(n), data=b"x" * size) for n, size in enumerate(sizes)]
    return Page(records=records, next_shard_iterator=iterator)


@pytest.mark.parametrize("shards", [1, 2, 4, 12, 48])
def test_uniform_shards_spread_over_the_slots_without_meeting(shards: int) -> None:
    slots = [shard.source_slot(48) for shard in uniform(shards)]
    assert len(set(slots)) == shards
    assert slots == sorted(slots)


def test_every_shard_has_a_slot_of_the_topic() -> None:
    edges = [Shard("low", 0, 0, ()), Shard("high", SPACE - 1, SPACE - 1, ()), Shard("all", 0, SPACE - 1, ())]
    assert [shard.source_slot(48) for shard in edges] == [0, 47, 23]


def test_a_page_is_cut_into_parts_that_fit_a_unit_and_keep_their_order() -> None:
    shard = uniform(1)[0]
    parts = list(parts_of(shard, page([600_000] * 10)))
    assert all(part.size <= UNIT_BYTES for part in parts)
    assert [record.sequence_number for part in parts for record in part.records] == [str(n) for n in range(10)]


def test_many_small_records_are_cut_by_number() -> None:
    parts = list(parts_of(uniform(1)[0], page([1] * (UNIT_RECORDS + 1))))
    assert [len(part.records) for part in parts] == [UNIT_RECORDS, 1]


def test_one_record_larger_than_a_unit_travels_alone() -> None:
    parts = list(parts_of(uniform(1)[0], page([10, UNIT_BYTES * 3, 10])))
    assert [len(part.records) for part in parts] == [1, 1, 1]


def test_only_the_last_part_of_a_closed_shard_ends_it() -> None:
    parts = list(parts_of(uniform(1)[0], page([UNIT_BYTES, UNIT_BYTES], iterator=None)))
    assert [part.last for part in parts] == [False, True]


def test_a_closed_shard_without_records_still_ends() -> None:
    (part,) = parts_of(uniform(1)[0], page([], iterator=None))
    assert part.last
    assert part.records == ()


def test_a_checkpoint_is_read_back_as_it_was_written() -> None:
    checkpoint = Checkpoint("stream", "shardId-1", ShardState.SHARD_END, "49" * 28, 3, 1768473060412, 77, ("p1", "p2"))
    assert Checkpoint.decode(checkpoint.encode()) == checkpoint
    assert checkpoint.key == b"stream|shardId-1"


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"v":99}', b"not json"])
def test_an_unreadable_checkpoint_is_refused_not_guessed(value: bytes) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        Checkpoint.decode(value)
