"""The streams: lineage of their shards, who reads them, how far, and what was met on the way."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from workers.app import now_ms
from workers.cluster.peers import Answer
from workers.web.routes import Desk, Route, Scope

STAGE = "bridge"


async def here(desk: Desk, _request: web.Request) -> web.Response:
    """The streams as the bridge of this process sees them; `null` if it has none."""
    app = desk.stages[STAGE].app if STAGE in desk.stages else None
    found = app.views["sources"]() if app is not None and "sources" in app.views else None
    slots = sorted(app.slots.owned) if app is not None else []
    return web.json_response({"sources": found, "slots": slots})


async def everywhere(desk: Desk, _request: web.Request) -> web.Response:
    """The streams as all workers see them, put together."""
    answers = await desk.cluster.ask("/internal/sources")
    return web.json_response(
        {
            "at": now_ms(),
            "here": desk.cluster.here,
            "workers": [{"name": answer.worker, "error": answer.error} for answer in answers],
            "sources": merged(answers),
        }
    )


def merged(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Every worker knows all shards and, a moment late, all positions; only a shard's owner knows what reading it met.
    The furthest position is the newest."""
    found: dict[str, dict[str, Any]] = {}
    owners = {
        slot: answer.worker for answer in answers if answer.body is not None for slot in answer.body["slots"]
    }  # fmt: skip
    for answer in answers:
        for source in (answer.body or {}).get("sources") or ():
            known = found.setdefault(source["name"], source | {"shards": {}, "troubles": []})
            known["troubles"] += [f"{answer.worker}: {text}" for text in source.get("troubles", ())]
            known["arn"] = known.get("arn") or source.get("arn")
            for shard in source["shards"]:
                _add(known["shards"], answer.worker, shard)
    return [
        source | {"shards": [_shown(shard, owners) for _, shard in sorted(source["shards"].items())]}
        for source in found.values()
    ]


def _add(shards: dict[str, dict[str, Any]], worker: str, shard: Mapping[str, Any]) -> None:
    known = shards.get(shard["id"])
    if known is None:
        shards[shard["id"]] = known = dict(shard)
    elif _progress(shard) > _progress(known):
        known |= {name: value for name, value in shard.items() if name != "report"}
    if "report" in shard:
        known |= {"report": shard["report"], "owner": worker}


def _progress(shard: Mapping[str, Any]) -> tuple[bool, int, int]:
    return shard["ended"], int(shard["sequence"] or -1), shard["records"] or 0


def _shown(shard: Mapping[str, Any], owners: Mapping[int, str]) -> dict[str, Any]:
    report = shard.get("report", {})
    plain = {name: value for name, value in shard.items() if name != "report"}
    if report.get("age_ms") is not None:
        plain["age_ms"] = report["age_ms"]
    return plain | {
        "owner": shard.get("owner") or owners.get(shard["slot"]),
        "state": _state(shard, report),
        "why": report.get("why") or "",
        "waits_for": list(report.get("parents", ())),
        "behind_ms": report.get("behind_ms"),
        "throttles": report.get("throttles"),
        "rebuilds": report.get("rebuilds"),
        "failures": report.get("failures"),
        "errors": report.get("errors", {}),
    }


def _state(shard: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    if report.get("state"):
        return str(report["state"])
    if shard["ended"]:
        return "ENDED"
    return "PENDING" if shard["listed"] else "GONE"


ROUTES = (
    Route("GET", "/internal/sources", Scope.WORKER, here, "Shards of every stream as this worker sees them."),
    Route("GET", "/api/sources", Scope.READ, everywhere, "Shards of every stream: lineage, owner, position, lag."),
)
