"""What the stages do, on every worker."""

from aiohttp import web

from workers.web.routes import Desk, Route, Scope
from workers.web.stage_state import stage_state


async def here(desk: Desk, _request: web.Request) -> web.Response:
    """The stages of this process."""
    return web.json_response({name: stage_state(stage) for name, stage in desk.stages.items()})


async def everywhere(desk: Desk, _request: web.Request) -> web.Response:
    """The stages of all workers."""
    answers = await desk.cluster.ask("/internal/stages")
    return web.json_response(
        {
            "here": desk.cluster.here,
            "workers": [{"name": a.worker, "stages": a.body, "error": a.error} for a in answers],
        }
    )


ROUTES = (
    Route("GET", "/internal/stages", Scope.WORKER, here, "State of every stage of this worker."),
    Route("GET", "/api/stages", Scope.READ, everywhere, "State of every stage of every worker."),
)
