"""Kinesis records wrapped in JSON: the event AWS Lambda gets, and the answer of `aws kinesis get-records`."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from models.outcome import Dead, Failure
from models.raw import Origin
from models.strict_json import JsonError, decode


@dataclass(frozen=True, slots=True)
class Delivery:
    """One source record on its way in, wherever it was wrapped. `content` is Dead if it cannot be unwrapped."""

    content: bytes | Dead
    origin: Origin
    partition_key: str = ""
    wrapped: bool = True


def deliveries(document: bytes, place: str) -> Iterator[Delivery]:
    """The records of a document: those of a Lambda event, else the document itself, at `place` of a plain file."""
    records = _records(document)
    if records is None:
        yield Delivery(document, Origin("", "", place), wrapped=False)
        return
    for number, record in enumerate(records):
        yield _unwrap(record, f"{place}.{number}")


def _records(document: bytes) -> list[Any] | None:
    if b'"Records"' not in document:
        return None
    try:
        found = decode(document)
    except JsonError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("Records"), list) or "metadata" in found:
        return None
    records: list[Any] = found["Records"]
    return records


def _unwrap(record: Any, place: str) -> Delivery:
    outer = record if isinstance(record, dict) else {}
    inner = outer.get("kinesis")
    fields = inner if isinstance(inner, dict) else outer
    shard, _, number = _text(outer.get("eventID")).partition(":")
    sequence = _text(fields.get("sequenceNumber") or fields.get("SequenceNumber")) or number or place
    origin = Origin(
        stream=_text(outer.get("eventSourceARN")).rpartition("/")[2],
        shard=shard if number else "",
        sequence=sequence,
        arrival_ms=_milliseconds(fields.get("approximateArrivalTimestamp")),
    )
    key = _text(fields.get("partitionKey") or fields.get("PartitionKey"))
    data = fields.get("data", fields.get("Data"))
    if not isinstance(data, str):
        return Delivery(Dead(Failure.PARSE_ERROR, "the Kinesis record has no data"), origin, key)
    try:
        return Delivery(base64.b64decode(data, validate=True), origin, key)
    except (binascii.Error, ValueError):
        return Delivery(Dead(Failure.PARSE_ERROR, "the data of the Kinesis record is not base64"), origin, key)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _milliseconds(seconds: Any) -> int:
    if isinstance(seconds, int | Decimal) and not isinstance(seconds, bool) and 0 < seconds < 10**11:
        return int(seconds * 1000)
    return 0
