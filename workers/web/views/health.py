"""What the checks of dependencies found last, wherever they were made."""

from aiohttp import web

from workers.health.watch import REPORT
from workers.web.routes import Desk, Route, Scope

HOME = "publish"


async def here(desk: Desk, _request: web.Request) -> web.Response:
    """The last round of this process, null if it makes none."""
    stage = desk.stages.get(HOME)
    report = stage.app.reports.get(REPORT) if stage is not None and stage.app is not None else None
    return web.json_response({"report": report() if report is not None else None})


async def everywhere(desk: Desk, _request: web.Request) -> web.Response:
    """The newest round of all workers."""
    answers = await desk.cluster.ask("/internal/health")
    made = [(answer.body["report"], answer.worker) for answer in answers if answer.body and answer.body["report"]]
    report, by = max(made, key=lambda one: str(one[0]["at"]), default=(None, None))
    hint = "" if report is not None else "no worker has made a round yet: is publish running, is CDC_HEALTH_INTERVAL 0?"
    silent = {answer.worker: answer.error for answer in answers if answer.error}
    return web.json_response({"report": report, "by": by, "hint": hint or None, "silent": silent})


ROUTES = (
    Route("GET", "/internal/health", Scope.WORKER, here, "The last round of health checks of this worker."),
    Route("GET", "/api/health", Scope.READ, everywhere, "The last round of health checks of any worker."),
)
