"""The bridge's short cut finds the key that the whole decoder finds."""

import gc
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from enrichers.routing import Router, route
from models.routing import Route
from models.sources.reading import Reading
from tests.unit.changes import TELEPHONY, dms

ROUTER = Router(TELEPHONY)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.integers(-(2**70), 2**70), st.sampled_from([0, 7, "7", "07", "", "ä", "a:b", None, True, 7.0, 7.5, [], {}]),
    st.text(max_size=6),
)  # fmt: skip
COLUMNS = st.sampled_from(["ID", "id", "Id", "BI_ID", "_doc", "HomeOrgID", "Email", "ü"])
ROWS = st.dictionaries(COLUMNS, VALUES, max_size=4)
METADATA = st.fixed_dictionaries(
    {
        "operation": st.sampled_from(["insert", "update", "delete", "load", "UPDATE", "create-table", "what", ""]),
        "table-name": st.sampled_from(["users", "USERS", "groups", "unknown", "", None]),
    },
    optional={
        "record-type": st.sampled_from(["data", "Data", "control", "", None, 3]),
        "schema-name": st.sampled_from(["core", "", None, 5]),
        "timestamp": st.sampled_from(["2026-01-15T10:31:00Z", None, 5]),
        "commit-timestamp": st.sampled_from(["2026-01-15T10:31:00Z", "", None, []]),
        "transaction-id": VALUES,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {"data": st.one_of(ROWS, VALUES), "metadata": METADATA},
    optional={"before-image": st.one_of(ROWS, VALUES), "other": ROWS, "control": ROWS},
)


def same(data: bytes) -> None:
    assert ROUTER.route(data, "p") == route(data, "p", TELEPHONY)


def users(row: Any, operation: str = "update", **more: Any) -> bytes:
    metadata = {"operation": operation, "table-name": "users", "schema-name": "core", "record-type": "data"}
    return json.dumps({"data": row, "metadata": metadata, **more}).encode()


@given(DOCUMENTS, st.booleans())
@settings(max_examples=1_000)
def test_the_short_cut_agrees_with_the_decoder(document: dict[str, Any], escaped: bool) -> None:
    same(json.dumps(document, ensure_ascii=escaped).encode())


@given(ROWS, st.one_of(st.none(), ROWS), st.sampled_from(["insert", "update", "delete", "load"]))
@settings(max_examples=1_000)
@example({"ID": 7}, {"ID": 8}, "update")
@example({"ID": 7}, {"id": 8}, "update")
@example({"ID": 7}, {"ID": "7"}, "update")
@example({"ID": 7}, {}, "update")
def test_rows_of_a_known_table_get_the_key_the_decoder_gives_them(
    row: dict[str, Any], before: dict[str, Any] | None, operation: str
) -> None:
    same(users(row, operation, **({"before-image": before} if before is not None else {})))


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_get_the_key_the_decoder_gives_them(data: bytes) -> None:
    same(data)


def test_names_that_are_written_with_escapes_are_no_way_around_a_before_image() -> None:
    same(users({"ID": 7, "BI_ID": 6}).replace(b"BI_ID", b"\\u0042I_ID"))
    same(users({"_doc": {"ID": 7}}).replace(b"_doc", b"\\u005fdoc"))


def test_a_before_image_in_columns_of_another_spelling_is_seen() -> None:
    same(users({"ID": 7, "BI_id": 6, "Email": "a", "BI_Email": "b"}))
    same(users({"ID": 7, "BI_id": 6, "Email": "a", "BI_Email": "b"}).replace(b"BI_id", b"\\u0042\\u0049_id"))


def test_records_of_tables_with_other_keys_and_other_layouts_find_theirs() -> None:
    router = Router(TELEPHONY)
    records = []
    for spec in TELEPHONY.specs:
        row = {column: number for number, column in enumerate(spec.key, 3)}
        for schema in ("core", "", None):
            metadata = {"operation": "update", "table-name": spec.name, "schema-name": schema, "record-type": "data"}
            records += [{"data": row, "metadata": metadata}, {"metadata": metadata, "data": row}]
            records.append({"data": row | {"Note": '"table-name":"users"'}, "metadata": metadata, "before-image": row})
    for _ in range(2):
        for record in records:
            for layout in ({}, {"indent": 1}, {"separators": (",", ":")}):
                data = json.dumps(record, **layout).encode()
                assert router.route(data, "p") == route(data, "p", TELEPHONY)


def test_a_name_that_stands_twice_counts_as_the_decoder_counts_it() -> None:
    same(users({"ID": 7}).replace(b'{"ID": 7}', b'{"ID": 7, "ID": 8}'))


def test_more_rows_than_are_remembered_keep_their_keys() -> None:
    for number in range(40_000):
        assert ROUTER.route(users({"ID": number}), "p").key == b'["core","users",%d]' % number


def test_text_that_is_not_utf8_in_another_column_does_not_hide_the_row() -> None:
    data = users({"ID": 7, "Email": "x"}).replace(b'"x"', b'"\xff"')
    assert ROUTER.route(data, "p").key == b'["core","users",7]'


def test_what_cannot_be_decoded_is_of_the_adapter_its_source_is_fixed_to() -> None:
    assert Router(TELEPHONY, "dms").route(b"{", "k").adapter == "dms"
    assert Router(TELEPHONY).route(b"{", "k").adapter is None


READINGS = st.builds(
    Reading,
    before_image=st.sampled_from([None, "was", "before-image"]),
    before_prefix=st.sampled_from(["BI_", "", "old_"]),
    before_suffix=st.sampled_from(["", "_old"]),
)
COLUMNS_BEFORE = st.sampled_from(["ID", "BI_ID", "old_ID", "ID_old", "A", "BI_A", "A_old", "old_ID_old"])
ROWS_BEFORE = st.dictionaries(COLUMNS_BEFORE, st.sampled_from([6, 7, "7", None]), max_size=4)


@given(READINGS, ROWS_BEFORE, st.dictionaries(st.sampled_from(["was", "before-image", "x"]), ROWS_BEFORE, max_size=2))
def test_the_short_way_of_the_bridge_reads_each_source_as_the_decoder_does(
    reading: Reading, row: dict[str, Any], others: dict[str, Any]
) -> None:
    value = users({"HomeOrgID": 3, **row}, **others)
    assert Router(TELEPHONY, None, reading).route(value, "p") == route(value, "p", TELEPHONY, None, reading)


def routes_in_memory() -> int:
    gc.collect()
    return sum(isinstance(found, Route) for found in gc.get_objects())


def test_the_rows_of_a_thousand_schemas_are_not_all_remembered() -> None:
    router, before = Router(TELEPHONY), routes_in_memory()
    for tenant in range(1_000):
        for row in range(20):
            data = dms("insert", {"ID": row}).replace(b'"core"', b'"tenant%d"' % tenant)
            assert router.route(data, "k").key == b'["tenant%d","users",%d]' % (tenant, row)
    assert routes_in_memory() - before < 2_000
