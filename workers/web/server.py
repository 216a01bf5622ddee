"""The one web server of a worker: its page and API, its state at `/`, its metrics at `/metrics`, Faust's pages of each
stage under `/<stage>/`. All of it stands behind the gate."""

import asyncio
import errno
import functools
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import mode
from aiohttp import web
from prometheus_client import CollectorRegistry
from yarl import URL

from workers.cluster.calls import Alone, Directory, SignedCluster
from workers.cluster.directory import address_of
from workers.cluster.farewells import Farewells
from workers.cluster.key import cluster_key
from workers.cluster.peers import Peer
from workers.cluster.signature import ClusterKey, Reception
from workers.cluster.tls import cluster_tls
from workers.engine.stages import Stage
from workers.failures import ConfigurationError
from workers.settings.web import LOOPBACK
from workers.settings.worker import Settings
from workers.web.callers import Callers
from workers.web.connections import KEEP_SECONDS, BoundedSite, http_log
from workers.web.files import page_files, page_routes
from workers.web.gate import MAX_BODY, Gate
from workers.web.metrics import Measure, exposition, look_at_ends, registry_of
from workers.web.routes import Desk, Route, Scope
from workers.web.stage_pages import PAGES
from workers.web.stage_pages import ROUTES as STATE
from workers.web.tls import server_tls
from workers.web.token_file import LOOK_SECONDS, TokenFile
from workers.web.views import (
    config,
    dead_letters,
    farewell,
    health,
    logs,
    pauses,
    peek,
    pipeline,
    plain,
    sources,
    tables,
    trace,
)
from workers.web.views import stages as stages_view
from workers.web.views.session import session_routes

FIRST_PORT = 6066
PORTS_TRIED = 100
BACKLOG = 100
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  compared with, not bound to
VIEWS = (
    pipeline,
    sources,
    tables,
    dead_letters,
    trace,
    peek,
    logs,
    config,
    health,
    pauses,
    stages_view,
    farewell,
    plain,
)
ROUTES: tuple[Route, ...] = tuple(route for view in VIEWS for route in view.ROUTES)
"""Of all views."""


def listen(configured: int | None, bind: str = LOOPBACK) -> socket.socket:
    """Listen on the configured port, or on the first free one from 6066 on: whoever only looked for one would share it
    with a worker that starts at the same moment. Raises ConfigurationError if the configured one is busy, or the
    address is none of this machine."""
    candidates = [configured] if configured else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)
    for port in candidates:
        try:
            return socket.create_server(
                (bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET, backlog=BACKLOG
            )
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ConfigurationError(
                    f"CDC_WEB_BIND {bind} is no address of this machine", hint="0.0.0.0 is all of them"
                ) from None
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise ConfigurationError(
        f"port {configured or FIRST_PORT} is not free", hint="set CDC_WEB_PORT to another one, or unset it"
    )


def own_url(settings: Settings, port: int) -> str:
    """Where this process reaches its own web server."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(settings.web_bind, settings.web_bind)  # noqa: S104
    return str(URL.build(scheme="https" if settings.web_certificate_file else "http", host=host, port=port))


def advertised_url(settings: Settings, port: int) -> str:
    """Where the other workers reach it."""
    if settings.web_advertise:
        return settings.web_advertise
    if settings.web_bind not in EVERYWHERE:
        return own_url(settings, port)
    return str(URL(own_url(settings, port)).with_host(_address_of_host()))


def _address_of_host() -> str:
    """What the host's name stands for, such as the address of a pod; the name itself if that is loopback."""
    name = socket.gethostname()
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except OSError:
        return name
    return next((one for one in sorted(found) if not one.startswith("127.") and one != "::1" and "%" not in one), name)


class WebServer(mode.Service):
    """Serves as long as the worker lives; a stage that crashed answers 503 until its new app is there.

    Raises ConfigurationError for files of the settings that cannot be used."""

    def __init__(
        self,
        stages: list[Stage],
        settings: Settings,
        name: str,
        port: int,
        *,
        listening: socket.socket | None = None,
        directory: Directory | None = None,
        views: tuple[Route, ...] = ROUTES,
        on_end: Callable[[], Awaitable[None]] | None = None,
        measures: Sequence[Measure] = (),
        farewells: Farewells | None = None,
        **kwargs: Any,
    ) -> None:
        """`listening`: on this port already, from `listen`."""
        self.port = port
        self.bind = settings.web_bind
        self._listening = listening
        me = Peer(name, advertised_url(settings, port), tuple(stage.name for stage in stages))
        self.address = address_of(me.url or "", name)
        """What the stages tell their groups."""
        key = cluster_key(settings)
        own_key = key or ClusterKey((secrets.token_bytes(32),))
        cluster = SignedCluster(
            me, own_url(settings, port), directory or Alone(), key, own_key, time.time, cluster_tls(settings)
        )
        farewells = farewells or Farewells(name)
        farewells.cluster = cluster
        self.desk = Desk(settings, {stage.name: stage for stage in stages}, cluster, farewells)
        self._tls = server_tls(settings)
        self._token_file = TokenFile(settings.web_token_file)
        self.callers = Callers(
            settings, self._token_file, Reception(own_key, self.address, time.time), time.monotonic, port
        )
        self.gate = Gate(settings, self.callers)
        self.registry = registry_of(stages, measures)
        self._runner: web.AppRunner | None = None
        self._views = views
        self._on_end = on_end
        super().__init__(**kwargs)

    def application(self) -> web.Application:
        """Everything it serves, behind the gate."""
        root = web.Application(middlewares=[self.gate.guard], client_max_size=MAX_BODY)
        root.on_response_prepare.append(self.gate.finish)
        scraped = _metrics_route(self.registry)
        routes = (*STATE, scraped, *session_routes(self.callers), *page_routes(page_files()), *self._views, *PAGES)
        for route in routes:
            self.gate.add(root.router, route, self._handler(route))
        return root

    async def on_start(self) -> None:
        """Listen before the stages start: a worker that recovers can be looked at."""
        self._runner = web.AppRunner(
            self.application(), access_log=None, logger=http_log, keepalive_timeout=KEEP_SECONDS
        )
        await self._runner.setup()
        site = BoundedSite(self._runner, self._listening or listen(self.port, self.bind), tls=self._tls)
        self.gate.door = site.door
        await site.start()

    @mode.Service.task
    async def _rotate_tokens(self) -> None:
        while not self.should_stop:
            await asyncio.to_thread(self._token_file.look)
            await self.sleep(LOOK_SECONDS)

    async def on_stop(self) -> None:
        """Close."""
        await peek.peeks.end()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._on_end is not None:
            await self._on_end()

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        return functools.partial(route.handler, self.desk)


def _metrics_route(registry: CollectorRegistry) -> Route:
    async def scrape(desk: Desk, request: web.Request) -> web.Response:
        await look_at_ends(desk.stages.values())
        body, content_type = exposition(registry, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return Route("GET", "/metrics", Scope.READ, scrape, "What Prometheus scrapes.")
