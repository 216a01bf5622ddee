"""What becomes of the changes of each built-in table stands in golden files, and is what the contract demands."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from models.tables import RedactionAction
from tests.contract.test_event_schema import SCHEMA
from tests.golden import HERE, OPERATIONS, golden_of, inputs, results, text_of
from tests.unit.changes import TELEPHONY

ALL = list(inputs())
WORDS = {"insert": "INSERT", "update": "UPDATE", "delete": "DELETE"}


def parts(path: Path) -> tuple[str, str]:
    table, operation, *_ = path.name.split(".")
    return table, operation


def last_of(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record that a file is about, and what becomes of it."""
    return json.loads(path.read_text("utf-8"))[-1], json.loads(golden_of(path).read_text("utf-8"))[-1]


def test_every_built_in_table_has_golden_files_for_every_operation_and_there_are_no_others() -> None:
    wanted = {f"{spec.name}.{operation}" for spec in TELEPHONY.specs for operation in OPERATIONS}
    for kind in ("in", "out"):
        assert {path.name.removesuffix(f".{kind}.json") for path in HERE.glob(f"*.{kind}.json")} == wanted


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name.removesuffix(".in.json"))
def test_the_records_become_what_their_golden_file_says(path: Path) -> None:
    assert text_of(results(path)) == golden_of(path).read_text("utf-8"), "renew with: python -m tests.golden"


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name.removesuffix(".in.json"))
def test_a_golden_file_is_what_the_contract_demands(path: Path) -> None:
    table, operation = parts(path)
    spec = TELEPHONY.named(table)
    assert spec is not None
    record, result = last_of(path)
    assert (record["metadata"]["table-name"], record["metadata"]["operation"]) == (spec.table, operation)
    if operation == "load":
        assert result == {"dropped": "snapshot"}
        return
    jsonschema.validate(result, SCHEMA)
    assert (result["operation"], result["entityType"]) == (WORDS[operation], table)
    assert result["keys"] == {name: record["data"][name] for name in spec.key}
    assert result["changedFields"] == sorted(result["changes"])
    assert result["metadata"]["enrichment"]["source"] != "missing"
    assert "deadLetter" not in golden_of(path).read_text("utf-8")
    raw = path.read_text("utf-8")
    published = golden_of(path).read_text("utf-8")
    for column, rule in spec.redact.items():
        sides = result["changes"].get(column)
        if rule.action is RedactionAction.REMOVE:
            assert sides is None
        for image in (record.get("data") or {}, record.get("before-image") or {}):
            value = image.get(column)
            spared = rule.unless and all(str(image.get(name)) in words for name, words in rule.unless.items())
            if isinstance(value, str) and not rule.action.keyed and not spared:
                assert json.dumps(value) in raw
                assert json.dumps(value) not in published


@pytest.mark.parametrize("spec", TELEPHONY.specs, ids=lambda spec: spec.name)
def test_the_golden_rows_fill_every_column_of_the_table(spec: Any) -> None:
    record, _ = last_of(HERE / f"{spec.name}.insert.in.json")
    assert set(record["data"]) == set(spec.columns)
