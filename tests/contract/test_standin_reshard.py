"""Splits, merges and scaling of the stand-in, as a reader of the shards sees them."""

from itertools import pairwise
from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from tests.contract.kinesis_calls import (
    FIRST,
    LAST_HASH_KEY,
    STREAM,
    create,
    described,
    ending,
    iterator,
    last_page,
    merge,
    name,
    put,
    read,
    rescale,
    shard_names,
    split,
    summary,
)
from tests.contract.standin import HandClock, clock, control, kinesis, refused, stand_in

__all__ = ["clock", "control", "kinesis", "stand_in"]  # fixtures

HALF = 1 << 127


def open_ranges(kinesis: Any) -> list[tuple[int, int]]:
    """Hash ranges of the open shards, in their order."""
    shards = kinesis.list_shards(StreamName=STREAM, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    ranges = [shard["HashKeyRange"] for shard in shards]
    return sorted((int(one["StartingHashKey"]), int(one["EndingHashKey"])) for one in ranges)


def parents(kinesis: Any) -> dict[int, list[int]]:
    """Index of each shard: the indexes of its parents."""
    return {
        int(shard["ShardId"][-12:]): [
            int(shard[member][-12:]) for member in ("ParentShardId", "AdjacentParentShardId") if member in shard
        ]
        for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]
    }


def read_lineage(kinesis: Any) -> list[bytes]:
    """Every record, from the eldest shards on; a child comes once all its parents are drained, as ChildShards tells."""
    found: list[bytes] = []
    drained: set[str] = set()
    waiting = [name(shard) for shard, known in parents(kinesis).items() if not known]
    while waiting:
        shard = waiting.pop(0)
        answer = kinesis.get_records(ShardIterator=iterator(kinesis, shard=shard))
        found += [record["Data"] for record in answer["Records"]]
        if "NextShardIterator" not in answer:
            drained.add(shard)
            ready = (child for child in answer["ChildShards"] if drained.issuperset(child["ParentShards"]))
            waiting += [child["ShardId"] for child in ready]
    return found


# Splits


def test_a_split_closes_the_shard_and_opens_two_that_share_its_keys(kinesis: Any) -> None:
    create(kinesis)
    split(kinesis, at=1000)
    assert parents(kinesis) == {0: [], 1: [0], 2: [0]}
    assert open_ranges(kinesis) == [(0, 999), (1000, LAST_HASH_KEY)]
    assert "EndingSequenceNumber" in described(kinesis, 0)["SequenceNumberRange"]
    assert "EndingSequenceNumber" not in described(kinesis, 1)["SequenceNumberRange"]


def test_records_go_to_the_child_that_has_their_hash_key(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"before", ExplicitHashKey="1000")
    split(kinesis, at=1000)
    put(kinesis, b"low", ExplicitHashKey="999")
    put(kinesis, b"high", ExplicitHashKey="1000")
    assert [read(kinesis, iterator(kinesis, shard=name(index))) for index in range(3)] == [
        [b"before"],
        [b"low"],
        [b"high"],
    ]


def test_a_closed_shard_that_is_drained_names_its_children(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"1")
    put(kinesis, b"2")
    split(kinesis)
    first = kinesis.get_records(ShardIterator=iterator(kinesis), Limit=1)
    last = kinesis.get_records(ShardIterator=first["NextShardIterator"])
    assert "ChildShards" not in first
    assert [record["Data"] for record in last["Records"]] == [b"2"]
    assert "NextShardIterator" not in last
    assert last["ChildShards"] == [
        {"ShardId": name(index), "ParentShards": [FIRST], "HashKeyRange": described(kinesis, index)["HashKeyRange"]}
        for index in (1, 2)
    ]


def test_an_iterator_from_before_the_split_reads_on_to_the_end_of_its_shard(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"1")
    start = kinesis.get_records(ShardIterator=iterator(kinesis))["NextShardIterator"]
    put(kinesis, b"2")
    split(kinesis)
    last = kinesis.get_records(ShardIterator=start)
    assert [record["Data"] for record in last["Records"]] == [b"2"]
    assert "NextShardIterator" not in last


@pytest.mark.parametrize("kind", ["TRIM_HORIZON", "LATEST"])
def test_an_empty_shard_that_closed_ends_on_its_first_page(kinesis: Any, kind: str) -> None:
    create(kinesis)
    split(kinesis)
    page = kinesis.get_records(ShardIterator=iterator(kinesis, kind))
    assert page["Records"] == []
    assert "NextShardIterator" not in page
    assert [child["ShardId"] for child in page["ChildShards"]] == [name(1), name(2)]


def test_an_open_shard_names_no_children(kinesis: Any) -> None:
    create(kinesis)
    assert "ChildShards" not in kinesis.get_records(ShardIterator=iterator(kinesis))


@pytest.mark.parametrize("key", [0, 1, LAST_HASH_KEY])
def test_a_split_needs_a_key_well_inside_of_the_shard(kinesis: Any, key: int) -> None:
    create(kinesis)
    with refused("InvalidArgumentException"):
        split(kinesis, at=key)


@pytest.mark.parametrize("key", ["", "01", "-1", "x", "1" * 40])
def test_a_split_key_that_is_no_number_breaks_the_model(kinesis: Any, key: str) -> None:
    create(kinesis)
    with refused("ValidationException"):
        kinesis.split_shard(StreamName=STREAM, ShardToSplit=FIRST, NewStartingHashKey=key)


def test_a_shard_is_split_once(kinesis: Any) -> None:
    create(kinesis)
    split(kinesis)
    with refused("InvalidArgumentException"):
        split(kinesis)


def test_a_shard_that_is_not_there_cannot_be_split(kinesis: Any) -> None:
    create(kinesis)
    with refused("ResourceNotFoundException"):
        split(kinesis, shard=name(7))


def test_grandchildren_know_their_parents_and_everything_is_read_through_the_lineage(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"1", ExplicitHashKey="5")
    split(kinesis)
    put(kinesis, b"2", ExplicitHashKey="5")
    split(kinesis, shard=name(1), at=1000)
    put(kinesis, b"3", ExplicitHashKey="5")
    merge(kinesis, name(3), name(4))
    put(kinesis, b"4", ExplicitHashKey="5")
    assert parents(kinesis) == {0: [], 1: [0], 2: [0], 3: [1], 4: [1], 5: [3, 4]}
    assert read_lineage(kinesis) == [b"1", b"2", b"3", b"4"]


def test_open_shards_are_listed_by_their_ids_page_by_page_however_their_keys_lie(kinesis: Any) -> None:
    create(kinesis, 2)
    split(kinesis, at=1000)
    wanted = {"StreamName": STREAM, "ShardFilter": {"Type": "AT_LATEST"}}
    found = []
    while True:
        page = kinesis.list_shards(**wanted, MaxResults=1)
        found += shard_names(page)
        if "NextToken" not in page:
            break
        wanted = {"NextToken": page["NextToken"]}
    assert found == [1, 2, 3]


# Merges


def test_a_merge_closes_two_neighbours_and_opens_one_with_two_parents(kinesis: Any) -> None:
    create(kinesis, 2)
    merge(kinesis, name(0), name(1))
    assert open_ranges(kinesis) == [(0, LAST_HASH_KEY)]
    assert described(kinesis, 2)["ParentShardId"] == name(0)
    assert described(kinesis, 2)["AdjacentParentShardId"] == name(1)


def test_both_parents_name_the_child_of_a_merge_with_both_parents(kinesis: Any) -> None:
    create(kinesis, 2)
    put(kinesis, ExplicitHashKey="0")
    merge(kinesis, name(0), name(1))
    for index in (0, 1):
        [child] = last_page(kinesis, iterator(kinesis, shard=name(index)))["ChildShards"]
        assert (child["ShardId"], child["ParentShards"]) == (name(2), [name(0), name(1)])


@pytest.mark.parametrize(("shard", "adjacent"), [(0, 2), (1, 0), (1, 1)])
def test_only_a_shard_and_the_one_that_follows_it_are_merged(kinesis: Any, shard: int, adjacent: int) -> None:
    create(kinesis, 3)
    with refused("InvalidArgumentException"):
        merge(kinesis, name(shard), name(adjacent))


def test_a_closed_shard_is_not_merged(kinesis: Any) -> None:
    create(kinesis, 2)
    split(kinesis, at=1000)
    with refused("InvalidArgumentException"):
        merge(kinesis, name(0), name(1))


# Scaling


@pytest.mark.parametrize(
    ("before", "after"), [(1, 2), (2, 4), (3, 6), (4, 2), (6, 3), (2, 3), (3, 2), (4, 5), (5, 3), (7, 11), (3, 3)]
)
def test_scaling_leaves_as_many_equal_shards_as_were_asked_for(kinesis: Any, before: int, after: int) -> None:
    create(kinesis, before)
    answer = rescale(kinesis, after)
    assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (before, after)
    ranges = open_ranges(kinesis)
    assert len(ranges) == after
    assert (ranges[0][0], ranges[-1][1]) == (0, LAST_HASH_KEY)
    assert all(one[1] + 1 == following[0] for one, following in pairwise(ranges))
    widths = [last - first + 1 for first, last in ranges]
    assert max(widths) - min(widths) < 2**64


def test_doubling_splits_each_shard_and_halving_merges_each_pair(kinesis: Any) -> None:
    create(kinesis, 2)
    rescale(kinesis, 4)
    rescale(kinesis, 2)
    assert parents(kinesis) == {0: [], 1: [], 2: [0], 3: [0], 4: [1], 5: [1], 6: [2, 3], 7: [4, 5]}


def test_scaling_by_halves_goes_through_short_lived_shards_that_stay_in_the_lineage(kinesis: Any) -> None:
    create(kinesis, 2)
    rescale(kinesis, 3)
    # 0 is cut at a third; what is left of it is merged with 1, and that is cut in two.
    assert parents(kinesis) == {0: [], 1: [], 2: [0], 3: [0], 4: [3, 1], 5: [4], 6: [4]}


@pytest.mark.parametrize(("before", "after"), [(1, 3), (2, 5), (5, 2), (4, 1)])
def test_scaling_goes_no_further_than_to_double_or_half(kinesis: Any, before: int, after: int) -> None:
    create(kinesis, before)
    with refused("InvalidArgumentException"):
        rescale(kinesis, after)
    assert summary(kinesis)["OpenShardCount"] == before


def test_no_record_is_lost_by_scaling_up_and_down_under_writes(kinesis: Any) -> None:
    create(kinesis, 2)
    written = []
    for count in (4, 5, 3, 6, 3, 2):
        for number in range(10):
            written.append(b"%d:%d" % (count, number))
            put(kinesis, written[-1], key=str(number))
        rescale(kinesis, count)
    found = read_lineage(kinesis)
    assert sorted(found) == sorted(written)
    for number in range(10):
        of_key = [data for data in found if data.endswith(b":%d" % number)]
        assert of_key == [data for data in written if data.endswith(b":%d" % number)]


def test_the_open_shards_are_counted_after_every_change(kinesis: Any) -> None:
    create(kinesis, 2)
    counts = [summary(kinesis)["OpenShardCount"]]
    split(kinesis, at=1000)
    counts.append(summary(kinesis)["OpenShardCount"])
    merge(kinesis, name(2), name(3))
    counts.append(summary(kinesis)["OpenShardCount"])
    rescale(kinesis, 4)
    counts.append(summary(kinesis)["OpenShardCount"])
    assert counts == [2, 3, 2, 4]


def test_only_the_service_scales_an_on_demand_stream(kinesis: Any) -> None:
    kinesis.create_stream(StreamName=STREAM, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    for change in (
        lambda: split(kinesis, at=1000),
        lambda: merge(kinesis, name(0), name(1)),
        lambda: rescale(kinesis, 8),
    ):
        with refused("ValidationException"):
            change()


# While it lasts


@pytest.fixture
def slow(control: StandInControl) -> None:
    """A stand-in whose streams take 30 s to change."""
    control.behave(update_seconds=30)


def test_a_stream_is_updating_until_its_split_is_done(kinesis: Any, slow: None, clock: HandClock) -> None:
    create(kinesis)
    split(kinesis)
    clock.advance(29)
    assert (summary(kinesis)["StreamStatus"], summary(kinesis)["OpenShardCount"]) == ("UPDATING", 1)
    clock.advance(1)
    assert (summary(kinesis)["StreamStatus"], summary(kinesis)["OpenShardCount"]) == ("ACTIVE", 2)


def test_records_put_while_it_is_updating_are_the_parents(kinesis: Any, slow: None, clock: HandClock) -> None:
    create(kinesis)
    split(kinesis)
    clock.advance(29)
    put(kinesis, b"meanwhile")
    clock.advance(1)
    put(kinesis, b"after")
    assert read(kinesis, iterator(kinesis)) == [b"meanwhile"]
    assert read_lineage(kinesis) == [b"meanwhile", b"after"]


def test_a_change_must_wait_for_the_one_before(kinesis: Any, slow: None, clock: HandClock) -> None:
    create(kinesis, 2)
    split(kinesis, at=1000)
    for change in (lambda: split(kinesis, shard=name(1), at=HALF + 1000), lambda: rescale(kinesis, 4)):
        with refused("ResourceInUseException"):
            change()
    clock.advance(30)
    rescale(kinesis, 4)


def test_scaling_happens_step_by_step(kinesis: Any, slow: None, clock: HandClock) -> None:
    create(kinesis, 2)
    rescale(kinesis, 4)
    counts = []
    for _ in range(3):
        counts.append((summary(kinesis)["StreamStatus"], summary(kinesis)["OpenShardCount"]))
        clock.advance(15)
    assert counts == [("UPDATING", 2), ("UPDATING", 3), ("ACTIVE", 4)]


def test_a_shard_is_open_until_the_moment_its_step_was_due(kinesis: Any, slow: None, clock: HandClock) -> None:
    create(kinesis)
    split(kinesis)
    clock.advance(1000)
    start = iterator(kinesis, "AT_TIMESTAMP", shard=name(1), Timestamp=clock.now)
    put(kinesis, b"x", ExplicitHashKey="0")
    assert read(kinesis, start) == [b"x"]
    at_step = {"Type": "AT_TIMESTAMP", "Timestamp": clock.now - 970}
    assert shard_names(kinesis.list_shards(StreamName=STREAM, ShardFilter=at_step)) == [0, 1, 2]


# The last number of a closed shard


@pytest.mark.parametrize("records", [0, 3])
@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"])
def test_a_closed_shard_ends_above_its_records_and_takes_no_iterator_there(
    kinesis: Any, records: int, kind: str
) -> None:
    create(kinesis)
    numbers = [put(kinesis) for _ in range(records)]
    split(kinesis)
    end = ending(kinesis, 0)
    assert all(int(number) < int(end) for number in numbers)
    assert len(end) == 56
    with refused("InvalidArgumentException", text="has reached max possible value for the shard"):
        iterator(kinesis, kind, StartingSequenceNumber=end)


def test_a_reader_may_go_on_after_the_last_record_of_a_closed_shard(kinesis: Any) -> None:
    create(kinesis)
    number = put(kinesis)
    split(kinesis)
    page = kinesis.get_records(ShardIterator=iterator(kinesis, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number))
    assert page["Records"] == []
    assert "NextShardIterator" not in page


def test_the_end_of_a_shard_may_be_told_as_a_sentinel(kinesis: Any, control: StandInControl) -> None:
    control.behave(ending_sequence_numbers="sentinel")
    create(kinesis)
    split(kinesis)
    assert ending(kinesis, 0) == "9223372036854775807"
    [parent, *_] = kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]["Shards"]
    assert parent["SequenceNumberRange"]["EndingSequenceNumber"] == "9223372036854775807"
    with refused("InvalidArgumentException", text="has reached max possible value for the shard"):
        iterator(kinesis, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=ending(kinesis, 0))
