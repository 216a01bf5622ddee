"""Answers that go wrong on purpose: cut connections, half an answer, batches that fail in parts."""

import asyncio
from typing import Any

from aiohttp import web

from sandbox.aws.fault_kinds import BATCHES
from sandbox.aws.faults import FaultRule, entry_error
from sandbox.aws.fields import Body, entries
from sandbox.aws.protocol import Answer, Operation


async def cut(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection without an answer; returns only in name."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.Event().wait()  # the server cancels the request when its connection is gone
    raise AssertionError("the connection was cut")


async def send_half(request: web.BaseRequest, response: web.Response) -> web.StreamResponse:
    """The status, all headers with the length of the whole body, half of the body, and the end of the connection.

    Of an empty body nothing can be missing: there, the whole answer is.
    """
    body = response.body if isinstance(response.body, bytes) else b""
    if not body:
        return await cut(request)
    half = web.StreamResponse(status=response.status, headers={**response.headers, "Content-Length": str(len(body))})
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()  # sends what is buffered first
    await asyncio.Event().wait()
    raise AssertionError("the connection was cut")


def partly(operation: Operation, rule: FaultRule, call: str) -> Operation:
    """The operation with some entries of its batch failing; they are as if they had not been sent."""

    member, count = BATCHES[call]

    async def fail_some(body: Body) -> Answer:
        given = entries(body, member)
        failing = {place for place in range(len(given)) if rule.entries is None or place in rule.entries}
        passing = [entry for place, entry in enumerate(given) if place not in failing]
        taken: Any = await operation({**body, member: passing}) if passing else {member: []}
        results = iter(taken[member])
        answered = [entry_error(rule, call) if place in failing else next(results) for place in range(len(given))]
        failed = sum("ErrorCode" in result for result in answered)
        return {**taken, member: answered, count: failed}

    return fail_some
