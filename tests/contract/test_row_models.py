"""The compiled checks and the pydantic models of rows give the same verdicts; every event is one of the contract."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.compiled import CompiledTable
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.validate import validate
from models.catalogue import Catalogue
from models.change import Operation, SourceRow
from models.column_types import CHECKS, WRONG
from models.normalized_record import NormalizedRecord
from models.outcome import Dead
from models.raw import Origin, RawRecord
from models.record_type import TableRecord
from models.records.images import image_of
from models.sources.reading import Reading
from models.tables import ColumnType, TableSpec
from sandbox.generator.traffic import Traffic
from tests import captures, golden
from tests.contract.test_event_schema import ROWS
from tests.unit import test_any_record as any_record
from tests.unit.changes import KEY, TELEPHONY, Worker, dms

RECORD = RawRecord(b"", None, Origin("stream", "shard", "1"), "raw", 0, 0, 1768473060412, "core")
EVERY_TYPE = TableSpec(
    name="every_type", table="every_type", entity="thing", key=("id", "part"), required=frozenset({"text", "named"}),
    columns={kind.value: kind for kind in ColumnType} | {"id": ColumnType.INT},
)  # fmt: skip
SPECS = {spec.name: spec for spec in (*TELEPHONY.specs, EVERY_TYPE)}
TRUTHS = ["true", "T", " yes ", "N", "0", "1", "on", "off", "ye\u017f", "\x1ctrue", "tru e", ""]
NUMBERS = ["7", "+7", "-07", "7.0", "7.", ".5", "1e3", "1E+999", "1e1000", " 7", "7\n", "1_0", "\u0667", "0x7", "--7"]
TIMES = [
    "2026-01-15T10:31:00Z", "2026-01-15 10:31:00.123456", "2026-01-15", "10:31", "0000-00-00 00:00:00", "now",
    "1768473060",
]  # fmt: skip
SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2, 2**63, -(2**70), 10**30])
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from([Decimal("7.0"), Decimal("1E+3"), Decimal("0.5"), Decimal(1), Decimal("-0"), Decimal("1E-130")])
    | st.text(max_size=8)
    | st.sampled_from([*TRUTHS, *NUMBERS, *TIMES])
)
VALUES = (
    SCALARS
    | st.just({"$binary": "aGk="})
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
)


FITTING: dict[ColumnType, Any] = {
    ColumnType.INT: 7, ColumnType.TEXT: "x", ColumnType.BOOL: True, ColumnType.TIMESTAMP: "2026-01-15T10:31:00Z",
    ColumnType.DECIMAL: Decimal("1.5"), ColumnType.JSON: "{}", ColumnType.ANY: "x",
}  # fmt: skip


def rows(spec: TableSpec) -> st.SearchStrategy[dict[str, Any]]:
    """Rows with any columns of the table, in its spelling or another, and foreign ones; most have what is needed."""
    names = st.sampled_from(sorted(spec.known)) | st.sampled_from([name.lower() for name in sorted(spec.known)])
    needed = {name: FITTING[spec.columns.get(name, ColumnType.ANY)] for name in (*spec.key, *sorted(spec.required))}
    anything = st.dictionaries(names | st.text(max_size=4), VALUES, max_size=3)
    return anything | anything.map(lambda row: needed | row) | anything.map(lambda row: row | needed)


@pytest.mark.parametrize("kind", ColumnType)
@given(value=VALUES.filter(lambda value: value is not None))
def test_a_value_of_every_type_is_accepted_by_both_or_by_neither(kind: ColumnType, value: Any) -> None:
    model = image_of("one", {"column": kind})
    try:
        model.model_validate({"column": value})
    except ValueError:
        refused = True
    else:
        refused = False
    assert refused is (CHECKS[kind](value) is WRONG)


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=25)
@given(data=st.data())
def test_both_give_the_same_verdict_on_every_change_of_every_table(name: str, data: st.DataObject) -> None:
    spec = SPECS[name]
    catalogue = Catalogue(SPECS.values())
    table = CompiledTable(spec, catalogue, secret=None, redact=False, zone="UTC")
    source = SourceRow(
        adapter="dms", schema="core", table=spec.table, operation=data.draw(st.sampled_from(Operation)),
        row=data.draw(st.none() | rows(spec)), before=data.draw(st.none() | rows(spec)),
        committed_at="2026-01-15T10:31:00Z", identity=None,
    )  # fmt: skip
    compiled = validate(source, table, RECORD, [])
    refusal = TableRecord(spec).refusal(source)
    assert (refusal is not None) is isinstance(compiled, Dead), (compiled, refusal)


@pytest.mark.parametrize("operation", ["insert", "update", "delete", "load"])
@pytest.mark.parametrize("table", ROWS)
def test_every_row_and_event_of_every_table_passes_both(table: str, operation: str) -> None:
    worker = Worker(options=PipelineOptions(redaction_key=KEY, validate="all"))
    key = next(iter(ROWS[table].items()))
    before = {key[0]: key[1]} if operation == "update" else None
    record = dms(operation, ROWS[table], table=table, before=before)
    if operation == "load":
        assert worker.drop(record) == "snapshot"
    else:
        NormalizedRecord.model_validate_json(json.dumps(worker.event(record)))


def test_traffic_ends_the_same_whether_pydantic_looks_at_it_or_not() -> None:
    plain = Worker(options=PipelineOptions(redaction_key=KEY))
    strict = Worker(options=PipelineOptions(redaction_key=KEY, validate="all"))
    ended = [(plain.feed(change.data).outcome, strict.feed(change.data).outcome) for change in Traffic(1, 1_500)]
    assert [pair for pair in ended if pair[0] != pair[1]] == []


@pytest.mark.parametrize("path", list(captures.captures()), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_captured_records_end_the_same_under_the_second_opinion(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_VALIDATE", "all")
    assert captures.results(path) == json.loads(captures.golden_of(path).read_text("utf-8"))


@pytest.mark.parametrize("path", list(golden.inputs()), ids=lambda path: path.name.removesuffix(".in.json"))
def test_golden_records_end_the_same_under_the_second_opinion(path: Path) -> None:
    plain = Worker(options=PipelineOptions(redaction_key=KEY))
    strict = Worker(options=PipelineOptions(redaction_key=KEY, validate="all"))
    for record in json.loads(path.read_text("utf-8")):
        document = json.dumps(record).encode()
        assert strict.feed(document).outcome == plain.feed(document).outcome


STRICT = Pipeline(
    any_record.CATALOGUE, PipelineOptions(redaction_key=KEY, readings={"core": Reading(lob_max_size=1)}, validate="all")
)


@settings(max_examples=150)
@given(any_record.documents(), st.booleans())
def test_a_record_of_any_adapter_ends_the_same_under_the_second_opinion(found: tuple[str, Any], fixed: bool) -> None:
    adapter, document = found
    value = any_record.as_bytes(document)
    plain = any_record.run(value, adapter if fixed else None)
    with mock.patch.object(any_record, "PIPELINE", STRICT):
        assert any_record.run(value, adapter if fixed else None) == plain
