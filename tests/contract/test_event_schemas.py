"""Every event the pipeline makes is valid under its exported schema, whatever the rows hold."""

import json
import string
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import pytest
from botocore.validate import validate_parameters
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.pipeline import PipelineOptions
from models.catalogue import load_catalogue
from models.outcome import Ok
from models.tables import ColumnType, TableSpec
from tests.contract.test_event_schema import ROWS
from tests.unit.changes import KEY, TELEPHONY, USER, Worker, catalogue_of, dms
from workers.schemas.asyncapi import asyncapi
from workers.schemas.events import event_schemas, event_types
from workers.schemas.examples import example_event
from workers.schemas.pages import event_pages
from workers.schemas.registry import as_draft_4, bus_schema, registry_entry
from workers.settings.worker import Settings

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
GOLDEN = Path(__file__).parents[1] / "golden"
SCHEMAS = event_schemas(TELEPHONY.specs)
VALIDATORS = {name: jsonschema.Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
INTEGERS = st.integers(-(1 << 70), 1 << 70)
FRACTIONS = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9).map(float)
VALUES: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.INT: INTEGERS | INTEGERS.map(str),
    ColumnType.TEXT: st.text(st.characters(codec="utf-8"), max_size=20) | INTEGERS,
    ColumnType.BOOL: st.booleans() | st.sampled_from([0, 1, "true", "N"]),
    ColumnType.TIMESTAMP: st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.integers(0, 2 << 40),
    ColumnType.DECIMAL: INTEGERS | FRACTIONS | FRACTIONS.map(str),
    ColumnType.JSON: st.text(st.characters(codec="utf-8"), max_size=9) | st.lists(st.integers()),
    ColumnType.ANY: st.none() | st.booleans() | st.text(string.ascii_letters),
}
RULES = """\
  - {table: t, entity: t, key: [id], columns: {id: int, n: decimal, s: text, w: timestamp, j: json},
     owner: none, unknown_columns: %s, images: [before, after],
     redact: {h: HASH, k: TOKENIZE, r: REMOVE, m: FULL_MASK, p: {action: PARTIAL_MASK, style: email},
              c: {action: FULL_MASK, unless: {kind: [USER]}}, g: {action: REMOVE, unless: {kind: [USER]}},
              f: {action: PARTIAL_MASK, patterns: [email]}},
     transform: {n: DECIMAL, w: ISO_DATE, s: UPPERCASE}}
"""
ROW = {"id": 1, "n": "7.5", "s": "x", "w": "2026-01-15 10:31:00", "j": {"a": [1]}, "h": "a", "k": "b", "r": "canary",
       "m": "canary", "p": "a@x.test", "c": "canary", "g": "canary", "f": "write to canary@x.test", "kind": "OTHER",
       "extra": 3}  # fmt: skip


def rows(spec: TableSpec) -> st.SearchStrategy[dict[str, Any]]:
    """Rows with some of the columns, a column nobody named, and a whole key."""
    always = {name: VALUES[spec.columns[name]] for name in sorted({*spec.key, *spec.required})}
    others = {name: st.none() | VALUES[kind] for name, kind in spec.columns.items() if name not in always}
    return st.fixed_dictionaries(always, optional=others | {"Extra": VALUES[ColumnType.ANY]})


ROWS_OF = {spec.name: rows(spec) for spec in TELEPHONY.specs}


@st.composite
def records(draw: st.DrawFn) -> bytes:
    spec = draw(st.sampled_from(TELEPHONY.specs))
    word = draw(st.sampled_from(["insert", "update", "delete"]))
    row = draw(ROWS_OF[spec.name])
    before = None
    if word == "update" and draw(st.booleans()):
        before = {**draw(ROWS_OF[spec.name]), **{name: row[name] for name in spec.key}}
    return dms(word, row, table=spec.table, before=before)


def valid(event: dict[str, Any]) -> None:
    """Under its schema; nothing of the envelope is left undescribed."""
    schema = SCHEMAS[event["eventType"]]
    VALIDATORS[event["eventType"]].validate(event)
    assert event.keys() <= schema["properties"].keys()
    assert event["metadata"].keys() <= schema["properties"]["metadata"]["properties"].keys()


@settings(deadline=None)
@given(records())
def test_every_event_is_valid_under_its_schema(record: bytes) -> None:
    outcome = Worker().feed(record).outcome
    if isinstance(outcome, Ok):
        valid(json.loads(outcome.value.value))


@pytest.mark.parametrize("word", ["insert", "update", "delete"])
@pytest.mark.parametrize("table", sorted(ROWS))
def test_the_event_of_every_table_and_operation_is_valid_under_its_schema(table: str, word: str) -> None:
    valid(Worker().event(dms(word, ROWS[table], table=table)))


@pytest.mark.parametrize("unknown", ["mask", "publish", "drop"])
@pytest.mark.parametrize("word", ["insert", "update", "delete"])
def test_every_rule_of_a_tables_file_is_in_the_schema(tmp_path: Path, word: str, unknown: str) -> None:
    catalogue = catalogue_of(tmp_path, RULES % unknown)
    schemas = event_schemas(catalogue.specs)
    event = Worker(catalogue).event(dms(word, ROW, table="t", before={**ROW, "s": "y"} if word == "update" else None))
    jsonschema.Draft202012Validator(schemas[event["eventType"]]).validate(event)
    assert "canary" not in json.dumps(event)
    spared = Worker(catalogue).event(dms("insert", {**ROW, "kind": "USER"}, table="t"))
    jsonschema.Draft202012Validator(schemas["t.created"]).validate(spared)
    assert spared["changes"]["c"] == spared["changes"]["g"] == {"new": "canary"}


def test_the_style_of_table_changes_is_in_the_schema_and_in_the_registry_entry(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, (RULES % "mask").replace("owner: none", "detail_type_style: table-change"))
    event = Worker(catalogue).event(dms("update", ROW, table="t", before=ROW | {"s": "y"}))
    [changed] = [one for one in event_types(catalogue.specs) if one.name == "t.updated"]
    schema = event_schemas(catalogue.specs)[changed.id]
    jsonschema.Draft202012Validator(schema).validate(event)
    assert {"detailType", "table", "before", "after"} <= event.keys() <= schema["properties"].keys()
    assert json.loads(registry_entry(changed, "s")["Content"])["properties"]["detail-type"]["enum"] == [
        event["detailType"]
    ]


@pytest.mark.parametrize("column", ["h", "k", "m"])
def test_a_clear_value_of_a_redacted_column_is_not_valid(tmp_path: Path, column: str) -> None:
    catalogue = catalogue_of(tmp_path, RULES % "mask")
    [schema] = [one for one in event_schemas(catalogue.specs).values() if one["title"] == "t.created"]
    event = Worker(catalogue).event(dms("insert", ROW, table="t"))
    event["changes"][column] = {"new": "clear"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(event)


def test_a_column_that_is_removed_and_one_nobody_named_have_no_clear_form(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, RULES % "mask")
    changes = event_schemas(catalogue.specs)["t.created"]["properties"]["changes"]
    assert "r" not in changes["properties"]
    assert changes["additionalProperties"]["properties"]["new"]["enum"] == ["***REDACTED***", None]


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.tables.yaml")), ids=lambda path: path.stem)
def test_example_events_of_the_shipped_tables_are_valid_under_their_schemas(file: Path) -> None:
    catalogue = load_catalogue("none", file)
    schemas = event_schemas(catalogue.specs)
    for event in event_types(catalogue.specs):
        validator = jsonschema.Draft202012Validator(schemas[event.id])
        for operation in event.operations:
            validator.validate(example_event(catalogue, event.spec, operation))
    assert len(event_pages(catalogue, catalogue.specs)) == len(catalogue.specs) + 1


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.out.json")), ids=lambda path: path.name)
def test_golden_events_are_valid_under_their_schemas(file: Path) -> None:
    documents = json.loads(file.read_text("utf-8"))
    for document in documents if isinstance(documents, list) else [documents]:
        if "eventType" in document:
            valid(document)


def test_the_schemas_are_schemas() -> None:
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert len(SCHEMAS) == sum(len(spec.operations) for spec in TELEPHONY.specs)


def test_what_stands_on_the_bus_is_valid_under_the_registry_entry() -> None:
    service = botocore.session.get_session().get_service_model("schemas")
    shape = service.operation_model("CreateSchema").input_shape
    for event in event_types(TELEPHONY.specs):
        entry = registry_entry(event, "cdc-pipeline")
        validate_parameters(entry, shape)
        schema = json.loads(entry["Content"])
        jsonschema.Draft4Validator.check_schema(schema)
        detail = example_event(TELEPHONY, event.spec, event.operations[0])
        on_bus = {
            "version": "0", "id": "1", "detail-type": event.name, "source": f"cdc-pipeline.{event.spec.name}",
            "account": "0", "time": detail["timestamp"], "region": "us-east-1", "resources": [], "detail": detail,
        }  # fmt: skip
        jsonschema.Draft4Validator(schema).validate(on_bus)


def test_draft_4_has_no_word_of_later_drafts() -> None:
    for schema in SCHEMAS.values():
        text = json.dumps(as_draft_4(schema))
        assert '"const":' not in text
        assert '"required": []' not in text


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    events = event_types(TELEPHONY.specs)
    document = asyncapi(events, Settings(kafka_bootstrap_servers="localhost:9092"), "1.0")
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert set(document["channels"]["events"]["messages"]) == set(SCHEMAS)
    for reference in _references(document):
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found
    for operation in document["operations"].values():
        assert operation["action"] == "send"
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])
    for message in document["components"]["messages"].values():
        assert {"name", "payload"} <= message.keys()
    assert bus_schema(events[0], "s")["properties"]["source"] == {"enum": [f"s.{events[0].spec.name}"]}


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in _references(item)]
    return [found for item in value for found in _references(item)] if isinstance(value, list) else []


def test_an_event_without_before_image_and_one_that_was_replayed_are_valid() -> None:
    worker = Worker(options=PipelineOptions(redaction_key=KEY))
    valid(worker.event(dms("update", USER), replay=2))
    valid(worker.event(dms("update", {**USER, "ID": 8}, before={"ID": 7}, transaction=5)))
