"""The bridge bench believes nobody: it sees what is wrong with a topic, and its prepared stream is a stream."""

import pytest

from bench.bridge_output import BridgeOutput
from bench.bridge_stream import Stream
from bench.pages import (
    CHANGES_IN_A_ROW,
    DATA_BYTES,
    FIRST_ROW,
    HASH_KEYS,
    partition_key,
    place_of,
    prepared_shards,
    record,
)
from enrichers.routing import route
from models.routing import entity_key
from models.shard import Shard
from models.sources.kpl import UserRecord
from tests.unit.changes import TELEPHONY

STREAM = Stream("s", 2, 3)


def output(*places: tuple[int, int], partition: int = 0) -> BridgeOutput:
    """What is found when these (shard, number) stand in a partition, a second apart."""
    found = BridgeOutput(STREAM)
    for second, place in enumerate(places):
        found.take(partition, record(*place, FIRST_ROW), second * 1_000)
    return found


def test_the_whole_stream_in_order_has_no_faults() -> None:
    assert output((0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)).faults == ""


def test_a_record_that_is_missing_is_lost() -> None:
    assert output((0, 0), (1, 0), (1, 1), (0, 2), (1, 2)).faults == "1 lost"


def test_a_record_that_comes_again_is_repeated_even_in_another_partition() -> None:
    found = output((0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2))
    found.take(3, record(1, 1, FIRST_ROW), 9_000)
    assert found.faults == "1 repeated"


def test_a_record_that_comes_again_behind_later_ones_is_not_out_of_order() -> None:
    assert output((0, 0), (0, 1), (0, 2), (0, 0), (0, 1), (1, 0), (1, 1), (1, 2)).faults == "2 repeated"


def test_a_record_behind_a_later_one_of_its_shard_is_out_of_order() -> None:
    assert output((0, 0), (1, 0), (1, 1), (0, 2), (0, 1), (1, 2)).faults == "1 out of order"


def test_a_rate_does_not_count_what_came_with_the_first_record() -> None:
    found = BridgeOutput(STREAM, warm_up=1)
    for shard, number, at in ((0, 0, 500), (1, 0, 500), (0, 1, 1_000), (1, 1, 1_000), (0, 2, 1_500), (1, 2, 3_000)):
        found.take(0, record(shard, number, FIRST_ROW), at)
    assert (found.first, found.last, found.rate) == (1.0, 3.0, 1.0)
    assert (found.until(1.5), found.first_after(1.5)) == (3, 3.0)


@pytest.mark.parametrize("shards", [1, 3, 4, 64])
def test_the_shards_split_the_hash_space_and_hold_the_rows_that_belong_to_them(shards: int) -> None:
    prepared = prepared_shards(shards, 1)
    assert [shard.first_hash for shard in prepared] == [0, *(shard.last_hash + 1 for shard in prepared[:-1])]
    assert prepared[-1].last_hash == HASH_KEYS - 1
    for shard in prepared:
        keys = [UserRecord(partition_key(row).decode(), b"") for row in shard.rows]
        assert keys
        assert all(key.within(shard.first_hash, shard.last_hash) for key in keys)


def test_64_shards_are_spread_over_all_source_slots() -> None:
    slots = {Shard("s", one.first_hash, one.last_hash, ()).source_slot(48) for one in prepared_shards(64, 1)}
    assert slots == set(range(48))


@pytest.mark.parametrize("number", [*range(CHANGES_IN_A_ROW), 9_999_999])
def test_every_record_has_one_length_and_the_key_of_its_row(number: int) -> None:
    data = record(63, number, FIRST_ROW + 7)
    assert len(data) == DATA_BYTES
    assert place_of(data) == (63, number)
    found = route(data, "unused", TELEPHONY)
    assert (found.key, found.table, found.retired_key) == (
        entity_key("core", "users", (FIRST_ROW + 7,)), "users", None,
    )  # fmt: skip
