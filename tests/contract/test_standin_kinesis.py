"""Kinesis of the stand-in, through unmodified boto3."""

import hashlib
from itertools import pairwise
from typing import Any

import pytest

from sandbox.aws.sequence import unpack
from tests.contract.kinesis_calls import (
    FIRST,
    LAST_HASH_KEY,
    MIB,
    STREAM,
    create,
    iterator,
    moment,
    put,
    read,
    shard_names,
)
from tests.contract.standin import START, HandClock, clock, kinesis, refused, stand_in

__all__ = ["clock", "kinesis", "stand_in"]  # fixtures


def test_a_new_stream_is_active_at_once(kinesis: Any) -> None:
    create(kinesis, 2)
    described = kinesis.describe_stream(StreamName=STREAM)["StreamDescription"]
    assert described["StreamStatus"] == "ACTIVE"
    assert described["StreamARN"] == "arn:aws:kinesis:us-east-1:000000000000:stream/coredb"
    assert len(described["Shards"]) == 2
    assert not described["HasMoreShards"]


def test_a_stream_knows_when_it_was_made(kinesis: Any, clock: HandClock) -> None:
    clock.advance(0.5)
    create(kinesis)
    assert kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"][
        "StreamCreationTimestamp"
    ] == moment(START + 0.5)


def test_a_summary_counts_the_open_shards(kinesis: Any) -> None:
    create(kinesis, 3)
    summary = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 3
    assert summary["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}


def test_an_on_demand_stream_opens_four_shards(kinesis: Any) -> None:
    kinesis.create_stream(StreamName=STREAM, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert shard_names(kinesis.list_shards(StreamName=STREAM)) == [0, 1, 2, 3]


def test_a_provisioned_stream_needs_a_shard_count(kinesis: Any) -> None:
    with refused("ValidationException"):
        kinesis.create_stream(StreamName=STREAM)


def test_a_stream_name_is_taken_once(kinesis: Any) -> None:
    create(kinesis)
    with refused("ResourceInUseException"):
        create(kinesis)


def test_a_stream_that_was_never_made_is_not_found(kinesis: Any) -> None:
    with refused("ResourceNotFoundException"):
        kinesis.describe_stream_summary(StreamName="other")


def test_a_deleted_stream_is_gone_with_its_iterators(kinesis: Any) -> None:
    create(kinesis)
    start = iterator(kinesis)
    kinesis.delete_stream(StreamName=STREAM)
    with refused("ResourceNotFoundException"):
        read(kinesis, start)


def test_an_iterator_does_not_survive_the_recreation_of_its_stream(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    start = iterator(kinesis)
    kinesis.delete_stream(StreamName=STREAM)
    clock.advance(1)
    create(kinesis)
    with refused("ResourceNotFoundException"):
        read(kinesis, start)


def test_streams_are_listed_page_by_page(kinesis: Any) -> None:
    for name in ("a", "b", "c"):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    first = kinesis.list_streams(Limit=2)
    rest = kinesis.list_streams(NextToken=first["NextToken"])
    assert (first["StreamNames"], first["HasMoreStreams"]) == (["a", "b"], True)
    assert (rest["StreamNames"], rest["HasMoreStreams"]) == (["c"], False)


def test_a_stream_may_be_named_by_its_arn_everywhere(kinesis: Any) -> None:
    create(kinesis)
    arn = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"]
    kinesis.put_record(StreamARN=arn, Data=b"by arn", PartitionKey="k")
    start = kinesis.get_shard_iterator(StreamARN=arn, ShardId=FIRST, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert read(kinesis, start, StreamARN=arn) == [b"by arn"]
    assert shard_names(kinesis.list_shards(StreamARN=arn)) == [0]


def test_a_request_without_a_stream_is_refused(kinesis: Any) -> None:
    with refused("InvalidArgumentException"):
        kinesis.list_shards()


# Writing and routing


def test_a_record_is_read_back_from_the_shard_its_hash_key_names(kinesis: Any) -> None:
    create(kinesis, 4)
    for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
        for end in ("StartingHashKey", "EndingHashKey"):
            key = shard["HashKeyRange"][end]
            assert put(kinesis, key.encode(), ExplicitHashKey=key)
        expected = [shard["HashKeyRange"][end].encode() for end in ("StartingHashKey", "EndingHashKey")]
        assert read(kinesis, iterator(kinesis, shard=shard["ShardId"])) == expected


@pytest.mark.parametrize("key", ["42", "users.7", "ключ", "🔑", "x" * 256])
def test_a_partition_key_goes_to_the_shard_of_its_md5(kinesis: Any, key: str) -> None:
    create(kinesis, 5)
    number = int(hashlib.md5(key.encode()).hexdigest(), 16)
    answer = kinesis.put_record(StreamName=STREAM, Data=b"x", PartitionKey=key)
    [owner] = [
        shard["ShardId"]
        for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]
        if int(shard["HashKeyRange"]["StartingHashKey"]) <= number <= int(shard["HashKeyRange"]["EndingHashKey"])
    ]
    assert answer["ShardId"] == owner


@pytest.mark.parametrize("count", [1, 3, 7, 64])
def test_shards_cover_every_hash_key_once(kinesis: Any, count: int) -> None:
    create(kinesis, count)
    ranges = [shard["HashKeyRange"] for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]]
    assert int(ranges[0]["StartingHashKey"]) == 0
    assert int(ranges[-1]["EndingHashKey"]) == LAST_HASH_KEY
    for one, following in pairwise(ranges):
        assert int(one["EndingHashKey"]) + 1 == int(following["StartingHashKey"])


def test_a_hash_key_of_two_to_the_128_is_refused(kinesis: Any) -> None:
    create(kinesis)
    with refused("InvalidArgumentException"):
        put(kinesis, ExplicitHashKey=str(LAST_HASH_KEY + 1))


@pytest.mark.parametrize("data", [b"", b"\x00\xff", "zażółć".encode(), bytes(range(256)), b'{"quoted":"\\"}'])
def test_data_comes_back_byte_for_byte(kinesis: Any, data: bytes) -> None:
    create(kinesis)
    put(kinesis, data)
    assert read(kinesis, iterator(kinesis)) == [data]


def test_a_partition_key_with_quotes_comes_back_unchanged(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, key='a"b\\c\n')
    [record] = kinesis.get_records(ShardIterator=iterator(kinesis))["Records"]
    assert record["PartitionKey"] == 'a"b\\c\n'


def test_a_batch_is_answered_record_by_record_in_its_order(kinesis: Any) -> None:
    create(kinesis, 2)
    keys = [str(2**127), "0", str(2**127 + 1)]
    records = [{"Data": key.encode(), "PartitionKey": "k", "ExplicitHashKey": key} for key in keys]
    answer = kinesis.put_records(StreamName=STREAM, Records=records)
    assert answer["FailedRecordCount"] == 0
    assert [result["ShardId"][-1] for result in answer["Records"]] == ["1", "0", "1"]
    assert read(kinesis, iterator(kinesis, shard="shardId-000000000001")) == [keys[0].encode(), keys[2].encode()]


def test_a_batch_holds_500_records(kinesis: Any) -> None:
    create(kinesis)
    records = [{"Data": b"%d" % number, "PartitionKey": "k"} for number in range(501)]
    assert len(kinesis.put_records(StreamName=STREAM, Records=records[:500])["Records"]) == 500
    with refused("ValidationException"):
        kinesis.put_records(StreamName=STREAM, Records=records)


def test_a_batch_holds_ten_mebibytes_of_data_and_keys(kinesis: Any) -> None:
    create(kinesis)
    full = [{"Data": b"x" * (MIB - 1), "PartitionKey": "k"}] * 10
    assert kinesis.put_records(StreamName=STREAM, Records=full)["FailedRecordCount"] == 0
    with refused("InvalidArgumentException"):
        kinesis.put_records(StreamName=STREAM, Records=[*full, {"Data": b"", "PartitionKey": "k"}])


def test_a_record_holds_one_mebibyte_of_data_and_key(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"x" * (MIB - 1), "k")
    with refused("InvalidArgumentException"):
        put(kinesis, b"x" * MIB, "k")


def test_a_stream_for_large_records_takes_them(kinesis: Any) -> None:
    create(kinesis, MaxRecordSizeInKiB=2048)
    put(kinesis, b"x" * (2 * MIB - 1), "k")
    assert [len(data) for data in read(kinesis, iterator(kinesis))] == [2 * MIB - 1]
    with refused("InvalidArgumentException"):
        put(kinesis, b"x" * (2 * MIB), "k")


def test_a_dry_run_writes_nothing(kinesis: Any) -> None:
    create(kinesis)
    with refused("DryRunOperationException"):
        put(kinesis, DryRun=True)
    with refused("DryRunOperationException"):
        kinesis.put_records(StreamName=STREAM, Records=[{"Data": b"x", "PartitionKey": "k"}], DryRun=True)
    assert read(kinesis, iterator(kinesis)) == []


# Sequence numbers


def test_sequence_numbers_of_a_shard_grow_strictly_and_have_56_digits(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    numbers = []
    for step in (0, 0, 3600, -7200, 86_400):
        clock.advance(step)
        numbers.append(put(kinesis))
    assert all(int(one) < int(following) for one, following in pairwise(numbers))
    assert {len(number) for number in numbers} == {56}


def test_a_sequence_number_tells_its_shard_and_its_second(kinesis: Any, clock: HandClock) -> None:
    create(kinesis, 3)
    clock.advance(90.5)
    parts = unpack(int(put(kinesis, ExplicitHashKey=str(LAST_HASH_KEY))))
    assert (parts.created, parts.seconds, parts.shard) == (int(START), int(START) + 90, 2)


def test_a_shard_starts_below_its_first_record(kinesis: Any) -> None:
    create(kinesis)
    number = put(kinesis)
    [shard] = kinesis.list_shards(StreamName=STREAM)["Shards"]
    assert int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) < int(number)
    assert "EndingSequenceNumber" not in shard["SequenceNumberRange"]


# Iterators


def test_trim_horizon_reads_everything(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"1")
    put(kinesis, b"2")
    assert read(kinesis, iterator(kinesis)) == [b"1", b"2"]


def test_latest_reads_only_what_comes_after_it(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"old")
    start = iterator(kinesis, "LATEST")
    put(kinesis, b"new")
    assert read(kinesis, start) == [b"new"]


def test_at_and_after_a_sequence_number_differ_by_its_record(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"1")
    number = put(kinesis, b"2")
    put(kinesis, b"3")
    assert read(kinesis, iterator(kinesis, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number)) == [b"2", b"3"]
    assert read(kinesis, iterator(kinesis, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)) == [b"3"]


def test_a_shard_can_be_read_from_its_starting_number(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"1")
    [shard] = kinesis.list_shards(StreamName=STREAM)["Shards"]
    number = shard["SequenceNumberRange"]["StartingSequenceNumber"]
    assert read(kinesis, iterator(kinesis, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=number)) == [b"1"]


def test_a_timestamp_reads_from_the_first_record_that_arrived_then_or_later(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    put(kinesis, b"1")
    clock.advance(10)
    put(kinesis, b"2")
    clock.advance(10)
    for seconds, expected in ((-60, [b"1", b"2"]), (0, [b"1", b"2"]), (0.5, [b"2"]), (10, [b"2"]), (10.5, [])):
        assert read(kinesis, iterator(kinesis, "AT_TIMESTAMP", Timestamp=moment(START + seconds))) == expected


def test_a_clock_that_steps_back_does_not_take_arrivals_back(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    put(kinesis, b"1")
    clock.advance(-60)
    put(kinesis, b"2")
    clock.advance(60)
    assert read(kinesis, iterator(kinesis, "AT_TIMESTAMP", Timestamp=moment(START))) == [b"1", b"2"]


def test_a_timestamp_in_the_future_is_refused(kinesis: Any) -> None:
    create(kinesis)
    with refused("InvalidArgumentException"):
        iterator(kinesis, "AT_TIMESTAMP", Timestamp=moment(START + 10 * 365 * 86_400))


@pytest.mark.parametrize("kind", ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"])
def test_an_iterator_by_position_needs_the_position(kinesis: Any, kind: str) -> None:
    create(kinesis)
    with refused("InvalidArgumentException"):
        iterator(kinesis, kind)


@pytest.mark.parametrize("kind", ["TRIM_HORIZON", "LATEST"])
def test_an_iterator_without_position_takes_no_sequence_number(kinesis: Any, kind: str) -> None:
    create(kinesis)
    number = put(kinesis)
    with refused("InvalidArgumentException"):
        iterator(kinesis, kind, StartingSequenceNumber=number)


@pytest.mark.parametrize("number", ["1", "9223372036854775807", "9" * 56])
def test_a_number_that_no_shard_gives_is_refused(kinesis: Any, number: str) -> None:
    create(kinesis)
    with refused("InvalidArgumentException"):
        iterator(kinesis, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)


@pytest.mark.parametrize("number", ["", "007", "-1", "abc"])
def test_a_text_that_is_no_sequence_number_breaks_the_model(kinesis: Any, number: str) -> None:
    create(kinesis)
    with refused("ValidationException"):
        iterator(kinesis, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)


def test_a_number_of_another_shard_is_refused(kinesis: Any) -> None:
    create(kinesis, 2)
    number = put(kinesis, ExplicitHashKey=str(LAST_HASH_KEY))
    with refused("InvalidArgumentException"):
        iterator(kinesis, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)


def test_an_unknown_iterator_type_breaks_the_model(kinesis: Any) -> None:
    create(kinesis)
    with refused("ValidationException"):
        iterator(kinesis, "YESTERDAY")


def test_a_shard_that_does_not_exist_is_not_found(kinesis: Any) -> None:
    create(kinesis)
    with refused("ResourceNotFoundException"):
        iterator(kinesis, shard="shardId-000000000009")


def test_an_iterator_lives_five_minutes(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    start = iterator(kinesis)
    clock.advance(300)
    assert read(kinesis, start) == []
    clock.advance(1)
    with refused("ExpiredIteratorException"):
        read(kinesis, start)


@pytest.mark.parametrize("made_up", ["nonsense", "AAAA", "ы", "A" * 512])
def test_a_made_up_iterator_is_refused(kinesis: Any, made_up: str) -> None:
    with refused("InvalidArgumentException"):
        read(kinesis, made_up)


# Reading


def test_reading_goes_on_where_the_last_page_ended(kinesis: Any) -> None:
    create(kinesis)
    for number in range(5):
        put(kinesis, b"%d" % number)
    pages, start = [], iterator(kinesis)
    for _ in range(4):
        answer = kinesis.get_records(ShardIterator=start, Limit=2)
        pages.append([record["Data"] for record in answer["Records"]])
        start = answer["NextShardIterator"]
    assert pages == [[b"0", b"1"], [b"2", b"3"], [b"4"], []]


def test_an_iterator_can_be_read_twice(kinesis: Any) -> None:
    create(kinesis)
    put(kinesis, b"1")
    start = iterator(kinesis)
    assert read(kinesis, start) == read(kinesis, start) == [b"1"]


def test_a_page_has_up_to_10000_records(kinesis: Any) -> None:
    create(kinesis)
    for _ in range(21):
        kinesis.put_records(StreamName=STREAM, Records=[{"Data": b"x", "PartitionKey": "k"}] * 500)
    start = iterator(kinesis)
    assert len(read(kinesis, start)) == 10_000
    with refused("ValidationException"):
        read(kinesis, start, Limit=10_001)


def test_a_page_has_up_to_ten_mebibytes(kinesis: Any) -> None:
    create(kinesis)
    for _ in range(12):
        put(kinesis, b"x" * (MIB - 1), "k")
    answer = kinesis.get_records(ShardIterator=iterator(kinesis))
    assert len(answer["Records"]) == 10
    assert len(read(kinesis, answer["NextShardIterator"])) == 2


def test_a_reader_learns_how_far_it_is_behind(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    for _ in range(3):
        put(kinesis)
        clock.advance(10)
    answer = kinesis.get_records(ShardIterator=iterator(kinesis), Limit=1)
    assert answer["MillisBehindLatest"] == 20_000
    assert kinesis.get_records(ShardIterator=answer["NextShardIterator"])["MillisBehindLatest"] == 0


def test_a_record_carries_its_arrival_to_the_millisecond(kinesis: Any, clock: HandClock) -> None:
    create(kinesis)
    clock.advance(0.125)
    put(kinesis)
    [record] = kinesis.get_records(ShardIterator=iterator(kinesis))["Records"]
    assert record["ApproximateArrivalTimestamp"] == moment(START + 0.125)


# Shard lists


def test_shards_are_listed_page_by_page(kinesis: Any) -> None:
    create(kinesis, 5)
    first = kinesis.list_shards(StreamName=STREAM, MaxResults=2)
    second = kinesis.list_shards(NextToken=first["NextToken"], MaxResults=2)
    third = kinesis.list_shards(NextToken=second["NextToken"])
    assert [shard_names(page) for page in (first, second, third)] == [[0, 1], [2, 3], [4]]
    assert "NextToken" not in third


def test_a_shard_list_starts_after_the_shard_named(kinesis: Any) -> None:
    create(kinesis, 3)
    assert shard_names(kinesis.list_shards(StreamName=STREAM, ExclusiveStartShardId=FIRST)) == [1, 2]


def test_a_page_token_goes_without_the_stream(kinesis: Any) -> None:
    create(kinesis, 2)
    token = kinesis.list_shards(StreamName=STREAM, MaxResults=1)["NextToken"]
    with refused("InvalidArgumentException"):
        kinesis.list_shards(StreamName=STREAM, NextToken=token)


def test_a_page_token_lives_300_seconds(kinesis: Any, clock: HandClock) -> None:
    create(kinesis, 2)
    token = kinesis.list_shards(StreamName=STREAM, MaxResults=1)["NextToken"]
    clock.advance(301)
    with refused("ExpiredNextTokenException"):
        kinesis.list_shards(NextToken=token)


def test_a_made_up_page_token_is_refused(kinesis: Any) -> None:
    with refused("InvalidArgumentException"):
        kinesis.list_shards(NextToken="nonsense")


@pytest.mark.parametrize(
    ("shard_filter", "expected"),
    [
        (None, [0, 1, 2]),
        ({"Type": "FROM_TRIM_HORIZON"}, [0, 1, 2]),
        ({"Type": "AT_TRIM_HORIZON"}, [0]),
        ({"Type": "AT_LATEST"}, [1, 2]),
        ({"Type": "AFTER_SHARD_ID", "ShardId": FIRST}, [1, 2]),
        ({"Type": "AT_TIMESTAMP", "Timestamp": moment(START + 99)}, [0]),
        ({"Type": "AT_TIMESTAMP", "Timestamp": moment(START + 100)}, [0, 1, 2]),
        ({"Type": "AT_TIMESTAMP", "Timestamp": moment(START + 100.5)}, [1, 2]),
        ({"Type": "FROM_TIMESTAMP", "Timestamp": moment(START + 99)}, [0, 1, 2]),
        ({"Type": "FROM_TIMESTAMP", "Timestamp": moment(START + 100)}, [0, 1, 2]),
        ({"Type": "FROM_TIMESTAMP", "Timestamp": moment(START + 100.5)}, [1, 2]),
    ],
)
def test_a_filter_chooses_shards_by_the_time_they_were_open(
    kinesis: Any, clock: HandClock, shard_filter: dict[str, Any] | None, expected: list[int]
) -> None:
    create(kinesis)
    clock.advance(100)
    kinesis.split_shard(StreamName=STREAM, ShardToSplit=FIRST, NewStartingHashKey=str(2**127))
    clock.advance(100)
    wanted = {"ShardFilter": shard_filter} if shard_filter else {}
    assert shard_names(kinesis.list_shards(StreamName=STREAM, **wanted)) == expected


@pytest.mark.parametrize("kind", ["AT_TIMESTAMP", "FROM_TIMESTAMP", "AFTER_SHARD_ID"])
def test_a_filter_needs_what_it_compares_with(kinesis: Any, kind: str) -> None:
    create(kinesis)
    with refused("InvalidArgumentException"):
        kinesis.list_shards(StreamName=STREAM, ShardFilter={"Type": kind})
