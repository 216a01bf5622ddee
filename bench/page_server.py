"""Kinesis as cheap as it gets: pages that were encoded before anybody asked, sent by one thread per connection.

A process of its own: `python -m bench.page_server --port 4567 --stream name:shards:records`. It stands in for AWS where
the reader is measured, so it checks no signature, throttles nobody and knows nothing but reading.

Sending an 11 MB page took 1.2 to 1.9 ms of CPU from a thread, 2.1 to 2.4 ms from an asyncio protocol, 3.9 to 4.0 ms
from aiohttp with a prepared body and 4.2 to 5.1 ms with sendfile (two runs of 200 pages, beside other work).
"""

import argparse
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bench.pages import CREATED, PreparedShard, prepared_shards
from sandbox.ports import LOOPBACK

SHOW = "Bench.Show"
"""Our own operation: {"StreamName", "Records"} makes so many records of each shard visible."""
PATIENCE = 0.2
"""Seconds an answer without records waits for some: readers that do not pause must not spin."""
RECEIVE_BYTES = 1 << 16
BEHIND_MS = 60_000

Answer = dict[str, Any] | tuple[bytes, memoryview, bytes]
"""A structure; or JSON text in three parts, of which the second one is sent from where it stands."""


class Refused(Exception):
    """The code of an AWS error."""


@dataclass(slots=True)
class Stream:
    """`shown` records of every shard are visible, and wakes who waits for more."""

    name: str
    shards: dict[str, PreparedShard]
    shown: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def show(self, records: int) -> None:
        """Make so many records visible, more or fewer than now."""
        with self.changed:
            self.shown = records
            self.changed.notify_all()

    def visible(self, beyond: int) -> int:
        """Records visible now, or as soon as there are more than `beyond`; waits up to PATIENCE seconds."""
        if self.shown <= beyond:
            with self.changed:
                self.changed.wait_for(lambda: self.shown > beyond, PATIENCE)
        return self.shown


class Pages:
    """The operations of Kinesis that readers use."""

    def __init__(self, streams: list[Stream]) -> None:
        self._streams = {stream.name: stream for stream in streams}
        self._operations: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "Kinesis_20131202.ListShards": self._list_shards,
            "Kinesis_20131202.DescribeStream": self._describe_stream,
            "Kinesis_20131202.DescribeStreamSummary": self._describe_stream_summary,
            "Kinesis_20131202.GetShardIterator": self._get_shard_iterator,
            "Kinesis_20131202.GetRecords": self._get_records,
            SHOW: self._show,
        }

    def answer(self, target: str, body: bytes) -> Answer:
        """Raises Refused."""
        operation = self._operations.get(target)
        if operation is None:
            raise Refused("UnknownOperationException")
        try:
            return operation(msgspec.json.decode(body))
        except (msgspec.DecodeError, KeyError, ValueError, AttributeError) as error:
            raise Refused("InvalidArgumentException") from error

    def _stream(self, body: dict[str, Any]) -> Stream:
        name = body.get("StreamName") or body["StreamARN"].rpartition("/")[2]
        if name not in self._streams:
            raise Refused("ResourceNotFoundException")
        return self._streams[name]

    def _list_shards(self, body: dict[str, Any]) -> Answer:
        return {"Shards": [_described(shard) for shard in self._stream(body).shards.values()]}

    def _describe_stream(self, body: dict[str, Any]) -> Answer:
        stream = self._stream(body)
        shards = [_described(shard) for shard in stream.shards.values()]
        return {"StreamDescription": _identity(stream) | {"Shards": shards, "HasMoreShards": False}}

    def _describe_stream_summary(self, body: dict[str, Any]) -> Answer:
        stream = self._stream(body)
        return {"StreamDescriptionSummary": _identity(stream) | {"OpenShardCount": len(stream.shards)}}

    def _get_shard_iterator(self, body: dict[str, Any]) -> Answer:
        stream = self._stream(body)
        shard = stream.shards.get(body["ShardId"])
        if shard is None:
            raise Refused("ResourceNotFoundException")
        match body["ShardIteratorType"]:
            case "TRIM_HORIZON":
                start = 0
            case "LATEST":
                start = stream.shown
            case "AFTER_SEQUENCE_NUMBER":
                start = shard.behind(body["StartingSequenceNumber"])
            case "AT_SEQUENCE_NUMBER":
                start = max(0, shard.behind(body["StartingSequenceNumber"]) - 1)
            case _:
                raise Refused("InvalidArgumentException")
        return {"ShardIterator": _iterator(stream, shard, start)}

    def _get_records(self, body: dict[str, Any]) -> Answer:
        name, shard_name, start = body["ShardIterator"].split("/")
        stream = self._streams[name]
        shard = stream.shards[shard_name]
        page, stop = shard.page(int(start), body.get("Limit") or sys.maxsize, stream.visible(beyond=int(start)))
        behind = BEHIND_MS if stop < min(stream.shown, shard.records) else 0
        rest = {"NextShardIterator": _iterator(stream, shard, stop), "MillisBehindLatest": behind}
        return b'{"Records":[', page, b"]," + msgspec.json.encode(rest)[1:]

    def _show(self, body: dict[str, Any]) -> Answer:
        self._stream(body).show(body["Records"])
        return {}


def _iterator(stream: Stream, shard: PreparedShard, start: int) -> str:
    return f"{stream.name}/{shard.name}/{start}"


def _described(shard: PreparedShard) -> dict[str, Any]:
    return {
        "ShardId": shard.name,
        "HashKeyRange": {"StartingHashKey": str(shard.first_hash), "EndingHashKey": str(shard.last_hash)},
        "SequenceNumberRange": {"StartingSequenceNumber": str(shard.sequence(-1))},
    }


def _identity(stream: Stream) -> dict[str, Any]:
    return {
        "StreamName": stream.name, "StreamARN": f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream.name}",
        "StreamStatus": "ACTIVE", "StreamModeDetails": {"StreamMode": "PROVISIONED"}, "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": CREATED, "EnhancedMonitoring": [], "EncryptionType": "NONE",
    }  # fmt: skip


def serve(connection: socket.socket, pages: Pages) -> None:
    """Answer one connection until its client closes it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    with connection:
        while True:
            while (end := received.find(b"\r\n\r\n")) < 0:
                if not (more := connection.recv(RECEIVE_BYTES)):
                    return
                received += more
            headers = _headers(received[:end])
            length = end + 4 + int(headers.get("content-length", "0"))
            while len(received) < length:
                if not (more := connection.recv(RECEIVE_BYTES)):
                    return
                received += more
            body, received = received[end + 4 : length], received[length:]
            try:
                _send(connection, 200, pages.answer(headers.get("x-amz-target", ""), body))
            except Refused as refusal:
                _send(connection, 400, {"__type": str(refusal), "message": "refused by the page server"})


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _send(connection: socket.socket, status: int, answer: Answer) -> None:
    parts = answer if isinstance(answer, tuple) else (b"", memoryview(b""), msgspec.json.encode(answer))
    size = sum(len(part) for part in parts)
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\nContent-Type: application/x-amz-json-1.1\r\n"
        f"x-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\nContent-Length: {size}\r\n\r\n"
    )
    connection.sendall(head.encode() + parts[0], socket.MSG_MORE)
    connection.sendall(parts[1], socket.MSG_MORE)
    connection.sendall(parts[2])  # never empty: it sends what MSG_MORE held back


def _answer_until_closed(connection: socket.socket, pages: Pages) -> None:
    try:
        serve(connection, pages)
    except OSError:
        return  # the client is gone: killed, most likely


def main() -> None:
    """Encode the streams, then answer until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--stream", action="append", required=True, metavar="NAME:SHARDS:RECORDS", help="of each shard")
    given = parser.parse_args()
    streams = []
    for text in given.stream:
        name, shards, records = text.split(":")
        prepared = prepared_shards(int(shards), int(records))
        for shard in prepared:
            assert len(shard.entries) == shard.entry_bytes * shard.records
        streams.append(Stream(name, {shard.name: shard for shard in prepared}))
    pages = Pages(streams)
    with socket.create_server((LOOPBACK, given.port), backlog=256) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer_until_closed, args=(connection, pages), daemon=True).start()


if __name__ == "__main__":
    main()
