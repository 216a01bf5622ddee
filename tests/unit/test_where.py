"""`where:` of a table: which of its changes are published, and what else becomes of the others."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.filter import Filter
from models.change import EPOCH, Change, Operation
from models.outcome import Dead, Drop, Failure, Ok
from models.raw import Origin
from models.tables import ColumnType, TableSpec
from models.where import InvalidExpression, columns, names, parse
from models.yaml_nodes import InvalidFile
from tests.unit.changes import Worker, catalogue_of, dms

ORDERS = """
  - table: orders
    entity: order
    key: [id]
    columns: {{id: int, status: text, total: decimal, tags: json}}
    where: "{where}"
"""


def worker(directory: Path, where: str) -> Worker:
    return Worker(catalogue_of(directory, ORDERS.format(where=where)))


def published(directory: Path, where: str, operation: str, row: dict[str, Any], before: Any = None) -> bool:
    outcome = worker(directory, where).feed(dms(operation, {"id": 1, **row}, table="orders", before=before)).outcome
    assert isinstance(outcome, Ok) or outcome == Drop("filtered_where"), outcome
    return isinstance(outcome, Ok)


@pytest.mark.parametrize(
    ("where", "row", "expected"),
    [
        ("after.status == 'PAID'", {"status": "PAID"}, True),
        ("after.status == 'PAID'", {"status": "NEW"}, False),
        ("after.status == 'PAID'", {}, False),
        ("contains(['PAID', 'SENT'], after.status)", {"status": "SENT"}, True),
        ("!(after.status == 'DRAFT')", {}, True),
        ("operation == 'INSERT' && !snapshot", {}, True),
        ("schema == 'core' && table == 'orders' && keys.id == `1`", {}, True),
        ("before.status", {"status": "x"}, False),
        ("after.total", {"total": 0}, True),
    ],
)
def test_a_change_is_published_if_the_expression_holds(
    tmp_path: Path, where: str, row: dict[str, Any], expected: bool
) -> None:
    assert published(tmp_path, where, "insert", row) is expected


@pytest.mark.parametrize("total", ["0.10", 0.1, "0.1000"])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("after.total == `0.1`", True),
        ("after.total > `0.1`", False),
        ("after.total < `1`", True),
        ("abs(after.total) == `0.1`", True),
        ("max([after.total, `0.05`]) == `0.1`", True),
        ("to_string(after.total) == '0.2'", False),
        ("to_number('0.1') == after.total", True),
        ("type(after.total) == 'number'", True),
    ],
)
def test_fractions_are_exact_however_the_source_writes_them(
    tmp_path: Path, where: str, expected: bool, total: Any
) -> None:
    assert published(tmp_path, where, "insert", {"total": total}) is expected


@pytest.mark.parametrize(
    ("before", "expected"), [({"id": 1, "status": "NEW"}, True), ({"id": 1, "status": "PAID"}, False)]
)
def test_an_update_can_be_published_by_what_changed(tmp_path: Path, before: dict[str, Any], expected: bool) -> None:
    assert published(tmp_path, "contains(changed, 'status')", "update", {"status": "PAID"}, before) is expected


def test_a_deleted_row_is_asked_by_what_it_was(tmp_path: Path) -> None:
    where = "(after || before).status == 'PAID'"
    assert published(tmp_path, where, "delete", {"status": "PAID"})
    assert not published(tmp_path, where, "delete", {"status": "NEW"})


def test_a_value_the_expression_was_not_made_for_is_a_dead_letter_that_does_not_quote_it(tmp_path: Path) -> None:
    for where in ("after.status > `3`", "length(after.tags) == `1`", "sum(after.tags) > `1`"):
        row = {"id": 1, "status": "CANARY", "tags": 7}
        dead = worker(tmp_path, where).dead(dms("insert", row, table="orders"))
        assert dead.failure is Failure.TRANSFORMATION_ERROR
        assert "CANARY" not in dead.reason


def test_what_is_not_published_still_feeds_lookups_and_is_remembered(tmp_path: Path) -> None:
    entries = """
  - table: accounts
    entity: account
    key: [id]
    columns: {id: int, org: int, kind: text}
    owner: {org: {column: org}}
    provides: {lookup: accounts, key: id, org: org}
    where: "operation == 'DELETE' || after.kind == 'live'"
  - {table: bills, entity: bill, key: [id], owner: {org: {lookup: accounts, by: account}}}
"""
    told = Worker(catalogue_of(tmp_path, entries))
    filtered = dms("insert", {"id": 5, "org": 3, "kind": "test"}, table="accounts", transaction=1)
    assert told.drop(filtered) == "filtered_where"
    assert told.event(dms("insert", {"id": 1, "account": 5}, table="bills"))["orgId"] == "3"
    assert told.drop(filtered) == "resent"
    deleted = told.event(dms("delete", {"id": 5}, table="accounts"))
    assert (deleted["orgId"], deleted["metadata"]["enrichment"]["source"]) == ("3", "memory")


def test_nobody_waits_for_the_owner_of_what_is_not_published(tmp_path: Path) -> None:
    entries = """
  - {table: accounts, entity: account, key: [id], provides: {lookup: accounts, key: id, org: org}}
  - {table: bills, entity: bill, key: [id], owner: {org: {lookup: accounts, by: account}}, where: "after.paid"}
"""
    told = Worker(catalogue_of(tmp_path, entries), patient=True)
    assert told.drop(dms("insert", {"id": 1, "account": 5, "paid": False}, table="bills")) == "filtered_where"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("after.status = 'x'", "where: no JMESPath at column"),
        ("after.", "where: no JMESPath at column"),
        ("operaton == 'INSERT'", "a change has no operaton, did you mean operation?"),
        ("contain(changed, 'a')", "there is no function contain(), did you mean contains?"),
        ("contains(changed)", "contains() takes 2 arguments, not 1"),
        ("after.Status == 'x'", "asked by the table's spelling, status"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, where: str, expected: str) -> None:
    with pytest.raises(InvalidFile) as caught:
        catalogue_of(tmp_path, ORDERS.format(where=where))
    (problem,) = caught.value.problems
    assert problem.startswith("tables.yaml:")
    assert expected in problem


def test_what_an_expression_asks_for_is_known_before_the_first_record() -> None:
    parsed = parse("after.a == before.b && contains(changed, 'c') && keys.d.e && after.list[?f == `1`] | [0].g")
    assert names(parsed) == {"after", "before", "changed", "keys"}
    assert columns(parsed) == {"a", "b", "d", "list"}
    with pytest.raises(InvalidExpression):
        parse("")


def test_where_none_takes_back_what_an_extended_table_says(tmp_path: Path) -> None:
    entry = "  - {table: users, where: \"after.Status == 'ACTIVE'\"}\n"
    spec = catalogue_of(tmp_path, entry, builtin="telephony").named("users")
    assert spec is not None
    assert spec.where == "after.Status == 'ACTIVE'"
    again = catalogue_of(tmp_path, "  - {table: users, where: none}\n", builtin="telephony").named("users")
    assert again is not None
    assert again.where is None


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
EXPRESSIONS = [
    "after.a > before.a", "after.a == before.b || !after.c", "abs(after.a) >= `1.5`", "avg(after.b) < max(after.c)",
    "sort_by(after.b, &a)[0].a", "length(after.a) == `2`", "contains(after.a, 'x')", "join(',', after.b)",
    "sum(after.b) > `0.1`", "after.b[?a > `1`] | [0]", "to_number(after.a) == `3`", "to_string(after.c)", "after.*",
    "starts_with(after.a, 'x')", "merge(after.a, after.b)", "map(&a, after.b)", "max_by(after.b, &a)", "type(after.c)",
    "reverse(after.a)", "floor(after.a)", "keys(after.c)", "values(after.c)[0]", "not_null(after.a)", "after.b[]",
    "contains(changed, 'a')", "min(after.b) || sort(after.b)", "ceil(after.c)", "to_array(after.a)",
]  # fmt: skip
SPEC = TableSpec("t", "t", "t", ("id",), columns={"c": ColumnType.DECIMAL})


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(EXPRESSIONS),
    *(st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys("abc", VALUES)) for _ in range(2)),
)
def test_whatever_a_row_holds_a_change_is_published_or_not_or_dead(where: str, before: Any, after: Any) -> None:
    change = Change(
        "t", "s", "t", Operation.UPDATE, {"id": 1}, None, before, after, EPOCH, None, Origin("", "", "0"), "dms"
    )
    answer = Filter(where, SPEC).check(change, lambda: ["a"])
    assert isinstance(answer, bool) or (isinstance(answer, Dead) and answer.failure is Failure.TRANSFORMATION_ERROR)
