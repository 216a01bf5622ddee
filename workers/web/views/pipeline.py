"""The pipeline at a glance: each stage with its lag, rates, owners, and what stands in its way."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aiohttp import web

from workers.app import now_ms, stages_of
from workers.cluster.peers import Answer
from workers.engine.lag import Lag
from workers.engine.obstacles import earliest
from workers.engine.stages import Stage
from workers.kafka.topics import Topics
from workers.overview.agreement import disagreement
from workers.settings.worker import Settings
from workers.web.process import PROCESS
from workers.web.routes import Desk, Route, Scope
from workers.web.standing import Standing, reasons_of, standing_of, worst

RATE_SECONDS, DEAD_SECONDS = 10, 60
SINKS = ("s3", "sqs", "sns")
"""What the stage archive may file dead letters in: names of its reports."""
MOST_REASONS = 20
"""That one worker tells of a stage: a hundred partitions may stand still for one and the same."""


async def here(desk: Desk, _request: web.Request) -> web.Response:
    """The stages of this process."""
    now = now_ms()
    await asyncio.gather(*(stage.app.lags.refresh() for stage in desk.stages.values() if stage.app is not None))
    return web.json_response(
        {
            "at": now,
            "started": PROCESS.started_ms,
            "stages": {name: stage_here(one, now) for name, one in desk.stages.items()},
        }
    )


async def everywhere(desk: Desk, _request: web.Request) -> web.Response:
    """The stages of all workers, put together."""
    answers = await desk.cluster.ask("/internal/pipeline")
    return web.json_response({"at": now_ms(), "here": desk.cluster.here} | merged(desk.settings, answers))


def stage_here(stage: Stage, now: int) -> dict[str, Any]:
    """What one stage of this process does. No keys, no values."""
    reasons = reasons_of(stage)
    found: dict[str, Any] = {
        "standing": standing_of(stage, reasons), "reasons": [asdict(reason) for reason in reasons[:MOST_REASONS]],
        "more_reasons": max(0, len(reasons) - MOST_REASONS), "restarts": stage.restarts,
    }  # fmt: skip
    app = stage.app
    if app is None:
        return found
    stats, lag = app.slots.stats, app.lags.of_stage(now)
    parts = app.lags.of_partitions(now)
    shards = app.reports["shards"]() if "shards" in app.reports else {}
    return found | {
        "catalogue": app.fingerprint,
        "slots": sorted(app.slots.owned),
        "records_behind": lag.records,
        "seconds_behind": lag.seconds,
        "partitions": [
            {"topic": tp.topic, "partition": tp.partition, "records": part.records, "seconds": part.seconds}
            for tp, part in sorted(parts.items())
        ],
        "rates": {
            **{name: stats.rates.per_second(name, RATE_SECONDS) for name in ("in", "out", "drop")},
            "dead_per_minute": stats.rates.of("dead", DEAD_SECONDS),
        },
        "taken": stats.inputs,
        "outcomes": dict(stats.outcomes),
        "aborted": stats.aborted,
        "fenced": stats.fenced,
        "tables": {name: len(table.data) for name, table in app.tables.items()},
        "buses": app.reports["delivery"]()["buses"] if "delivery" in app.reports else {},
        "sinks": [name for name in SINKS if name in app.reports],
        "shards": Counter(str(shard["state"]) for shard in shards.values()),
    }  # fmt: skip


def merged(settings: Settings, answers: Sequence[Answer]) -> dict[str, Any]:
    """What all workers said, stage by stage."""
    said = {answer.worker: answer.body for answer in answers if answer.body is not None}
    complete = all(answer.error is None for answer in answers)
    stages = [*stages_of(settings)]
    stages += [name for body in said.values() for name in body["stages"] if name not in stages]
    topics = Topics.of(settings)
    marks = {
        name: {worker: body["stages"][name].get("catalogue", "") for worker, body in said.items()
               if name in body["stages"]}
        for name in stages
    }  # fmt: skip
    other = disagreement(marks)
    return {
        "workers": [
            {"name": answer.worker, "error": answer.error, "started": said.get(answer.worker, {}).get("started")}
            for answer in answers
        ],
        "topics": {
            "raw": sorted(topics.raw.values()), "events": topics.events, "dead": topics.dead,
        },
        "stages": [
            _stage(
                name,
                settings.source_slots if name == "bridge" else settings.partitions,
                {worker: body["stages"][name] for worker, body in said.items() if name in body["stages"]},
                complete=complete,
                other=other[1] if other is not None and other[0] == name else "",
            )
            for name in dict.fromkeys(stages)
        ],
    }  # fmt: skip


def _stage(
    name: str, slots: int, parts: Mapping[str, Mapping[str, Any]], *, complete: bool, other: str = ""
) -> dict[str, Any]:
    """`other`: what is to be said of workers whose tables differ."""
    lag = Lag.of_all(Lag(part.get("records_behind"), part.get("seconds_behind")) for part in parts.values())
    held = {index for part in parts.values() for index in part.get("slots", ())}
    standings = [Standing(part["standing"]) for part in parts.values()]
    outcomes: Counter[str] = Counter()
    for part in parts.values():
        outcomes.update(part.get("outcomes", {}))
    return {
        "name": name,
        "standing": worst(standings) or (Standing.ABSENT if complete else None),
        "reasons": [*_reasons(parts), *_difference(other, parts)],
        "more_reasons": sum(part["more_reasons"] for part in parts.values()),
        "owners": [
            {
                "worker": worker,
                "slots": part.get("slots", []),
                "standing": part["standing"],
                "restarts": part["restarts"],
            }
            for worker, part in sorted(parts.items())
        ],
        "slots": slots,
        "unowned": sorted(set(range(slots)) - held) if complete and parts else [],
        "records_behind": lag.records,
        "seconds_behind": lag.seconds,
        "partitions": sorted(
            (row for part in parts.values() for row in part.get("partitions", ())),
            key=lambda row: (row["topic"], row["partition"]),
        ),
        "rates": {
            rate: sum(part["rates"][rate] for part in parts.values() if "rates" in part)
            for rate in ("in", "out", "drop", "dead_per_minute")
        },
        "taken": sum(part.get("taken", 0) for part in parts.values()),
        "outcomes": dict(sorted(outcomes.items())),
        "aborted": sum(part.get("aborted", 0) for part in parts.values()),
        "fenced": sum(part.get("fenced", 0) for part in parts.values()),
        "tables": _largest(parts.values(), "tables"),
        "buses": [
            {"worker": worker, "name": bus} | told
            for worker, part in parts.items()
            for bus, told in part.get("buses", {}).items()
        ],
        "sinks": [name for name in SINKS if any(name in part.get("sinks", ()) for part in parts.values())],
        "shards": dict(sum((Counter(part.get("shards", {})) for part in parts.values()), Counter[str]())),
    }


def _reasons(parts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What several workers say is one thing, such as a pause."""
    told: dict[tuple[str, str, str], dict[str, int]] = {}
    for worker, part in sorted(parts.items()):
        for reason in part["reasons"]:
            same = told.setdefault((reason["kind"], reason["what"], reason["why"]), {})
            same[worker] = reason.get("since_ms", 0)
    return [
        {"kind": kind, "what": what, "why": why, "workers": list(since), "since_ms": earliest(since.values())}
        for (kind, what, why), since in told.items()
    ]


def _difference(other: str, parts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As a reason, of a kind that no worker says of itself."""
    return (
        [{"kind": "differs", "what": "tables.yaml", "why": other, "workers": sorted(parts), "since_ms": 0}]
        if other
        else []
    )


def _largest(parts: Any, name: str) -> dict[str, int]:
    """Tables that every worker holds whole would be counted once per worker; the others are shown as the fullest
    worker has them."""
    found: dict[str, int] = {}
    for part in parts:
        for table, entries in part.get(name, {}).items():
            found[table] = max(found.get(table, 0), entries)
    return found


ROUTES = (
    Route("GET", "/internal/pipeline", Scope.WORKER, here, "Lag, rates and standing of this worker's stages."),
    Route("GET", "/api/pipeline", Scope.READ, everywhere, "Lag, rates, owners and standing of every stage."),
)
