"""Records that are packed here are those that aiokafka reads, and requests are those that it would send."""

import struct
from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest, ProduceRequest_v0
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from models.raw import Origin, ShardHeaders, raw_headers
from models.record_format import packed_headers, varint
from workers.engine.packing import BuiltBatch, RecordPacker
from workers.engine.produce_request import FlatProduceRequest

NOW = 1_768_473_060_123
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BYTES = st.one_of(st.none(), st.binary(max_size=20), st.integers(16_300, 16_500).map(bytes))
RECORDS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 2 * NOW)), BYTES, BYTES,
        st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=5)), max_size=3),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def filled(packer: RecordPacker, records: Any, *, packed: bool = False) -> RecordPacker:
    for timestamp, key, value, headers in records:
        given = packed_headers(headers) if packed else headers
        assert packer.append(timestamp=timestamp, key=key, value=value, headers=given) is not None
    return packer


def content(batch: bytes) -> Any:
    found = DefaultRecordBatch(batch)
    assert found.validate_crc()
    about = (found.producer_id, found.producer_epoch, found.base_sequence, found.is_transactional, found.max_timestamp)
    return about, [(one.offset, one.timestamp, one.key, one.value, one.headers) for one in found]


def test_a_batch_is_compressed_as_it_was_asked_for() -> None:
    for codec in CODECS.values():
        packer = filled(RecordPacker(1 << 20, codec, transactional=True), [(None, b"k", b"v" * 100, [])] * 50)
        assert DefaultRecordBatch(bytes(packer._build())).compression_type == codec


@given(RECORDS, st.booleans(), st.sampled_from(sorted(CODECS.values())))
def test_a_packed_batch_is_what_aiokafkas_builder_makes_of_the_same_records(
    records: Any, packed: bool, codec: int
) -> None:
    packer = filled(RecordPacker(1 << 20, codec, transactional=True, now_ms=NOW), records, packed=packed)
    packer._set_producer_state(7, 3, 11)
    theirs = DefaultRecordBatchBuilder(2, codec, 1, 7, 3, 11, 1 << 20)
    for offset, (timestamp, key, value, headers) in enumerate(records):
        stamp = NOW if timestamp is None else timestamp
        theirs.append(offset, stamp, key=key, value=value, headers=headers)
    assert packer.size() == theirs.size()
    ours, expected = bytes(packer._build()), bytes(theirs.build())
    if codec:  # aiokafka compresses also what grows by it
        ours, expected = content(ours), content(expected)
    assert ours == expected
    assert packer.record_count() == len(records)


def test_a_batch_that_is_sent_again_has_the_same_bytes() -> None:
    packer = filled(RecordPacker(1_000, transactional=True, now_ms=NOW), [(None, b"k", b"v", [])])
    once = bytes(packer._build())
    packer._set_producer_state(7, 3, 11)
    assert bytes(packer._build()) == once
    assert packer.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None


def test_more_records_than_lengths_are_remembered_keep_their_offsets() -> None:
    packer = filled(RecordPacker(1 << 20, transactional=True, now_ms=NOW), [(None, b"k", b"v", [])] * 17_000)
    assert [record.offset for record in DefaultRecordBatch(bytes(packer._build()))] == list(range(17_000))


@pytest.mark.parametrize(
    ("number", "wire"),
    [(0, "00"), (-1, "01"), (1, "02"), (63, "7e"), (64, "8001"), (-(1 << 63), "ffffffffffffffffff01")],
)
def test_lengths_are_zigzag_varints(number: int, wire: str) -> None:
    assert varint(number).hex() == wire


@given(st.integers(0, 1 << 200).map(str), st.integers(0, 9), st.integers(0, NOW), st.sampled_from([None, "dms"]))
def test_headers_of_a_shard_are_the_headers_of_its_records_packed(
    sequence: str, sub_sequence: int, arrival_ms: int, adapter: str | None
) -> None:
    headers = ShardHeaders("stream", "shardId-1")
    for number in ("1", sequence):  # what the first one left behind is not in the second
        for table in (None, "users"):
            origin = Origin("stream", "shardId-1", number, sub_sequence, arrival_ms)
            expected = packed_headers(raw_headers(origin, adapter=adapter, table=table))
            assert headers.of(number, sub_sequence, arrival_ms, adapter, table) == expected
        assert headers.of("1", 0, 1, None, None) == packed_headers(
            raw_headers(Origin("stream", "shardId-1", "1", 0, 1))
        )


@pytest.mark.parametrize("newest", [3, 7, 8])
def test_a_request_has_the_bytes_that_aiokafka_would_give_it(newest: int) -> None:
    topics = [("raw", [(0, b"batch"), (3, b"")]), ("pöints", [(1, b"x" * 70_000)])]
    built = [("raw", [(0, BuiltBatch(b"bat", b"ch")), (3, BuiltBatch(b"", b""))]), topics[1]]
    theirs, given = (ProduceRequest("cdc-bridge-7", -1, 20_000, found) for found in (topics, built))
    versions = {ProduceRequest.API_KEY: (3, newest)}
    request, expected = FlatProduceRequest.of(given).prepare(versions), theirs.prepare(versions)
    wire = [written(one) for one in (request, expected)]
    assert wire[0] == wire[1]
    assert (request.RESPONSE_TYPE, request.API_VERSION) == (expected.RESPONSE_TYPE, expected.API_VERSION)


def test_a_request_of_another_layout_is_left_to_aiokafka() -> None:
    topics, built = [("raw", [(0, b"batch")])], [("raw", [(0, BuiltBatch(b"ba", b"tch"))])]
    theirs, given = (ProduceRequest(None, -1, 20_000, found) for found in (topics, built))
    request = FlatProduceRequest.of(given).build(ProduceRequest_v0)
    assert written(request) == written(theirs.build(ProduceRequest_v0))


def written(request: Any) -> bytes:
    """As a connection of aiokafka puts it together."""
    message = request.build_request_header(9, "me").encode() + request.encode()
    return bytes(struct.pack(">i", len(message)) + message)
