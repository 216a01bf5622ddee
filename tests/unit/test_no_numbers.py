"""NaN and infinities of PostgreSQL in columns of decimals: one spelling from every source, and no poison."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.column_types import CHECKS, WRONG
from models.outcome import Failure, Ok
from models.tables import ColumnType
from tests.unit.changes import Worker, catalogue_of, dms
from tests.unit.test_debezium import DECIMAL, DSQL, FLAT, column, envelope

TABLES = """
  - table: users
    entity: user
    key: [id]
    columns: {id: int, balance: decimal, price: decimal}
    owner: none
    transform: {price: DECIMAL}
"""


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(catalogue_of(tmp_path, TABLES))


def connect(value: Any, described: dict[str, Any]) -> bytes:
    fields = [{"field": "after", "type": "struct", "fields": [column("id", "int32"), described]}]
    record = {"schema": {"type": "struct", "fields": fields},
              "payload": envelope("c", None, {"id": 7, described["field"]: value})}  # fmt: skip
    return json.dumps(record).encode()


RECORDS = [
    (dms("insert", {"id": 7, "balance": "NaN"}), "NaN"),
    (dms("insert", {"id": 7, "balance": "-Infinity"}), "-Infinity"),
    (connect("NAN", column("balance", "string")), "NaN"),
    (connect("NEGATIVE_INFINITY", column("balance", "string")), "-Infinity"),
    (connect("Infinity", column("balance", "double")), "Infinity"),
    (json.dumps(envelope("c", None, {"id": 7, "balance": "NaN"})).encode(), "NaN"),
    (json.dumps(FLAT | {"id": 7, "balance": "POSITIVE_INFINITY"}).encode(), "Infinity"),
    (json.dumps(DSQL | {"op": "c", "before": None, "after": {"id": 7, "balance": "NaN"}}).encode(), "NaN"),
]


@pytest.mark.parametrize(("record", "published"), RECORDS)
def test_what_is_no_number_travels_as_postgresql_spells_it(record: bytes, published: str, worker: Worker) -> None:
    assert worker.event(record)["changes"]["balance"]["new"] == published


@pytest.mark.parametrize("given", ["NaN", "nan", "Infinity", "inf"])
def test_a_table_that_is_known_well_says_the_same_of_it(given: str, worker: Worker) -> None:
    for number in range(3):
        worker.event(dms("insert", {"id": number, "balance": "1.5"}))
    found = worker.event(dms("update", {"id": 1, "balance": given}, before={"id": 1, "balance": "1.5"}))
    assert found["changes"]["balance"] == {"old": "1.5", "new": CHECKS[ColumnType.DECIMAL](given)}


@pytest.mark.parametrize("given", ["NaN", "-Infinity"])
def test_where_the_schema_promises_exact_bytes_it_is_a_dead_letter(given: str, worker: Worker) -> None:
    dead = worker.dead(connect(given, column("balance", "bytes", DECIMAL, parameters={"scale": "2"})))
    assert (dead.failure, "balance" in dead.reason) == (Failure.VALIDATION_ERROR, True)


def test_it_has_no_form_with_two_digits(worker: Worker) -> None:
    dead = worker.dead(dms("insert", {"id": 7, "price": "NaN"}))
    assert (dead.failure, dead.reason) == (Failure.TRANSFORMATION_ERROR, "column price has no DECIMAL form")


def test_without_quotes_it_is_no_json_and_its_neighbours_go_on(worker: Worker) -> None:
    first, poison, last = (dms("insert", {"id": number, "balance": "1"}) for number in range(3))
    dead = worker.dead(poison.replace(b'"balance": "1"', b'"balance": NaN'))
    assert (dead.failure, dead.reason) == (Failure.PARSE_ERROR, "not acceptable JSON: NaN or infinity is not JSON")
    assert all(isinstance(worker.feed(record).outcome, Ok) for record in (first, last))


def test_a_condition_takes_it_for_null(tmp_path: Path) -> None:
    worker = Worker(catalogue_of(tmp_path, TABLES + "    where: after.balance > `1`\n"))
    assert worker.event(dms("insert", {"id": 1, "balance": "2"}))["entityId"] == "1"
    assert worker.drop(dms("insert", {"id": 2, "balance": "NaN"})) == "filtered_where"


@pytest.mark.parametrize("given", ["not a number", "-NaN", "+-inf", "infin", "\u0130nf", " NaN", ""])
def test_other_words_are_no_numbers(given: str) -> None:
    assert CHECKS[ColumnType.DECIMAL](given) is WRONG
