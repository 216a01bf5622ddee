"""PutEvents of a Custom Event Bus, EventBridge's second generation, in CBOR.

Source: names, limits and errors as in botocore's model `eventbridgev2`.
"""

import hashlib
from collections.abc import Sequence

import cbor2
import msgspec

from workers.aws.client import IRequester
from workers.aws.wire import read_cbor
from workers.engine.delivery import Outcome
from workers.eventbridge.bus import Prepared, Receipt
from workers.eventbridge.entry import Entry
from workers.eventbridge.remote import RemoteBus, outcome_of

MAX_ID = 128
"""Characters of EventGroupId and of DeduplicationId."""
SECONDS = 1
"""CBOR's tag of a time in seconds since 1970."""
SHORT_LIST = 24
"""Longer lists have their length in a byte of its own."""


class _Result(msgspec.Struct, rename="pascal"):
    event_id: str | None = None
    sequence_number: str | None = None
    success_code: str | None = None
    error_code: str | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    entries: list[_Result]


class CustomBus(RemoteBus):
    """A bus by its ARN. Events of an entity are a group, which the bus keeps in order; an event that comes again within
    300 seconds is answered DEDUPLICATED and delivered to nobody."""

    max_entries = 100

    def __init__(self, client: IRequester, arn: str, max_bytes: int) -> None:
        super().__init__(client, arn, max_bytes)
        self._head = cbor2.dumps({"EventBusArn": arn, "Entries": []})[:-1]

    def prepare(self, entry: Entry) -> Prepared:
        """See IBus."""
        wire = cbor2.dumps({
            "Source": entry.source, "DetailType": entry.detail_type, "Detail": entry.detail,
            "Time": cbor2.CBORTag(SECONDS, entry.time),
            "SystemMetadata": {"EventGroupId": group_id(entry), "DeduplicationId": deduplication_id(entry)},
        })  # fmt: skip
        return Prepared(entry, self.name, entry.size, wire)

    def request(self, prepared: Sequence[Prepared]) -> bytes:
        """See RemoteBus."""
        count = len(prepared)
        length = bytes([0x80 | count]) if count < SHORT_LIST else bytes([0x98, count])
        return self._head + length + b"".join([one.wire for one in prepared])

    def outcomes(self, answer: bytes) -> list[Outcome]:
        """See RemoteBus."""
        try:
            results = msgspec.convert(read_cbor(answer), _Answer).entries
        except msgspec.ValidationError:
            raise ValueError("no answer of PutEvents") from None
        return [outcome_of(_receipt(result), result.error_code) for result in results]


def group_id(entry: Entry) -> str:
    """The entity's key; a hash of one that is too long. An event without a key is a group by itself."""
    return _short(entry.group or entry.event_id)


def deduplication_id(entry: Entry) -> str:
    """The eventId. An event that was redriven or replayed on purpose is to be delivered again (P3): `<eventId>.<n>`."""
    again = [str(times) for times in (entry.replay, entry.redriven) if times]
    return _short(".".join([entry.event_id, *again]))


def _short(text: str) -> str:
    return text if len(text) <= MAX_ID else hashlib.sha256(text.encode()).hexdigest()


def _receipt(result: _Result) -> Receipt | None:
    if not result.event_id:
        return None
    return Receipt(result.event_id, result.sequence_number, result.success_code or "PUBLISHED")
