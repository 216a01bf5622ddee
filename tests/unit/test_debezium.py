"""Debezium's envelopes and flat rows, and Aurora DSQL's records, in the shapes their guides show."""

import base64
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.change import Control, Operation, SourceRow
from models.outcome import Dead, Failure
from models.sources import adapters, dsql
from models.sources.binary import tagged
from models.sources.debezium import UNAVAILABLE, decode, decode_flat
from models.strict_json import decode as decode_json

COMMITTED_MS = 1_768_473_060_000
COMMITTED = "2026-01-15T10:31:00.000000+00:00"
SOURCE = {
    "version": "3.0", "connector": "postgresql", "name": "core", "ts_ms": COMMITTED_MS, "ts_us": COMMITTED_MS * 1_000,
    "ts_ns": COMMITTED_MS * 1_000_000 + 999, "snapshot": "false", "db": "core", "schema": "public", "table": "users",
    "txId": 556, "lsn": 46_523_128, "xmin": None,
}  # fmt: skip
MYSQL = {
    "connector": "mysql", "name": "core", "ts_ms": COMMITTED_MS, "db": "core", "table": "users", "file": "bin.000003",
    "pos": 0, "row": 1, "gtid": None, "server_id": 1,
}  # fmt: skip


def envelope(op: str, before: Any = None, after: Any = None, source: dict[str, Any] = SOURCE) -> dict[str, Any]:
    return {"before": before, "after": after, "source": source, "transaction": None, "op": op, "ts_ms": COMMITTED_MS}


def read(document: dict[str, Any]) -> SourceRow:
    found = adapters.decode(document)
    assert isinstance(found, SourceRow), found
    return found


def reason(document: Any, fixed: str | None = None) -> str:
    found = adapters.decode(document, fixed)
    assert isinstance(found, Dead), found
    return found.reason


@pytest.mark.parametrize(
    ("op", "operation", "snapshot"),
    [("c", Operation.CREATE, False), ("r", Operation.CREATE, True), ("u", Operation.UPDATE, False),
     ("d", Operation.DELETE, False), ("x", Operation.UNKNOWN, False)],
)  # fmt: skip
def test_every_operation_is_known_or_unknown(op: str, operation: Operation, snapshot: bool) -> None:
    row = read(envelope(op, {"id": 7}, {"id": 7}))
    assert (row.operation, row.snapshot, row.adapter) == (operation, snapshot, "debezium")


def test_an_envelope_has_its_images_its_names_its_time_and_its_transaction() -> None:
    row = read(envelope("u", {"id": 7, "a": 1}, {"id": 7, "a": 2}))
    assert (row.before, row.row) == ({"id": 7, "a": 1}, {"id": 7, "a": 2})
    assert (row.schema, row.table, row.committed_at, row.transaction_id) == ("public", "users", COMMITTED, "556")


def test_a_delete_is_its_last_image() -> None:
    row = read(envelope("d", {"id": 7, "a": None}))
    assert (row.row, row.before) == ({"id": 7, "a": None}, {"id": 7, "a": None})


def test_mysql_has_its_database_for_a_schema() -> None:
    assert (read(envelope("c", None, {"id": 7}, MYSQL)).schema, read(envelope("c", None, {"id": 7})).schema) == (
        "core", "public",
    )  # fmt: skip


def test_a_change_is_named_by_its_place_in_the_log_and_what_a_snapshot_reads_has_no_name() -> None:
    assert read(envelope("c", None, {"id": 7})).identity == ("postgresql", "core", "46523128")
    assert read(envelope("c", None, {"id": 7}, MYSQL)).identity == ("mysql", "core", "bin.000003", "0", "1")
    assert read(envelope("r", None, {"id": 7})).identity is None
    assert read(envelope("c", None, {"id": 7}, SOURCE | {"lsn": None})).identity is None
    assert read(envelope("c", None, {"id": 7}, SOURCE | {"name": ""})).identity is None


def test_a_truncate_and_a_logical_message_are_records_about_no_row() -> None:
    assert adapters.decode(envelope("t")) == Control("truncate-table", "public", "users")
    message = SOURCE | {"table": None, "schema": None}
    assert adapters.decode(envelope("m", source=message)) == Control("message", "core", "")


def test_with_and_without_schemas_it_is_the_same_change() -> None:
    plain = envelope("u", {"id": 7, "a": 1}, {"id": 7, "a": 2})
    assert read({"schema": {"type": "struct", "fields": []}, "payload": plain}) == read(plain)
    assert read({"schema": None, "payload": plain}) == read(plain)


def column(name: str, kind: str, meaning: str | None = None, **more: Any) -> dict[str, Any]:
    return {"field": name, "type": kind, "optional": True, "name": meaning, **more}


def typed(value: Any, *of: Any, **more: Any) -> Any:
    """The value of a column of that schema, as it is read."""
    fields = [{"field": "after", "type": "struct", "fields": [column("a", *of, **more), column("id", "int32")]}]
    schema = {"type": "struct", "fields": fields}
    row = read({"schema": schema, "payload": envelope("c", None, {"id": 7, "a": value})}).row
    return (row or {})["a"]


def packed(number: int, size: int) -> str:
    return base64.b64encode(number.to_bytes(size, "big", signed=True)).decode()


VARIABLE = "io.debezium.data.VariableScaleDecimal"
DECIMAL = "org.apache.kafka.connect.data.Decimal"


@pytest.mark.parametrize(
    ("value", "meaning", "expected"),
    [
        (20_468, "io.debezium.time.Date", "2026-01-15"),
        (-1, "io.debezium.time.Date", "1969-12-31"),
        (20_468, "org.apache.kafka.connect.data.Date", "2026-01-15"),
        (37_860_123, "io.debezium.time.Time", "10:31:00.123000"),
        (37_860_123_456, "io.debezium.time.MicroTime", "10:31:00.123456"),
        (37_860_123_456_789, "io.debezium.time.NanoTime", "10:31:00.123456"),
        (86_400_000, "io.debezium.time.Time", "24:00:00.000000"),
        (COMMITTED_MS, "io.debezium.time.Timestamp", "2026-01-15T10:31:00.000000"),
        (COMMITTED_MS * 1_000 + 1, "io.debezium.time.MicroTimestamp", "2026-01-15T10:31:00.000001"),
        (COMMITTED_MS * 1_000_000 + 1_999, "io.debezium.time.NanoTimestamp", "2026-01-15T10:31:00.000001"),
        (-1, "io.debezium.time.NanoTimestamp", "1969-12-31T23:59:59.999999"),
        ("2026-01-15T10:31:00+01:00", "io.debezium.time.ZonedTimestamp", "2026-01-15T10:31:00+01:00"),
        (37_860_123, "org.apache.kafka.connect.data.Time", "10:31:00.123000"),
        (COMMITTED_MS, "org.apache.kafka.connect.data.Timestamp", "2026-01-15T10:31:00.000000"),
        ("10:31:00+01:00", "io.debezium.time.ZonedTime", "10:31:00+01:00"),
        ("2026-01-15", "io.debezium.time.IsoDate", "2026-01-15"),
        ("P1Y2M3DT4H5M6S", "io.debezium.time.Interval", "P1Y2M3DT4H5M6S"),
        (2026, "io.debezium.time.Year", 2026),
        (93_784_000_000, "io.debezium.time.MicroDuration", 93_784_000_000),
        (93_784_000_000_000, "io.debezium.time.NanoDuration", 93_784_000_000_000),
        ({"scale": 2, "value": packed(-12_345, 2)}, VARIABLE, Decimal("-123.45")),
        (None, "io.debezium.time.Date", None),
        # What PostgreSQL's calendar has and ours has not, as it writes it.
        (9_223_372_036_825_200_000, "io.debezium.time.MicroTimestamp", "infinity"),
        (-9_223_372_036_832_400_000, "io.debezium.time.MicroTimestamp", "-infinity"),
        (9_223_372_036_825_200_000, "org.apache.kafka.connect.data.Timestamp", "infinity"),
        (9_223_372_036_825_200, "io.debezium.time.Timestamp", "infinity"),
        (-735_160, "io.debezium.time.Date", "0044-03-15 BC"),
        (-719_163, "io.debezium.time.Date", "0001-12-31 BC"),
        (2_932_897, "io.debezium.time.Date", "10000-01-01"),
        (253_402_300_800_000_000, "io.debezium.time.MicroTimestamp", "10000-01-01T00:00:00.000000"),
        (-63_517_823_999_000_000, "io.debezium.time.MicroTimestamp", "0044-03-15T00:00:01.000000 BC"),
        # MySQL's TIME is also a length of time.
        (-3_600_000_000, "io.debezium.time.MicroTime", "-01:00:00.000000"),
        (3_020_399_000_001, "io.debezium.time.MicroTime", "838:59:59.000001"),
    ],
)
def test_values_are_read_by_what_their_schema_says_they_mean(value: Any, meaning: str, expected: Any) -> None:
    found = typed(value, "int64", meaning)
    assert found == expected
    assert type(found) is type(expected)


def test_decimals_and_bytes_are_exact() -> None:
    scale = {"scale": "10"}
    large = 12_345_678_901_234_567_890_123_456_789
    assert typed(packed(large, 16), "bytes", DECIMAL, parameters=scale) == Decimal("1234567890123456789.0123456789")
    assert typed(packed(0, 1), "bytes", DECIMAL, parameters={"scale": "2"}) == 0
    assert typed("aGk=", "bytes") == tagged("aGk=")


def test_values_of_an_array_are_read_like_single_ones() -> None:
    numbers = column("", "bytes", DECIMAL, parameters={"scale": "2"})
    assert typed([packed(-150, 2), None], "array", items=numbers) == [Decimal("-1.50"), None]
    assert typed(
        [[20_468]], "array", items={"type": "array", "items": column("", "int32", "io.debezium.time.Date")}
    ) == [["2026-01-15"]]
    assert typed(["a", None], "array", items=column("", "string")) == ["a", None]
    days = column("a", "array", items=column("", "int32", "io.debezium.time.Date"))
    schema = {"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": [days]}]}
    unchanged = {"schema": schema, "payload": envelope("u", None, {"id": 7, "a": [*UNAVAILABLE.encode()]})}
    assert read(unchanged).row == {"id": 7}


@pytest.mark.parametrize(
    ("value", "of"),
    [
        ("x", ("int32", "io.debezium.time.Date")),
        (10**9, ("int32", "io.debezium.time.Date")),
        (-1, ("int32", "io.debezium.time.Time")),
        (3_020_400_000_000, ("int64", "io.debezium.time.MicroTime")),
        (10**30, ("int64", "io.debezium.time.MicroTimestamp")),
        (True, ("int64", "io.debezium.time.MicroTimestamp")),
        ("!", ("bytes", DECIMAL)),
        (7, ("bytes", DECIMAL)),
        (7, ("bytes", None)),
        ("aGk=", ("struct", VARIABLE)),
        ({"scale": 10**9, "value": "aGk="}, ("struct", VARIABLE)),
        ({"scale": [], "value": "aGk="}, ("struct", VARIABLE)),
    ],
)
def test_a_value_that_is_not_what_its_schema_says_is_dead_by_the_name_of_its_column(value: Any, of: Any) -> None:
    fields = [{"field": "after", "type": "struct", "fields": [column("a", *of)]}]
    document = {"schema": {"type": "struct", "fields": fields}, "payload": envelope("c", None, {"a": value})}
    assert reason(document) == "column a is not what its schema says"


def test_a_large_column_that_did_not_change_is_what_it_was_or_is_left_out() -> None:
    after = {"id": 7, "a": UNAVAILABLE, "b": [UNAVAILABLE], "c": 2}
    assert read(envelope("u", {"id": 7, "a": "long", "c": 1}, after)).row == {"id": 7, "a": "long", "c": 2}
    assert read(envelope("u", None, after)).row == {"id": 7, "c": 2}
    assert read(envelope("d", after)).row == {"id": 7, "c": 2}
    unavailable = base64.b64encode(UNAVAILABLE.encode()).decode()
    assert read(envelope("u", None, {"id": 7, "a": unavailable})).row == {"id": 7}


@pytest.mark.parametrize(
    "value",
    [[*UNAVAILABLE.encode()], {UNAVAILABLE: UNAVAILABLE}, ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"],
     [base64.b64encode(UNAVAILABLE.encode()).decode()]],
    ids=["int[]", "hstore", "uuid[]", "bytea[]"],
)  # fmt: skip
def test_a_large_column_of_any_type_that_did_not_change_is_left_out(value: Any) -> None:
    found = read(envelope("u", None, {"id": 7, "a": value})).row
    assert found == {"id": 7}


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (envelope("c", None, 7), "after is not an object"),
        (envelope("c", [], {"id": 7}), "before is not an object"),
        (envelope("c", None, {"id": 7}, SOURCE | {"table": ""}), "source.table is missing"),
        (
            envelope("c", None, {"id": 7}, SOURCE | {"schema": 5}),
            "source.schema, source.db or source.table is not text",
        ),
        (envelope("c", None, {"id": 7}, SOURCE | {"ts_ns": "now"}), "source.ts_ns is no time since 1970"),
        (envelope("c", None, {"id": 7}, SOURCE | {"ts_ns": -1}), "source.ts_ns is no time since 1970"),
    ],
)
def test_an_envelope_that_makes_no_sense_is_dead_with_a_reason(document: dict[str, Any], why: str) -> None:
    assert reason(document) == why


FLAT = {"id": 7, "home_org_id": 3, "__op": "u", "__table": "users", "__source_ts_ms": COMMITTED_MS}


def test_a_flat_row_is_told_by_its_marks_and_has_none_of_them() -> None:
    row = read(FLAT | {"__lsn": 5, "__source_connector": "postgresql", "__source_name": "core", "__db": "core"})
    assert (row.adapter, row.schema, row.table) == ("debezium-flat", "core", "users")
    assert (row.row, row.before, row.operation) == ({"id": 7, "home_org_id": 3}, None, Operation.UPDATE)
    assert (row.committed_at, row.identity) == (COMMITTED, ("postgresql", "core", "5"))


@pytest.mark.parametrize("later", [{"__ts_ms": COMMITTED_MS + 9}, {"__ts_ns": (COMMITTED_MS + 9) * 1_000_000}])
def test_the_commit_time_of_a_flat_row_is_that_of_the_source_wherever_the_fields_stand(later: dict[str, Any]) -> None:
    assert read(FLAT | later).committed_at == read(later | FLAT).committed_at == COMMITTED


@pytest.mark.parametrize("more", [{"__op": "d"}, {"__deleted": "true"}, {"__deleted": True, "__op": "d"}])
def test_a_flat_delete_is_told_by_either_mark(more: dict[str, Any]) -> None:
    assert read(FLAT | more).operation is Operation.DELETE


def test_a_flat_row_that_is_not_deleted_is_what_its_operation_says() -> None:
    row = read({"schema": {"fields": []}, "payload": FLAT | {"__deleted": "false", "__op": "r", "a": UNAVAILABLE}})
    assert (row.operation, row.snapshot, row.row) == (Operation.CREATE, True, {"id": 7, "home_org_id": 3})


def test_a_flat_row_without_the_fields_that_tell_says_which_to_add() -> None:
    assert reason({"id": 7, "__table": "users"}, "debezium-flat") == (
        "no __op: add op to the add.fields of the transform"
    )
    assert reason({"id": 7, "__op": "c"}) == "__table is missing: add table to the add.fields of the transform"


DSQL = {
    "type": "full", "op": "u", "before": None, "after": {"id": 7}, "ts_ms": COMMITTED_MS,
    "source": {"version": "1.0", "ts_ms": COMMITTED_MS, "ts_ns": COMMITTED_MS * 1_000_000, "txId": "ffthunp5",
               "schema": "public", "table": "users", "db": "postgres", "cluster": "kmab"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("op", "operation"),
    [("c", Operation.CREATE), ("u", Operation.UPDATE), ("d", Operation.DELETE), ("later", Operation.UPDATE)],
)
def test_dsql_has_the_same_operations_and_takes_an_unknown_one_for_an_upsert(op: str, operation: Operation) -> None:
    row = read(DSQL | {"op": op, "before": {"id": 7}})
    assert (row.adapter, row.operation, row.row, row.identity) == ("dsql", operation, {"id": 7}, ("kmab", "ffthunp5"))
    assert (row.schema, row.table, row.committed_at, row.transaction_id) == ("public", "users", COMMITTED, "ffthunp5")


def test_a_piece_of_a_split_record_of_dsql_is_refused_and_says_what_it_is() -> None:
    assert reason(DSQL | {"type": "chunked", "chunked": {"after": {"chunk_id": "c", "total_fragments": 2}}}).startswith(
        "a piece of a record that Aurora DSQL has split"
    )
    fragment = {"type": "fragment", "chunk_id": "c", "index": 0, "data": '{"id":'}
    for adapter in (None, "dsql"):
        assert reason(fragment, adapter).startswith("a piece of a record that Aurora DSQL has split")
    assert reason({"type": "full"}, "dsql") == "no source object: not a record of Aurora DSQL"
    assert reason(DSQL | {"after": 7}) == "after is not an object"
    assert reason(DSQL | {"source": {"cluster": "kmab"}}) == "source.schema or source.table is missing"


ANY = st.recursive(
    st.sampled_from([None, 0, -1, True, "", "users", "c", "d", "t", "full", 10**30, UNAVAILABLE, "aGk=", 1.5]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["field", "fields", "type", "name", "a", "scale", "value"]), inner, max_size=3),
    ),
    max_leaves=4,
)
NAMES = [
    "op",
    "source",
    "before",
    "after",
    "type",
    "schema",
    "payload",
    "__op",
    "__table",
    "__deleted",
    "__ts_ms",
    "id",
]
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), ANY, max_size=6)


@given(
    DOCUMENTS, st.dictionaries(st.sampled_from(sorted({*SOURCE, *MYSQL, "cluster"})), ANY, max_size=5), st.booleans()
)
def test_no_document_raises(document: dict[str, Any], source: dict[str, Any], wrapped: bool) -> None:
    document = document | {"source": source | {"connector": "x"}, "op": document.get("op", "u")}
    if wrapped:
        document = {"schema": document.pop("schema", {}), "payload": document}
    found = decode_json(json.dumps(document).encode())
    for adapter in ("debezium", "debezium-flat", "dsql", None):
        outcome = adapters.decode(found, adapter)
        if isinstance(outcome, Dead):
            assert outcome.failure in (Failure.PARSE_ERROR, Failure.VALIDATION_ERROR)


@pytest.mark.parametrize(
    ("document", "adapter"),
    [(envelope("c"), "debezium"), ({"schema": {}, "payload": envelope("c")}, "debezium"), (FLAT, "debezium-flat"),
     ({"schema": {}, "payload": FLAT}, "debezium-flat"), (DSQL, "dsql"), ({"id": 7}, None)],
)  # fmt: skip
def test_each_record_tells_whose_it_is(document: dict[str, Any], adapter: str | None) -> None:
    assert adapters.adapter_of(document) == adapter


@pytest.mark.parametrize("read", [decode, decode_flat, dsql.decode])
def test_what_is_no_object_is_dead(read: Callable[[Any], object]) -> None:
    assert read([]) == Dead(Failure.PARSE_ERROR, "not a JSON object")
