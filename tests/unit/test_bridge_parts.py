"""The bridge's own arithmetic: shards to slots, pages to parts, positions to bytes."""

import pytest

from models.checkpoint import Boot, Checkpoint, ShardState, Start, decode_entry
from models.position import Position
from models.shard import Shard
from workers.kinesis.cursor import Part, ShardCursor
from workers.kinesis.lineage import TRIM_HORIZON, Begin
from workers.kinesis.pages import Page, Record
from workers.kinesis.reader import PART_BYTES, PART_RECORDS

SPACE = 1 << 128


def uniform(count: int) -> list[Shard]:
    bounds = [SPACE * index // count for index in range(count + 1)]
    return [Shard(f"s{i}", bounds[i], bounds[i + 1] - 1, ()) for i in range(count)]


def parts_of(sizes: list[int], iterator: str | None = "next") -> list[Part]:
    records = [Record(sequence_number=str(n), data=b"x" * size) for n, size in enumerate(sizes)]
    cursor = ShardCursor(uniform(1)[0], Begin(TRIM_HORIZON))
    page = Page(records=records, next_shard_iterator=iterator)
    return cursor.parts(page, 0, max_records=PART_RECORDS, max_bytes=PART_BYTES)


@pytest.mark.parametrize("shards", [1, 2, 4, 12, 48])
def test_uniform_shards_spread_over_the_slots_without_meeting(shards: int) -> None:
    slots = [shard.source_slot(48) for shard in uniform(shards)]
    assert len(set(slots)) == shards
    assert slots == sorted(slots)


@pytest.mark.parametrize("workers", range(1, 9))
def test_no_worker_has_more_than_twice_its_fair_share_of_shards(workers: int) -> None:
    for shards in range(1, 65):
        assert max(shards_per_worker(shards, workers)) <= 2 * -(-shards // workers)


def shards_per_worker(shards: int, workers: int) -> list[int]:
    """Range assignment: contiguous slots, the first workers one more (Kafka's RangeAssignor)."""
    slots = [shard.source_slot(48) for shard in uniform(shards)]
    least, more = divmod(48, workers)
    ends = [least * (n + 1) + min(n + 1, more) for n in range(workers)]
    owned = [sum(start <= slot < end for slot in slots) for start, end in zip([0, *ends], ends, strict=False)]
    assert sum(owned) == shards
    return owned


def test_every_shard_has_a_slot_of_the_topic() -> None:
    edges = [Shard("low", 0, 0, ()), Shard("high", SPACE - 1, SPACE - 1, ()), Shard("all", 0, SPACE - 1, ())]
    assert [shard.source_slot(48) for shard in edges] == [0, 47, 23]


def test_a_page_is_cut_into_parts_that_fit_a_unit_and_keep_their_order() -> None:
    parts = parts_of([600_000] * 10)
    assert all(part.size <= PART_BYTES for part in parts)
    assert [record.sequence_number for part in parts for record in part.records] == [str(n) for n in range(10)]


def test_many_small_records_are_cut_by_number() -> None:
    assert [len(part.records) for part in parts_of([1] * (PART_RECORDS + 1))] == [PART_RECORDS, 1]


def test_one_record_larger_than_a_unit_travels_alone() -> None:
    assert [len(part.records) for part in parts_of([10, PART_BYTES * 3, 10])] == [1, 1, 1]


def test_only_the_last_part_of_a_closed_shard_ends_it() -> None:
    assert [part.last for part in parts_of([PART_BYTES, PART_BYTES], iterator=None)] == [False, True]


def test_a_closed_shard_without_records_still_ends() -> None:
    (part,) = parts_of([], iterator=None)
    assert part.last
    assert part.records == ()


def test_positions_are_compared_as_numbers_and_never_as_text() -> None:
    assert Position(9) < Position(10)
    assert Position(10, 2) < Position(10, 11)


def test_a_checkpoint_is_read_back_as_it_was_written() -> None:
    checkpoint = Checkpoint(
        "stream", "shardId-1", ShardState.SHARD_END, "49" * 28, 3, 1768473060412, 77, ("p1", "p2"), 1768473060500,
        (Shard("c1", 0, 7, ("shardId-1",)), Shard("c2", 8, SPACE - 1, ("shardId-1", "p9"))), 1,
    )  # fmt: skip
    assert Checkpoint.decode(checkpoint.encode()) == checkpoint
    assert checkpoint.key == b"stream|shardId-1"


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"v":99}', b"not json"])
def test_an_unreadable_checkpoint_is_refused_not_guessed(value: bytes) -> None:
    with pytest.raises(ValueError, match="checkpoint"):
        Checkpoint.decode(value)


def test_a_boot_record_is_read_back_as_it_was_written() -> None:
    boot = Boot(
        "arn:1",
        Start("AT_TIMESTAMP", 1768473060412),
        (Shard("a", 0, 7, ("z",)), Shard("b", 8, SPACE - 1)),
        1768000000000,
        1768473060500,
    )
    assert decode_entry(boot.key, boot.encode()) == boot
