"""What a view answers when it cannot do what was asked: the words of a command's error, and its hint."""

import functools
from collections.abc import Mapping

from aiohttp import web

from workers.failures import (
    CommandError,
    ConfigurationError,
    DeniedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from workers.web.routes import Desk, Handler

STATUS: Mapping[type[CommandError], int] = {
    NotFoundError: 404, RefusedError: 409, DeniedError: 403, UnreachableError: 503, ConfigurationError: 409,
}  # fmt: skip
SLOW = "it takes longer than a page should wait"


def refusal(text: str, hint: str = "", status: int = 400) -> web.Response:
    """An answer that says why not. Neither text nor hint holds values of a row (P6)."""
    return web.json_response({"error": text, "hint": hint}, status=status)


def told(handler: Handler, *, slow: str = "") -> Handler:
    """The same handler; errors that are made for people become answers. `slow`: what to do if time is up."""

    @functools.wraps(handler)
    async def answered(desk: Desk, request: web.Request) -> web.StreamResponse:
        try:
            return await handler(desk, request)
        except CommandError as error:
            status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
            return refusal(str(error), error.hint, status)
        except TimeoutError:
            return refusal(SLOW, slow, 504)

    return answered
