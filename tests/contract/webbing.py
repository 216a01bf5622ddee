"""A worker's web server with the stages of a worker, none of which runs, and clients of every kind."""

import contextlib
import dataclasses
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web

from sandbox.ports import free_ports
from workers.app import FACTORIES
from workers.cluster.calls import Directory
from workers.cluster.peers import Peer
from workers.cluster.signature import NONCE, SIGNATURE, TIME, TO, call_signature
from workers.engine.stages import Stage
from workers.settings.worker import Settings, load_settings
from workers.web.routes import Desk, Route, Scope
from workers.web.server import ROUTES, WebServer
from workers.web.views import stages as stages_view

READ_TOKEN, WRITE_TOKEN = "r" * 40, "w" * 40
PAGES = ("", "assignment/", "tables/", "tables/users/", "nothing/")
JSON = {"Content-Type": "application/json", "X-CDC-Request": "1"}


async def _change(_desk: Desk, request: web.Request) -> web.Response:
    return web.json_response({"changed": await request.json()})


async def _told(_desk: Desk, _request: web.Request) -> web.Response:
    return web.json_response({"ready": "a view"})


async def _here(_desk: Desk, request: web.Request) -> web.Response:
    return web.json_response({"asked": request.query.get("what"), "size": int(request.query.get("size", 0)) * "x"})


PROBES = (
    Route("POST", "/api/change", Scope.WRITE, _change, "A view that changes something.", audited=("stage",)),
    Route("GET", "/internal/echo", Scope.WORKER, _here, "A view of one worker."),
)


def settings_of(directory: Path, *, tokens: bool = False, **more: Any) -> Settings:
    """Of a worker; with a read and a write token, if wanted."""
    given: dict[str, Any] = {"environment": "LOCAL", "redaction_key": "0123456789abcdef", "data_dir": directory}
    if tokens:
        file = directory / "tokens"
        file.write_text(f"read {READ_TOKEN} reader\nwrite {WRITE_TOKEN} writer\n")
        file.chmod(0o600)
        given["web_token_file"] = file
    return load_settings(given | more, env_file=None)


@dataclass
class Served:
    """A server that runs, and a client of it."""

    server: WebServer
    http: aiohttp.ClientSession
    url: str
    tls: Any = False
    own: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None
    ) -> tuple[int, str, Any]:
        """(status, body, headers); redirects are not followed."""
        async with self.http.request(
            method, self.url + path, headers=headers or {}, data=body, allow_redirects=False, ssl=self.tls
        ) as answer:
            return answer.status, await answer.text(), answer.headers

    async def status(self, method: str, path: str, **headers: str) -> int:
        """Underlines in names of headers stand for hyphens."""
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await self.ask(method, path, found, "{}" if method == "POST" else None))[0]

    def signed(self, target: str, *, key: bytes | None = None, nonce: str = "n" * 32) -> dict[str, str]:
        """Headers of a call as another worker makes it."""
        at, to = str(int(time.time() * 1000)), self.server.address
        signer = key or self.server.desk.cluster.own_key.signing  # type: ignore[attr-defined]
        return {TIME: at, NONCE: nonce, TO: to, SIGNATURE: call_signature(signer, target, at, nonce, to)}

    def paths(self) -> list[tuple[Route, str]]:
        """Every route of the server, with a path that fits it; each of Faust's pages of every stage."""
        found = []
        for route in self.server.gate.routes.values():
            path = route.path.replace("{stage}", "enrich").replace("{page:.*}", "tables/").replace("{file:.*}", "")
            found.append((route, re.sub(r"\{\w+(:[^}]*)?\}", "7", path)))
            if route.path == "/{stage}/{page:.*}":
                found += [(route, f"/{stage}/{page}") for stage in self.server.desk.stages for page in PAGES]
        assert not [path for _, path in found if "{" in path]
        return found


def idle_stages(settings: Settings, *names: str) -> list[Stage]:
    """Stages whose apps are made, and say that they have started."""
    stages = []
    for name in names:
        app = FACTORIES[name](settings)
        app._started.set()
        stage = Stage(name, lambda app=app: app, cast("Any", None))  # type: ignore[misc]
        stage.app = app
        stages.append(stage)
    return stages


@contextlib.asynccontextmanager
async def served(
    settings: Settings,
    *,
    name: str = "one",
    stages: tuple[str, ...] = (),
    directory: Callable[[Peer], Directory] | None = None,
    tls: Any = False,
    answering: tuple[Route, ...] = stages_view.ROUTES,
) -> AsyncIterator[Served]:
    """A worker's web server on a free port. What stands behind the gate is not what is looked at: views answer without
    a broker, but for those in `answering`, which are what they are."""
    [port] = free_ports(1)
    others = (dataclasses.replace(route, handler=_told) for route in ROUTES if route not in answering)
    views = (*answering, *others, *PROBES)
    server = WebServer(idle_stages(settings, *stages), settings, name, port, views=views)
    if directory is not None:
        cluster = cast("Any", server.desk.cluster)
        object.__setattr__(cluster, "directory", directory(cluster.me))
    await server.start()
    jar = aiohttp.DummyCookieJar()
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout, trust_env=False) as http:
        scheme = "https" if settings.web_certificate_file else "http"
        try:
            yield Served(server, http, f"{scheme}://127.0.0.1:{port}", tls)
        finally:
            await server.stop()
