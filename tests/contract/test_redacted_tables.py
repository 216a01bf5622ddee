"""P6 in the views of tables: no value that a rule takes is in what is shown of an entry, nor can it be asked for."""

import json
from pathlib import Path

import pytest

from enrichers.redact import Secret
from enrichers.routing import route
from enrichers.row_view import RowView
from models.catalogue import Catalogue, load_catalogue
from models.raw import Origin, raw_headers
from tests.contract.test_redacted_everywhere import KEYS, TABLES, corpus, row
from tests.unit.changes import dms
from workers.app import make_enrich
from workers.cli.table_options import entry_lines
from workers.engine.testing import Input, StageKit
from workers.filters import Filter
from workers.lookup_tables.entries import EntryView, TableEntry, Wanted, known_tables
from workers.settings.worker import Settings

SECRET = Secret(b"a redaction key for tests")


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    (tmp_path / "tables.yaml").write_text(TABLES, encoding="utf-8")
    return load_catalogue("none", tmp_path / "tables.yaml")


async def entries(catalogue: Catalogue, tables: Path) -> list[TableEntry]:
    """Of all tables, after records that are full of canaries."""
    settings = Settings(_env_file=None, partitions=2, tables=tables, catalogue="none", **KEYS)  # type: ignore[arg-type]
    async with StageKit(lambda: make_enrich(settings)) as kit:
        for number, value in enumerate((*corpus(), dms("insert", row(40), table="people", transaction=5))):
            routed = route(value, f"key{number}", catalogue)
            headers = raw_headers(Origin("stream", "shard", str(number)), adapter=routed.adapter, table=routed.table)
            assert await kit.feed("cdc.raw.core", [Input(routed.key, value, headers=headers)])
        return [
            TableEntry(table, record.partition, record.key, record.value, number, 0)
            for table in known_tables(catalogue)
            for number, record in enumerate(kit.records(f"cdc-enrich-{table}-changelog"))
            if record.value is not None
        ]


async def test_no_canary_is_in_what_is_shown_of_an_entry(catalogue: Catalogue, tmp_path: Path) -> None:
    found = await entries(catalogue, tmp_path / "tables.yaml")
    assert {entry.table for entry in found} == {"people", "schemas", "owners", "recent"}
    assert sum(b"CANARY" in entry.key + entry.value for entry in found) > 4
    for rows in (RowView(catalogue, secret=SECRET), RowView(catalogue), RowView(Catalogue(()), secret=SECRET)):
        documents = [EntryView(rows).document(entry) for entry in found]
        text = json.dumps(documents) + "\n".join(entry_lines(documents))
        assert "CANARY" not in text
        assert "unreadable" not in text


async def test_a_row_of_a_table_is_named_and_owned_as_in_its_events(catalogue: Catalogue, tmp_path: Path) -> None:
    view = EntryView(RowView(catalogue, secret=SECRET))
    found = await entries(catalogue, tmp_path / "tables.yaml")
    people = [view.document(entry) for entry in found if entry.table == "people"]
    assert all(one["key"].startswith("people:h1.") for one in people)
    assert all(one["orgId"] is None or one["orgId"].startswith("tok1_") for one in people)
    assert any(one["orgId"] for one in people)


async def test_conditions_are_asked_of_what_may_be_shown(catalogue: Catalogue, tmp_path: Path) -> None:
    view = EntryView(RowView(catalogue, secret=SECRET))
    documents = [view.document(entry) for entry in await entries(catalogue, tmp_path / "tables.yaml")]
    for wanted in (
        Wanted(prefix="people:CANARY"),
        Wanted(org="CANARY0001o"),
        Wanted(where=Filter("contains(to_string(@), 'CANARY')")),
    ):
        assert not [one for one in documents if wanted.holds(one)]
    token = next(one["orgId"] for one in documents if one.get("orgId"))
    assert [one for one in documents if Wanted(org=token).holds(one)]


async def test_only_who_asks_for_it_sees_an_entry_as_it_is(catalogue: Catalogue, tmp_path: Path) -> None:
    view = EntryView(RowView(catalogue, secret=SECRET))
    found = await entries(catalogue, tmp_path / "tables.yaml")
    original = next(view.original(entry) for entry in found if entry.table == "people")
    assert "CANARY" in original["keyInKafka"]
    assert set(original["value"]) == {"org_id", "user_id", "since_ms", "v"}


def test_an_entry_of_a_later_release_or_a_damaged_one_is_called_so(catalogue: Catalogue) -> None:
    view = EntryView(RowView(catalogue, secret=SECRET))
    later = TableEntry("people", 0, b'["core","people","CANARY"]', b'{"v":99,"x":"CANARY"}')
    damaged = TableEntry("people", 0, b"CANARY", b"CANARY")
    assert "a later release" in view.document(later)["unreadable"]
    assert "cdc table rebuild" in view.document(damaged)["unreadable"]
    assert "CANARY" not in json.dumps([view.document(later), view.document(damaged)])
