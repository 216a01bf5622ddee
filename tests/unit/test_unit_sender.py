"""The short way into a unit leaves the same records as `send`, in the same order, whatever else is sent beside it."""

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from models.record_format import packed_headers
from workers.engine.errors import DataError
from workers.engine.packing import RecordPacker
from workers.engine.unit import RECORD_OVERHEAD, UnitOfWork

LARGEST = 400
RECORDS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2), st.binary(max_size=9), st.integers(0, 60)), max_size=60
)  # fmt: skip


def unit_of_work(batch: int = 300, most: int = 1 << 20) -> UnitOfWork:
    """In batches of a few records."""
    slot: Any = SimpleNamespace(
        index=0,
        app=SimpleNamespace(options=SimpleNamespace(max_record_bytes=most)),
        new_batch=lambda: RecordPacker(batch, transactional=True, now_ms=1),
    )
    return UnitOfWork(slot)


def written(unit: UnitOfWork) -> dict[tuple[str, int], list[Any]]:
    return {
        where: [
            (record.key, record.value, record.headers)
            for batch in batches for record in DefaultRecordBatch(bytes(batch._build()))
        ]
        for where, batches in unit.outputs.items()
    }  # fmt: skip


@given(RECORDS)
def test_records_sent_in_both_ways_stand_where_and_in_the_order_they_were_sent(records: Any) -> None:
    mixed, plain = unit_of_work(), unit_of_work()
    for (many, partition), group in itertools.groupby(records, key=lambda record: record[:2]):
        packed = [(key, b"v" * size if size else None, packed_headers([("n", key)])) for *_, key, size in group]
        for key, value, headers in packed:
            plain.send("out", key, value, headers, partition=partition)
            if not many:
                mixed.send("out", key, value, headers, partition=partition)
        if many:
            mixed.send_all("out", partition, packed)
    assert written(mixed) == written(plain)


def test_more_records_than_lengths_are_remembered_are_sent_together() -> None:
    unit = unit_of_work(1 << 20)
    unit.send_all("out", 0, [(b"k", b"v", packed_headers([]))] * 17_000)
    assert [len(batch) for batch in written(unit).values()] == [17_000]


def test_long_records_are_sent_among_short_ones() -> None:
    unit = unit_of_work(1 << 20)
    sizes = [1, 16_383, 16_384, 70_000, 1]
    unit.send_all("out", 0, [(b"k" * size, b"v" * size, packed_headers([])) for size in sizes])
    assert [(len(key), len(value)) for key, value, _ in written(unit)["out", 0]] == [(size, size) for size in sizes]


def test_a_record_that_no_broker_takes_is_refused_and_its_neighbours_stay() -> None:
    unit = unit_of_work(most=LARGEST)
    none = packed_headers([])
    with pytest.raises(DataError, match="for out, at most 400 fit"):
        unit.send_all("out", 0, [(b"k", b"1", none), (b"k", b"v" * LARGEST, none), (b"k", b"never", none)])
    unit.send_all("out", 0, [(b"k", b"2", none)])
    assert [value for _, value, _ in written(unit)["out", 0]] == [b"1", b"2"]


@pytest.mark.parametrize("value", range(LARGEST - RECORD_OVERHEAD - 12, LARGEST - RECORD_OVERHEAD))
def test_the_largest_record_is_the_same_in_both_ways(value: int) -> None:
    key, headers = b"k" * 3, packed_headers([])
    expected = len(key) + value + len(headers) + RECORD_OVERHEAD > LARGEST
    assert refused(lambda unit: unit.send("out", key, b"v" * value, headers)) == expected
    assert refused(lambda unit: unit.send_all("out", 0, [(key, b"v" * value, headers)])) == expected


def refused(send: Callable[[UnitOfWork], None]) -> bool:
    try:
        send(unit_of_work(1 << 20, most=LARGEST))
    except DataError:
        return True
    return False
