"""The state of the process at `/` and `/ready`, and Faust's pages of each stage under `/<stage>/`."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from workers.engine.stages import Stage
from workers.web.gate import wants_page
from workers.web.routes import Desk, Route, Scope
from workers.web.stage_state import stage_state


async def _index(desk: Desk, request: web.Request) -> web.Response:
    if wants_page(request):
        raise web.HTTPSeeOther("/page/")
    pages = {name: [f"/{name}/", f"/{name}/assignment/", f"/{name}/tables/"] for name in desk.stages}
    return web.json_response({"stages": _states(desk), "pages": pages})


async def _ready(desk: Desk, _request: web.Request) -> web.Response:
    ready = {name: state["ready"] for name, state in _states(desk).items()}
    return web.json_response(ready, status=200 if all(ready.values()) else 503)


async def _redirect(desk: Desk, request: web.Request) -> web.Response:
    _stage(desk.stages, request)
    raise web.HTTPFound(f"/{request.match_info['stage']}/")


async def _page(desk: Desk, request: web.Request) -> web.StreamResponse:
    """Resolved on every request: an aiohttp sub-application is frozen at start and would keep a crashed app."""
    app = _stage(desk.stages, request).app
    if app is None or not app.started:
        raise web.HTTPServiceUnavailable(text="the stage is starting")
    if not getattr(app, "web_pages_ready", False):
        await app.web.wsgi()
        app.web_pages_ready = True
    inner = request.clone(rel_url=request.rel_url.with_path("/" + request.match_info["page"]))
    match = await app.web.web_app.router.resolve(inner)
    inner._match_info = match
    return await match.handler(inner)


def _states(desk: Desk) -> dict[str, Any]:
    return {name: stage_state(stage) for name, stage in desk.stages.items()}


def _stage(stages: Mapping[str, Stage], request: web.Request) -> Stage:
    stage = stages.get(request.match_info["stage"])
    if stage is None:
        raise web.HTTPNotFound(text=f"no such page; stages are: {', '.join(stages)}")
    return stage


async def _no_such(_desk: Desk, _request: web.Request) -> web.Response:
    raise web.HTTPNotFound(text="this worker has no such view; it is of another version")


ROUTES = (
    Route("GET", "/", Scope.READ, _index, "State of every stage of this worker; a browser goes to the page."),
    Route("GET", "/ready", Scope.READ, _ready, "200 if every stage has joined, recovered and can work, else 503."),
)
PAGES = (
    Route("GET", "/internal/{view:.*}", Scope.WORKER, _no_such, "Nothing: a view that another version has."),
    Route("GET", "/{stage}", Scope.READ, _redirect, "Goes to Faust's pages of a stage."),
    Route("GET", "/{stage}/{page:.*}", Scope.READ, _page, "Faust's pages of a stage: assignment, tables (masked)."),
)
"""Behind all others: they take whatever is left."""
