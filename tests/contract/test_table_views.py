"""The views Tables and Dead letters of a worker, with tables in its memory."""

import base64
import itertools
import json
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.routing import partition_of
from tests.contract.webbing import JSON, READ_TOKEN, WRITE_TOKEN, Served, served, settings_of
from workers.cluster.peers import Answer
from workers.filters import Filter
from workers.lookup_tables.entries import EntryView, Wanted
from workers.lookup_tables.in_memory import SECONDS, find_here
from workers.web.views import dead_letters, tables

READER, WRITER = {"Authorization": f"Bearer {READ_TOKEN}"}, {"Authorization": f"Bearer {WRITE_TOKEN}"}
TABLES = """
version: 1
tables:
  - {table: people, entity: person, key: [Phone], columns: {Phone: text}, owner: {org: [{column: Org}]},
     provides: {lookup: people, key: Phone, org: Org}, redact: {Phone: HASH, Org: TOKENIZE}}
"""


def put(web: Served, table: str, key: bytes, value: bytes) -> None:
    """As recovery does."""
    app: Any = web.server.desk.stages["enrich"].app
    index = 0 if table == "schemas" else partition_of(key, 4)
    app.tables[table].data.partition(index)[key] = value


def filled(web: Served) -> None:
    put(web, "schemas", b"users", b"core")
    put(web, "users", b'["core","users",7]', b'{"org_id":"3","user_id":"7","since_ms":1,"v":1}')
    put(web, "users", b'["core","users",8]', b'{"org_id":"4","user_id":"8","since_ms":1,"v":1}')
    put(web, "people", b'["core","people","CANARY"]', b'{"org_id":"CANARY","since_ms":1,"v":1}')


def settings(tmp_path: Path) -> Any:
    (tmp_path / "tables.yaml").write_text(TABLES)
    return settings_of(tmp_path, tokens=True, tables=tmp_path / "tables.yaml", partitions=4)


async def asked(web: Served, path: str) -> dict[str, Any]:
    status, body, _ = await web.ask("GET", path, READER)
    assert status == 200, body
    assert "CANARY" not in body
    found: dict[str, Any] = json.loads(body)
    return found


async def test_tables_are_listed_with_who_holds_how_much(tmp_path: Path) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        filled(web)
        listed = {one["table"]: one for one in (await asked(web, "/api/tables"))["tables"]}
        assert {"users", "people", "schemas", "owners", "recent"} <= listed.keys()
        assert (listed["users"]["entries"], listed["owners"]["entries"]) == (2, 0)
        [holder] = listed["users"]["holders"]
        assert (holder["worker"], holder["entries"], holder["behind"]) == ("one", 2, 0)
        assert holder["memoryBytes"] > listed["users"]["bytes"] > 0


async def test_an_entry_is_found_by_its_key_and_by_what_is_shown_of_it(tmp_path: Path) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        filled(web)
        for query in ("key=7", "key=users:7", "prefix=users:7", "org=3", "where=userId=='7'"):
            found = await asked(web, f"/api/tables/find?table=users&{query}")
            assert [(one["key"], one["orgId"], one["holders"]) for one in found["entries"]] == [
                ("users:7", "3", ["one"])
            ], query
        assert (await asked(web, "/api/tables/find?table=users&limit=1"))["more"]
        assert (await asked(web, "/api/tables/find?table=users&key=9"))["entries"] == []
        people = (await asked(web, "/api/tables/find?table=people"))["entries"]
        assert [one["orgId"].startswith("tok1_") for one in people] == [True]


async def test_a_question_that_is_none_is_refused_with_words(tmp_path: Path) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        for path, status, words in (
            ("table=user", 404, "did you mean users"),
            ("table=users&where=a(", 400, "no JMESPath"),
            ("table=users&key=7:8", 400, "users:ID"),
            ("table=people&key=x", 400, "no worker holds the schema of people"),
        ):
            answered = await web.ask("GET", f"/api/tables/find?{path}", READER)
            assert answered[0] == status
            assert words in answered[1]


async def test_only_who_may_write_sees_one_entry_as_it_is(tmp_path: Path) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        filled(web)
        put(web, "schemas", b"people", b"core")
        body = json.dumps({"table": "people", "key": "people:CANARY"})
        headers = JSON | {"Origin": web.url}
        assert (await web.ask("POST", "/api/tables/reveal", headers | READER, body))[0] == 403
        status, text, _ = await web.ask("POST", "/api/tables/reveal", headers | WRITER, body)
        assert (status, json.loads(text)["entry"]["value"]["org_id"]) == (200, "CANARY")


async def test_an_entry_as_it_is_goes_to_workers_alone(tmp_path: Path) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        filled(web)
        for path in (
            "/internal/tables",
            "/internal/tables/entry?table=people&key=x",
            "/internal/tables/find",
            "/internal/tables/entry/shown?table=people&key=x",
        ):
            for headers in (READER, WRITER):
                assert (await web.ask("GET", path, headers))[0] == 403


async def test_what_a_search_asks_of_other_workers_is_masked_by_the_one_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        filled(web)
        put(web, "schemas", b"people", b"core")
        cluster: Any = web.server.desk.cluster
        told: list[Answer] = []
        ask = type(cluster).ask

        async def overheard(this: Any, path: str, query: Any = None) -> Any:
            answers = await ask(this, path, query)
            told.extend(answers)
            return answers

        monkeypatch.setattr(type(cluster), "ask", overheard)
        [entry] = (await asked(web, "/api/tables/find?table=people&key=people:CANARY"))["entries"]
        assert entry["orgId"].startswith("tok1_")
        said = json.dumps([answer.body for answer in told])
        assert "tok1_" in said
        assert "CANARY" not in said
        raw = [base64.b64decode(one) for one in re.findall(r'"valueB64": "([^"]*)"', said)]
        assert raw == [b"core"]  # the schema of the table


async def test_a_redrive_without_the_number_that_was_planned_is_refused(tmp_path: Path) -> None:
    async with served(settings(tmp_path), answering=dead_letters.ROUTES) as web:
        for body, words in (
            ("{}", "how many letters"),
            ('{"expected": 0}', "how many letters"),
            ('{"expected": 1, "codes": ["NONE"]}', "there is no such code"),
            ('{"expected": 1, "tabels": ["users"]}', "tabels"),
        ):
            headers = JSON | WRITER | {"Origin": web.url}
            status, text, _ = await web.ask("POST", "/api/dead-letters/redrive", headers, body)
            assert (status, words in text) == (400, True), text


async def test_what_is_held_by_nobody_is_said_to_be_missing(tmp_path: Path) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        app: Any = web.server.desk.stages["enrich"].app
        app.slots.owned |= {index: SimpleNamespace(usable=index != 3) for index in (0, 2, 3)}
        found = await asked(web, "/api/tables/find?table=owners&prefix=users")
        assert (found["entries"], found["unheld"]) == ([], [1, 3])


async def test_a_search_that_takes_long_ends_with_what_it_has_found(tmp_path: Path) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        filled(web)
        app: Any = web.server.desk.stages["enrich"].app
        view = EntryView(tables.rows_of(web.server.desk.settings))
        slow = itertools.count(0.0, SECONDS * 0.6).__next__
        found, more = await find_here(app.tables["users"], "users", view, Wanted(), 50, slow)
        assert (len(found), more) == (1, True)


async def test_a_filter_is_not_asked_on_the_loop_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(settings(tmp_path), stages=("enrich",), answering=tables.ROUTES) as web:
        filled(web)
        asked_on = set()
        true = Filter.matches

        def matches(self: Filter, document: Any) -> bool:
            asked_on.add(threading.current_thread())
            return true(self, document)

        monkeypatch.setattr(Filter, "matches", matches)
        assert (await asked(web, "/api/tables/find?table=users&where=key"))["entries"]
        assert asked_on
        assert threading.main_thread() not in asked_on
