"""The tables of the enrich stage: sizes on every worker, entries by key, and why an event has its owner."""

import asyncio
import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from enrichers.row_view import RowView
from models.yaml_nodes import suggestion
from workers.cluster.peers import Answer
from workers.contract import masking, read_catalogue
from workers.engine.app import StageApp
from workers.filters import Filter, InvalidFilter
from workers.kafka.access import kafka_access
from workers.lookup_tables.entries import EntryView, Wanted, known_tables, purpose_of
from workers.lookup_tables.explanation import Keys, explain
from workers.lookup_tables.in_memory import STAGE, entries_of_key, find_here, sizes_here, table_of
from workers.lookup_tables.of_workers import entries_of_row, held_entries, pins_of
from workers.lookup_tables.row_names import InvalidRow
from workers.settings.worker import Settings
from workers.web.refusals import in_time, refusal
from workers.web.routes import Desk, Route, Scope

SHOWN = 50
MOST_SHOWN = 500
SECONDS = 25.0
"""For an explanation, which reads Kafka."""
_one_at_a_time = asyncio.Semaphore(2)
_views: list[tuple[Settings, RowView]] = []


def rows_of(settings: Settings) -> RowView:
    """The eyes of this process: made once, the tables do not change while it lives."""
    for known, rows in _views:
        if known is settings:
            return rows
    options, secret, other, _ = masking(settings)
    rows = RowView(read_catalogue(settings), secret=secret, other=other, zone=options.time_zone)
    _views[:] = [(settings, rows)]
    return rows


def _app(desk: Desk) -> StageApp | None:
    return desk.stages[STAGE].app if STAGE in desk.stages else None


# for other workers: what this process holds


async def here(desk: Desk, _request: web.Request) -> web.Response:
    """Sizes of the tables of this process."""
    app = _app(desk)
    return web.json_response({"tables": await sizes_here(app) if app is not None else {}})


async def entry_here(desk: Desk, request: web.Request) -> web.Response:
    """Entries of one key, as they are: only workers may ask."""
    name = request.query.get("table", "")
    table = table_of(_app(desk), name)
    try:
        key = base64.urlsafe_b64decode(request.query.get("key", ""))
    except (ValueError, binascii.Error):
        return refusal("the key is no base64")
    held = entries_of_key(table, name, key) if table is not None else ()
    entries = [{"partition": one.partition, "valueB64": base64.b64encode(one.value).decode()} for one in held]
    return web.json_response({"entries": entries, "slots": _slots(desk)})


async def find_in_memory(desk: Desk, request: web.Request) -> web.Response:
    """Entries that fit, as they may be shown."""
    name = request.query.get("table", "")
    table = table_of(_app(desk), name)
    if table is None:
        return web.json_response({"entries": [], "more": False, "undecided": [], "slots": []})
    try:
        wanted = _wanted(request.query)
    except InvalidFilter as error:
        return refusal(f"where: {error}")
    entries, more = await find_here(table, name, EntryView(rows_of(desk.settings)), wanted, _limit(request.query))
    undecided = list(wanted.where.told()) if wanted.where is not None else []
    return web.json_response({"entries": entries, "more": more, "undecided": undecided, "slots": _slots(desk)})


def _slots(desk: Desk) -> list[int]:
    """Slots whose entries this worker holds, and has recovered."""
    app = _app(desk)
    return sorted(index for index, slot in app.slots.owned.items() if slot.usable) if app is not None else []


def _unheld(desk: Desk, answers: Sequence[Answer]) -> list[int]:
    """Partitions that no worker holds now: while workers join or recover, what stands in them is not found."""
    held = {slot for answer in answers for slot in (answer.body or {}).get("slots", ())}
    return [index for index in range(desk.settings.partitions) if index not in held]


def _wanted(query: Mapping[str, str]) -> Wanted:
    where = query.get("where", "")
    return Wanted(
        query.get("prefix", ""), query.get("org") or None, query.get("user") or None, Filter(where) if where else None
    )


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", "")
    return max(1, min(int(text), MOST_SHOWN)) if text.isascii() and text.isdecimal() and len(text) < 10 else SHOWN


# for the page: what all workers hold


async def everywhere(desk: Desk, _request: web.Request) -> web.Response:
    """All tables with their sizes, and the same per worker."""
    answers = await desk.cluster.ask("/internal/tables")
    catalogue = rows_of(desk.settings).catalogue
    tables = [
        {"table": name, "purpose": purpose_of(name, catalogue), **_merged(name, answers)}
        for name in known_tables(catalogue)
    ]  # fmt: skip
    return web.json_response({"here": desk.cluster.here, "workers": _workers(answers), "tables": tables})


def _workers(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    return [{"name": answer.worker, "error": answer.error} for answer in answers]


def _merged(name: str, answers: Sequence[Answer]) -> dict[str, Any]:
    """A partition that several workers hold counts once, as the one sees it that knows most of it."""
    parts: dict[str, dict[str, Any]] = {}
    held: dict[str, dict[str, Any]] = {}
    everywhere = False
    for answer in answers:
        table = ((answer.body or {}).get("tables") or {}).get(name)
        if table is None:
            continue
        everywhere = everywhere or table["everywhere"]
        of_worker = held[answer.worker] = {"worker": answer.worker, "partitions": len(table["parts"])}
        for measure in ("entries", "bytes", "memoryBytes"):
            of_worker[measure] = sum(part[measure] for part in table["parts"].values())
        for index, part in table["parts"].items():
            known = parts.get(index)
            if known is None or (part["applied"] or -1) > (known["applied"] or -1):
                parts[index] = part
    for answer in answers:
        if answer.worker in held:
            own = answer.body["tables"][name]["parts"]
            held[answer.worker]["behind"] = sum(
                max(0, (parts[index]["applied"] or -1) - (part["applied"] or -1)) for index, part in own.items()
            )
    return {
        "everywhere": everywhere, "entries": sum(part["entries"] for part in parts.values()),
        "bytes": sum(part["bytes"] for part in parts.values()), "holders": list(held.values()),
        "partitions": [{"partition": int(index), **part} for index, part in sorted(parts.items(), key=_number)],
    }  # fmt: skip


def _number(item: tuple[str, Any]) -> int:
    return int(item[0])


async def find(desk: Desk, request: web.Request) -> web.Response:
    """Entries by key, or by what may be shown of them, from the memory of all workers."""
    rows, query = rows_of(desk.settings), request.query
    name = query.get("table", "")
    if (problem := _unknown(name, rows)) is not None:
        return problem
    try:
        _wanted(query)
        if query.get("key"):
            entries, answers = await entries_of_row(desk.cluster, rows, name, query["key"])
            documents = [(EntryView(rows).document(entry), worker) for worker, entry in entries]
            more, undecided = False, []
        else:
            asked = {one: query[one] for one in ("table", "prefix", "org", "user", "where", "limit") if one in query}
            answers = await desk.cluster.ask("/internal/tables/find", asked)
            bodies = [(answer.worker, answer.body) for answer in answers if answer.body is not None]
            documents = [(one, worker) for worker, body in bodies for one in body["entries"]]
            more, undecided = any(b["more"] for _, b in bodies), [t for _, b in bodies for t in b["undecided"]]
    except InvalidFilter as error:
        return refusal(f"where: {error}", "JMESPath, like orgId == '3'")
    except InvalidRow as error:
        return refusal(str(error))
    found = _held(documents)
    limit = _limit(query)
    return web.json_response(
        {
            "here": desk.cluster.here, "workers": _workers(answers), "entries": found[:limit],
            "more": more or len(found) > limit, "undecided": undecided, "unheld": _unheld(desk, answers),
        }
    )  # fmt: skip


def _unknown(name: str, rows: RowView) -> web.Response | None:
    known = known_tables(rows.catalogue)
    if name in known:
        return None
    return refusal(f"no such table{suggestion(name, known)}", f"there are: {', '.join(known)}", 404)


def _held(documents: Iterable[tuple[dict[str, Any], str]]) -> list[dict[str, Any]]:
    """The same entry of several workers once, with their names."""
    found: dict[str, dict[str, Any]] = {}
    for document, worker in documents:
        one = found.setdefault(json.dumps(document, sort_keys=True), {**document, "holders": []})
        one["holders"].append(worker)
    return sorted(found.values(), key=lambda one: (one["key"], one["partition"]))


async def explain_owner(desk: Desk, request: web.Request) -> web.Response:
    """Why an event, or the last change of a row, has its owner."""
    text, rows = request.query.get("what", "").strip(), rows_of(desk.settings)
    workers: dict[str, str | None] = {}

    async def fetch(keys: Keys) -> Mapping[tuple[str, bytes], bytes]:
        found = {}
        for table, some in keys.items():
            for key in some:
                entries, answers = await held_entries(desk.cluster, table, key)
                workers.update({answer.worker: answer.error for answer in answers})
                for _, entry in entries:
                    found[table, key] = entry.value
        return found

    try:
        async with asyncio.timeout(SECONDS), _one_at_a_time:
            pins = await pins_of(desk.cluster, [spec.name for spec in rows.catalogue.specs if spec.schema is None])
            async with kafka_access(desk.settings) as kafka:
                story = await explain(desk.settings, kafka, rows, text, fetch, pins, lambda *_: None)
    except InvalidRow as error:
        return refusal(str(error), "or the id of an event, evt_…")
    return web.json_response(
        {
            "here": desk.cluster.here,
            "workers": [{"name": name, "error": error} for name, error in sorted(workers.items())],
            **story.document(),
        }
    )


async def reveal(desk: Desk, request: web.Request) -> web.Response:
    """One entry with everything that redaction takes away elsewhere."""
    body, rows = await request.json(), rows_of(desk.settings)
    name, text = str(body.get("table", "")), str(body.get("key", ""))
    if (problem := _unknown(name, rows)) is not None:
        return problem
    try:
        entries, _ = await entries_of_row(desk.cluster, rows, name, text)
    except InvalidRow as error:
        return refusal(str(error))
    if not entries:
        return refusal(
            "no worker holds that entry", "a key that is shown as a token or mask must be typed as it is", 404
        )
    worker, entry = entries[0]
    return web.json_response({"entry": EntryView(rows).original(entry), "worker": worker})


ROUTES = (
    Route("GET", "/internal/tables", Scope.WORKER, here, "Sizes of the tables that this worker holds."),
    Route("GET", "/internal/tables/entry", Scope.WORKER, entry_here, "Entries of one key that this worker holds."),
    Route("GET", "/internal/tables/find", Scope.WORKER, find_in_memory, "Entries of this worker that fit, masked."),
    Route("GET", "/api/tables", Scope.READ, everywhere, "Tables with their sizes on every worker."),
    Route("GET", "/api/tables/find", Scope.READ, find, "Entries by key, prefix, owner or filter, masked."),
    Route(
        "GET", "/api/tables/explain", Scope.READ,
        in_time(explain_owner, "`cdc table explain` has all the time it needs"),
        "Why an event or a row has its owner.",
    ),
    Route(
        "POST", "/api/tables/reveal", Scope.WRITE, reveal, "One entry as it is, with what redaction takes.",
        audited=("table",),
    ),
)  # fmt: skip
