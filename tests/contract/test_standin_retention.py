"""How records of the stand-in end: retention by the clock, and the trim horizon moved by hand."""

from email.utils import parsedate_to_datetime
from typing import Any

from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.kinesis_calls import (
    FIRST,
    STREAM,
    create,
    described,
    ending,
    iterator,
    name,
    put,
    read,
    shard_names,
    split,
    summary,
)
from tests.contract.standin import HandClock, clock, control, kinesis, refused, stand_in

__all__ = ["clock", "control", "kinesis", "stand_in"]  # fixtures

DAY = 24 * 3600


def put_some(kinesis: Any, count: int = 4) -> list[str]:
    return [put(kinesis, b"%d" % number) for number in range(count)]


def listed(kinesis: Any) -> list[int]:
    return shard_names(kinesis.list_shards(StreamName=STREAM))


# By the clock


def test_a_record_past_its_retention_is_no_longer_read(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    put(kinesis, b"old")
    clock.advance(3600)
    put(kinesis, b"younger")
    clock.advance(23 * 3600 + 1)
    assert read(kinesis, iterator(kinesis)) == [b"younger"]


def test_a_position_below_the_horizon_goes_on_at_the_horizon_without_a_word(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    number = put(kinesis, b"old")
    clock.advance(DAY + 1)
    put(kinesis, b"young")
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert read(kinesis, iterator(kinesis, kind, StartingSequenceNumber=number)) == [b"young"]


def test_records_past_their_retention_are_freed(kinesis: Any, control: StandInControl, clock: HandClock) -> None:
    create(kinesis)
    put_some(kinesis)
    clock.advance(DAY + 1)
    put(kinesis, b"young")
    assert control.status().stream(STREAM).shard(FIRST).records == 1


def test_a_shard_goes_with_its_last_record_after_it_was_closed(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    number = put(kinesis)
    clock.advance(10)
    split(kinesis)
    start = iterator(kinesis)
    clock.advance(DAY)
    assert listed(kinesis) == [0, 1, 2]
    clock.advance(1)
    assert listed(kinesis) == [1, 2]
    assert shard_names(kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]) == [1, 2]
    assert described(kinesis, 1)["ParentShardId"] == FIRST
    with refused("ResourceNotFoundException"):
        iterator(kinesis, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)
    with refused("ResourceNotFoundException"):
        read(kinesis, start)


def test_an_open_shard_stays_without_records(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    put(kinesis)
    clock.advance(10 * DAY)
    assert listed(kinesis) == [0]
    assert read(kinesis, iterator(kinesis)) == []


def test_numbers_go_on_growing_after_everything_was_trimmed(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    before = put(kinesis)
    clock.advance(DAY + 1)
    assert read(kinesis, iterator(kinesis)) == []
    assert int(put(kinesis)) > int(before)


# By hand


def test_a_shard_is_trimmed_up_to_a_record_and_with_it(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    numbers = put_some(kinesis)
    assert control.trim(STREAM, FIRST, up_to=numbers[1]) == {FIRST: 2}
    assert read(kinesis, iterator(kinesis)) == [b"2", b"3"]


def test_a_shard_is_trimmed_up_to_now(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    put_some(kinesis)
    assert control.trim(STREAM, FIRST) == {FIRST: 4}
    assert read(kinesis, iterator(kinesis)) == []
    put(kinesis, b"new")
    assert read(kinesis, iterator(kinesis)) == [b"new"]


def test_a_reader_left_behind_goes_on_at_the_horizon(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    numbers = put_some(kinesis)
    start = kinesis.get_records(ShardIterator=iterator(kinesis), Limit=1)["NextShardIterator"]
    control.trim(STREAM, FIRST, up_to=numbers[2])
    assert read(kinesis, start) == [b"3"]
    for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
        assert read(kinesis, iterator(kinesis, kind, StartingSequenceNumber=numbers[0])) == [b"3"]


def test_only_the_shard_named_is_trimmed(kinesis: Any, control: StandInControl) -> None:
    create(kinesis, 2)
    for key in ("0", str(2**127)):
        put(kinesis, b"x", ExplicitHashKey=key)
    assert control.trim(STREAM, name(1)) == {name(1): 1}
    assert [len(read(kinesis, iterator(kinesis, shard=name(index)))) for index in (0, 1)] == [1, 0]


def test_a_whole_stream_is_trimmed_at_once(kinesis: Any, control: StandInControl) -> None:
    create(kinesis, 2)
    for key in ("0", str(2**127)):
        put(kinesis, b"x", ExplicitHashKey=key)
    assert control.trim(STREAM) == {name(0): 1, name(1): 1}


def test_the_horizon_does_not_move_back(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    numbers = put_some(kinesis)
    control.trim(STREAM, FIRST, up_to=numbers[2])
    assert control.trim(STREAM, FIRST, up_to=numbers[0]) == {FIRST: 0}
    assert control.status().stream(STREAM).shard(FIRST).horizon == numbers[2]


def test_a_closed_shard_without_records_is_listed_until_it_is_trimmed_to_its_end(
    kinesis: Any, control: StandInControl
) -> None:
    create(kinesis)
    numbers = put_some(kinesis)
    split(kinesis)
    control.trim(STREAM, FIRST, up_to=numbers[-1])
    page = kinesis.get_records(ShardIterator=iterator(kinesis))
    assert (page["Records"], len(page["ChildShards"])) == ([], 2)
    assert listed(kinesis) == [0, 1, 2]
    control.trim(STREAM, FIRST, up_to=ending(kinesis, 0))
    assert listed(kinesis) == [1, 2]


def test_a_closed_shard_trimmed_up_to_now_is_gone(kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    put_some(kinesis)
    start = iterator(kinesis)
    split(kinesis)
    control.trim(STREAM, FIRST)
    assert listed(kinesis) == [1, 2]
    assert summary(kinesis)["OpenShardCount"] == 2
    with refused("ResourceNotFoundException"):
        read(kinesis, start)


def test_trimmed_records_take_no_memory(stand_in: StandIn, kinesis: Any, control: StandInControl) -> None:
    create(kinesis)
    [shard] = stand_in.kinesis.streams.by_name[STREAM].shards
    for _ in range(3):
        put_some(kinesis, 100)
        control.trim(STREAM)
        assert [len(column) for column in (shard.sequences, shard._entries, shard._sizes, shard._arrivals)] == [0] * 4


def test_answers_tell_the_time_that_arrivals_and_retention_go_by(clock: HandClock, kinesis: Any) -> None:
    create(kinesis)
    clock.advance(30 * 3600)
    answer = kinesis.describe_stream_summary(StreamName=STREAM)
    told = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    assert told.timestamp() == clock.now
