"""The short way to read a record of DMS: whatever it answers, the long way answers too."""

import json
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from enrichers.compiled import CompiledTable
from enrichers.observe import Oddities
from enrichers.pipeline import Pipeline
from enrichers.plan_forms import PlanOptions
from enrichers.second_opinion import SecondOpinion
from enrichers.short_way import MAX_LESSONS, PATIENCE, ShortWay
from models.catalogue import Catalogue
from models.change import SourceRow
from models.outcome import Ok
from models.raw import Origin, RawRecord
from models.sources import dms
from models.sources.dms_typed import TypedReader
from models.sources.reading import PLAIN
from models.strict_json import JsonError, decode
from models.tables import ColumnType, TableSpec
from tests.unit.changes import Worker
from tests.unit.changes import dms as record

SPEC = TableSpec(
    name="things", table="things", entity="thing", key=("ID",), unknown_columns="publish",
    columns={
        "ID": ColumnType.INT, "Name": ColumnType.TEXT, "Open": ColumnType.BOOL, "MadeAt": ColumnType.TIMESTAMP,
        "Price": ColumnType.DECIMAL, "Notes": ColumnType.JSON,
    },
)  # fmt: skip
TABLE = CompiledTable(SPEC, Catalogue([SPEC]), secret=None, redact=False, zone="UTC")
ROW: dict[str, Any] = {
    "ID": 7, "name": 'a"\\ü', "Open": True, "MadeAt": "2026-01-15T10:31:00Z", "Price": 4.75, "Notes": '{"a": 1}',
    "Extra": None,
}  # fmt: skip

ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
ODD = ODD | st.lists(st.integers(), max_size=2) | st.dictionaries(st.text(max_size=2), st.integers(), max_size=2)
ODD = ODD | st.sampled_from(["7", "7.0", "4.50", "1e3", "2026-01-15", "yes", 2**70, 1e22, 1e-9])
PLAIN_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ID": st.integers(), "name": st.text(max_size=5), "Open": st.booleans(), "MadeAt": st.just(ROW["MadeAt"]),
    "Price": st.integers() | st.sampled_from([4.75, "12.50", 0.1]), "Notes": st.text('":\\{', max_size=5),
    "Extra": st.integers() | st.text(max_size=3) | st.booleans(),
}  # fmt: skip


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    """A row like the one that was learnt from, in which anything may be odd."""
    row = {name: draw(values | st.none()) for name, values in PLAIN_VALUES.items() if draw(st.booleans())}
    if draw(st.integers(0, 3)) == 0:
        row[draw(st.sampled_from([*PLAIN_VALUES, "Name", "Other", "BI_ID", "_doc"]))] = draw(ODD)
    return row


def unlearnt() -> ShortWay:
    options = PlanOptions(Catalogue([SPEC]), SecondOpinion("off"), "service", "TEST", UTC)
    return ShortWay(TABLE, options)


def learnt() -> ShortWay:
    way = unlearnt()
    way.learn(ROW, None)
    return way


def readers() -> list[TypedReader]:
    """One that measures what it reads, and one that writes it again."""
    columns = {name: SPEC.columns.get(name.replace("name", "Name"), ColumnType.ANY) for name in ROW}
    return [TypedReader(columns, PLAIN, measures=measures) for measures in (True, False)]


def read(way: ShortWay, data: bytes, odd: Oddities) -> Any:
    """The document, as the steps take it."""
    found = way.read(data)
    return None if found is None else way.document(found, odd)


def the_long_way(data: bytes) -> tuple[Any, Any, Oddities]:
    source = dms.decode(decode(data))
    assert isinstance(source, SourceRow)
    odd: Oddities = []
    row, before = (None if image is None else TABLE.read(image, odd) for image in (source.row, source.before))
    return row, before, odd


@given(rows(), st.none() | rows(), st.sampled_from(["insert", "update", "delete"]), st.sampled_from([None, "\t"]),
       st.booleans(), st.sampled_from(["", '"ID": 1,', '"ID" : 1,', '"x": {"y": 1, "y": 2},']))  # fmt: skip
def test_what_it_reads_is_what_the_long_way_reads(
    row: dict[str, Any], before: dict[str, Any] | None, operation: str, indent: str | None, ascii_only: bool, more: str
) -> None:
    document = json.loads(record(operation, row, before=before, table="things"))
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only, separators=None if indent else (",", ":"))
    data = text.replace("{", "{" + more, 2).replace("{" + more, "{", 1).encode()
    odd: Oddities = []
    found = read(learnt(), data, odd)
    for one in readers():
        record_read = one.read(data)
        if record_read is not None:
            source = dms.decode(one.document(record_read, [name.replace("name", "Name") for name in ROW]))
            assert isinstance(source, SourceRow)
            assert (source.row, source.before) == the_long_way(data)[:2]
    if found is None:
        return
    source = dms.decode(found)
    assert isinstance(source, SourceRow)
    assert (source.row, source.before, odd) == the_long_way(data)
    for image in (source.row, source.before):
        assert [type(value) for value in (image or {}).values()] == [
            type(value)
            for value in (TABLE.read(image, []) if image else {}).values()  # type: ignore[union-attr]
        ]


def test_flags_that_are_numbers_are_put_right_and_told() -> None:
    odd: Oddities = []
    found = read(learnt(), record("update", ROW | {"Open": 1}, before=ROW | {"Open": 0}, table="things"), odd)
    assert found is not None
    assert (found["data"]["Open"], found["before-image"]["Open"]) == (True, False)
    assert odd == [("Open", "integer", False)] * 2


@pytest.mark.parametrize("column", ["Price", "MadeAt"])
def test_a_flag_in_a_column_of_another_type_goes_the_long_way(column: str) -> None:
    assert read(learnt(), record("update", ROW, before=ROW | {column: False}, table="things"), []) is None


@pytest.mark.parametrize("layout", [{"separators": (",", ":")}, {"separators": (", ", ": ")}, {"indent": "\t"}])
@pytest.mark.parametrize("name", ["Ana", "Zoë", 'a "b" c', "C:\\temp", '\\"\\'])
@pytest.mark.parametrize("before", [None, ROW | {"Price": "4.70"}, {"ID": 7}])
def test_an_ordinary_record_goes_it(before: dict[str, Any] | None, name: str, layout: Any) -> None:
    row = ROW | {"name": name}
    document = json.loads(record("update", row, before=before, table="things", transaction=5))
    data = json.dumps(document, ensure_ascii=False, **layout).encode()
    assert all(one.read(data) is not None for one in readers())
    found = read(learnt(), data, [])
    assert found is not None
    assert found["data"]["Name"] == name
    assert found["data"]["Price"] == Decimal("4.75")


def test_a_before_image_of_null_goes_it() -> None:
    document = json.loads(record("insert", ROW, table="things")) | {"before-image": None}
    assert read(learnt(), json.dumps(document).encode(), []) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [("ID", "7"), ("ID", 7.0), ("Open", 2), ("Price", "4,75"), ("Price", 1e22), ("MadeAt", "yesterday"), ("Notes", {}),
     ("Other", 1), ("BI_ID", 6), ("_doc", {})],
)  # fmt: skip
def test_what_is_unusual_goes_the_long_way(name: str, value: object) -> None:
    assert read(learnt(), record("update", ROW | {name: value}, table="things"), []) is None


@given(
    rows(), st.none() | rows(), st.data(), st.sampled_from([(",", ":"), (",", " :"), (",\n\t", ":\t")]), st.booleans()
)
def test_a_key_that_stands_anywhere_twice_never_goes_it(
    row: dict[str, Any], before: dict[str, Any] | None, draw: st.DataObject, separators: tuple[str, str],
    ascii_only: bool,
) -> None:  # fmt: skip
    comma, colon = separators
    document = json.loads(record("update", row, before=before, table="things", transaction=5))
    objects = [document, *(part for part in document.values() if part)]
    chosen = draw.draw(st.sampled_from(objects))

    def written(value: Any) -> str:
        if type(value) is not dict:
            return json.dumps(value, ensure_ascii=ascii_only)
        members = [json.dumps(name) + colon + written(item) for name, item in value.items()]
        if value is chosen:
            members.insert(draw.draw(st.integers(0, len(members))), draw.draw(st.sampled_from(members)))
        return "{" + comma.join(members) + "}"

    data = written(document).encode()
    assert [one.read(data) for one in readers()] == [None, None]


def test_a_key_that_stands_there_twice_goes_the_long_way_and_is_refused() -> None:
    data = record("update", ROW, table="things").replace(b'"ID": 7', b'"ID": 7, "ID": 7')
    assert read(learnt(), data, []) is None
    with pytest.raises(JsonError, match="duplicate"):
        decode(data)


def test_the_pipeline_goes_it_from_the_second_record_on_and_makes_the_same_events() -> None:
    catalogue = Catalogue([SPEC])
    short, long = Worker(catalogue), Worker(catalogue)
    for number in range(4):
        row, before = ROW | {"Price": number + 0.5}, ROW | {"Open": number % 2}
        data = record("update", row, before=before, table="things", transaction=number)
        assert short.event(data) == long.event(data)
        long.pipeline = Pipeline(catalogue, long.options)  # it has learnt nothing
    assert short.pipeline._ways["core", "things"].read(data) is not None
    assert not long.pipeline._ways


def test_a_header_that_names_another_table_of_the_same_columns_changes_nothing() -> None:
    columns = {**SPEC.columns, "ID": ColumnType.TEXT}
    other = replace(SPEC, name="others", table="others", entity="other", columns=columns)
    worker = Worker(Catalogue([SPEC, other]))
    worker.event(record("insert", ROW, table="things"))
    data = record("insert", ROW, table="others")
    given = RawRecord(data, b"k", Origin("s", "h", "1"), "raw", 0, 9, 1, "core", adapter="dms", table="things")
    outcomes = [
        worker.pipeline.run(one, worker.state).outcome for one in (given, structs.replace(given, table="others"))
    ]
    assert outcomes[0] == outcomes[1]
    assert isinstance(outcomes[0], Ok)
    assert outcomes[0].value.entity_type == "others"


def test_a_new_column_is_learnt() -> None:
    way = learnt()
    data = record("insert", ROW | {"Other": 1}, table="things")
    assert read(way, data, []) is None
    way.learn(ROW | {"Other": 1})
    assert read(way, data, []) is not None


def test_two_spellings_of_one_column_end_it() -> None:
    way = learnt()
    way.learn({"Name": "b"})
    assert read(way, record("insert", ROW, table="things"), []) is None


def test_a_source_whose_columns_never_settle_ends_it() -> None:
    way = unlearnt()
    for number in range(MAX_LESSONS + 1):
        way.learn({"ID": 1, f"c{number}": 1})
    assert read(way, record("insert", {"ID": 1, "c0": 1}, table="things"), []) is None


def test_a_source_of_unusual_records_ends_it() -> None:
    way = learnt()
    for _ in range(PATIENCE + 1):
        assert read(way, record("insert", ROW | {"ID": "7"}, table="things"), []) is None
    assert read(way, record("insert", ROW, table="things"), []) is None
