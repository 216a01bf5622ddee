"""The plan of a table and the steps of the pipeline make the same of every record, and of what they remember."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.state import LookupEntry
from models.catalogue import TELEPHONY, Catalogue
from models.change import Operation
from models.outcome import Drop, Ok
from models.raw import Origin, RawRecord
from models.routing import entity_key
from models.sources.reading import Reading
from models.tables import (
    ColumnType,
    FromColumn,
    FromLookup,
    MissingOwner,
    OwnerRule,
    Provides,
    Redaction,
    RedactionAction,
    TableSpec,
    Transformation,
)
from tests.unit.changes import COMMIT, KEY

EVERY_TYPE = {f"c_{kind.value}": kind for kind in ColumnType}
PLAIN = TableSpec(
    name="plain", table="plain", entity="plain", key=("id",), columns={"id": ColumnType.INT, **EVERY_TYPE},
    unknown_columns="publish", owner=OwnerRule(org=(FromColumn("org"),), user=(FromColumn("c_int"),)),
)  # fmt: skip
KEYED = Redaction(RedactionAction.TOKENIZE)
ODD_TABLES = (
    PLAIN,
    replace(PLAIN, name="dropping", table="dropping", unknown_columns="drop", memory=False, duplicates="pass"),
    replace(PLAIN, name="masking", table="masking", unknown_columns="mask", include_fields=("c_text", "more", "c_json"),
            operations=frozenset({Operation.UPDATE}), publish_snapshots=True),
    replace(PLAIN, name="keyed", table="keyed", key=("id", "c_text"), owner=OwnerRule(org=(FromColumn("c_text"),)),
            redact={"c_text": KEYED, "c_decimal": Redaction(RedactionAction.HASH),
                    "more": Redaction(RedactionAction.REMOVE)}),
    replace(PLAIN, name="formed", table="formed", absent_columns="null", required=frozenset({"c_text"}),
            transform={"c_timestamp": Transformation.ISO_DATE, "c_decimal": Transformation.DECIMAL,
                       "c_any": Transformation.UPPERCASE}, redact={"c_any": KEYED}),
    replace(PLAIN, name="owned", table="owned", on_missing_owner=MissingOwner(5.0, "dead"),
            provides=(Provides("owned", "id", "org", "c_int"),),
            owner=OwnerRule(org=(FromLookup("owned", by="c_int", when={"c_text": "a"}),
                                 FromColumn("org", when={"c_bool": "true"})),
                            user=(FromLookup("owned", by="id", take="user"),))),
    replace(PLAIN, name="chosen", table="chosen", where="after.c_int > `3`"),
    replace(PLAIN, name="shown", table="shown", images=frozenset({"before", "after"})),
    replace(PLAIN, name="fixed", table="fixed", schema="core"),
    replace(PLAIN, name="sparing", table="sparing", redact={"c_text": replace(KEYED, unless={"c_any": ("a",)})}),
)  # fmt: skip
SPECS = {spec.name: spec for spec in (*TELEPHONY, *ODD_TABLES)}
OPTIONS = PipelineOptions(
    redaction_key=KEY, readings={"nulls": Reading(absent_columns="null")}, time_zone="Europe/Lisbon"
)
CATALOGUE = Catalogue(SPECS.values())

TEXTS = ("a", "", "A@x.test", "+351 210 000 000", "A", "7", "-0", 'ü"\\', "x:y%z", "\t")
TIMES = ("2026-01-15T10:31:00Z", "2026-01-15 10:31:00.5", "0000-00-00", "2026-01-16", "yesterday")
NUMBERS = (0, 1, 7, 7.0, 4.75, 4.5, "4.50", "1e3", 1e22, 2**70, -(2**63))
USUAL: dict[ColumnType, tuple[Any, ...]] = {
    ColumnType.INT: (0, 1, 2, 3, 4, 9), ColumnType.TEXT: TEXTS, ColumnType.BOOL: (True, False, 0, 1),
    ColumnType.TIMESTAMP: TIMES, ColumnType.DECIMAL: NUMBERS,
    ColumnType.JSON: ('{"a": 1}', '{"a":1}', '{"a":2}', "[", ""), ColumnType.ANY: (*TEXTS, True, False, *NUMBERS),
}  # fmt: skip
ODD = (*TEXTS, *NUMBERS, True, [1], {"a": 1})
COMMITS = (
    *[COMMIT] * 10, "2026-01-15T10:30:59.999999Z", "2026-01-15 10:31:00", "2026-02-31T10:31:00.000000Z",
    "2026-01-15T10:31:00.000000+01:00", "1969-12-31T23:59:59.000000Z", None,
)  # fmt: skip
WORDS = (*["update"] * 12, "insert", "insert", "load", "delete", "UPDATE", "merge")


def odd_row(rng: Random, spec: TableSpec) -> dict[str, Any]:
    """A row whose key is one of two, in which now and then a column is null, absent or odd."""
    kinds = {**dict.fromkeys(sorted(spec.known), ColumnType.ANY), **spec.columns, "more": ColumnType.ANY}
    row: dict[str, Any] = {}
    for name, kind in kinds.items():
        chance = rng.randrange(50)
        if name in spec.key:
            row[name] = rng.choice("ab") if kind is ColumnType.TEXT else rng.randint(1, 2)
        elif chance > 1:
            row[name] = None if chance == 2 else rng.choice(USUAL[kind][: 4 if rng.randrange(40) else None])
    if not rng.randrange(15):
        row[rng.choice([*kinds, "other", "BI_id", "_doc"])] = rng.choice(ODD)
    return row


def odd_record(rng: Random, spec: TableSpec) -> bytes:
    """A record as DMS may write it."""
    row = odd_row(rng, spec)
    word = rng.choice(WORDS)
    others = sorted(row.keys() - spec.key)
    before: dict[str, Any] | None = row | {
        name: odd_row(rng, spec).get(name) for name in rng.sample(others, min(4, len(others)))
    }
    if not rng.randrange(6):
        before = rng.choice([None, row, {}, {name: row.get(name) for name in spec.key}, odd_row(rng, spec)])
    metadata: dict[str, Any] = {
        "timestamp": COMMIT, "commit-timestamp": rng.choice(COMMITS), "record-type": "data", "operation": word,
        "schema-name": rng.choice([*["core"] * 12, "other", None]), "table-name": spec.table,
    }  # fmt: skip
    if rng.randrange(4):
        numbers = {"transaction-id": rng.choice([1, 2, "3", ""]), "transaction-record-id": rng.randrange(3)}
        metadata |= {"stream-position": "p"} | numbers
    document = {"data": row, "metadata": metadata}
    if before is not None and (word == "update" or not rng.randrange(5)):
        document = {"data": row, "before-image": before, "metadata": metadata}
    indent, separators = rng.choice([(None, (",", ":")), (None, (",", ":")), (None, (", ", ": ")), ("\t", None)])
    return json.dumps(document, indent=indent, separators=separators, ensure_ascii=rng.random() < 0.5).encode()


def state() -> InMemoryState:
    """One in which a lookup knows some users, and groups that are younger than any change."""
    found = InMemoryState()
    found.pins = dict.fromkeys(SPECS, "core")
    for number in range(1, 5):
        entry = LookupEntry(org_id=f"o{number}", user_id=str(number), since_ms=1)
        found.lookups["users", entity_key("core", "users", (number,))] = entry
        found.lookups["owned", entity_key("core", "owned", (number,))] = entry
        found.lookups["groups", entity_key("core", "groups", (number,))] = LookupEntry(org_id="g", since_ms=1 << 50)
    return found


def raw(spec: TableSpec, value: bytes, source: str, offset: int, *, replay: int = 0) -> RawRecord:
    document = json.loads(value)
    keys = tuple((document["data"] or {}).get(name) for name in spec.key)
    return RawRecord(
        value, entity_key("core", spec.table, keys), Origin("stream", "shard", str(offset)), "cdc.raw.core", 0, offset,
        1_768_473_060_412, source, adapter="dms", table=spec.name, replay=replay,
    )  # fmt: skip


@pytest.mark.parametrize("name", SPECS)
@given(st.integers(0, 1 << 32))
@settings(max_examples=20)
def test_both_answer_and_remember_the_same(name: str, seed: int) -> None:
    spec, rng = SPECS[name], Random(seed)
    planned, stepped = state(), state()
    pipeline = Pipeline(CATALOGUE, OPTIONS)
    for source in ("core", "nulls"):
        pipeline.run(raw(spec, ordinary(spec, 1), source, 1), state())
    value = odd_record(rng, spec)
    for offset in range(5):
        value = value if offset and not rng.randrange(4) else odd_record(rng, spec)  # now and then one comes again
        record = raw(spec, value, rng.choice(["core", "core", "nulls"]), offset, replay=rng.choice([*[0] * 12, 7]))
        patient = rng.random() < 0.5
        found = pipeline.run(record, planned, patient=patient)
        wanted = pipeline.run(
            structs.replace(record, table=None), stepped, patient=patient
        )  # without a header: step by step
        assert found == wanted, value
        planned.apply(found.effects)
        stepped.apply(wanted.effects)
        assert vars(planned) == vars(stepped), value


def ordinary(spec: TableSpec, number: int, word: str = "update") -> bytes:
    texts = {ColumnType.INT: number, ColumnType.BOOL: True, ColumnType.TIMESTAMP: COMMIT, ColumnType.DECIMAL: 4.75}
    row = {name: texts.get(spec.columns.get(name, ColumnType.ANY), "a") for name in sorted(spec.known)}
    row |= {name: 1 for name in spec.key if spec.columns.get(name) is ColumnType.INT}
    metadata = {
        "operation": word, "record-type": "data", "schema-name": "core", "table-name": spec.table,
        "commit-timestamp": COMMIT, "stream-position": "p", "transaction-id": number, "transaction-record-id": 1,
    }  # fmt: skip
    document: dict[str, Any] = {"data": row, "metadata": metadata}
    if word == "update":
        document["before-image"] = row | {name: None for name in row if name not in spec.key}
    return json.dumps(document).encode()


def test_a_row_of_no_time_does_not_settle_what_later_rows_show() -> None:
    spec = SPECS["plain"]
    planned, stepped = state(), state()
    pipeline = Pipeline(CATALOGUE, OPTIONS)
    flags = [ordinary(spec, number).replace(b'"c_bool": true', b'"c_bool": 1') for number in (3, 4)]
    flags[0] = flags[0].replace(COMMIT.encode(), b"1970-01-01T00:00:00Z")
    for offset, value in enumerate([ordinary(spec, 1), ordinary(spec, 2), *flags]):
        record = raw(spec, value, "core", offset)
        found, wanted = (pipeline.run(structs.replace(record, table=table), memory)
                         for table, memory in ((spec.name, planned), (None, stepped)))  # fmt: skip
        assert found == wanted
        planned.apply(found.effects)
        stepped.apply(wanted.effects)


UNPLANNED = {"call_center_agents", "chosen", "shown", "sparing"}
"""`where`, whole images and conditions are for the steps."""


@pytest.mark.parametrize("name", sorted(SPECS.keys() - UNPLANNED))
@pytest.mark.parametrize("word", ["update", "insert"])
def test_an_ordinary_change_goes_by_its_plan(name: str, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, memory = SPECS[name], state()
    pipeline = Pipeline(CATALOGUE, OPTIONS)
    memory.apply(pipeline.run(raw(spec, ordinary(spec, 1, word), "core", 1), memory).effects)
    monkeypatch.setattr("enrichers.pipeline.validate", None)
    outcome = pipeline.run(raw(spec, ordinary(spec, 2, word), "core", 2), memory).outcome
    assert isinstance(outcome, Ok) or outcome == Drop("operation_not_listed")
    assert json.loads(outcome.value.value)["metadata"]["transactionId"] == "2" if isinstance(outcome, Ok) else True


@pytest.mark.parametrize("name", sorted(UNPLANNED))
def test_what_needs_the_steps_has_no_plan(name: str) -> None:
    spec = SPECS[name]
    pipeline = Pipeline(CATALOGUE, OPTIONS)
    pipeline.run(raw(spec, ordinary(spec, 1), "core", 1), state())
    assert pipeline._ways["core", name].plan is None
    assert pipeline._ways["core", name].read(ordinary(spec, 2)) is not None


def both(pipeline: Pipeline, spec: TableSpec, values: list[bytes]) -> list[tuple[Any, Any]]:
    """(by the plan, step by step) of records that come one after the other."""
    planned, stepped, found = state(), state(), []
    for offset, value in enumerate(values, 1):
        record = raw(spec, value, "core", offset)
        pair = (pipeline.run(record, planned), pipeline.run(structs.replace(record, table=None), stepped))
        planned.apply(pair[0].effects)
        stepped.apply(pair[1].effects)
        found.append(pair)
    return found


def test_an_owner_from_a_redacted_column_of_a_lookup_has_its_alias_while_keys_change() -> None:
    people = replace(
        PLAIN, name="people", table="people", owner=None, provides=(Provides("people", "id", "org"),),
        redact={"org": Redaction(RedactionAction.HASH)}, columns={**PLAIN.columns, "org": ColumnType.TEXT},
    )  # fmt: skip
    calls = replace(PLAIN, name="calls", table="calls", owner=OwnerRule(org=(FromLookup("people", by="c_int"),)))
    options = replace(
        OPTIONS, other_redaction_key=b"another key of sixteen bytes or more", other_redaction_key_version=2
    )
    pipeline, memory = Pipeline(Catalogue([people, calls]), options), state()
    memory.pins |= {"people": "core", "calls": "core"}
    for number in (1, 2):
        memory.lookups["people", entity_key("core", "people", (number,))] = LookupEntry(org_id="secret", since_ms=1)
    for offset in (1, 2):
        outcome = pipeline.run(raw(calls, ordinary(calls, offset), "core", offset), memory).outcome
        assert isinstance(outcome, Ok)
        told = json.loads(outcome.value.value)
        assert told["metadata"]["aliases"].keys() == {told["orgId"]}


def test_each_spelling_of_a_table_stands_in_its_own_events() -> None:
    spec = SPECS["plain"]
    names = [b"plain", b"plain", b"PLAIN", b"plain", b"PLAIN"]
    values = [
        ordinary(spec, number).replace(b'"table-name": "plain"', b'"table-name": "%s"' % name)
        for number, name in enumerate(names, 1)
    ]
    pairs = both(Pipeline(CATALOGUE, OPTIONS), spec, values)
    assert all(found == wanted for found, wanted in pairs)
    tables = [json.loads(found.outcome.value.value)["metadata"]["sourceTable"] for found, _ in pairs]
    assert tables == [name.decode() for name in names]


def test_a_control_record_of_the_same_form_goes_by_no_plan() -> None:
    spec = SPECS["plain"]
    control = ordinary(spec, 3).replace(b'"record-type": "data"', b'"record-type": "control"')
    pairs = both(Pipeline(CATALOGUE, OPTIONS), spec, [ordinary(spec, 1), ordinary(spec, 2), control])
    assert pairs[-1][0] == pairs[-1][1]
    assert not isinstance(pairs[-1][0].outcome, Ok)


def test_a_key_beyond_64_bits_travels_as_text() -> None:
    spec = SPECS["plain"]
    values = [ordinary(spec, number).replace(b'"id": 1,', b'"id": %d,' % (2**70)) for number in (1, 2)]
    [_, (found, wanted)] = both(Pipeline(CATALOGUE, OPTIONS), spec, values)
    assert found == wanted
    assert isinstance(found.outcome, Ok)
    assert json.loads(found.outcome.value.value)["keys"] == {"id": str(2**70)}


@pytest.mark.parametrize("generation", [7, 12_345])
def test_a_generation_has_four_digits_or_more(generation: int) -> None:
    spec = SPECS["plain"]
    record = structs.replace(raw(spec, ordinary(spec, 1), "core", 41), generation=generation)
    outcome = Pipeline(CATALOGUE, OPTIONS).run(record, state()).outcome
    assert isinstance(outcome, Ok)
    assert json.loads(outcome.value.value)["metadata"]["sequence"] == f"{generation:04d}-{41:020d}"
