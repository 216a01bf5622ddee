"""Requests as aiohttp has them, with room for what AWS takes."""

import asyncio

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

MOST_REQUEST_BYTES = 32 << 20  # PutRecords carries 10 MiB, a third more as base64, and its keys


def roomy_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    """aiohttp's own request, but with room for a full PutRecords."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MOST_REQUEST_BYTES)
