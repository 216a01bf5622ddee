"""What only workers can tell of health: whether canaries arrive. For a command, which asks the one that sends them."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from workers.cluster.outside import cluster_of
from workers.cluster.peers import Answer
from workers.failures import CommandError
from workers.health.verdicts import State, Verdict
from workers.settings.worker import Settings

PATH = "/internal/health"
SECONDS = 4.0


class Asked(Protocol):
    """What asks all workers (workers.cluster.peers.Cluster)."""

    async def ask(
        self, path: str, query: Mapping[str, str] | None = None, *, seconds: float = SECONDS
    ) -> tuple[Answer, ...]:
        """GET from every worker."""


async def canaries(settings: Settings) -> tuple[Verdict, ...]:
    """The last verdicts on canaries; none if no worker sends any. Never raises for the world: with `CDC_CANARY` a
    silence of the workers is a verdict of its own, without it nobody expects an answer."""
    try:
        async with asyncio.timeout(2 * SECONDS), cluster_of(settings) as cluster:
            found = await told(cluster)
            why = "no worker tells of one: is publish running, is CDC_HEALTH_INTERVAL 0?"
    except CommandError as error:
        found, why = (), str(error)
    except TimeoutError:
        found, why = (), "the workers do not answer in time"
    if found or not settings.canary:
        return found
    return (Verdict("canary", "workers", State.UNKNOWN, why, "cdc status says which workers run"),)


async def told(cluster: Asked) -> tuple[Verdict, ...]:
    """Of the newest round of all workers that answer."""
    answers = await cluster.ask(PATH, seconds=SECONDS)
    reports = [report for answer in answers if (report := _report(answer.body)) is not None]
    newest = max(reports, key=lambda report: str(report.get("at")), default={})
    return tuple(
        Verdict("canary", str(one["subject"]), State(one["state"]), str(one["reason"]), str(one["action"] or ""))
        for one in newest.get("verdicts", ())
        if one["check"] == "canary"
    )


def _report(body: Any) -> dict[str, Any] | None:
    report = body.get("report") if isinstance(body, dict) else None
    return report if isinstance(report, dict) else None
