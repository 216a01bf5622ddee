"""The services whose answers come from moto as they are, S3, SNS, CloudWatch and RDS: told apart by what a request was
signed for. All of them speak XML; CloudWatch speaks JSON, too."""

import asyncio
from collections import Counter
from collections.abc import Callable
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox.aws import cloudwatch, rds, s3, sns
from sandbox.aws.broken import cut, send_half
from sandbox.aws.errors import AwsError
from sandbox.aws.faults import Faults, Subject, strike
from sandbox.aws.moto_service import Answered, Call, MotoService
from sandbox.aws.place import Clock, Place
from sandbox.aws.service import JSON_1_0
from sandbox.aws.wire import rpc_target

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
XML = {"Content-Type": "application/xml"}
OWN_CODES = {"s3": s3.as_s3, "sns": sns.as_sns, "cloudwatch": cloudwatch.as_cloudwatch, "rds": rds.as_rds}


class XmlServices:
    """S3, SNS, CloudWatch and RDS of one account. `deliver`: puts a text on the queue of an ARN."""

    def __init__(self, place: Place, clock: Clock, deliver: sns.Deliver) -> None:
        self._clock = clock
        self.s3 = s3.s3(place)
        self.sns = sns.sns(place, deliver)
        self.cloudwatch = cloudwatch.cloudwatch(place)
        self.rds = rds.rds(place)
        self.by_name = {
            "s3": self.s3, "sns": self.sns, cloudwatch.SIGNED_FOR: self.cloudwatch, "rds": self.rds,
        }  # fmt: skip
        """By what requests are signed for."""
        self.calls = [f"{of.name}.{operation}" for of in self.by_name.values() for operation in of.operations]

    def reset(self) -> None:
        """Forget everything in them."""
        for service in self.by_name.values():
            service.reset()

    async def serve(
        self, name: str, request: web.BaseRequest, faults: Faults, calls: Counter[str], errors: Counter[str],
        note: Callable[[str, str], None],
    ) -> web.StreamResponse:  # fmt: skip
        """One request that was signed for the service `name`; what becomes of it is counted in `calls`, `errors`."""
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(CONTINUE)  # boto3 waits for it a second before it sends an object
        read = await request.read()
        call = Call(request.method, request.raw_path, dict(request.headers), read)
        operation = s3.operation(call.method, call.path) if name == "s3" else _action(call)
        service = self.by_name[name]
        if operation not in service.operations:
            errors[f"{service.name}:NotImplemented"] += 1
            return _respond(_refusal(service, call, AwsError("NotImplemented", "This is not offered here.", 501)))
        named = f"{service.name}.{operation}"
        calls[named] += 1
        note(request.headers.get("Authorization", ""), named)
        blow = strike(faults.of_call.get(named, ()), Subject(), named, self._clock())
        if blow.cut == "cut_before":
            errors[f"{named}:cut_before"] += 1
            await asyncio.sleep(blow.delay)
            return await cut(request)
        answered = _refusal(service, call, blow.error) if blow.error is not None else await _answer(service, call)
        if answered[0] >= 400:
            errors[f"{named}:{blow.error.code if blow.error is not None else answered[0]}"] += 1
        await asyncio.sleep(blow.delay)
        if blow.cut is None:
            return _respond(answered)
        errors[f"{named}:{blow.cut}"] += 1
        return await (cut(request) if blow.cut == "cut_after" else send_half(request, _respond(answered)))


async def _answer(service: MotoService, call: Call) -> Answered:
    try:
        return await service.answer(call)
    except AwsError as error:
        return _refusal(service, call, error)


def _action(call: Call) -> str:
    target = call.headers.get("X-Amz-Target") or rpc_target(call.path)
    return (
        target.rpartition(".")[2] if target else dict(parse_qsl(call.body.decode("utf-8", "replace"))).get("Action", "")
    )


def _refusal(service: MotoService, call: Call, error: AwsError) -> Answered:
    told = OWN_CODES[service.name](error)
    if "X-Amz-Target" in call.headers:
        body = JSON_1_0.write({"__type": told.code, "message": told.message})
        return told.status, {"Content-Type": JSON_1_0.content_type}, body
    return told.status, XML, (s3.refusal(told) if service.name == "s3" else sns.refusal(told)).encode()


def _respond(answered: Answered) -> web.Response:
    status, headers, body = answered
    return web.Response(status=status, headers=headers, body=body)
