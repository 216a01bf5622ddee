"""P6 from end to end: no value that a rule takes is in anything that leaves the enrich stage, except in the original
bytes of `cdc.raw` and `cdc.dead`."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from enrichers.routing import route
from models.catalogue import load_catalogue
from models.raw import Origin, raw_headers
from tests.unit.changes import dms
from workers.app import make_enrich
from workers.cli.invoke import invoke
from workers.engine.app import StageApp
from workers.engine.testing import Input, StageKit
from workers.logs.redaction import LoggerRedaction
from workers.settings.worker import Settings, environment_names
from workers.web.families import families
from workers.web.tables import masked, masked_key

TABLES = """
version: 1
tables:
  - table: people
    entity: person
    key: [Phone]
    columns: {Phone: text, Name: text}
    images: [before, after]
    owner: {org: [{lookup: people, by: Boss}], user: [{column: Org}, {column: Ref, when: {Kind: USER}}]}
    provides: {lookup: people, key: Phone, org: Org}
    unknown_columns: mask
    redact:
      Phone: HASH
      Boss: {action: HASH, style: phone}
      Org: TOKENIZE
      Name: {action: PARTIAL_MASK, visibleChars: 0}
      Secret: REMOVE
      Card: FULL_MASK
      Ref: {action: FULL_MASK, unless: {Kind: [USER]}}
      Note: {action: TOKENIZE, patterns: [email, {canary: "CANARY[0-9]{4}"}]}
"""
KEYS = {
    "redaction_key": "a redaction key for tests",
    "redaction_key_other": "the key that comes next",
    "redaction_key_other_version": 2,
}


def row(number: int) -> dict[str, Any]:
    """Every value but those of ID and Kind is a canary."""
    mark = f"CANARY{number:04d}"
    return {
        "Phone": f"{mark}p", "Org": f"{mark}o", "Name": f"{mark}n", "Secret": {mark: [mark]}, "Card": [mark],
        "Ref": f"{mark}r", "Kind": "EXTERNAL", "Note": f"ask {mark} or {mark}@x.test", "Surprise": mark, "Boss": None,
    }  # fmt: skip


def corpus() -> Iterator[bytes]:
    yield dms("load", row(1), table="people")
    yield dms("insert", row(2), table="people")
    yield dms("insert", {**row(3), "Boss": "CANARY0001p"}, table="people")
    yield dms("update", row(2), table="people", before={**row(4), "Phone": row(2)["Phone"]})
    yield dms("update", row(5), table="people", before=row(2))
    yield dms("update", {"Phone": row(5)["Phone"], "Ref": "CANARY0006r", "Org": None}, table="people", before=row(5))
    yield dms("delete", {"Phone": row(5)["Phone"]}, table="people")
    yield dms("insert", {**row(7), "Name": {"CANARY0007": 1}}, table="people")
    yield dms("insert", {**row(8), "Phone": None}, table="people")
    yield dms("insert", row(9), table="strangers")
    yield dms("insert", row(10), table="people")[:-1]
    yield b'{"CANARY0011": CANARY0011}'


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    path = tmp_path / "tables.yaml"
    path.write_text(TABLES, encoding="utf-8")
    return path


async def test_no_canary_leaves_the_enrich_stage(tables: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = Settings(_env_file=None, partitions=2, tables=tables, catalogue="none", **KEYS)  # type: ignore[arg-type]
    catalogue = load_catalogue("none", tables)
    apps: list[StageApp] = []

    def make() -> StageApp:
        apps.append(make_enrich(settings))
        return apps[-1]

    async with StageKit(make) as kit:
        for number, value in enumerate(corpus()):
            routed = route(value, "source-key", catalogue)
            origin = Origin("stream", "shardId-000000000002", str(4966 + number), 0, 1768473060400)
            headers = raw_headers(origin, adapter=routed.adapter, table=routed.table)
            assert await kit.feed("cdc.raw.core", [Input(routed.key, value, headers=headers)])
        events, dead = kit.records("cdc.events"), kit.records("cdc.dead")
        entries = [entry for name in ("people", "owners", "schemas") for entry in kit.table(name).items()]
        samples = [sample for measure in apps[-1].measures for sample in measure()]
    assert (len(events), len(dead)) == (6, 4)
    left = {
        "event": [repr((record.key, record.value, record.headers)) for record in events],
        "headers of a dead letter": [repr(record.headers) for record in dead],
        "view of a table": [repr((masked_key(key), masked(value))) for key, value in entries],
        "metric": [repr(samples), repr(list(families(samples)))],
        "log line": [LoggerRedaction().format(record) for record in caplog.records],
        "settings": [repr(settings), repr(apps[-1].contract)],
    }
    assert all(left[place] for place in ("event", "headers of a dead letter", "view of a table", "settings"))
    assert {place: text for place, texts in left.items() for text in texts if "CANARY" in text} == {}
    for place, texts in left.items():
        assert not [text for text in texts if "a redaction key" in text or "the key that comes" in text], place
    first = json.loads(events[0].value)
    assert first["metadata"]["aliases"][first["keys"]["Phone"]].startswith("h2.")


def test_no_canary_is_in_what_invoke_prints(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    for name, value in {"CDC_TABLES": str(tables), "CDC_CATALOGUE": "none", "CDC_REDACTION_KEY": "0" * 16}.items():
        monkeypatch.setenv(name, value)
    for form in ("jsonl", "json", "table"):
        result = CliRunner().invoke(invoke, ["--steps", "--output", form, "-"], input=b"\n".join(corpus()))
        assert "dead letter" in result.stderr
        assert "person.created" in result.stdout
        assert "CANARY" not in result.output
