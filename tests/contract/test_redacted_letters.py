"""P6 in the views of dead letters: no value that a rule takes is in what `cdc dlq` shows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from enrichers.letter_view import LetterView
from enrichers.redact import Secret
from enrichers.routing import route
from models.buried import Buried
from models.catalogue import load_catalogue
from models.dead_letter import dead_headers
from models.outcome import Failure
from models.raw import Origin, raw_headers
from models.redrive import DeadRecord
from tests.contract.test_redacted_everywhere import KEYS, TABLES, corpus, row
from tests.unit.changes import dms
from tests.unit.letters import T0, dead_letter
from workers.app import make_enrich
from workers.cli.dlq import list_lines
from workers.cli.dlq_options import kind_lines
from workers.cli.dlq_show import show_lines
from workers.dead_letters.documents import list_document, show_document
from workers.engine.testing import Input, StageKit
from workers.settings.worker import Settings

SECRET, OTHER = Secret(b"a redaction key for tests"), Secret(b"the key that comes next", 2)


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    path = tmp_path / "tables.yaml"
    path.write_text(TABLES, encoding="utf-8")
    return path


def shown(view: LetterView, letters: list[Buried]) -> str:
    """Everything that any command prints of them, but for `--unmasked` and `export`."""
    documents = [show_document(letter, view) for letter in letters]
    lines = [line for letter, known in zip(letters, documents, strict=True) for line in show_lines(letter, known)]
    lines += list_lines(letters, view, everything=True)
    listed = [list_document(letter, view) for letter in letters]
    return json.dumps([documents, listed]) + "\n".join(lines)


async def buried(tables: Path) -> tuple[list[Buried], list[Buried]]:
    """Letters of enrich, as it writes them, and letters of publish for its events."""
    settings = Settings(
        _env_file=None, partitions=2, tables=tables, catalogue="none", strict_tables=True, **KEYS  # type: ignore[arg-type]
    )  # fmt: skip
    catalogue = load_catalogue("none", tables)
    spoilt = [
        dms("insert", {**row(20), "Name": 7, "Phone": ["CANARY0020"]}, table="people"),
        dms("update", {**row(21), "Name": {"CANARY0021": 1}}, table="people", before=row(22)),
        dms("delete", {**row(23), "Name": ["CANARY0023"]}, table="people"),
    ]
    async with StageKit(lambda: make_enrich(settings)) as kit:
        for number, value in enumerate((*corpus(), *spoilt)):
            routed = route(value, f"CANARY{number:04d} of the source", catalogue)
            headers = raw_headers(Origin("stream", "shard", str(number)), adapter=routed.adapter, table=routed.table)
            headers.append((f"foreign-{number}", b"CANARY of a program in front"))
            assert await kit.feed("cdc.raw.core", [Input(routed.key, value, headers=headers)])
        dead = [
            DeadRecord(r.partition, number, T0, r.key, r.value, r.headers)
            for number, r in enumerate(kit.records("cdc.dead"))
        ]
        events = kit.records("cdc.events")
    letter = dead_letter(0, stage="publish", topic="cdc.events", code=Failure.EVENTBRIDGE_ERROR, table="people")
    refused = [DeadRecord(0, n, T0, e.key, e.value, dead_headers(letter, e.headers)) for n, e in enumerate(events)]
    return [Buried.of(record) for record in dead], [Buried.of(record) for record in refused]


async def test_no_canary_is_in_what_is_shown_of_dead_letters(tables: Path) -> None:
    enrich, publish = await buried(tables)
    assert (len(enrich), len(publish)) == (8, 6)
    catalogue = load_catalogue("none", tables)
    for view in (LetterView(catalogue, secret=SECRET, other=OTHER), LetterView(catalogue)):
        text = shown(view, enrich + publish)
        assert "CANARY" not in text
        assert "a redaction key" not in text
        payloads = [view.payload(letter) for letter in enrich]
        assert sum(payload is not None and payload.content is not None for payload in payloads) == 5
        assert "EXTERNAL" in text


async def test_a_row_is_named_by_the_token_that_its_events_carry(tables: Path) -> None:
    _, publish = await buried(tables)
    view = LetterView(load_catalogue("none", tables), secret=SECRET)
    named = {view.key(letter) for letter in publish}
    assert all(key.startswith("people:h1.") for key in named)
    again = replace(publish[0], record=replace(publish[0].record, key=b"people:h1.\x1b[2J\nx"))
    assert "\x1b" not in view.key(again) + "\n".join(list_lines([again], view, everything=False))
    headers = dead_letter(1, table="people").to_headers()
    failed = Buried.of(DeadRecord(0, 1, T0, b'["core","people","CANARY0002p"]', None, headers))
    assert view.key(failed) in named


async def test_the_key_of_a_foreign_record_among_the_events_is_not_shown(tables: Path) -> None:
    _, publish = await buried(tables)
    view = LetterView(load_catalogue("none", tables), secret=SECRET)
    told = publish[0].record
    for foreign in (replace(told, key=b"people:CANARY"), replace(told, key=b"CANARY", value=b'{"CANARY": 1}')):
        letter = Buried.of(foreign)
        assert view.key(letter) == "***"
        assert view.key(letter.without_value()) == "***"
        assert "CANARY" in view.keys(letter) or "people:CANARY" in view.keys(letter)
    assert view.key(Buried.of(told).without_value()).startswith("people:h1.")


def test_what_has_no_rules_and_what_nobody_can_read_shows_size_and_digest_alone(tables: Path) -> None:
    view = LetterView(load_catalogue("none", tables), secret=SECRET)
    for value, why in (
        (dms("insert", row(1), table="strangers"), "core.strangers is no table that is known"),
        (b'{"data": "CANARY', "not acceptable JSON"),
        (b"\x00CANARY", "not acceptable JSON"),
    ):
        letter = Buried.of(DeadRecord(0, 1, T0, b"CANARY", value, dead_letter(1).to_headers()))
        payload = view.payload(letter)
        assert payload is not None
        assert (payload.content, payload.size, len(payload.digest)) == (None, len(value), 64)
        assert why in payload.why
        assert "CANARY" not in shown(view, [letter])


def test_of_a_value_that_is_not_of_its_type_only_the_type_is_shown() -> None:
    view = LetterView(load_catalogue("telephony", None), secret=SECRET)
    value = dms("insert", {"ID": 7, "HomeOrgID": "CANARY head office", "UserName": "u7", "SSN": "CANARY"})
    letter = Buried.of(DeadRecord(0, 1, T0, b'["core","users",7]', value, dead_letter(1).to_headers()))
    payload = view.payload(letter)
    assert payload is not None
    assert payload.content is not None
    assert payload.content["after"] == {"ID": 7, "HomeOrgID": "***", "UserName": "u7"}
    assert payload.wrong_types == {"HomeOrgID": "int"}
    assert view.key(letter) == "users:7"
    assert view.keys(letter) == {"users:7", '["core","users",7]'}


def test_a_value_without_the_form_it_is_transformed_to_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "tables.yaml"
    path.write_text(
        "version: 1\ntables:\n  - {table: bills, entity: bill, key: [ID], columns: {ID: int}, owner: none,\n"
        "     unknown_columns: publish, transform: {Sum: DECIMAL}}\n"
    )
    view = LetterView(load_catalogue("none", path))
    value = dms("insert", {"ID": 1, "Sum": "CANARY"}, table="bills")
    payload = view.payload(Buried.of(DeadRecord(0, 1, T0, None, value, dead_letter(1).to_headers())))
    assert payload is not None
    assert payload.content is not None
    assert (payload.content["after"], payload.wrong_types) == ({"ID": 1, "Sum": "***"}, {"Sum": "DECIMAL"})


def test_a_key_that_is_of_another_type_than_its_column_is_not_shown() -> None:
    view = LetterView(load_catalogue("telephony", None), secret=SECRET)
    for key in (b'["core","users","CANARY"]', b'["core","users",7,"CANARY"]', b"CANARY", b'["CANARY"]', b"\xff"):
        letter = Buried.of(DeadRecord(0, 1, T0, key, b"{}", dead_letter(1).to_headers()))
        assert "CANARY" not in view.key(letter)


def test_names_that_the_source_chose_do_not_steer_a_terminal(tables: Path) -> None:
    view = LetterView(load_catalogue("none", tables))
    told = dead_letter(1, message="column \x1b[2J is not of type int", table="a\x1b[2J")
    value = dms("insert", {"ID": 1}, table="b\x1b[2J")
    letter = Buried.of(DeadRecord(0, 1, T0, b"[]", value, told.to_headers()))
    lines = [
        *show_lines(letter, show_document(letter, view)), *list_lines([letter], view, everything=False),
        *kind_lines([(letter.kind, 1)]),
    ]  # fmt: skip
    assert "[2J" in "".join(lines)
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("time_ms", [1 << 62, 10**15, -(1 << 62)])
def test_times_that_are_none_do_not_keep_letters_from_being_shown(tables: Path, time_ms: int) -> None:
    view = LetterView(load_catalogue("none", tables))
    told = dead_letter(1, timestamp_ms=time_ms, first_failed_ms=time_ms, last_failed_ms=time_ms)
    letter = Buried.of(DeadRecord(0, 1, time_ms, b"[]", b"{}", told.to_headers()))
    assert "0:1" in shown(view, [letter])
