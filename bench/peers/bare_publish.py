"""Ceilings for the publish stage with a Custom Event Bus: aiokafka, a signature and aiohttp, and no framework.

It takes events from Kafka, puts a hundred into a request, a request at a time for each partition, and commits offsets.
Without an option it looks into no event but for its id, whose place it knows; it reads no answer and writes no receipt.
`--whole`: it does with every event what the stage promises to do, by the same libraries: the event is read and checked,
the answer is read, a receipt is written, and receipts and offsets are one transaction. It still has no window: it keeps
no order but that of a partition, tries nothing again, and ends at the first thing that is not as expected.
"""

import argparse
import asyncio
import functools
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import cbor2
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.peers.boto3_publish import PER_CUSTOM_REQUEST, TIME
from bench.peers.stream import REGION
from bench.publish_events import CEILING_RECEIPTS
from models.event import EventEnvelope
from models.receipt import ReceiptRecord
from workers.aws.signature import Credentials, signed_headers
from workers.engine.record import make_lean
from workers.engine.slot_producer import SlotProducer
from workers.eventbridge.remote import Answer

PATH = "/service/AWSEventsV2/operation/PutEvents"
HEADERS = {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor", "accept": "application/cbor"}
CREDENTIALS = Credentials("bench", "bench")
MOST = 2_000
"""Events of a round: their receipts fit one batch."""
RECEIPTS_BYTES = 1_000_000
_ADDRESS = b"\xa5" + b"".join(cbor2.dumps(text) for text in ("Source", "cdc-pipeline.users", "DetailType",
                                                             "user.updated", "Detail"))  # fmt: skip
_TIME = cbor2.dumps("Time") + b"\xc1"
_DOUBLE = struct.Struct(">Bd")
_GROUP = cbor2.dumps("SystemMetadata") + b"\xa2" + cbor2.dumps("EventGroupId")
_AFTER = _TIME + _DOUBLE.pack(0xFB, TIME) + _GROUP
_REPEAT = cbor2.dumps("DeduplicationId")
_ID, _ID_LENGTH = b'"eventId":"', 38
_TEXT = 0x60
_ALIKE = bytes.maketrans(b"123456789- \t\r\n,[", b"0" * 10 + b":" * 6)
_LONG = b":" + b"0" * 19
_NO_HEADERS = b"\0"
_decode = msgspec.json.Decoder(EventEnvelope).decode

Entry = Callable[[bytes, bytes], tuple[bytes, str]]
"""Key and value of a record: the bytes of its entry, and its eventId where it was read."""


def bare_entry(key: bytes, value: bytes) -> tuple[bytes, str]:
    """One event, of any length that is 256 or more."""
    at = value.index(_ID) + len(_ID)
    return _entry(key, value, _AFTER, value[at : at + _ID_LENGTH]), ""


def checked_entry(key: bytes, value: bytes) -> tuple[bytes, str]:
    """The same of an event that was read: it has an id and types, its time has a zone, no integer of it is too long,
    and it is UTF-8."""
    event = _decode(value)
    moment = event.time
    if moment.tzinfo is None or not (event.event_id and event.event_type and event.entity_type):
        raise SystemExit("no event")
    if _LONG in value.translate(_ALIKE) or not value.isascii():
        raise SystemExit("an event that needs a closer look")
    after = b"".join((_TIME, _DOUBLE.pack(0xFB, moment.timestamp()), _GROUP))
    return _entry(key, value, after, event.event_id.encode()), event.event_id


def _entry(key: bytes, value: bytes, after: bytes, repeat: bytes) -> bytes:
    return b"".join((
        _ADDRESS, b"\x79", len(value).to_bytes(2), value, after, bytes((_TEXT | len(key),)), key, _REPEAT, b"\x78",
        bytes((len(repeat),)), repeat,
    ))  # fmt: skip


class Bus:
    """The bus of the bench, by one HTTP session."""

    def __init__(self, session: aiohttp.ClientSession, given: argparse.Namespace) -> None:
        self._session = session
        self._head = cbor2.dumps({"EventBusArn": given.bus, "Entries": []})[:-1]
        self._url = given.endpoint.rstrip("/") + PATH
        self._host = given.endpoint.split("//")[1].rstrip("/")

    async def put(self, entries: list[bytes]) -> bytes:
        """One request; its answer."""
        body = b"".join((self._head, b"\x98", bytes((len(entries),)), *entries))
        headers = signed_headers(
            credentials=CREDENTIALS, region=REGION, service="events", host=self._host, path=PATH, headers=HEADERS,
            body=body, now=datetime.now(UTC),
        )  # fmt: skip
        async with self._session.post(self._url, data=body, headers=headers) as answer:
            if answer.status != 200:
                raise SystemExit(f"the bus answers {answer.status}")
            return await answer.read()


Ended = Callable[[list[Any], list[str], bytes], None]
"""Records of a request, their ids, and its answer."""


async def send(bus: Bus, records: list[Any], entry_of: Entry, ended: Ended) -> None:
    """Those of one partition, request after request."""
    for first in range(0, len(records), PER_CUSTOM_REQUEST):
        chunk = records[first : first + PER_CUSTOM_REQUEST]
        entries = [entry_of(record.key, record.value) for record in chunk]
        ended(chunk, [name for _, name in entries], await bus.put([wire for wire, _ in entries]))


def write_receipts(batch: Any, records: list[Any], ids: list[str], answer: bytes) -> None:
    """One receipt for each entry of the answer."""
    results = msgspec.convert(cbor2.loads(answer), Answer).entries
    now = time.time_ns() // 1_000_000
    for record, name, result in zip(records, ids, results, strict=True):
        if result.error_code is not None or not result.event_id:
            raise SystemExit("an entry failed")
        receipt = ReceiptRecord(
            attempts=1, bus_event_id=result.event_id, code=result.success_code or "PUBLISHED", event_id=name,
            offset=record.offset, sequence_number=result.sequence_number or "", time=now,
        )  # fmt: skip
        if batch.append(name.encode(), msgspec.json.encode(receipt), _NO_HEADERS) is None:
            raise SystemExit("the receipts of a round do not fit one batch")


async def bare(consumer: Any, bus: Bus, found: dict[TopicPartition, list[Any]]) -> None:
    """A round of events: sent, and their offsets committed."""
    await asyncio.gather(*[send(bus, records, bare_entry, lambda *_: None) for records in found.values()])
    await consumer.commit({tp: records[-1].offset + 1 for tp, records in found.items()})


async def whole(
    producer: SlotProducer, receipts: str, group: str, bus: Bus, found: dict[TopicPartition, list[Any]]
) -> None:
    """A round of events: sent, and their receipts and offsets in one transaction."""
    batches = {tp: producer.create_batch() for tp in found}
    await asyncio.gather(*[
        send(bus, records, checked_entry, functools.partial(write_receipts, batches[tp]))
        for tp, records in found.items()
    ])  # fmt: skip
    await producer.begin_transaction()
    written = []
    for tp, batch in batches.items():
        batch.close()
        written.append(await producer.send_batch(batch, receipts, partition=tp.partition))
    await asyncio.gather(*written)
    await producer.send_offsets_to_transaction({tp: records[-1].offset + 1 for tp, records in found.items()}, group)
    await producer.commit_transaction()


@asynccontextmanager
async def transactions(given: argparse.Namespace) -> AsyncIterator[SlotProducer]:
    """A producer as a slot of the stage has one."""
    producer = SlotProducer(
        bootstrap_servers=given.bootstrap, transactional_id=given.group, max_batch_size=RECEIPTS_BYTES,
        max_request_size=RECEIPTS_BYTES + (1 << 20), retry_backoff_ms=20,
    )  # fmt: skip
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def run(given: argparse.Namespace) -> None:
    """Until the process is ended."""
    consumer = AIOKafkaConsumer(
        given.source, bootstrap_servers=given.bootstrap, group_id=given.group, enable_auto_commit=False,
        auto_offset_reset="earliest", isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    async with aiohttp.ClientSession() as session, transactions(given) as producer:
        bus = Bus(session, given)
        work = (
            functools.partial(whole, producer, f"{given.group}{CEILING_RECEIPTS}", given.group, bus) if given.whole
            else functools.partial(bare, consumer, bus)
        )  # fmt: skip
        while True:
            make_lean(consumer._fetcher)
            found: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=200, max_records=MOST)
            if found:
                await work(found)


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bootstrap", "group", "source", "endpoint", "bus"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--whole", action="store_true", help="do with every event what the stage does")
    given, _ = parser.parse_known_args()  # the rest of a Job means nothing here
    asyncio.run(run(given))


if __name__ == "__main__":
    main()
