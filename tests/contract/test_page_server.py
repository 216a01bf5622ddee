"""The bench's page server is Kinesis for whoever reads: boto3 takes it for the real one."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bench.bridge_stream import PageServer, Stream, page_server
from bench.pages import DATA_BYTES, PAGE_RECORDS, place_of
from tests.contract.standin import client

STREAM = Stream("small", 3, 50)
LONG = Stream("long", 1, PAGE_RECORDS + 5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageServer]:
    with page_server(tmp_path_factory.mktemp("pages") / "pages.log", STREAM, LONG) as running:
        yield running


@pytest.fixture
def kinesis(server: PageServer) -> Any:
    for stream in (STREAM, LONG):
        server.show(stream, stream.records)
    return client("kinesis", server.url)


def iterator(kinesis: Any, stream: Stream, shard: int = 0, kind: str = "TRIM_HORIZON", **more: Any) -> str:
    name = f"shardId-{shard:012d}"
    answer = kinesis.get_shard_iterator(StreamName=stream.name, ShardId=name, ShardIteratorType=kind, **more)
    return str(answer["ShardIterator"])


def read(kinesis: Any, position: str, limit: int) -> tuple[list[dict[str, Any]], str]:
    page = kinesis.get_records(ShardIterator=position, Limit=limit)
    return page["Records"], page["NextShardIterator"]


def test_every_record_of_every_shard_comes_once_and_in_order(kinesis: Any) -> None:
    for shard in range(STREAM.shards):
        found, position = [], iterator(kinesis, STREAM, shard)
        while True:
            records, position = read(kinesis, position, 20)
            assert len(records) <= 20
            if not records:
                break
            found += records
        assert [place_of(one["Data"]) for one in found] == [(shard, number) for number in range(STREAM.records)]
        numbers = [one["SequenceNumber"] for one in found]
        assert sorted(numbers, key=int) == numbers
        assert {len(number) for number in numbers} == {56}
        assert {len(one["Data"]) for one in found} == {DATA_BYTES}


def test_a_page_holds_what_kinesis_allows(kinesis: Any) -> None:
    position = iterator(kinesis, LONG)
    first = kinesis.get_records(ShardIterator=position)
    second = kinesis.get_records(ShardIterator=first["NextShardIterator"])
    assert (len(first["Records"]), len(second["Records"])) == (PAGE_RECORDS, 5)
    assert first["MillisBehindLatest"] > 0 == second["MillisBehindLatest"]


@pytest.mark.parametrize(("kind", "follows"), [("AFTER_SEQUENCE_NUMBER", 8), ("AT_SEQUENCE_NUMBER", 7)])
def test_a_reader_goes_on_where_it_stopped(kinesis: Any, kind: str, follows: int) -> None:
    records, _ = read(kinesis, iterator(kinesis, STREAM, 1), 8)
    number = records[-1]["SequenceNumber"]
    again, _ = read(kinesis, iterator(kinesis, STREAM, 1, kind, StartingSequenceNumber=number), 8)
    assert place_of(again[0]["Data"]) == (1, follows)


def test_a_sequence_number_of_another_shard_is_refused(kinesis: Any) -> None:
    records, _ = read(kinesis, iterator(kinesis, STREAM, 1), 1)
    number = records[0]["SequenceNumber"]
    with pytest.raises(ClientError, match="InvalidArgumentException"):
        iterator(kinesis, STREAM, 2, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number)


def test_a_stream_that_is_not_there_is_refused(kinesis: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        kinesis.list_shards(StreamName="another")


def test_nobody_sees_a_record_before_it_is_shown(kinesis: Any, server: PageServer) -> None:
    server.show(STREAM, 5)
    records, position = read(kinesis, iterator(kinesis, STREAM), 100)
    assert len(records) == 5
    assert read(kinesis, position, 100)[0] == []
    server.show(STREAM, STREAM.records)
    assert place_of(read(kinesis, position, 100)[0][0]["Data"]) == (0, 5)


def test_a_stream_is_described_in_every_way_a_reader_may_ask(kinesis: Any) -> None:
    listed = kinesis.list_shards(StreamName=STREAM.name)["Shards"]
    described = kinesis.describe_stream(StreamName=STREAM.name)["StreamDescription"]
    summary = kinesis.describe_stream_summary(StreamName=STREAM.name)["StreamDescriptionSummary"]
    assert [shard["ShardId"] for shard in listed] == [f"shardId-{index:012d}" for index in range(STREAM.shards)]
    assert described["Shards"] == listed
    assert summary["OpenShardCount"] == STREAM.shards
    assert described["StreamARN"] == summary["StreamARN"]
