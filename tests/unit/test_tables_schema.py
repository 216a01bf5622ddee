"""The JSON Schemas for editors: current, complete, and of one mind with the loaders about what one entry may say."""

import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from models.catalogue import load_catalogue
from models.sources_file import read_sources
from models.start_position import StartAt
from models.tables_file import FIELDS
from models.tables_schema import sources_schema, tables_schema
from models.yaml_nodes import InvalidFile
from workers.cli.tables import tables

ROOT = Path(__file__).parents[2]
FILES = {"tables": tables_schema, "sources": sources_schema}
T = "table: t, entity: t, key: [id]"
E = "in: {after: {id: 1}}"

GOOD = {
    "tables": [
        "",
        f"{{{T}}}",
        "{table: 7, name: seven, entity: t, key: id}",
        "{table: users}",
        "{table: lines, extends: channels}",
        f"{{{T}, schema: s, adapter: dsql, required: id, operations: [INSERT, UPDATE], unknown_columns: drop}}",
        f"{{{T}, columns: {{id: int, a: any}}, event_types: {{INSERT: t.new, UPDATE: none}}}}",
        f"{{{T}, owner: none, provides: none, where: none, examples: none, memory: none, duplicates: pass}}",
        f"{{{T}, owner: {{org: {{column: o}}, user: [{{lookup: users, by: u, take: org, when: {{a: 1, b: yes}}}}]}}}}",
        f"{{{T}, provides: {{lookup: l, key: id, org: o, query: 'SELECT id, o FROM t WHERE id = ANY($1)'}}}}",
        f"{{{T}, owner: {{org: none}}, provides: {{lookup: l, key: id, org: o, user: u}}}}",
        f"{{{T}, redact: {{a: HASH, b: {{action: PARTIAL_MASK, style: ip, visibleChars: 2, maskChar: x}}}}}}",
        f"{{{T}, redact: {{a: {{action: FULL_MASK, replacement: '[x]'}}, b: {{action: TOKENIZE, link_group: g}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, unless: {{b: [x, 1], c: true}}}}}}}}",
        f"{{{T}, redact: {{a: {{action: REMOVE, patterns: [email, {{x: 'a[0-9]', y: b}}]}}}}}}",
        f"{{{T}, redact: {{a: {{action: REMOVE, patterns: ip}}}}}}",
        f"{{{T}, redact: {{a: {{action: PARTIAL_MASK, unless: {{kind: [A, B], other: 1}}}}}}}}",
        f"{{{T}, redact: {{a: {{action: FULL_MASK, patterns: [email, {{ticket: 'TCK-[0-9]{{6}}'}}]}}}}}}",
        f"{{{T}, transform: {{a: DECIMAL, b: ISO_DATE}}, include_fields: [id, a], images: [before, after]}}",
        *(f"{{{T}, on_missing_owner: '{word}'}}" for word in ("publish", "dead", "wait:30s", "wait:500ms,dead")),
        f"{{{T}, publish_snapshots: true, absent_columns: 'null', detail_type_style: table-change}}",
        f"{{{T}, where: after.a == 'b'}}",
        f"{{{T}, examples: {{{E}, out: {{eventType: t.created, metadata: {{diff: none}}}}}}}}",
        f"{{{T}, examples: [{{name: n, {E}, out: 'dropped: snapshot'}}, {{{E}, out: {{dead: PARSE_ERROR}}}}]}}",
        f"{{{T}, examples: [{{in: [{{operation: LOAD, after: {{id: 1}}, table: u, schema: s}}], out: {{}}}}]}}",
        f"{{{T}, examples: [{{in: {{data: {{}}, metadata: {{}}}}, out: {{dead: VALIDATION_ERROR}}}}]}}",
    ],
    "sources": [
        "{name: core, stream: s}",
        "{name: a, stream: 'arn:aws:kinesis:eu-west-1:222222222222:stream/s', start: LATEST, enabled: no}",
        "{name: a, stream: s, region: eu-west-1, role: 'arn:aws:iam::222222222222:role/r', external_id: ours}",
        "{name: a, stream: s, before_image: old, before_prefix: '', before_suffix: _was, lob_max_size: 32}",
        "{name: a, stream: s, adapter: dsql, absent_columns: 'null'}",
        "{name: a, stream: s, endpoint: 'https://kinesis.example.com:443', start: '2026-01-15T10:00:00Z'}",
    ],
}
BAD = {
    "tables": [
        "{table: t}",
        "{entity: t, key: [id]}",
        f"{{{T}, colums: {{}}}}",
        f"{{{T}, name: 'odd name'}}",
        "{table: t, entity: 'a b', key: [id]}",
        "{table: t, entity: t, key: []}",
        f"{{{T}, operations: [UPSERT]}}",
        f"{{{T}, operations: []}}",
        f"{{{T}, adapter: mysql}}",
        f"{{{T}, columns: {{a: integer}}}}",
        f"{{{T}, event_types: {{UPSERT: x}}}}",
        f"{{{T}, owner: {{organisation: {{column: o}}}}}}",
        f"{{{T}, owner: {{org: [{{by: x}}]}}}}",
        f"{{{T}, owner: {{org: [{{column: a, lookup: users, by: x}}]}}}}",
        f"{{{T}, provides: {{lookup: l}}}}",
        f"{{{T}, redact: {{a: HASHH}}}}",
        f"{{{T}, redact: {{a: {{style: email}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, maskChar: xx}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, visibleChars: 101}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, unless: {{}}}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, unless: {{b: []}}}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, unless: b}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, patterns: []}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, patterns: [emial]}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, unless: {{kind: []}}}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, patterns: [mail]}}}}}}",
        f"{{{T}, redact: {{a: {{action: HASH, patterns: []}}}}}}",
        f"{{{T}, transform: {{a: MONEY}}}}",
        f"{{{T}, unknown_columns: hide}}",
        f"{{{T}, images: [during]}}",
        f"{{{T}, memory: all}}",
        f"{{{T}, publish_snapshots: perhaps}}",
        f"{{{T}, on_missing_owner: wait}}",
        f"{{{T}, detail_type_style: other}}",
        f"{{{T}, examples: [{{{E}}}]}}",
        f"{{{T}, examples: [{{in: {{}}, out: {{}}}}]}}",
        f"{{{T}, examples: [{{in: {{aftr: {{}}, after: {{}}}}, out: {{}}}}]}}",
        f"{{{T}, examples: [{{{E}, out: {{evenType: x}}}}]}}",
        f"{{{T}, examples: [{{{E}, out: published}}]}}",
        f"{{{T}, examples: [{{{E}, out: {{dead: OOPS}}}}]}}",
        f"{{{T}, examples: [{{in: {{operation: SELECT, after: {{}}}}, out: {{}}}}]}}",
    ],
    "sources": [
        "",
        "{name: core}",
        "{name: 'a b', stream: s}",
        "{name: a, stream: 'arn:aws:sqs:eu-west-1:222222222222:q'}",
        "{name: a, stream: s, region: Europe}",
        "{name: a, stream: s, role: r}",
        "{name: a, stream: s, external_id: ours}",
        "{name: a, stream: s, endpoint: kinesis.example.com}",
        "{name: a, stream: s, adapter: mysql}",
        "{name: a, stream: s, nam: b}",
        "{name: a, stream: s, before_image: data}",
        "{name: a, stream: s, before_prefix: 'B I'}",
        "{name: a, stream: s, lob_max_size: 999999}",
        "{name: a, stream: s, adapter: dynamodb, before_image: old}",
        "{name: a, stream: s, enabled: perhaps}",
    ],
}


def text_of(kind: str, entry: str) -> str:
    return f"version: 1\n{kind}: [{entry}]\n"


def problems(kind: str, directory: Path, text: str) -> list[str]:
    """What the loader says."""
    path = directory / f"{kind}.yaml"
    path.write_text(text, encoding="utf-8")
    load: dict[str, Callable[[], object]] = {
        "tables": lambda: load_catalogue("telephony", path),
        "sources": lambda: read_sources(path, "eu-west-1", StartAt()),
    }
    try:
        load[kind]()
    except InvalidFile as error:
        return error.problems
    return []


def valid(kind: str, text: str) -> bool:
    return bool(jsonschema.Draft7Validator(FILES[kind]()).is_valid(yaml.safe_load(text)))


@pytest.mark.parametrize("kind", FILES)
def test_the_committed_schema_is_what_the_command_prints(kind: str) -> None:
    printed = CliRunner().invoke(tables, ["schema", kind])
    assert (ROOT / "docs" / f"{kind}.schema.json").read_text(encoding="utf-8") == printed.stdout


@pytest.mark.parametrize("kind", FILES)
def test_the_schema_is_one(kind: str) -> None:
    jsonschema.Draft7Validator.check_schema(FILES[kind]())


@pytest.mark.parametrize(("kind", "entry"), [(kind, entry) for kind in FILES for entry in GOOD[kind]])
def test_what_the_loader_takes_the_schema_takes(kind: str, entry: str, tmp_path: Path) -> None:
    text = text_of(kind, entry)
    assert (problems(kind, tmp_path, text), valid(kind, text)) == ([], True)


@pytest.mark.parametrize(("kind", "entry"), [(kind, entry) for kind in FILES for entry in BAD[kind]])
def test_what_the_schema_refuses_the_loader_refuses(kind: str, entry: str, tmp_path: Path) -> None:
    text = text_of(kind, entry)
    assert problems(kind, tmp_path, text)
    assert not valid(kind, text)


@pytest.mark.parametrize(
    "text", ["version: 2\ntables: []\n", "tables: []\n", "version: 1\ntable: []\n", "- 1\n", "version: 1\ntables: 7\n"]
)
def test_a_file_of_another_shape_is_refused_by_both(text: str, tmp_path: Path) -> None:
    assert problems("tables", tmp_path, text)
    assert not valid("tables", text)


@pytest.mark.parametrize(
    "path", [*(ROOT / "docs/examples").glob("*.yaml"), ROOT / "tests/unit/tables/telephony.yaml"], ids=lambda p: p.name
)
def test_the_files_that_come_along_are_valid(path: Path) -> None:
    assert valid("tables", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("kind", "entry", "name"),
    [
        ("tables", f"{{{T}, QQQQQQ: 1}}", "table"),
        ("tables", f"{{{T}, redact: {{a: {{QQQQQQ: 1}}}}}}", "redaction"),
        ("tables", f"{{{T}, provides: {{QQQQQQ: 1}}}}", "provides"),
        ("tables", f"{{{T}, owner: {{QQQQQQ: 1}}}}", "owner"),
        ("tables", f"{{{T}, examples: {{QQQQQQ: 1}}}}", "example"),
        ("tables", f"{{{T}, examples: {{in: {{QQQQQQ: 1}}}}}}", "shortForm"),
        ("sources", "{QQQQQQ: 1}", "source"),
    ],
)
def test_the_schema_has_exactly_the_fields_that_the_loader_knows(
    kind: str, entry: str, name: str, tmp_path: Path
) -> None:
    told = next(line for line in problems(kind, tmp_path, text_of(kind, entry)) if "unknown field QQQQQQ" in line)
    known = re.search(r"\(known: (.*)\)", told)
    assert known is not None
    forms = FILES[kind]()["definitions"][name]
    fields = {field for form in (forms, *forms.get("anyOf", ())) for field in form.get("properties", ())}
    assert fields == set(known[1].split(", "))


def test_every_field_of_a_table_is_described() -> None:
    described = tables_schema()["definitions"]["table"]["properties"]
    assert described.keys() == FIELDS
    assert all(field.get("description") for field in described.values())
