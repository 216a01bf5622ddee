"""A ceiling for the publish stage with a Custom Event Bus: aiokafka, a signature and aiohttp, and nothing between them.

It takes events from Kafka, puts a hundred into a request, a request at a time for each partition, and commits offsets.
It looks into no event but for its id, whose place it knows; it reads no answer, writes no receipt, and tries nothing
again.
"""

import argparse
import asyncio
import struct
from datetime import UTC, datetime
from typing import Any

import aiohttp
import cbor2
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.peers.boto3_publish import PER_CUSTOM_REQUEST, TIME
from bench.peers.stream import REGION
from workers.aws.signature import Credentials, signed_headers
from workers.engine.record import make_lean

PATH = "/service/AWSEventsV2/operation/PutEvents"
HEADERS = {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor", "accept": "application/cbor"}
CREDENTIALS = Credentials("bench", "bench")
_ADDRESS = b"\xa5" + b"".join(cbor2.dumps(text) for text in ("Source", "cdc-pipeline.users", "DetailType",
                                                             "user.updated", "Detail"))  # fmt: skip
_AFTER = (
    cbor2.dumps("Time") + b"\xc1" + struct.pack(">Bd", 0xFB, TIME) + cbor2.dumps("SystemMetadata") + b"\xa2"
    + cbor2.dumps("EventGroupId")
)  # fmt: skip
_REPEAT = cbor2.dumps("DeduplicationId")
_ID, _ID_LENGTH = b'"eventId":"', 38
_TEXT = 0x60
MOST = 5_000
"""Events of a round."""


def entry(key: bytes, value: bytes) -> bytes:
    """One event, of any length that is 256 or more."""
    at = value.index(_ID) + len(_ID)
    return b"".join((
        _ADDRESS, b"\x79", len(value).to_bytes(2), value, _AFTER, bytes((_TEXT | len(key),)), key, _REPEAT, b"\x78",
        bytes((_ID_LENGTH,)), value[at : at + _ID_LENGTH],
    ))  # fmt: skip


async def send(session: aiohttp.ClientSession, url: str, host: str, head: bytes, records: list[Any]) -> None:
    """Those of one partition, request after request."""
    for first in range(0, len(records), PER_CUSTOM_REQUEST):
        chunk = records[first : first + PER_CUSTOM_REQUEST]
        body = b"".join((head, b"\x98", bytes((len(chunk),)), *[entry(one.key, one.value) for one in chunk]))
        headers = signed_headers(
            credentials=CREDENTIALS, region=REGION, service="events", host=host, path=PATH, headers=HEADERS, body=body,
            now=datetime.now(UTC),
        )  # fmt: skip
        async with session.post(url, data=body, headers=headers) as answer:
            if answer.status != 200:
                raise SystemExit(f"the bus answers {answer.status}")
            await answer.read()


async def run(given: argparse.Namespace) -> None:
    """Until the process is ended."""
    consumer = AIOKafkaConsumer(
        given.source, bootstrap_servers=given.bootstrap, group_id=given.group, enable_auto_commit=False,
        auto_offset_reset="earliest", isolation_level="read_committed",
    )  # fmt: skip
    await consumer.start()
    head = cbor2.dumps({"EventBusArn": given.bus, "Entries": []})[:-1]
    host = given.endpoint.split("//")[1].rstrip("/")
    async with aiohttp.ClientSession() as session:
        while True:
            make_lean(consumer._fetcher)
            found: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=200, max_records=MOST)
            if not found:
                continue
            url = given.endpoint.rstrip("/") + PATH
            await asyncio.gather(*[send(session, url, host, head, records) for records in found.values()])
            await consumer.commit({tp: records[-1].offset + 1 for tp, records in found.items()})


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bootstrap", "group", "source", "endpoint", "bus"):
        parser.add_argument(f"--{name}", required=True)
    given, _ = parser.parse_known_args()  # the rest of a Job means nothing here
    asyncio.run(run(given))


if __name__ == "__main__":
    main()
