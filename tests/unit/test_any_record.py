"""Whatever stands on the stream ends as a result or as a coded failure, by every adapter; an event is strict JSON."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.routing import route
from models.catalogue import Catalogue
from models.outcome import Dead, Drop, Failure, Ok
from models.raw import Origin, RawRecord
from models.source_spec import ADAPTERS
from models.sources.reading import Reading
from models.tables import ColumnType, FromColumn, OwnerRule, Redaction, RedactionAction, TableSpec, Transformation
from tests.unit.changes import KEY

TABLE = TableSpec(
    name="t", table="t", entity="t", key=("id", "part"),
    columns={"id": ColumnType.ANY, "n": ColumnType.INT, "d": ColumnType.DECIMAL, "b": ColumnType.BOOL,
             "at": ColumnType.TIMESTAMP, "j": ColumnType.JSON},
    owner=OwnerRule(org=(FromColumn("org"),), user=(FromColumn("user"),)),
    redact={"mail": Redaction(RedactionAction.PARTIAL_MASK, "email"), "token": Redaction(RedactionAction.TOKENIZE)},
    transform={"at": Transformation.ISO_DATE, "d": Transformation.DECIMAL},
    unknown_columns="publish", images=frozenset({"before", "after"}), publish_snapshots=True,
)  # fmt: skip
CATALOGUE = Catalogue([TABLE])
PIPELINE = Pipeline(CATALOGUE, PipelineOptions(redaction_key=KEY, readings={"core": Reading(lob_max_size=1)}))

TEXT = st.text(max_size=6) | st.sampled_from(["", "0", "-7", "7", "1e999", "2026-01-15T10:31:00", "a@b.c", "%3A", ":"])
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.integers(-(2**70), 2**70) | TEXT
    | st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: f"<<{number}>>")
)  # fmt: skip
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
COLUMNS = st.sampled_from(["id", "part", "ID", "n", "d", "b", "at", "j", "org", "user", "mail", "token", "BI_n", "x"])
WILD = st.dictionaries(COLUMNS, VALUES, max_size=6)
FITTING = st.fixed_dictionaries(
    {"id": st.integers() | TEXT, "part": TEXT},
    optional={
        "n": st.integers() | st.just("<<7.0>>"), "d": st.sampled_from([7, "<<2.675>>", "-1.5"]), "b": st.booleans(),
        "at": st.sampled_from(["2026-01-15", 1_768_473_060, None]), "j": VALUES, "x": VALUES, "org": PLAIN,
        "user": PLAIN, "mail": st.none() | TEXT, "token": VALUES,
    },
)  # fmt: skip
ROWS = st.one_of(FITTING, FITTING, FITTING, WILD)
TIMES = st.sampled_from([None, 0, 1_768_473_060, 10**18, -1, "now", "2026-01-15T10:31:00.5Z"])


def typed(value: Any) -> Any:
    """As DynamoDB would write it."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case list():
            return {"L": [typed(item) for item in value]}
        case _:
            return {"M": {name: typed(item) for name, item in value.items()}}


def of_dms(word: str, row: Any, before: Any, time: Any) -> dict[str, Any]:
    metadata = {"operation": word, "schema-name": "core", "table-name": "t", "record-type": "data", "timestamp": time}
    transaction = {"stream-position": "p", "transaction-id": 1, "transaction-record-id": 2}
    return {"data": row, "before-image": before, "metadata": metadata | transaction}


def of_dynamodb(word: str, row: Any, before: Any, time: Any) -> dict[str, Any]:
    images = {name: typed(image)["M"] for name, image in (("NewImage", row), ("OldImage", before)) if image is not None}
    keys = {name: typed(value) for name, value in (row or before or {}).items() if name in TABLE.key}
    change = {"Keys": keys, "ApproximateCreationDateTime": time, **images}
    return {"eventSource": "aws:dynamodb", "eventName": word, "eventID": "e", "tableName": "t", "dynamodb": change}


def of_debezium(word: str, row: Any, before: Any, time: Any) -> dict[str, Any]:
    source = {"connector": "c", "name": "n", "lsn": 5, "schema": "core", "table": "t", "ts_ms": time, "txId": 3}
    return {"op": word, "before": before, "after": row, "source": source}


def of_flat(word: str, row: Any, before: Any, time: Any) -> dict[str, Any]:
    return {**(row or before or {}), "__op": word, "__table": "t", "__db": "core", "__ts_ms": time, "__lsn": 5}


def of_dsql(word: str, row: Any, before: Any, time: Any) -> dict[str, Any]:
    return of_debezium(word, row, before, time) | {
        "type": "full",
        "source": {"cluster": "k", "schema": "core", "table": "t", "ts_ns": time, "txId": "x"},
    }


SHAPES = {
    "dms": (of_dms, ["insert", "update", "delete", "load", "merge"]),
    "dynamodb": (of_dynamodb, ["INSERT", "MODIFY", "REMOVE", "x"]),
    "debezium": (of_debezium, ["c", "u", "d", "r", "t", "m", "x"]),
    "debezium-flat": (of_flat, ["c", "u", "d", "r", "x"]),
    "dsql": (of_dsql, ["c", "u", "d", "x"]),
}
assert SHAPES.keys() == set(ADAPTERS)


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, Any]:
    adapter = draw(st.sampled_from(ADAPTERS))
    shape, words = SHAPES[adapter]
    usual = "2026-01-15T10:31:00Z" if adapter == "dms" else 1_768_473_060_000
    row = draw(st.one_of(ROWS, ROWS, ROWS, st.none()))
    return adapter, shape(
        draw(st.sampled_from([*words[:3], *words])), row, draw(st.none() | ROWS), draw(st.just(usual) | TIMES)
    )


def as_bytes(document: Any) -> bytes:
    """With the decimals among its values written as numbers."""
    text = json.dumps(document)
    return text.replace('"<<', "").replace('>>"', "").encode()


def run(value: bytes, adapter: str | None, *, sequence: str = "1") -> Any:
    routed = route(value, "p", CATALOGUE, adapter)
    record = RawRecord(
        value=value, key=routed.key if routed.table else None, origin=Origin("s", "0", sequence, 0, 1_768_473_060_400),
        topic="cdc.raw.core", partition=0, offset=3, timestamp_ms=1_768_473_060_412, source="core",
        adapter=routed.adapter, table=routed.table,
    )  # fmt: skip
    return PIPELINE.run(record, InMemoryState(), patient=False).outcome


def judged(outcome: Any) -> None:
    match outcome:
        case Ok(event):
            strict(event.value)
        case Drop(reason):
            assert reason
        case Dead(failure, reason):
            assert isinstance(failure, Failure)
            assert "bug in the worker" not in reason
        case _:
            raise AssertionError(outcome)


def strict(value: bytes) -> None:
    """EventBridge takes it: valid JSON, no name twice, integers within int64, no number that is none."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    def integer(text: str) -> int:
        assert -(2**63) <= int(text) < 2**63
        return int(text)

    def refuse(text: str) -> Any:
        raise AssertionError(f"{text} in an event")

    detail = json.loads(
        value.decode(), object_pairs_hook=unique, parse_int=integer, parse_constant=refuse, parse_float=refuse
    )
    assert isinstance(detail, dict)
    assert json.dumps(detail, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() == value


@given(documents(), st.booleans())
@settings(max_examples=200)
def test_a_record_of_any_shape_and_content_ends_as_event_drop_or_coded_failure(
    drawn: tuple[str, Any], fixed: bool
) -> None:
    judged(run(as_bytes(drawn[1]), drawn[0] if fixed else None))


@given(documents(), st.data())
@settings(max_examples=200)
def test_a_damaged_record_ends_as_one_of_them_too(drawn: tuple[str, Any], data: st.DataObject) -> None:
    value = bytearray(as_bytes(drawn[1]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(value) - 1))
        value[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    judged(run(bytes(value), data.draw(st.sampled_from([None, drawn[0]]))))


@given(st.binary(max_size=80), st.sampled_from([None, *ADAPTERS]), st.booleans())
@settings(max_examples=200)
def test_any_bytes_by_any_adapter_end_as_one_of_them(value: bytes, adapter: str | None, packed: bool) -> None:
    judged(run(gzip.compress(value, mtime=0) if packed else value, adapter))


@given(VALUES, st.sampled_from(ADAPTERS))
def test_any_json_by_any_adapter_ends_as_one_of_them(value: Any, adapter: str) -> None:
    judged(run(as_bytes(value), adapter))


@pytest.mark.parametrize("adapter", ADAPTERS)
@given(st.data())
@settings(max_examples=60)
def test_the_same_change_has_the_same_id_wherever_it_stands_and_another_row_another(
    adapter: str, data: st.DataObject
) -> None:
    shape, words = SHAPES[adapter]
    row = {"id": data.draw(TEXT), "part": data.draw(TEXT)}
    other = {"id": data.draw(TEXT), "part": data.draw(TEXT)}
    made = [as_bytes(shape(words[0], image, None, 1_768_473_060_000)) for image in (row, row, other)]
    if adapter == "dms":
        made = [value.replace(b"1768473060000", b'"2026-01-15T10:31:00Z"') for value in made]
    if adapter == "debezium-flat":  # it names its changes only if told to
        made = [value.replace(b'"__lsn"', b'"__source_connector":"c","__source_name":"n","__lsn"') for value in made]
    one, again, another = (run(value, None, sequence=str(number)) for number, value in enumerate(made))
    assert isinstance(one, Ok), one
    assert isinstance(another, Ok), another
    assert one.value.event_id == again.value.event_id
    keys = [json.loads(outcome.value.value)["keys"] for outcome in (one, another)]
    same = [[str(value) for value in key.values()] for key in keys]
    canonical = same[0] == same[1]
    assert (one.value.event_id == another.value.event_id) == canonical
    assert (one.value.key == another.value.key) == canonical


def test_a_packed_record_is_the_change_it_holds() -> None:
    value = as_bytes(of_dms("insert", {"id": 1, "part": "a", "org": 3}, None, "2026-01-15T10:31:00Z"))
    plain, packed = run(value, None), run(gzip.compress(value, mtime=0), None)
    assert isinstance(plain, Ok)
    assert plain == packed
    assert route(value, "p", CATALOGUE) == route(gzip.compress(value), "p", CATALOGUE)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b'{"data":{"id":NaN}}', "NaN or infinity"),
        (b'{"data":{"id":-Infinity}}', "NaN or infinity"),
        (b'{"data":{"id":1,"id":2}}', "duplicate key"),
        (b'{"data":{"id":"\\ud800"}}', "lone surrogate"),
        (b'{"data":' + b"[" * 70 + b"]" * 70 + b"}", "nested deeper than 64"),
        (b'{"data":{"id":1e999999}}', "out of range"),
        (b'{"data":{"id":' + b"9" * 5_000 + b"}}", "malformed|unsupported number"),
        (b"[" + b"{}," * 300_000 + b"{}]", "more than 500000 values"),
        (b'"' + b"x" * (12 << 20) + b'"', "larger than"),
        (gzip.compress(b" " * (9 << 20)), "larger than 8388608 bytes when unpacked"),
    ],
)
def test_what_the_decoder_refuses_is_a_parse_error_that_says_why(value: bytes, why: str) -> None:
    outcome = run(value, None)
    assert isinstance(outcome, Dead)
    assert outcome.failure is Failure.PARSE_ERROR
    assert any(part in outcome.reason for part in why.split("|"))


def test_integers_and_decimals_of_any_size_reach_the_event_exactly() -> None:
    row = '{"id":1,"part":"a","x":[18446744073709551616,-9223372036854775809,9223372036854775807,0.10,1e-130]}'
    record = as_bytes(of_dms("insert", "ROW", None, "2026-01-15T10:31:00Z")).replace(b'"ROW"', row.encode())
    outcome = run(record, None)
    assert isinstance(outcome, Ok)
    found = json.loads(outcome.value.value)["after"]["x"]
    assert found == ["18446744073709551616", "-9223372036854775809", 9223372036854775807, "0.10", "1E-130"]
