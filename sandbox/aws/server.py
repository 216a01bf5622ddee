"""The stand-in's HTTP server: one loopback port for all services, told apart by `X-Amz-Target`, path or form."""

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import hdrs, web

from sandbox.aws.broken import cut, partly, send_half, shortened
from sandbox.aws.control import PREFIX, Control, NotThere
from sandbox.aws.errors import AwsError
from sandbox.aws.event_ledger import REMEMBERED, EventLedger
from sandbox.aws.events import Events
from sandbox.aws.eventsv2 import EventsV2
from sandbox.aws.fault_kinds import OF_ENTRIES, PUT_EVENTS, PUT_EVENTS_V2
from sandbox.aws.faults import Fault, Faults, Subject, strike
from sandbox.aws.fields import entries
from sandbox.aws.kinesis import Kinesis
from sandbox.aws.moto_service import signed_for
from sandbox.aws.place import Clock, Place
from sandbox.aws.protocol import Operation
from sandbox.aws.roomy_request import roomy_request
from sandbox.aws.service import JSON_1_1, Service, read_body, refused, respond
from sandbox.aws.sqs import Sqs
from sandbox.aws.ssm import Ssm
from sandbox.aws.streams import Behaviour
from sandbox.aws.sts import Sts, denied_by_sts, refusal
from sandbox.aws.subjects import subject
from sandbox.aws.wire import Cbor, Json, rpc_target
from sandbox.aws.xml_services import XmlServices

LOOPBACK = "127.0.0.1"
STS = "sts"
FORM = "application/x-www-form-urlencoded"
PUT_EVENTS_BYTES = 1_048_576
RECURSION = 4_000  # frames; a Detail of 1000 levels is parsed and matched recursively
STOP_SECONDS = 0.5  # for requests under way; a long poll is cut off

log = logging.getLogger(__name__)


class StandIn:
    """Kinesis, EventBridge, SQS, SNS, S3, STS, CloudWatch, RDS and SSM's parameters of one account, empty at first and
    gone when it stops."""

    def __init__(
        self,
        *,
        account: str = "000000000000",
        region: str = "us-east-1",
        clock: Clock = time.time,
        put_events_bytes: int = PUT_EVENTS_BYTES,
        behaviour: Behaviour | None = None,
        remembered_events: int = REMEMBERED,
    ) -> None:
        place = Place(account, region)
        self.sqs = Sqs(place, clock, lambda: self.url)
        self.kinesis = Kinesis(place, clock, behaviour or Behaviour())
        ledger = EventLedger(remembered_events)
        self.events = Events(
            place, clock, self.sqs.deliver, put_events_bytes, ledger, lambda: self.kinesis.streams.behaviour
        )
        self.eventsv2 = EventsV2(place, clock, self.sqs.deliver, ledger)
        self.ssm = Ssm(place)
        self.xml = XmlServices(place, clock, self.sqs.deliver)
        services = (
            Service("kinesis", "Kinesis_20131202", JSON_1_1, "", self.kinesis.operations()),
            Service("events", "AWSEvents", JSON_1_1, "", self.events.operations()),
            Service("eventsv2", "AWSEventsV2", Cbor(), "", self.eventsv2.operations()),
            Service(
                "sqs", "AmazonSQS", Json("application/x-amz-json-1.0"), "com.amazonaws.sqs#", self.sqs.operations()
            ),
            Service("ssm", "AmazonSSM", JSON_1_1, "", self.ssm.operations()),
        )
        self.sts = Sts(place, clock)
        self._services = {service.prefix: service for service in services}
        self._first_behaviour = behaviour or Behaviour()
        calls = [f"{service.name}.{name}" for service in services for name in service.operations]
        self._clock = clock
        self.faults = Faults([*calls, *(f"{STS}.{name}" for name in self.sts.operations), *self.xml.calls], clock)
        self._control = Control(self.kinesis.streams, self.events, self.eventsv2, self.faults, self.ledger, self.reset)
        self._calls: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._runner: web.ServerRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, for `endpoint_url` or `AWS_ENDPOINT_URL`."""
        return f"http://{LOOPBACK}:{self._port}"

    async def start(self, port: int = 0, bind: str = LOOPBACK) -> str:
        """Listen (port 0: a free one) and return the URL on loopback. Whoever reaches another address than loopback may
        do everything: signatures are not checked. Raises OSError if the port is taken."""
        sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION))
        # A client that hangs up in a long poll must not be handed messages: hence the cancellation.
        # aiohttp tells the machine's time by itself.
        answer = self._answer if self._clock is time.time else self._dated_answer
        server = web.Server(answer, request_factory=roomy_request, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=STOP_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, bind, port, backlog=1024)
        try:
            await site.start()
        except OSError:
            await self.stop()
            raise
        self._port = self._runner.addresses[0][1]
        return self.url

    async def stop(self) -> None:
        self.events.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def ledger(self) -> dict[str, Any]:
        """What happened so far: calls and errors per operation, events per bus, what streams and queues hold."""
        return {
            "operations": dict(sorted(self._calls.items())),
            "errors": dict(sorted(self._errors.items())),
            "buses": {name: asdict(bus.tally) for name, bus in sorted(self.events.buses.by_name.items())},
            "nowhere": asdict(self.events.nowhere),
            "customBuses": {arn: asdict(bus.tally) for arn, bus in sorted(self.eventsv2.buses.items())},
            "streams": {
                name: {shard.name: len(shard.sequences) for shard in stream.shards}
                for name, stream in sorted(self.kinesis.streams.by_name.items())
            },
            "queues": {name: queue.counts() for name, queue in sorted(self.sqs.queues.items())},
            "roles": self.sts.ledger(),
        }

    def reset(self) -> None:
        """Be as new, at the same address."""
        self.kinesis.streams.by_name.clear()
        self.kinesis.streams.behaviour = self._first_behaviour
        self.events.reset()
        self.eventsv2.reset()
        self.sqs.queues.clear()
        self.sts.reset()
        self.ssm.reset()
        self.xml.reset()
        self.faults.clear()
        self._calls.clear()
        self._errors.clear()

    async def _dated_answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What is answered says when, by the clock that arrivals and retention go by."""
        response = await self._answer(request)
        if response.status < 500 and not response.prepared:
            response.headers[hdrs.DATE] = formatdate(self._clock(), usegmt=True)
        return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        target = request.headers.get("X-Amz-Target") or rpc_target(request.path)
        if target is None:
            if request.path.startswith(PREFIX):
                return self._control_answer(request.method, request.path, await request.read())
            if (signed := signed_for(request.headers)) in self.xml.by_name:
                return await self.xml.serve(signed, request, self.faults, self._calls, self._errors, self.sts.note)
            form = _form(await request.read()) if request.content_type == FORM else {}
            if "Action" in form:
                return await self._serve_query(request, form)
            return refused(None, AwsError("MissingAction", "The request has no X-Amz-Target header.", status=404))
        prefix, _, name = target.partition(".")
        service = self._services.get(prefix)
        if service is None and (signed := signed_for(request.headers)) in self.xml.by_name:
            return await self.xml.serve(signed, request, self.faults, self._calls, self._errors, self.sts.note)
        if service is None or name not in service.operations:
            self._errors[f"{target}:UnknownOperationException"] += 1
            return refused(service, AwsError("UnknownOperationException", f"{target} is not offered here."))
        call = f"{service.name}.{name}"
        self._calls[call] += 1
        self.sts.note(request.headers.get("Authorization", ""), call)
        raw = await request.read()  # raises HTTP's own answer above MOST_REQUEST_BYTES
        with self.events.ledger.request() if call in (PUT_EVENTS, PUT_EVENTS_V2) else nullcontext():
            faults = self.faults.of_call.get(call)
            if faults is None:
                return await self._serve(service, call, service.operations[name], raw)
            return await self._serve_faultily(service, call, request, raw, faults)

    async def _serve(self, service: Service, call: str, operation: Operation, raw: bytes) -> web.Response:
        try:
            answer = await operation(read_body(service, raw))
        except AwsError as refusal:
            return self._refuse(service, call, refusal)
        except Exception:
            self._errors[f"{call}:InternalFailure"] += 1
            log.exception("%s failed", call)
            return refused(service, AwsError("InternalFailure", "The stand-in failed; its log says why.", status=500))
        if answer is None and isinstance(service.wire, Json):
            # Operations of JSON 1.1 without an output have an empty body; SQS sends an empty structure.
            answer = b"{}" if service.namespace else b""
        return respond(service, 200, service.wire.write(answer))

    async def _serve_query(self, request: web.BaseRequest, form: dict[str, str]) -> web.StreamResponse:
        call = f"{STS}.{form['Action']}"
        self._calls[call] += 1
        blow = strike(self.faults.of_call.get(call, ()), Subject(), call, self._clock())
        await asyncio.sleep(blow.delay)
        try:
            if blow.error is not None:
                raise denied_by_sts(blow.error)
            status, text = 200, self.sts.answer(form, request.headers.get("Authorization", ""))
        except AwsError as error:
            self._errors[f"{call}:{error.code}"] += 1
            status, text = error.status, refusal(error)
        return await cut(request) if blow.cut else web.Response(status=status, text=text, content_type="text/xml")

    async def _serve_faultily(
        self, service: Service, call: str, request: web.BaseRequest, raw: bytes, faults: Sequence[Fault]
    ) -> web.StreamResponse:
        now = self._clock()
        blow = strike(faults, self._subject(service, raw, faults), call, now)
        if blow.cut == "cut_before":
            self._errors[f"{call}:cut_before"] += 1
            await asyncio.sleep(blow.delay)
            return await cut(request)
        if blow.error is not None:
            response = self._refuse(service, call, blow.error)
        else:
            operation = service.operations[call.partition(".")[2]]
            if of_entries := [fault for fault in faults if fault.rule.kind in OF_ENTRIES]:
                operation = partly(operation, of_entries, call, now, self.events.ledger)
            if blow.short is not None:
                operation = shortened(operation, blow.short, call)
            response = await self._serve(service, call, operation, raw)
        await asyncio.sleep(blow.delay)
        if blow.cut is None:
            return response
        self._errors[f"{call}:{blow.cut}"] += 1
        self.events.ledger.answered()  # for its client, it is over as soon as it is cut
        return await (cut(request) if blow.cut == "cut_after" else send_half(request, response))

    def _subject(self, service: Service, raw: bytes, faults: Sequence[Fault]) -> Subject:
        try:
            if service.name == "kinesis":
                return subject(self.kinesis.streams, read_body(service, raw))
            if any(fault.rule.chooses and fault.rule.kind not in OF_ENTRIES for fault in faults):
                return Subject(entries=entries(read_body(service, raw), "Entries"))
        except AwsError:
            return Subject()
        return Subject()

    def _refuse(self, service: Service, call: str, refusal: AwsError) -> web.Response:
        self._errors[f"{call}:{refusal.code}"] += 1
        return refused(service, refusal)

    def _control_answer(self, method: str, path: str, raw: bytes) -> web.Response:
        try:
            status, answer = 200, self._control.answer(method, path, raw)
        except ValueError as reason:
            status, answer = 400, {"message": str(reason)}
        except NotThere as reason:
            status, answer = 404, {"message": str(reason)}
        return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def _form(raw: bytes) -> dict[str, str]:
    return dict(parse_qsl(raw.decode("utf-8", "replace")))
