"""The short way into a unit leaves the same records as `send`, in the same order, whatever else is sent beside it."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from models.record_format import packed_headers
from workers.engine.errors import DataError
from workers.engine.packing import RecordPacker
from workers.engine.unit import UnitOfWork

LARGEST = 400
RECORDS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 2), st.binary(max_size=9), st.integers(0, 60)), max_size=60
)  # fmt: skip


def unit_of_work() -> UnitOfWork:
    """In batches of a few records."""
    options = SimpleNamespace(max_record_bytes=LARGEST)
    slot: Any = SimpleNamespace(
        index=0, app=SimpleNamespace(options=options), new_batch=lambda: RecordPacker(300, transactional=True, now_ms=1)
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
    send = mixed.sender("out")
    for short, partition, key, size in records:
        value, headers = b"v" * size, packed_headers([("n", key)])
        plain.send("out", key, value, headers, partition=partition)
        if short:
            send(key, value, headers, partition)
        else:
            mixed.send("out", key, value, headers, partition=partition)
    assert written(mixed) == written(plain)
    assert mixed.output_bytes == plain.output_bytes


def test_a_record_that_no_broker_takes_is_refused_and_its_neighbours_stay() -> None:
    unit = unit_of_work()
    send = unit.sender("out")
    none = packed_headers([])
    send(b"k", b"1", none, 0)
    with pytest.raises(DataError, match="for out, at most 400 fit"):
        send(b"k", b"v" * LARGEST, none, 0)
    send(b"k", b"2", none, 0)
    assert [value for _, value, _ in written(unit)["out", 0]] == [b"1", b"2"]
