"""The way of one change, for whatever is pasted."""

import asyncio
from typing import Any

from aiohttp import web

from models.trail import Trails
from workers.app import now_ms
from workers.tail.start import Mark
from workers.trace.question import MAX_TEXT, question
from workers.trace.search import Window
from workers.trace.tracing import tracing
from workers.web.refusals import in_time, refusal
from workers.web.routes import Desk, Route, Scope

SECONDS = 12.0
MOST = 10
BUSY = "two questions are being answered on this worker already"
SLOW = "choose a shorter time (from), or use `cdc trace`, which has all the time it needs"
_two = asyncio.Semaphore(2)


async def trails(desk: Desk, request: web.Request) -> web.Response:
    """The trails of what `id` names; none if nothing was found."""
    query = request.query
    text, table = query.get("id", ""), query.get("table") or None
    try:
        asked = question(text[: MAX_TEXT + 1], table, _number(query.get("partition", "")))
        window = Window(*(_time(query.get(name, "")) for name in ("from", "to")))
    except ValueError as error:
        return refusal(str(error))
    if _two.locked():
        return refusal(BUSY, "try again in a moment, or use `cdc trace`", 429)
    notes: list[str] = []
    async with _two, asyncio.timeout(SECONDS), tracing(
        desk.settings, now_ms=now_ms, tell=lambda *_: None, say=notes.append
    ) as work:  # fmt: skip
        found = await work.trails(asked, window, min(_number(query.get("limit", "")) or 1, MOST))
    return web.json_response({"here": desk.cluster.here, "at": now_ms(), "notes": notes, **_document(found)})


def _document(found: Trails) -> dict[str, Any]:
    final = bool(found.trails) and all(trail.ending.final for trail in found.trails)
    return {**found.document(), "final": final}


def _time(text: str) -> int | None:
    """Milliseconds since the epoch. Raises ValueError."""
    if not text:
        return None
    mark = Mark.parse(text, now_ms())
    if mark.time_ms is None:
        raise ValueError("from and to are times like 2026-01-15T10:00:00Z, or ages like -2h")
    return mark.time_ms


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


ROUTES = (Route("GET", "/api/trace", Scope.READ, in_time(trails, SLOW), "Every hop of one change, masked."),)
