"""What becomes of the records of a shard: KPL aggregates whole, positions that count every user record."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from enrichers.routing import Router
from models.catalogue import Catalogue
from models.checkpoint import Checkpoint, ShardState
from models.position import Position
from models.raw import HEADER_OUT_OF_RANGE, HEADER_SEQUENCE, HEADER_STREAM, HEADER_SUB_SEQUENCE
from models.routing import partition_of
from models.shard import Shard
from sandbox.generator.aggregates import aggregated, sealed
from tests.unit.changes import TELEPHONY, dms
from tests.unit.packed import read_headers
from workers.kafka.topics import RAW_MAX_BYTES
from workers.kinesis.cursor import Part
from workers.kinesis.forwarding import (
    ASIDE_BYTES,
    Destination,
    Loss,
    forward,
    forward_aside,
    forward_plain,
    record_loss,
)
from workers.kinesis.pages import Record

RECORD_BYTES = 10 << 20
"""The largest record of Kinesis, its partition key included."""
ARN = "arn:aws:kinesis:us-east-1:0:stream/s"
SHARD = Shard("shardId-1", 0, 99, ("p",))
TO = Destination("core", "raw", 4, "checkpoints", "dead", Router(Catalogue(())))


@dataclass
class Unit:
    sent: list[tuple[str, Any, Any, dict[str, bytes]]] = field(default_factory=list)
    records: int = 0
    threads: set[int] = field(default_factory=set)
    notes: Counter[tuple[str, str]] = field(default_factory=Counter)

    def send(self, topic: str, key: Any, value: Any, headers: Any, *, partition: int) -> None:
        assert 0 <= partition < TO.partitions
        self.sent.append((topic, key, value, read_headers(headers)))
        self.threads.add(threading.get_ident())

    def send_all(self, topic: str, partition: int, records: Iterable[tuple[bytes, bytes | None, bytes]]) -> None:
        for key, value, headers in records:
            self.send(topic, key, value, headers, partition=partition)

    def took(self, records: int) -> None:
        self.records += records


def forwarded(
    *records: bytes, after: Position | None = None, before: Checkpoint | None = None, key: str = "k"
) -> tuple[Unit, Checkpoint]:
    unit = Unit()
    found = tuple(Record(str(n + 9), data, key, 1_768_473_060.5) for n, data in enumerate(records))
    part = Part(SHARD, found, sum(map(len, records)), after, 77)
    return unit, forward(unit, TO, ARN, part, before)  # type: ignore[arg-type]


USERS = aggregated([("a", b"1", 5), ("b", b"2", 6), ("c", b"3", 500)])


def values(unit: Unit) -> list[bytes]:
    return [value for _, _, value, _ in unit.sent]


def by_partition(unit: Unit) -> dict[int, list[Any]]:
    """What was sent; between two partitions there is no order."""
    found: dict[int, list[Any]] = {}
    for sent in unit.sent:
        found.setdefault(partition_of(sent[1], TO.partitions), []).append(sent)
    return found


def test_an_aggregate_is_forwarded_whole_each_user_record_with_its_sub_sequence() -> None:
    unit, checkpoint = forwarded(b"plain", USERS)
    assert values(unit) == [b"plain", b"1", b"2", b"3"]
    places = [(headers[HEADER_SEQUENCE], headers[HEADER_SUB_SEQUENCE]) for *_, headers in unit.sent]
    assert places == [(b"9", b"0"), (b"10", b"0"), (b"10", b"1"), (b"10", b"2")]
    assert checkpoint.position == Position(10, 2)
    assert (checkpoint.records, unit.records) == (4, 4)
    assert [key for _, key, _, _ in unit.sent] == [b"k", b"a", b"b", b"c"]


def test_half_an_aggregate_goes_on_behind_the_user_record_that_was_committed_last() -> None:
    before = Checkpoint(ARN, SHARD.id, ShardState.ACTIVE, "9", 0, 0, 5, ("p",))
    unit, checkpoint = forwarded(USERS, after=Position(9, 0), before=before)
    assert values(unit) == [b"2", b"3"]
    assert (checkpoint.position, checkpoint.records) == (Position(9, 2), 7)


def test_what_was_committed_is_not_forwarded_again_and_moves_nothing() -> None:
    before = Checkpoint(ARN, SHARD.id, ShardState.ACTIVE, "9", 0, 5, 5, ("p",))
    unit, checkpoint = forwarded(b"plain", after=Position(9), before=before)
    assert unit.sent == []
    assert (checkpoint.position, checkpoint.records) == (Position(9), 5)


def test_a_user_record_of_another_hash_range_is_kept_and_marked() -> None:
    unit, _ = forwarded(USERS)
    assert [headers.get(HEADER_OUT_OF_RANGE) for *_, headers in unit.sent] == [None, None, b"1"]


def test_a_corrupt_aggregate_is_one_raw_record() -> None:
    corrupt = sealed(b"\x1a\xff")
    unit, checkpoint = forwarded(corrupt)
    assert values(unit) == [corrupt]
    assert checkpoint.position == Position(9)


def test_records_without_a_partition_key_do_not_all_go_to_one_partition() -> None:
    unit, _ = forwarded(*(b"payload %d" % n for n in range(20)), key="")
    assert len({key for _, key, _, _ in unit.sent}) == 20


def test_records_name_their_stream_and_checkpoints_its_arn() -> None:
    unit, checkpoint = forwarded(b"plain")
    assert unit.sent[0][3][HEADER_STREAM] == b"s"
    assert checkpoint.stream == ARN


def test_a_loss_is_told_without_key_and_value_and_counted_in_the_checkpoint() -> None:
    unit = Unit()
    loss = Loss(SHARD, 1_500, "it is gone", ended=True)
    checkpoint = record_loss(unit, TO, ARN, loss, None, 2_500)  # type: ignore[arg-type]
    ((topic, key, value, headers),) = unit.sent
    assert (topic, key, value) == ("dead", None, None)
    assert headers["cdc-gap-since"] == b"1500"
    assert (checkpoint.gaps, checkpoint.gap_ms, checkpoint.ended, checkpoint.covered_ms) == (1, 2_500, True, 1_500)


def test_records_without_aggregates_take_the_short_way_with_the_same_result() -> None:
    to = replace(TO, router=Router(TELEPHONY))
    row, renamed = dms("update", {"ID": 7}), dms("update", {"ID": 7}, before={"ID": 8})
    datas = (b"plain", row, renamed, b"", dms("insert", {"ID": 9}, table="nobody_knows"), row, b"\xf3\x89\x9a")
    found = tuple(Record(str(n + 9), data, f"k{n % 2}", 1_768_473_060.5 + n // 2) for n, data in enumerate(datas))
    part = Part(SHARD, found, sum(map(len, datas)), None, 77)
    before = Checkpoint(ARN, SHARD.id, ShardState.ACTIVE, "8", 3, 5, 5, ("p",))
    long, short = Unit(), Unit()
    expected = forward(long, to, ARN, part, before)  # type: ignore[arg-type]
    assert forward_plain(short, to, ARN, part, before) == expected  # type: ignore[arg-type]
    assert (by_partition(short), short.records) == (by_partition(long), len(datas))
    assert sum(value is None for value in values(short)) == 1  # the row that the key change retired


def test_an_empty_part_moves_no_position() -> None:
    before = Checkpoint(ARN, SHARD.id, ShardState.ACTIVE, "9", 0, 5, 5, ("p",))
    checkpoint = forward_plain(Unit(), TO, ARN, Part(SHARD, (), 0, None, 77, last=True), before)  # type: ignore[arg-type]
    assert (checkpoint.position, checkpoint.ended) == (Position(9), True)


async def aside(*records: bytes) -> tuple[Unit, Checkpoint, bool]:
    """What is forwarded, and whether the loop's own thread did it."""
    unit = Unit()
    found = tuple(Record(str(n + 9), data, "k", 1_768_473_060.5) for n, data in enumerate(records))
    part = Part(SHARD, found, sum(map(len, records)), None, 77)
    checkpoint = await forward_aside(unit, TO, ARN, part, None)  # type: ignore[arg-type]
    return unit, checkpoint, unit.threads == {threading.get_ident()}


async def test_aggregates_that_may_take_long_are_forwarded_off_the_loop_with_the_same_result() -> None:
    large = aggregated([("a", b"x" * 100, 5)] * (ASIDE_BYTES // 100))
    unit, checkpoint, on_loop = await aside(b"plain", large, USERS)
    assert not on_loop
    assert (unit.sent, checkpoint) == (forwarded(b"plain", large, USERS)[0].sent, forwarded(b"plain", large, USERS)[1])


async def test_a_large_record_without_a_readable_aggregate_is_looked_at_off_the_loop_too() -> None:
    hostile = sealed(b"\x20\x01" * ASIDE_BYTES + b"\x0b")
    unit, _, on_loop = await aside(hostile)
    assert not on_loop
    assert values(unit) == [hostile]


async def test_what_is_small_or_no_aggregate_is_forwarded_at_once() -> None:
    assert (await aside(b"plain" * ASIDE_BYTES))[2]
    assert (await aside(b"plain", USERS))[2]


def test_the_largest_record_fits_into_its_topic_whatever_its_key_is() -> None:
    to = replace(TO, router=Router(TELEPHONY))
    key = "k" * (4 << 20)
    rest = "d" * (RECORD_BYTES - 2 * len(key) - 2_000)
    data = dms("update", {"ID": key, "UserName": rest}, before={"ID": key[:-1] + "o"})
    assert RECORD_BYTES - 2_000 < len(data) <= RECORD_BYTES
    for way in (forward, forward_plain):
        unit = Unit()
        way(unit, to, ARN, Part(SHARD, (Record("9", data, "k", 1_768_473_060.5),), len(data), None, 77), None)  # type: ignore[arg-type]
        assert [topic for topic, *_ in unit.sent] == ["raw", "raw"]  # the row that the key change retired, too
        assert all(len(key) + len(value or b"") < RAW_MAX_BYTES - 1_000 for _, key, value, _ in unit.sent)
