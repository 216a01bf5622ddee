"""One AWS service behind the stand-in's server: its operations, and how its answers and refusals look."""

import uuid
from dataclasses import dataclass

from aiohttp import web

from sandbox.aws.errors import AwsError, serialization
from sandbox.aws.fields import Body
from sandbox.aws.protocol import Operations
from sandbox.aws.wire import Cbor, Json

JSON_1_0 = Json("application/x-amz-json-1.0")
JSON_1_1 = Json("application/x-amz-json-1.1")


@dataclass(frozen=True, slots=True)
class Service:
    """`prefix` is the first half of X-Amz-Target, `namespace` goes before error codes in `__type`."""

    name: str
    prefix: str
    wire: Json | Cbor
    namespace: str
    operations: Operations


def read_body(service: Service, raw: bytes) -> Body:
    """Of a request. Raises AwsError."""
    try:
        body = service.wire.read(raw) if raw else {}
    except ValueError as reason:
        raise serialization(str(reason)) from None
    if not isinstance(body, dict):
        raise serialization("The body is not an object.")
    return body


def respond(service: Service | None, status: int, body: bytes, query_error: str | None = None) -> web.Response:
    wire = service.wire if service else JSON_1_1
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": wire.content_type, **wire.headers}
    if query_error is not None:
        headers["x-amzn-query-error"] = query_error
    return web.Response(status=status, body=body, headers=headers)


def refused(service: Service | None, refusal: AwsError) -> web.Response:
    fault = "Sender" if refusal.status < 500 else "Receiver"
    namespace = service.namespace if service else ""
    # Only SQS was once a query API; its clients still show the older codes.
    query_error = f"{refusal.query_code or refusal.code};{fault}" if namespace else None
    body = {"__type": namespace + refusal.code, "message": refusal.message}
    return respond(service, refusal.status, (service.wire if service else JSON_1_1).write(body), query_error)
