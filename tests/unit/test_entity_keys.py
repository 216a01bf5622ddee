"""Keys and routes: one key per row, whatever the record looks like."""

import json
from base64 import b64encode
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichers.frame import entity_id
from enrichers.routing import route
from enrichers.row_view import RowView
from models.routing import MAX_KEY_BYTES, entity_key, key_value
from models.sources.binary import tagged
from tests.unit.changes import TELEPHONY, USER, Worker, catalogue_of, dms

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
BYTES = st.sampled_from([b"", b"7", b"hi"]).map(lambda content: tagged(b64encode(content).decode()))
VALUES = st.lists(
    TEXT | st.integers() | BYTES | st.sampled_from(["%", ":", "%3A", "7", "-7", "07", "", "%b64", "%b64aGk=", "aGk="]),
    min_size=1, max_size=3,
)  # fmt: skip


def test_the_key_of_a_row_is_compact_json() -> None:
    assert entity_key("core", "users", (7,)) == b'["core","users",7]'


@pytest.mark.parametrize("value", [7, "7", Decimal(7), Decimal("7.0"), Decimal("7E0")])
def test_one_number_is_one_key_however_the_source_spells_it(value: object) -> None:
    assert entity_key("core", "users", (value,)) == b'["core","users",7]'


@given(TEXT, TEXT, VALUES, TEXT, TEXT, VALUES)
def test_different_rows_have_different_keys(
    s1: str, t1: str, v1: list[object], s2: str, t2: str, v2: list[object]
) -> None:
    one = (s1, t1, [key_value(value) for value in v1])
    two = (s2, t2, [key_value(value) for value in v2])
    assert (entity_key(s1, t1, v1) == entity_key(s2, t2, v2)) == (one == two)


@given(VALUES, VALUES)
def test_different_keys_have_different_entity_ids(one: list[object], two: list[object]) -> None:
    if len(one) == len(two):
        same = [key_value(value) for value in one] == [key_value(value) for value in two]
        assert (entity_id(dict(enumerate(one))) == entity_id(dict(enumerate(two)))) == same  # type: ignore[arg-type]


NUMBERS = "  - {table: t, entity: t, key: [id], columns: {id: TYPE}, unknown_columns: publish}\n"


@pytest.mark.parametrize("kind", ["any", "decimal"])
@pytest.mark.parametrize(
    ("written", "shown", "entity"), [("7.0", 7, "7"), ("7.50", "7.5", "7.5"), ("1e3", 1000, "1000")]
)
def test_a_number_is_one_entity_however_the_source_writes_it(
    kind: str, written: str, shown: object, entity: str, tmp_path: Path
) -> None:
    worker = Worker(catalogue_of(tmp_path, NUMBERS.replace("TYPE", kind)))
    for number in range(4):  # step by step, then by the plan
        value = dms("insert", {"id": "?", "n": number}, table="t").replace(b'"?"', written.encode())
        found = worker.event(value)
        assert (found["entityId"], found["keys"]) == (entity, {"id": shown})
        assert RowView(worker.catalogue).row_key(route(value, "p", worker.catalogue).key) == f"t:{entity}"


@pytest.mark.parametrize(
    ("kind", "one", "two", "moved"),
    [
        ("any", "7", '"7"', False),
        ("any", "1", "true", True),
        ("text", "1.5", "1.50", False),
        ("text", "7.0", "7", False),
        ("text", "7", "8", True),
    ],
)
def test_a_key_that_is_only_written_otherwise_is_no_other_key(
    kind: str, one: str, two: str, moved: bool, tmp_path: Path
) -> None:
    worker = Worker(catalogue_of(tmp_path, NUMBERS.replace("TYPE", kind)))
    value = dms("update", {"id": "new"}, before={"id": "old", "n": 2}, table="t")
    value = value.replace(b'"old"', one.encode()).replace(b'"new"', two.encode())
    assert (route(value, "p", worker.catalogue).retired_key is not None) is moved
    assert ("previousKeys" in worker.event(value)) is moved


def test_a_known_row_is_routed_by_its_key() -> None:
    found = route(dms("insert", USER), "p", TELEPHONY)
    assert (found.key, found.adapter, found.table, found.retired_key) == (b'["core","users",7]', "dms", "users", None)


LONE_SURROGATE = b'{"metadata":{"table-name":"users","operation":"insert"},"data":{"ID":"\\ud800"}}'


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no json",
        b"{",
        LONE_SURROGATE,
        dms("insert", {"Email": "x"}),
        dms("insert", {"ID": None}),
        dms("insert", {"ID": []}),
        dms("insert", USER, table="other"),
        dms("create-table", None),
    ],
)
def test_what_is_no_change_of_a_known_row_keeps_its_partition_key(value: bytes) -> None:
    assert route(value, "core.users", TELEPHONY).key == b"core.users"


@pytest.mark.parametrize(
    "value",
    [
        dms("update", USER, before={"ID": 6}),
        dms("update", {**USER, "BI_ID": 6}),
        dms("update", {"id": 7}, before={"id": 6}, table="USERS"),
    ],
)
def test_a_changed_key_is_routed_as_the_new_row_and_names_the_old_one(value: bytes) -> None:
    found = route(value, "p", TELEPHONY)
    assert (found.key, found.retired_key) == (b'["core","users",7]', b'["core","users",6]')


def test_a_before_image_with_the_same_key_retires_nothing() -> None:
    for before in ({}, {"ID": 7}, {"ID": "7"}, {"Email": "x"}, {"ID": None}):
        assert route(dms("update", USER, before=before), "p", TELEPHONY).retired_key is None


def test_upper_case_sources_have_the_same_table_and_columns() -> None:
    upper = {name.upper(): value for name, value in USER.items()}
    assert route(dms("insert", upper, table="USERS", schema="CORE"), "p", TELEPHONY).key == b'["CORE","users",7]'


@given(st.binary(max_size=80), st.text(max_size=5))
def test_routing_never_raises(data: bytes, partition_key: str) -> None:
    route(data, partition_key, TELEPHONY)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=2), max_leaves=4
    )
)
def test_routing_survives_any_key_value(value: object) -> None:
    route(
        json.dumps(
            {
                "data": {"ID": value},
                "before-image": {"ID": value},
                "metadata": {"operation": "update", "table-name": "users"},
            }
        ).encode(),
        "p",
        TELEPHONY,
    )


def test_long_fractions_are_different_keys() -> None:
    one, two = Decimal("0." + "1" * 40), Decimal("0." + "1" * 39 + "2")
    assert entity_key("s", "t", (one,)) != entity_key("s", "t", (two,))
    assert entity_key("s", "t", (Decimal("1.50"),)) == entity_key("s", "t", (Decimal("1.5"),))


def test_a_key_that_no_index_takes_is_a_short_one_and_still_that_of_its_row_alone() -> None:
    long, other = ("x" * MAX_KEY_BYTES,), ("x" * MAX_KEY_BYTES + "y",)
    found = entity_key("core", "users", long)
    assert found.startswith(b'["","users","blake2b:')
    assert len(found) < 100
    assert found == entity_key("core", "users", long)
    assert len({found, entity_key("core", "users", other), entity_key("shop", "users", long)}) == 3
    longest = "x" * (MAX_KEY_BYTES - len('["core","users",""]'))
    assert entity_key("core", "users", (longest,)) == b'["core","users","%s"]' % longest.encode()
