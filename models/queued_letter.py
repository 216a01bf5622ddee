"""Messages of an SQS queue that a Lambda pipeline left its failed records in: what the records were, byte for byte.

Known are the two forms of the pipeline's own messages (`originalEvent` with `error`), whole Lambda events, single
records of Kinesis, records in the queue by themselves, what Lambda writes to a destination for failures, and all of
these inside of messages of SNS and SQS. Error texts are not kept: they may quote a row (P6).
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import structs

from models.kinesis_event import Delivery, deliveries
from models.outcome import Dead, Failure
from models.raw import Origin
from models.sources.adapters import adapter_of
from models.sources.kpl import Corrupt, aggregate
from models.strict_json import lenient

MAX_NESTING = 4
MAX_NUMBER = 2**31
CODES: Mapping[str, Failure] = {
    "ParseError": Failure.PARSE_ERROR, "SyntaxError": Failure.PARSE_ERROR,
    "ValidationError": Failure.VALIDATION_ERROR, "SchemaError": Failure.VALIDATION_ERROR,
    "TransformationError": Failure.TRANSFORMATION_ERROR, "EnrichmentError": Failure.ENRICHMENT_ERROR,
    "EventBridgeError": Failure.EVENTBRIDGE_ERROR, "StateError": Failure.STATE_ERROR,
}  # fmt: skip
"""By the names that errors have in the Lambda pipeline."""
UNKNOWN = Failure.ENRICHMENT_ERROR
"""Of records that nobody says anything about: most of them met a fault of the world, and may well work now."""


@dataclass(frozen=True, slots=True)
class QueuedLetter:
    """One source record out of a message. Times are milliseconds since the epoch."""

    content: bytes
    origin: Origin
    partition_key: str
    code: Failure
    attempts: int
    first_failed_ms: int
    last_failed_ms: int


@dataclass(frozen=True, slots=True)
class NotImportable:
    """Why a message stays in its queue. `reason` names no value (P6)."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Told:
    """What a message says of all records in it, from the outside to the inside."""

    code: Failure | None = None
    attempts: int = 1
    first_ms: int = 0
    last_ms: int = 0
    origin: Origin | None = None


Fields = Mapping[str, msgspec.Raw]
Found = list[QueuedLetter] | NotImportable


def queued_letters(body: str, message_id: str, sent_ms: int, received: int = 1) -> Found:
    """The records of one message, in their order, or why it has none. Never raises for data."""
    told = _Told(attempts=max(1, received), first_ms=sent_ms, last_ms=sent_ms)
    return _read(body.encode("utf-8", "surrogatepass"), f"sqs.{message_id}", told, MAX_NESTING)


def _read(body: bytes, place: str, told: _Told, nesting: int) -> Found:
    found = _fields(body)
    if found is None:
        return NotImportable("it is no JSON object")
    if not nesting:
        return NotImportable("messages in messages in messages")
    if "originalEvent" in found or "originalB64" in found:
        return _failed(found, place, told, nesting)
    if "requestPayload" in found:
        code = _code(_value(found.get("responsePayload"), dict), "errorType") or told.code
        return _read(bytes(found["requestPayload"]), place, replace(told, code=code), nesting - 1)
    if "KinesisBatchInfo" in found or "DDBStreamBatchInfo" in found:
        return NotImportable("it names a batch of a shard and holds no record: read the shard again from there")
    if _value(found.get("kind"), str) in ("letter", "gap", "unreadable") and "letter" in found:
        return NotImportable("it points to a letter that stands in the dead letters")
    if _value(found.get("Type"), str) == "Notification":
        return _inner(found.get("Message"), place, told, nesting)
    records = _value(found.get("Records"), list)
    if records and all(isinstance(record, dict) and isinstance(record.get("body"), str) for record in records):
        return _joined(
            _read(record["body"].encode(), f"{place}.{number}", told, nesting - 1)
            for number, record in enumerate(records)
        )
    if records is not None:
        return _wrapped(body, place, told)
    if "kinesis" in found or ({"data", "sequenceNumber"} <= found.keys()) or {"Data", "SequenceNumber"} <= found.keys():
        return _wrapped(b'{"Records":[' + body + b"]}", place, told)
    if _is_change(body):
        return _delivered([Delivery(body, told.origin or Origin("", "", place))], told)
    return NotImportable("it is no message of a pipeline that is known")


def _failed(found: Fields, place: str, told: _Told, nesting: int) -> Found:
    """A message of the Lambda pipeline, or an object of the archive."""
    if _value(found.get("redacted"), bool):
        return NotImportable("it holds an event that is redacted, not the record it was made of")
    more = _value(found.get("metadata"), dict) or {}
    error = _value(found.get("error"), dict)
    last = _time(more.get("lastRetryAt")) or _time(_value(found.get("lastAttempt"), str)) or _time(more.get("failedAt"))
    first = _time(more.get("failedAt")) or _time(_value(found.get("firstFailedAt"), str)) or last
    retries = more.get("retryCount")
    attempts = _count(_value(found.get("attempts"), int)) or (_count(int(retries or 0) + 1) if _is_int(retries) else 0)
    told = _Told(
        _code(error, "code") or _code(error, "name") or told.code, attempts or told.attempts, first or told.first_ms,
        last or told.last_ms, _origin(_value(found.get("source"), dict)) or told.origin,
    )  # fmt: skip
    packed = _value(found.get("originalB64"), str)
    if packed is not None:
        content = _unpacked(packed)
        if content is None:
            return NotImportable("its originalB64 is not base64")
        return _delivered([Delivery(content, told.origin or Origin("", "", place))], told)
    original = found["originalEvent"]
    if _value(original, str) is not None:
        return _inner(original, place, told, nesting)
    inside = _read(bytes(original), place, told, nesting - 1)
    if isinstance(inside, NotImportable) and _fields(bytes(original)) is not None and nesting > 1:
        # The message says that it is what failed, so that it may be of any form.
        return _delivered([Delivery(bytes(original), told.origin or Origin("", "", place))], told)
    return inside


def _inner(text: msgspec.Raw | None, place: str, told: _Told, nesting: int) -> Found:
    """A text in a message: JSON, or base64 of a record."""
    inner = _value(text, str)
    if inner is None:
        return NotImportable("the message in it is no text")
    if _fields(inner.encode("utf-8", "surrogatepass")) is not None:
        return _read(inner.encode("utf-8", "surrogatepass"), place, told, nesting - 1)
    content = _unpacked(inner)
    if content is None or not _is_change(content):
        return NotImportable("the text in it is neither JSON nor a record in base64")
    return _delivered([Delivery(content, told.origin or Origin("", "", place))], told)


def _wrapped(body: bytes, place: str, told: _Told) -> Found:
    """A Lambda event, or the answer of GetRecords."""
    found = list(deliveries(body, place))
    return _delivered(found, told) if all(one.wrapped for one in found) else NotImportable("its records are not clear")


def _delivered(records: Iterable[Delivery], told: _Told) -> Found:
    """All of them or none: a message is taken out of its queue as a whole."""
    letters: list[QueuedLetter] = []
    for record in records:
        if isinstance(record.content, Dead):
            return NotImportable(record.content.reason)
        users = aggregate(record.content)
        parts = [(record.content, record.partition_key)]
        if users is not None and not isinstance(users, Corrupt):
            parts = [(user.data, user.partition_key) for user in users]
        letters += [
            QueuedLetter(
                content, structs.replace(record.origin, sub_sequence=record.origin.sub_sequence or index), key,
                told.code or UNKNOWN, told.attempts, told.first_ms, told.last_ms,
            )
            for index, (content, key) in enumerate(parts)
        ]  # fmt: skip
    return letters or NotImportable("it holds no record")


def _joined(parts: Iterable[Found]) -> Found:
    letters: list[QueuedLetter] = []
    for part in parts:
        if isinstance(part, NotImportable):
            return part
        letters += part
    return letters


def _fields(body: bytes) -> Fields | None:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _value(raw: msgspec.Raw | None, kind: Any) -> Any:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _is_change(content: bytes) -> bool:
    try:
        return adapter_of(lenient(content)) is not None
    except (ValueError, RecursionError, OverflowError):
        return False


def _code(error: Mapping[str, Any] | None, field: str) -> Failure | None:
    name = (error or {}).get(field)
    if not isinstance(name, str):
        return None
    return Failure(name) if name in Failure.__members__ else CODES.get(name)


def _origin(source: Mapping[str, Any] | None) -> Origin | None:
    """Of an object of the archive."""
    texts = {name: value for name, value in (source or {}).items() if isinstance(value, str)}
    if not texts.get("sequenceNumber"):
        return None
    sub = (source or {}).get("subSequenceNumber")
    return Origin(
        texts.get("stream", ""), texts.get("shardId", ""), texts["sequenceNumber"], _count(sub) if _is_int(sub) else 0
    )


def _unpacked(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: int | None) -> int:
    return value if value is not None and 0 < value < MAX_NUMBER else 0


def _time(text: Any) -> int:
    """Milliseconds since the epoch; 0 for what is no time."""
    if not isinstance(text, str):
        return 0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0, int(at.timestamp() * 1000))
