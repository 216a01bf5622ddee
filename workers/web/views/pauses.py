"""What operators have paused: shown, and changed."""

import functools
import json
import time
from typing import Any

from aiohttp import web

from models.pause import WHY_CHARACTERS, PauseBook
from workers.contract import read_catalogue
from workers.failures import CommandError, ExitCode
from workers.kafka.access import kafka_access
from workers.pauses.writing import (
    chosen_pauses,
    pause_of,
    read_pauses,
    refuse_off,
    target_of,
    write_pauses,
    write_resumes,
)
from workers.settings.worker import Settings
from workers.web.gate import CALLER
from workers.web.routes import Desk, Route, Scope

BY = "web"
HISTORY_SHOWN = 50
STATUS = {
    ExitCode.DENIED: 403, ExitCode.UNREACHABLE: 503, ExitCode.NOT_FOUND: 404, ExitCode.REFUSED: 409,
}  # fmt: skip
FIELDS = {"action", "stage", "table", "partition", "why", "for", "all"}


def pauses_document(book: PauseBook) -> dict[str, Any]:
    """What holds now, and what was changed last, newest first."""
    history = [change.document() for _, change in sorted(book.history.items(), reverse=True)[:HISTORY_SHOWN]]
    return {"pauses": [pause.document() for pause in book.now(_now_ms())], "history": history}


async def show(desk: Desk, _request: web.Request) -> web.Response:
    """All pauses that hold, out of Kafka: also of stages that run nowhere."""
    try:
        async with kafka_access(desk.settings) as kafka:
            return web.json_response(pauses_document(await read_pauses(desk.settings, kafka)))
    except CommandError as error:
        return _refusal(error)


async def change(desk: Desk, request: web.Request) -> web.Response:
    """`{"action": "pause" | "resume", "stage", "table"?, "partition"?, "why", "for"?}`; to resume all of a stage, or of
    all stages: `"all": true`. Answers with what holds afterwards."""
    try:
        return web.json_response(await _change(desk.settings, await _body(request), f"{BY}, {request[CALLER].name}"))
    except CommandError as error:
        return _refusal(error)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        found = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise CommandError("the body is no JSON document") from None
    if not isinstance(found, dict) or found.keys() - FIELDS:
        raise CommandError(f"the body is no object of {', '.join(sorted(FIELDS))}")
    for name in ("action", "stage", "table", "why", "for"):
        if not isinstance(found.get(name, ""), str):
            raise CommandError(f"{name} is no text")
    partition = found.get("partition")
    if partition is not None and type(partition) is not int:
        raise CommandError("partition is no number")
    return found


async def _change(settings: Settings, body: dict[str, Any], by: str) -> dict[str, Any]:
    stage, at, everything = str(body.get("stage", "")), _now_ms(), body.get("all") is True
    why = str(body.get("why", ""))
    target = None
    if not everything or stage:
        catalogue = read_catalogue(settings)
        target = target_of(settings, catalogue, stage, body.get("table"), body.get("partition"))
    async with kafka_access(settings) as kafka:
        match body.get("action"):
            case "pause" if target is not None:
                pause = pause_of(target, by=by, why=why, lasts=body.get("for"), now_ms=at)
                await refuse_off(settings, kafka, stage)
                offset = await write_pauses(settings, kafka, [pause])
            case "resume":
                chosen = functools.partial(chosen_pauses, target=target, everything=everything, now_ms=at)
                offset = await write_resumes(settings, kafka, chosen, by=by, why=why[:WHY_CHARACTERS], now_ms=at)
            case _:
                raise CommandError("action is neither pause nor resume")
        return pauses_document(await read_pauses(settings, kafka)) | {"offset": offset}


def _refusal(error: CommandError) -> web.Response:
    document = {"error": str(error), "hint": error.hint}
    return web.json_response(document, status=STATUS.get(error.exit_code, 400))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


ROUTES = (
    Route("GET", "/api/pauses", Scope.READ, show, "What operators have paused, since when, by whom and why."),
    Route(
        "POST",
        "/api/pauses",
        Scope.WRITE,
        change,
        "Pause or resume a stage, a table or a partition.",
        audited=("action", "stage", "table", "partition", "for", "all"),
    ),
)
