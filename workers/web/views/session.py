"""Signing in with a browser: a token is typed once and exchanged for a cookie that no script can read."""

from aiohttp import web

from workers.web.callers import Callers
from workers.web.gate import CALLER
from workers.web.routes import Desk, Route, Scope
from workers.web.sessions import LONGEST_SECONDS


def session_routes(callers: Callers) -> tuple[Route, ...]:
    """Who am I, sign in, sign out."""

    async def who(_desk: Desk, request: web.Request) -> web.Response:
        caller = request[CALLER]
        return web.json_response(
            {
                "name": caller.name,
                "by": caller.by,
                "read": Scope.READ in caller.scopes,
                "write": Scope.WRITE in caller.scopes,
                "sign_in": bool(callers.tokens),
            }
        )

    async def sign_in(_desk: Desk, request: web.Request) -> web.Response:
        try:
            told = (await request.json())["token"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise web.HTTPBadRequest(text='send {"token": "…"}') from None
        name = callers.sign_in(request, told if isinstance(told, str) else "")
        response = web.json_response({"signed_in": True})
        response.set_cookie(
            callers.cookie, name, httponly=True, samesite="Strict", secure=callers.tls, path="/",
            max_age=int(LONGEST_SECONDS),
        )  # fmt: skip
        return response

    async def sign_out(_desk: Desk, request: web.Request) -> web.Response:
        callers.sessions.end(request.cookies.get(callers.cookie, ""))
        response = web.json_response({"signed_in": False})
        response.del_cookie(callers.cookie, path="/", secure=callers.tls, httponly=True, samesite="Strict")
        return response

    return (
        Route("GET", "/api/session", Scope.OPEN, who, "Who asks, and what they may: name, read, write."),
        Route("POST", "/api/session", Scope.OPEN, sign_in, "Exchange a token for a session cookie."),
        Route("POST", "/api/session/end", Scope.OPEN, sign_out, "End the session."),
    )
