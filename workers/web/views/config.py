"""What the workers run with: settings with their origins, versions, what differs between workers, and the findings of
`cdc check`."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiohttp import web

from workers.app import now_ms
from workers.checks.examination import examine
from workers.cluster.peers import Answer
from workers.settings.effective import OF_ONE_WORKER, fingerprint, origins
from workers.web.process import PROCESS
from workers.web.routes import Desk, Route, Scope

EXAMINATION_SECONDS = 5.0
"""That each answer of Kafka may take."""
EXAMINATION_EVERY = 15.0
"""Seconds between two examinations: whoever asks in between gets the last one."""


class Examinations:
    """At most one at a time, and not again and again: an examination opens a transaction and calls AWS."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._last: dict[str, Any] | None = None
        self._ended = float("-inf")

    async def report(self) -> dict[str, Any]:
        """The findings, and when they were made."""
        async with self._lock:
            clock = asyncio.get_running_loop().time
            if self._last is None or clock() - self._ended >= EXAMINATION_EVERY:
                began = clock()
                found = await asyncio.to_thread(examine, seconds=EXAMINATION_SECONDS)
                self._ended = clock()
                self._last = found.document() | {"at": now_ms(), "took": round(self._ended - began, 1)}
            return self._last


_examinations = Examinations()
"""Of this process."""


async def here(desk: Desk, _request: web.Request) -> web.Response:
    """This process."""
    rows = origins(desk.settings)
    return web.json_response(
        {
            "started": PROCESS.started_ms,
            "version": PROCESS.version,
            "python": PROCESS.python,
            "fingerprint": fingerprint(rows),
            "tables": {
                name: stage.app.fingerprint for name, stage in desk.stages.items() if stage.app is not None
            },
            "settings": [row.document() for row in rows],
        }
    )  # fmt: skip


async def everywhere(desk: Desk, _request: web.Request) -> web.Response:
    """All workers."""
    answers = await desk.cluster.ask("/internal/config")
    return web.json_response({"at": now_ms(), "here": desk.cluster.here} | merged(desk.cluster.here, answers))


async def check(_desk: Desk, _request: web.Request) -> web.Response:
    """The examination of `cdc check`, by this worker."""
    return web.json_response(await _examinations.report())


def merged(me: str, answers: Sequence[Answer]) -> dict[str, Any]:
    """The settings of this worker, or of the first that answered, and where the others differ."""
    said = {answer.worker: answer.body for answer in answers if answer.body is not None}
    told = said.get(me) or next(iter(said.values()), None)
    if told is None:
        return {"workers": _workers(answers, said), "settings": [], "drift": []}
    return {
        "workers": _workers(answers, said),
        "of": me if me in said else next(iter(said)),
        "settings": told["settings"],
        "drift": list(_drift(said)),
    }


def _workers(answers: Iterable[Answer], said: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = ("started", "version", "python", "fingerprint", "tables")
    return [
        {"name": answer.worker, "error": answer.error}
        | {name: said.get(answer.worker, {}).get(name) for name in names}
        for answer in answers
    ]  # fmt: skip


def _drift(said: Mapping[str, Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """What is not the same on all workers, though it should be."""
    for what in ("version", "python"):
        yield from _differing(what, {worker: str(body[what]) for worker, body in said.items()})
    tables = {worker: ", ".join(sorted(set(filter(None, body["tables"].values())))) for worker, body in said.items()}
    yield from _differing("tables.yaml (fingerprint)", {worker: mark for worker, mark in tables.items() if mark})
    values: dict[str, dict[str, str]] = {}
    for worker, body in said.items():
        for row in body["settings"]:
            if row["field"] not in OF_ONE_WORKER:
                values.setdefault(row["name"], {})[worker] = row["value"]
    for name, by_worker in values.items():
        yield from _differing(name, by_worker)


def _differing(what: str, values: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    if len(set(values.values())) > 1:
        yield {"what": what, "values": dict(sorted(values.items()))}


ROUTES = (
    Route("GET", "/internal/config", Scope.WORKER, here, "Settings, versions and fingerprints of this worker."),
    Route("GET", "/api/config", Scope.READ, everywhere, "Settings with their origins, and where workers differ."),
    Route("POST", "/api/check", Scope.READ, check, "Findings of `cdc check`, at most every 15 s."),
)
