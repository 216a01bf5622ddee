"""Which records `cdc tail` shows, and where it begins to read."""

from types import SimpleNamespace
from typing import Any

import pytest

from enrichers.event_names import EventNames
from enrichers.letter_view import LetterView
from enrichers.pipeline import PipelineOptions
from enrichers.written_view import WrittenView
from models.raw import Origin, raw_headers
from models.routing import entity_key, partition_of
from models.written import Writer, Written
from tests.unit.changes import KEY, TELEPHONY, dms
from tests.unit.letters import T0
from workers.filters import Filter
from workers.tail.row_key import RowKey, row_key
from workers.tail.selection import Rate, Sample, Wanted
from workers.tail.start import Mark

LETTERS = LetterView(TELEPHONY)
VIEW = WrittenView(
    LETTERS, EventNames.of(TELEPHONY, PipelineOptions(redaction_key=KEY)), {"cdc.raw.core": "core"}
)  # fmt: skip


def raw(number: int, *, table: str = "users", time_ms: int = T0) -> Any:
    """A record of `cdc.raw.core`, of the row `number`."""
    value = dms("insert", {"ID": number, "HomeOrgID": 3, "UserName": f"u{number}"}, table=table)
    headers = raw_headers(Origin("stream", "shard", "4966"), adapter="dms", table=table)
    return SimpleNamespace(
        topic="cdc.raw.core", partition=0, offset=number, timestamp=time_ms, headers=headers, value=value,
        key=entity_key("core", table, (number,)),
    )  # fmt: skip


def picked(wanted: Wanted, *records: Any) -> list[int]:
    """Offsets of those that are shown."""
    return [record.offset for record in records if wanted.pick(record, Writer.BRIDGE, VIEW) is not None]


def test_a_row_is_found_by_its_name_and_by_its_key_in_kafka() -> None:
    records = [raw(number) for number in range(9)]
    for text in ("users:7", '["core","users",7]', '["core", "users", "7"]'):
        key = row_key(text, TELEPHONY, LETTERS.rows, {"users": "core"})
        assert picked(Wanted(key=key), *records) == [7]
        assert key.partition(12) == partition_of(b'["core","users",7]', 12)


def test_a_row_of_a_table_without_a_known_schema_may_stand_in_any_partition() -> None:
    key = row_key("users:7", TELEPHONY, LETTERS.rows, {})
    assert key.partition(12) is None
    assert picked(Wanted(key=key), raw(6), raw(7)) == [7]


def test_an_event_id_finds_the_raw_record_that_it_was_made_of() -> None:
    written = VIEW.written(raw(7), Writer.BRIDGE)
    assert written.event_id.startswith(f"evt_{T0}_")
    key = row_key(written.event_id, TELEPHONY, LETTERS.rows, {})
    assert picked(Wanted(key=key), raw(6), raw(7)) == [7]


def test_all_conditions_must_hold() -> None:
    records = [raw(1), raw(2, table="orgs"), raw(3, time_ms=T0 + 5_000)]
    assert picked(Wanted(frozenset({"users"})), *records) == [1, 3]
    assert picked(Wanted(frozenset({"users"}), until_ms=T0 + 5_000), *records) == [1]
    assert picked(Wanted(where=Filter("change.content.after.UserName == 'u3'")), *records) == [3]
    assert picked(Wanted(key=RowKey(frozenset({"nobody"}))), *records) == []


def test_members_of_an_event_can_be_asked_for_directly() -> None:
    event = {"orgId": "3", "operation": "UPDATE"}
    written = Written(Writer.ENRICH, VIEW.written(raw(1), Writer.BRIDGE).place, T0, 1, body={"event": event})
    assert Filter("orgId == '3' && event.operation == 'UPDATE' && stage == 'enrich'").matches(written.asked())


def test_a_sample_is_the_same_live_and_later() -> None:
    times = [T0 + 100 * number for number in range(40)]

    def chosen() -> list[int]:
        sample = Sample(Rate.parse("3/s"))
        return [time_ms for time_ms in times if sample.takes(time_ms)]

    assert chosen() == chosen() == [T0 + 1_000 * second + 100 * place for second in range(4) for place in range(3)]


@pytest.mark.parametrize("text", ["0", "0/s", "/s", "5/h", "-1", "many", "1/", "9" * 11])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not like 10/s"):
        Rate.parse(text)


def test_a_begin_is_an_age_a_time_or_an_offset() -> None:
    assert Mark.parse("-15m", T0) == Mark.parse("15m", T0) == Mark(time_ms=T0 - 900_000)
    assert Mark.parse("2026-01-15T10:31:00Z", 0) == Mark(time_ms=T0)
    assert Mark.parse("1841", T0) == Mark(offset=1841)
    with pytest.raises(ValueError, match="neither a time"):
        Mark.parse("yesterday", T0)
