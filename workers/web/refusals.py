"""What a view answers when it cannot do what was asked. What ends a command is answered by the gate."""

import functools

from aiohttp import web

from workers.web.routes import Desk, Handler

SLOW = "it takes longer than a page should wait"


def refusal(text: str, hint: str = "", status: int = 400) -> web.Response:
    """An answer that says why not. Neither text nor hint holds values of a row (P6)."""
    return web.json_response({"error": text, "hint": hint}, status=status)


def in_time(handler: Handler, slow: str) -> Handler:
    """The same handler; if its time is up, the answer says what to do instead."""

    @functools.wraps(handler)
    async def answered(desk: Desk, request: web.Request) -> web.StreamResponse:
        try:
            return await handler(desk, request)
        except TimeoutError:
            return refusal(SLOW, slow, 504)

    return answered
