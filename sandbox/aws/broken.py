"""Answers that go wrong on purpose: cut connections, half an answer, batches that fail in parts."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from sandbox.aws.event_ledger import EventLedger
from sandbox.aws.fault_kinds import BATCHES, PUT_EVENTS, TOLD, throttle_code
from sandbox.aws.faults import Fault, FaultRule
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


def partly(operation: Operation, faults: Sequence[Fault], call: str, now: float, ledger: EventLedger) -> Operation:
    """The operation with some entries of its batch failing; they are as if they had not been sent.

    Of several rules that mean an entry, the first that fires decides.
    """

    member, count = BATCHES[call]

    async def fail_some(body: Body) -> Answer:
        given = entries(body, member)
        failing: dict[int, dict[str, str]] = {}
        for fault in faults:
            left = [(place, entry) for place, entry in enumerate(given) if place not in failing]
            failing |= dict.fromkeys(fault.failing(left, now), _entry_error(fault.rule, call))
        if not failing:
            return await operation(body)
        if call == PUT_EVENTS:
            for place, error in failing.items():
                ledger.refuse(ledger.current(), error["ErrorCode"], given[place].get("Detail"))
        passing = [entry for place, entry in enumerate(given) if place not in failing]
        taken: Any = await operation({**body, member: passing}) if passing else {member: []}
        results = iter(taken[member])
        answered = [failing[place] if place in failing else next(results) for place in range(len(given))]
        failed = sum("ErrorCode" in result for result in answered)
        return {**taken, member: answered, count: failed}

    return fail_some


def shortened(operation: Operation, rule: FaultRule, call: str) -> Operation:
    """The operation, and results missing from its answer."""

    member, _ = BATCHES[call]

    async def leave_out(body: Body) -> Answer:
        answer: Any = await operation(body)
        results = answer[member]
        missing = (len(results) - 1,) if rule.entries is None else rule.entries
        return {**answer, member: [result for place, result in enumerate(results) if place not in missing]}

    return leave_out


def _entry_error(rule: FaultRule, call: str) -> dict[str, str]:
    """How a batch says that one of its entries failed."""
    return {"ErrorCode": rule.code or throttle_code(call), "ErrorMessage": rule.message or TOLD}
