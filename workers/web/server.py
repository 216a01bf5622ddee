"""The one web server of a worker, on loopback: its state at `/`, its metrics at `/metrics`, Faust's pages of each
stage under `/<stage>/`."""

import errno
import functools
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import mode
from aiohttp import web

from workers.cluster.peers import Alone, Peer
from workers.engine.stages import Stage
from workers.failures import ConfigurationError
from workers.settings import Settings
from workers.web.metrics import exposition, registry_of
from workers.web.routes import Desk, Route
from workers.web.stage_state import stage_state
from workers.web.views import health as health_view
from workers.web.views import stages as stages_view

LOOPBACK = "127.0.0.1"
FIRST_PORT = 6066
PORTS_TRIED = 100
ROUTES: tuple[Route, ...] = (*health_view.ROUTES, *stages_view.ROUTES)
"""Of all views."""


def choose_port(configured: int | None) -> int:
    """The configured port, or the first free one from 6066 on. Raises ConfigurationError if the configured one is
    busy."""
    candidates = [configured] if configured else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                return port
    raise ConfigurationError(
        f"port {configured or FIRST_PORT} is not free", hint="set CDC_WEB_PORT to another one, or unset it"
    )


class WebServer(mode.Service):
    """Serves as long as the worker lives; a stage that crashed answers 503 until its new app is there."""

    def __init__(self, stages: list[Stage], settings: Settings, name: str, port: int, **kwargs: Any) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.port = port
        me = Peer(name, f"http://{LOOPBACK}:{port}", tuple(self.stages))
        self.desk = Desk(settings, self.stages, Alone(me))
        self._metrics = registry_of(stages)
        self._runner: web.AppRunner | None = None
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        """Listen before the stages start: a worker that recovers can be looked at."""
        root = web.Application()
        root.router.add_get("/", self._index)
        root.router.add_get("/ready", self._ready)
        root.router.add_get("/metrics", self._scrape)
        for route in ROUTES:
            root.router.add_route(route.method, route.path, self._handler(route))
        root.router.add_get("/{stage}", self._redirect)
        root.router.add_get("/{stage}/{page:.*}", self._page)
        self._runner = web.AppRunner(root, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port).start()

    async def on_stop(self) -> None:
        """Close."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        return functools.partial(route.handler, self.desk)

    def _states(self) -> dict[str, Any]:
        return {name: stage_state(stage) for name, stage in self.stages.items()}

    async def _index(self, _request: web.Request) -> web.Response:
        pages = {name: [f"/{name}/", f"/{name}/assignment/", f"/{name}/tables/"] for name in self.stages}
        return web.json_response({"stages": self._states(), "pages": pages})

    async def _ready(self, _request: web.Request) -> web.Response:
        ready = {name: state["ready"] for name, state in self._states().items()}
        return web.json_response(ready, status=200 if all(ready.values()) else 503)

    async def _scrape(self, request: web.Request) -> web.Response:
        body, content_type = exposition(self._metrics, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _redirect(self, request: web.Request) -> web.Response:
        self._stage(request)
        raise web.HTTPFound(f"/{request.match_info['stage']}/")

    def _stage(self, request: web.Request) -> Stage:
        stage = self.stages.get(request.match_info["stage"])
        if stage is None:
            raise web.HTTPNotFound(text=f"no such stage; there are: {', '.join(self.stages)}\n")
        return stage

    async def _page(self, request: web.Request) -> web.StreamResponse:
        """Resolved on every request: an aiohttp sub-application is frozen at start and would keep a crashed app."""
        app = self._stage(request).app
        if app is None or not app.started:
            raise web.HTTPServiceUnavailable(text="the stage is starting\n")
        if not getattr(app, "web_pages_ready", False):
            await app.web.wsgi()
            app.web_pages_ready = True
        inner = request.clone(rel_url=request.rel_url.with_path("/" + request.match_info["page"]))
        match = await app.web.web_app.router.resolve(inner)
        inner._match_info = match
        return await match.handler(inner)
