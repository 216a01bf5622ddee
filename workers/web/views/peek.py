"""What the stages write: a live sample of each, and what they wrote before; masked, filtered by JMESPath."""

import asyncio
from collections.abc import Mapping

from aiohttp import web

from models.written import Writer, Written
from workers.app import now_ms
from workers.filters import Filter, InvalidFilter
from workers.kafka.access import kafka_access
from workers.kafka.log_reader import log_reader
from workers.settings.worker import Settings
from workers.tail.peek import MAX_WAIT_MS, TOO_SLOW, Peeks, filtered
from workers.tail.row_key import needs_pin, read_pins, row_key, table_of
from workers.tail.selection import Wanted
from workers.tail.start import Mark
from workers.tail.tail import Tail, TailOrder, topics_of
from workers.tail.view import Sight, open_sight
from workers.web.refusals import in_time, refusal
from workers.web.routes import Desk, Route, Scope
from workers.web.views.tables import rows_of

CLIENT = "cdc-peek"
SHOWN, MOST_SHOWN = 50, 200
LOOKED_AT = 20_000
"""Records of the past that one question may cost."""
SECONDS = 10.0
FIRST_SECONDS = 5.0
PACE = 0.005
"""Seconds that belong to the pipeline after every list of records."""
SLOW = "choose a shorter time or a key, or use `cdc tail`, which has all the time it needs"
BUSY = "two people page through the past on this worker already"
peeks = Peeks()
_past = asyncio.Semaphore(2)


async def live(desk: Desk, request: web.Request) -> web.Response:
    """What has come since the number `after`."""
    query = request.query
    try:
        writer, where = _writer(query), _where(query)
    except ValueError as error:
        return refusal(str(error))
    catalogue, rows = rows_of(desk.settings).catalogue, rows_of(desk.settings)
    key = row_key(query["key"], catalogue, rows, {}) if query.get("key") else None
    wanted = Wanted(_tables(query, desk.settings), key, where)
    found = await peeks.since(
        desk.settings, writer, _number(query, "after", 0, 1 << 53), wanted,
        limit=_number(query, "limit", SHOWN, MOST_SHOWN), wait=FIRST_SECONDS,
    )  # fmt: skip
    return web.json_response({"here": desk.cluster.here, "at": now_ms(), "stage": writer.value, **found.document()})


async def past(desk: Desk, request: web.Request) -> web.Response:
    """The first records from a time on that fit, as far as they can be looked through in a few seconds."""
    query = request.query
    try:
        writer, where = _writer(query), _where(query)
        since = Mark.parse(query.get("from") or "-15m", now_ms())
        until = Mark.parse(query["to"], now_ms()) if query.get("to") else None
    except ValueError as error:
        return refusal(str(error))
    if _past.locked():
        return refusal(BUSY, "try again in a moment, or use `cdc tail`", 429)
    sight = open_sight(desk.settings, say=lambda _: None)
    shown: list[Written] = []
    unasked = 0
    async with _past, asyncio.timeout(SECONDS), kafka_access(desk.settings) as kafka:
        topics = topics_of(desk.settings, writer)
        await kafka.require(dict.fromkeys(topics, desk.settings.partitions))
        text, pins = query.get("key", ""), {}
        if text and needs_pin(text, sight.catalogue):
            pins = await read_pins(desk.settings, kafka, sight.catalogue, lambda *_: None)
        wanted = _past_wanted(query, sight, pins, until)
        limit = _number(query, "limit", SHOWN, MOST_SHOWN)
        order = TailOrder(wanted, since, until=until, follow=False)
        async with log_reader(kafka.connection, CLIENT, max_wait_ms=MAX_WAIT_MS) as reader:
            look = Tail(reader, sight.view, order, dict.fromkeys(topics, writer), desk.settings.partitions)
            async for read in look.written():
                fitting = read
                if where is not None and read:
                    fitting, slow = await asyncio.to_thread(filtered, read, where, Written.asked)
                    unasked += slow
                shown += fitting
                if len(shown) >= limit or wanted.seen[0] >= LOOKED_AT:
                    break
                await asyncio.sleep(PACE)
    more = len(shown) >= limit or wanted.seen[0] >= LOOKED_AT
    notes = [*(where.told() if where is not None else ()), *((TOO_SLOW.format(unasked),) if unasked else ())]
    return web.json_response(
        {
            "here": desk.cluster.here, "at": now_ms(), "stage": writer.value, "more": more,
            "lookedAt": wanted.seen[0], "records": [one.document() for one in shown[:limit]], "told": notes,
        }
    )  # fmt: skip


def _past_wanted(query: Mapping[str, str], sight: Sight, pins: Mapping[str, str], until: Mark | None) -> Wanted:
    """All but the filter, which is asked beside the loop of the worker."""
    text = query.get("key", "")
    key = row_key(text, sight.catalogue, sight.view.letters.rows, pins) if text else None
    tables = frozenset(_named(sight, query["table"])) if query.get("table") else frozenset[str]()
    return Wanted(tables, key, until_ms=until.time_ms if until is not None else None)


def _named(sight: Sight, name: str) -> tuple[str]:
    spec = table_of(sight.catalogue, name)
    return (spec.name if spec is not None else name,)


def _tables(query: Mapping[str, str], settings: Settings) -> frozenset[str]:
    name = query.get("table", "")
    spec = table_of(rows_of(settings).catalogue, name)
    return frozenset((spec.name if spec is not None else name,)) if name else frozenset()


def _writer(query: Mapping[str, str]) -> Writer:
    try:
        return Writer(query.get("stage") or Writer.ENRICH.value)
    except ValueError:
        raise ValueError(f"a stage is one of {', '.join(one.value for one in Writer)}") from None


def _where(query: Mapping[str, str]) -> Filter | None:
    try:
        return Filter(query["where"]) if query.get("where") else None
    except InvalidFilter as error:
        raise ValueError(f"the filter: {error}") from None


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name, "")
    return min(int(text), most) if text.isascii() and text.isdecimal() and len(text) < 17 else default


ROUTES = (
    Route("GET", "/api/peek", Scope.READ, live, "A live sample of what a stage writes, masked."),
    Route("GET", "/api/peek/past", Scope.READ, in_time(past, SLOW), "What a stage has written, masked."),
)
