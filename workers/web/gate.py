"""The gate of the web server: every request passes it, and what no rule lets in is not answered.

What it holds off, and how: docs/web.md.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRoute

from workers.cluster.signature import SIGNATURE, answer_signature
from workers.engine.runner import describe
from workers.failures import CommandError, ExitCode
from workers.settings.worker import Settings
from workers.web.callers import NOBODY, Caller, Callers, Denied, address_of
from workers.web.connections import Door
from workers.web.routes import Route, Scope

log = logging.getLogger("cdc.web")
audit = logging.getLogger("cdc.audit")

CALLER: web.RequestKey[Caller] = web.RequestKey("caller", Caller)
REQUESTED = "X-CDC-Request"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
STATUS = {
    ExitCode.USAGE: 400,
    ExitCode.DENIED: 502,
    ExitCode.UNREACHABLE: 503,
    ExitCode.NOT_FOUND: 404,
    ExitCode.REFUSED: 409,
}
"""Of what ends a command with that exit code."""
MAX_BODY = 256 << 10
BODY_SECONDS = 20.0
"""For all of a body to come."""
UNFINISHED = 499
"""Status in the audit line of a write that was cut off, such as by the end of the worker."""
LONGEST_PARAMETER = 100

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Gate:
    """`guard` is the middleware of the server; `routes` is everything the server has."""

    def __init__(self, settings: Settings, callers: Callers) -> None:
        self.callers = callers
        self.routes: dict[AbstractRoute, Route] = {}
        self.door: Door | None = None
        """Of the server that listens."""
        self._hosts = {"localhost", "127.0.0.1", "::1", settings.web_bind, host_of(settings.web_advertise)}

    def add(self, router: web.UrlDispatcher, route: Route, handler: Handle) -> None:
        """The only way for a route into the server."""
        if route.scope is Scope.WRITE and route.method != "POST":
            raise ValueError(f"{route.path}: only POST changes anything")
        if route.scope is Scope.WORKER and route.method != "GET":
            raise ValueError(f"{route.path}: workers only ask each other")
        self.routes[router.add_route(route.method, route.path, handler)] = route

    def authorize(self, route: Route | None, request: web.Request) -> Caller:
        """Who asks for it, if they may. Raises Denied. `route` is None for what does not exist."""
        if self.callers.open and host_of(f"//{request.host}") not in self._hosts:
            raise Denied(421, "this host is not served here", hint="ask 127.0.0.1, or set CDC_WEB_ADVERTISE")
        caller = self.callers.recognize(request)
        if request.headers.get("Sec-Fetch-Site") == "cross-site" and (
            request.method != "GET" or request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            raise Denied(403, "another site may not ask", caller=caller)
        if request.method == "POST":
            self._refuse_foreign(request, caller)
        wanted = route.scope if route is not None else Scope.READ
        if wanted is Scope.OPEN or wanted in caller.scopes:
            return caller
        if caller is NOBODY:
            raise Denied(401, "sign in first", hint="at /page/, or send a token: Authorization: Bearer TOKEN")
        if wanted is not Scope.WRITE:
            raise Denied(403, f"this is for callers with the scope {wanted}", caller=caller)
        if self.callers.may_write:
            raise Denied(403, "this token or certificate may only read", caller=caller)
        raise Denied(403, "nothing can be changed through this server", hint="CDC_WEB_WRITE=true", caller=caller)

    def _refuse_foreign(self, request: web.Request, caller: Caller) -> None:
        """A form, a script or a link of another page cannot send what is wanted here without asking first, which
        nobody allows (there is no CORS)."""
        # Some of Python's codecs take half a minute for what may be sent (punycode).
        if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
            raise Denied(415, "send application/json in UTF-8", caller=caller)
        if request.headers.get(REQUESTED) != "1":
            raise Denied(403, f"send the header {REQUESTED}: 1", caller=caller)
        origin = request.headers.get("Origin")
        if origin is None and caller.by == "token":
            return  # no browser sends a token by itself
        allowed = (
            {f"https://{request.host}"} if self.callers.tls else {f"{s}://{request.host}" for s in ("http", "https")}
        )
        if origin is None or origin.lower() not in {one.lower() for one in allowed}:
            raise Denied(403, "send the header Origin, which is this server's own", caller=caller)

    @property
    def guard(self) -> Any:
        """The middleware."""

        @web.middleware
        async def guard(request: web.Request, handler: Handle) -> web.StreamResponse:
            if self.door is not None:
                self.door.heard(request.protocol)
            route = self.routes.get(request.match_info.route)
            if route is None and request.match_info.http_exception is None:
                log.error("a route without a scope: %s", request.match_info.route.name)
                return refusal(Denied(403, "this route has no scope"))
            try:
                caller = self.authorize(route, request)
                await _received(request, caller)
            except Denied as denied:
                if route is not None and route.scope is Scope.WRITE:
                    _note(denied.caller, route, {}, denied.status, request)
                if route is not None and route.path == "/" and denied.status == 401 and wants_page(request):
                    return web.Response(status=303, headers={"Location": "/page/"})
                return refusal(denied)
            except Exception as error:  # noqa: BLE001  aiohttp would log its text
                return _bug(request, error)
            request[CALLER] = caller
            if route is None or route.scope is not Scope.WRITE:
                return _signed(caller, await _handled(handler, request))
            return await self._write(route, caller, handler, request)

        return guard

    async def _write(self, route: Route, caller: Caller, handler: Handle, request: web.Request) -> web.StreamResponse:
        try:
            document = await request.json()
        except (ValueError, RecursionError):
            document = None
        status = UNFINISHED
        try:
            if not isinstance(document, dict):
                response: web.StreamResponse = web.json_response({"error": "send a JSON object"}, status=400)
            else:
                response = await _handled(handler, request)
            status = response.status
        finally:
            _note(caller, route, document if isinstance(document, dict) else {}, status, request)
        return response

    async def finish(self, request: web.Request, response: web.StreamResponse) -> None:
        """The last word on every response: its headers."""
        response.headers.update(HEADERS)
        response.headers["Server"] = "cdc"
        route = self.routes.get(request.match_info.route)
        if route is None or route.scope is not Scope.OPEN or "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"


def refusal(denied: Denied) -> web.Response:
    """What a client gets that is not let in."""
    headers = {"WWW-Authenticate": 'Bearer realm="cdc"'} if denied.status == 401 else {}
    if denied.retry_after:
        headers["Retry-After"] = str(denied.retry_after)
    told = {"error": denied.why} | ({"hint": denied.hint} if denied.hint else {})
    told |= {"refusal": denied.refusal.value} if denied.refusal else {}
    return web.json_response(told, status=denied.status, headers=headers)


def wants_page(request: web.Request) -> bool:
    """A browser that goes to a page."""
    return "text/html" in request.headers.get("Accept", "")


def host_of(url: str | None) -> str:
    """Lower case, without port and brackets; empty if there is none."""
    try:
        return urlsplit(url or "").hostname or ""
    except ValueError:
        return ""


async def _received(request: web.Request, caller: Caller) -> None:
    """Wait for the body of a POST. Raises Denied for one that is too large or too slow."""
    if request.method != "POST":
        return
    try:
        async with asyncio.timeout(BODY_SECONDS):
            await request.read()
    except TimeoutError:
        raise Denied(408, f"send all of it within {BODY_SECONDS:.0f} s", caller=caller) from None
    except web.RequestPayloadError:
        raise Denied(400, "the body is not what its headers say", caller=caller) from None
    except web.HTTPRequestEntityTooLarge:
        raise Denied(413, f"send at most {MAX_BODY} bytes", caller=caller) from None


async def _handled(handler: Handle, request: web.Request) -> web.StreamResponse:
    """The answer, or what went wrong as one: the text of an unforeseen exception may hold row values (P6)."""
    try:
        return await handler(request)
    except Denied as denied:
        return refusal(denied)
    except CommandError as error:
        log.info("%s: %s", _where(request), type(error).__name__)
        return web.json_response({"error": str(error), "hint": error.hint}, status=STATUS.get(error.exit_code, 500))
    except web.HTTPException as error:
        if error.status < 400:
            return web.Response(status=error.status, headers={"Location": error.headers.get("Location", "/")})
        return web.json_response({"error": (error.text or error.reason).strip()}, status=error.status)
    except Exception as error:  # noqa: BLE001
        return _bug(request, error)


def _bug(request: web.Request, error: Exception) -> web.Response:
    log.error("%s %s: %s", request.method, _where(request), describe(error))
    return web.json_response({"error": f"this is a bug: {type(error).__name__}; see the worker's log"}, status=500)


def _where(request: web.Request) -> str:
    """The path as the route has it: what was sent may hold keys, or lines of its own for the log."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "what does not exist"


def _signed(caller: Caller, response: web.StreamResponse) -> web.StreamResponse:
    """The answer to another worker proves who gives it."""
    call = caller.call
    if call is None or not isinstance(response, web.Response):
        return response
    body = response.body if isinstance(response.body, bytes | bytearray) else b""
    response.headers[SIGNATURE] = answer_signature(call.key, call.nonce, call.to, response.status, bytes(body))
    return response


def _note(caller: Caller, route: Route, document: Mapping[str, Any], status: int, request: web.Request) -> None:
    """The audit line of a write: of what was sent only what the route calls harmless, and how much else there was."""
    sent = {name: _shown(document[name]) for name in route.audited if name in document}
    audit.info(
        "%s %s by=%s who=%s from=%s status=%s sent=%s others=%s",
        route.method, route.path, caller.by, json.dumps(caller.name), address_of(request), status, json.dumps(sent),
        len(document) - len(sent),
    )  # fmt: skip


def _shown(value: Any, *, deep: bool = True) -> Any:
    # Whatever was sent: an audit line is written.
    match value:
        case bool() | None:
            return value
        case int() | float():
            return value if abs(value) < 1e15 else "…"
        case str():
            return value[:LONGEST_PARAMETER]
        case list() if deep:
            return [_shown(item, deep=False) for item in value[:20]]
        case _:
            return "…"
