"""Throughput limits of the stand-in's shards, and the life of its iterators, by a clock set by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.rates import Limits, Rate
from tests.contract.kinesis_calls import MIB, STREAM, create, iterator, name, put, read, split
from tests.contract.standin import HandClock, clock, control, kinesis, refused, stand_in

__all__ = ["clock", "control", "kinesis", "stand_in"]  # fixtures

THROTTLED = "ProvisionedThroughputExceededException"


def taken(kinesis: Any, call: Callable[[], Any], most: int = 2_000) -> int:
    """How often `call` succeeds before it is throttled."""
    for count in range(most):
        try:
            call()
        except kinesis.exceptions.ProvisionedThroughputExceededException:
            return count
    return most


# Reading


def test_without_limits_nothing_is_throttled(kinesis: Any) -> None:
    create(kinesis)
    start = iterator(kinesis)
    assert taken(kinesis, lambda: read(kinesis, start), most=50) == 50


def test_a_shard_is_read_five_times_a_second(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    start = iterator(kinesis)
    control.limit(STREAM)
    assert taken(kinesis, lambda: read(kinesis, start)) == 5
    clock.advance(0.5)
    assert taken(kinesis, lambda: read(kinesis, start)) == 0
    clock.advance(0.5)
    assert taken(kinesis, lambda: read(kinesis, start)) == 5


def test_readers_of_a_shard_share_its_limit_and_other_shards_have_their_own(
    kinesis: Any, control: StandInControl
) -> None:
    create(kinesis, 2)
    starts = [iterator(kinesis, shard=name(0)), iterator(kinesis, "LATEST"), iterator(kinesis, shard=name(1))]
    control.limit(STREAM)
    assert taken(kinesis, lambda: read(kinesis, starts[0])) == 5
    assert taken(kinesis, lambda: read(kinesis, starts[1])) == 0
    assert taken(kinesis, lambda: read(kinesis, starts[2])) == 5


def test_ten_mebibytes_block_a_shard_for_five_seconds(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    for _ in range(12):
        put(kinesis, b"x" * (MIB - 1))
    control.limit(STREAM)
    answer = kinesis.get_records(ShardIterator=iterator(kinesis))
    assert len(answer["Records"]) == 10
    clock.advance(4.9)
    with refused(THROTTLED):
        read(kinesis, answer["NextShardIterator"])
    clock.advance(0.1)
    assert len(read(kinesis, answer["NextShardIterator"])) == 2


def test_two_mebibytes_within_a_second_are_what_a_shard_gives(
    kinesis: Any, control: StandInControl, clock: HandClock
) -> None:
    create(kinesis)
    for _ in range(4):
        put(kinesis, b"x" * (MIB - 1))
    start = iterator(kinesis)
    control.limit(STREAM)
    assert taken(kinesis, lambda: read(kinesis, start, Limit=1)) == 2
    clock.advance(1)
    assert taken(kinesis, lambda: read(kinesis, start, Limit=1)) == 2


def test_a_throttled_read_keeps_its_iterator(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    put(kinesis, b"1")
    start = iterator(kinesis)
    control.limit(STREAM, Limits(get_records=1))
    assert read(kinesis, start) == [b"1"]
    with refused(THROTTLED, text=f"shard {name(0)} in stream {STREAM}"):
        read(kinesis, start)
    clock.advance(1)
    assert read(kinesis, start) == [b"1"]


def test_iterators_are_given_five_times_a_second(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    control.limit(STREAM)
    assert taken(kinesis, lambda: iterator(kinesis)) == 5
    clock.advance(1)
    assert taken(kinesis, lambda: iterator(kinesis)) == 5


# Writing


def test_a_shard_takes_a_thousand_records_a_second(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    control.limit(STREAM)
    batch = [{"Data": b"x", "PartitionKey": "k"}] * 400
    failed = [kinesis.put_records(StreamName=STREAM, Records=batch)["FailedRecordCount"] for _ in range(3)]
    assert failed == [0, 0, 200]
    with refused(THROTTLED):
        put(kinesis)
    clock.advance(1)
    assert put(kinesis)


def test_a_shard_takes_a_mebibyte_a_second(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    control.limit(STREAM)
    quarter = b"x" * (MIB // 4 - 1)
    assert taken(kinesis, lambda: put(kinesis, quarter)) == 4
    clock.advance(1)
    assert taken(kinesis, lambda: put(kinesis, quarter)) == 4


def test_a_batch_says_of_each_record_whether_it_was_throttled(kinesis: Any, control: StandInControl) -> None:
    create(kinesis, 2)
    control.limit(STREAM, Limits(put_records=1))
    keys = ["0", "0", str(2**127), "0"]
    records = [{"Data": key.encode(), "PartitionKey": "k", "ExplicitHashKey": key} for key in keys]
    answer = kinesis.put_records(StreamName=STREAM, Records=records)
    assert answer["FailedRecordCount"] == 2
    assert [result.get("ErrorCode") for result in answer["Records"]] == [None, THROTTLED, None, THROTTLED]
    assert [("SequenceNumber" in result) for result in answer["Records"]] == [True, False, True, False]
    assert name(0) in answer["Records"][1]["ErrorMessage"]
    assert read(kinesis, iterator(kinesis)) == [b"0"]


def test_a_record_above_the_limit_of_a_second_passes_alone_and_blocks_for_what_it_is_worth(
    kinesis: Any, control: StandInControl, clock: HandClock
) -> None:
    create(kinesis, MaxRecordSizeInKiB=4096)
    control.limit(STREAM)
    put(kinesis, b"x" * (3 * MIB - 1))
    clock.advance(2.9)
    with refused(THROTTLED):
        put(kinesis)
    clock.advance(0.1)
    put(kinesis)


# The switch


def test_limits_belong_to_their_stream_and_can_be_lifted(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    kinesis.create_stream(StreamName="other", ShardCount=1)
    start = iterator(kinesis)
    assert control.limit(STREAM, Limits(get_records=2)) == Limits(get_records=2)
    assert control.limits() == {STREAM: Limits(get_records=2), "other": None}
    assert taken(kinesis, lambda: read(kinesis, start)) == 2
    control.unlimit(STREAM)
    assert taken(kinesis, lambda: read(kinesis, start), most=20) == 20


def test_each_limit_can_be_left_out(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    start = iterator(kinesis)
    control.limit(STREAM, Limits(get_records=None))
    assert taken(kinesis, lambda: read(kinesis, start), most=20) == 20
    assert taken(kinesis, lambda: iterator(kinesis)) == 5


def test_children_of_a_split_have_limits_of_their_own(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    control.limit(STREAM, Limits(put_records=1))
    put(kinesis)
    split(kinesis)
    assert taken(kinesis, lambda: put(kinesis, ExplicitHashKey="0")) == 1


def test_all_limits_are_lifted_at_once(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    control.limit(STREAM)
    control.unlimit()
    assert control.limits() == {STREAM: None}


def test_a_clock_that_steps_back_frees_nothing_early() -> None:
    rate = Rate(1)
    rate.take(1, 100.0)
    assert not rate.free(1, 40.0)
    assert rate.free(1, 101.0)


# Iterators


@pytest.mark.parametrize("seconds", [0.5, 300, 900])
def test_an_iterator_lives_as_long_as_it_was_told(
    kinesis: Any, control: StandInControl, clock: HandClock, seconds: float
) -> None:
    create(kinesis)
    control.behave(iterator_seconds=seconds)
    start = iterator(kinesis)
    clock.advance(seconds)
    following = kinesis.get_records(ShardIterator=start)["NextShardIterator"]
    clock.advance(0.25)
    with refused("ExpiredIteratorException"):
        read(kinesis, start)
    assert read(kinesis, following) == []
