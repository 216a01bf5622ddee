"""Kafka's frames as a proxy sees them: who asks for what, and where an answer says that it failed.

Formats: https://kafka.apache.org/protocol. A frame is an int32 size and that many bytes. Headers are read in every
version; bodies only in those that aiokafka 0.14 speaks to a Kafka of today, none of which is "flexible".
"""

import struct
from dataclasses import dataclass
from typing import Final

APIS: Final = {
    0: "Produce", 1: "Fetch", 2: "ListOffsets", 3: "Metadata", 8: "OffsetCommit", 9: "OffsetFetch",
    10: "FindCoordinator", 11: "JoinGroup", 12: "Heartbeat", 13: "LeaveGroup", 14: "SyncGroup", 15: "DescribeGroups",
    16: "ListGroups", 17: "SaslHandshake", 18: "ApiVersions", 19: "CreateTopics", 20: "DeleteTopics",
    21: "DeleteRecords", 22: "InitProducerId", 23: "OffsetForLeaderEpoch", 24: "AddPartitionsToTxn",
    25: "AddOffsetsToTxn", 26: "EndTxn", 28: "TxnOffsetCommit", 29: "DescribeAcls", 30: "CreateAcls",
    31: "DeleteAcls", 32: "DescribeConfigs", 33: "AlterConfigs", 36: "SaslAuthenticate", 37: "CreatePartitions",
    42: "DeleteGroups", 44: "IncrementalAlterConfigs", 47: "OffsetDelete", 60: "DescribeCluster",
    61: "DescribeProducers", 65: "DescribeTransactions", 66: "ListTransactions",
}  # fmt: skip
SESSION_ERRORS: Final = frozenset({70, 71})
HEAD_BYTES = 512
"""Read of every request before anything is decided: its header, and what says which producer sent it."""


@dataclass(frozen=True, slots=True)
class Request:
    """Header of a request, and the beginning of its body."""

    time: float
    connection: int
    """Number of the client's connection, in the order they were opened."""
    api: str
    version: int
    correlation_id: int
    client_id: str
    body: bytes

    @classmethod
    def read(cls, head: bytes, *, time: float, connection: int) -> "Request":
        """From the first bytes behind the size. Raises ValueError for what is no Kafka header."""
        try:
            key, version, correlation_id, length = struct.unpack_from(">hhih", head)
        except struct.error:
            raise ValueError("too short for the header of a Kafka request") from None
        end = 10 + max(0, length)
        if key < 0 or version < 0 or end > len(head):
            raise ValueError("not the header of a Kafka request; TLS cannot be looked into")
        client_id = head[10:end].decode("utf-8", "replace")
        return cls(time, connection, APIS.get(key, f"Api{key}"), version, correlation_id, client_id, head[end:])

    @property
    def answered(self) -> bool:
        """False only for a Produce with acks=0."""
        if self.api != "Produce" or self.version < 3 or self.version > 8:
            return True
        body = _Reader(self.body)
        body.text()
        return body.int16() != 0

    @property
    def producer(self) -> tuple[int, int] | None:
        """(producer id, epoch) of a transactional request; of a Produce, those of its first record batch."""
        try:
            match self.api, self.version:
                case (("AddPartitionsToTxn" | "AddOffsetsToTxn" | "EndTxn"), 0):
                    body = _Reader(self.body)
                    body.text()
                case "TxnOffsetCommit", 0:
                    body = _Reader(self.body)
                    body.text()
                    body.text()
                case "Produce", (3 | 4 | 5 | 6 | 7 | 8):
                    body = _Reader(self.body)
                    body.text()
                    body.skip(2 + 4 + 4)  # acks, time-out, number of topics
                    body.text()
                    body.skip(4 + 4 + 4)  # number of partitions, partition, size of the records
                    body.skip(8 + 4 + 4 + 1 + 4 + 2 + 4 + 8 + 8)  # of the batch: base offset .. last timestamp
                case _:
                    return None
            return body.int64(), body.int16()
        except struct.error:
            return None  # a topic of several hundred bytes


@dataclass(frozen=True, slots=True)
class _Whole:
    """One error code for the whole answer."""

    version: int
    rest: bytes
    """What follows throttle time and error code in an answer that holds nothing else."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """An error code per partition, behind the partition's int32: topics [name, partitions [row]]."""

    version: int
    start: int
    """Bytes before the array of topics."""
    width: int
    """Bytes of a row; of Fetch, those before aborted transactions, preferred replica and records."""


_LAYOUTS: Final[dict[str, _Whole | _Rows]] = {
    "Produce": _Rows(7, 0, 30),
    "Fetch": _Rows(11, 10, 30),
    "ListOffsets": _Rows(3, 4, 22),
    "OffsetCommit": _Rows(3, 4, 6),
    "OffsetFetch": _Whole(3, b""),
    "FindCoordinator": _Whole(1, struct.pack(">hihi", -1, -1, 0, -1)),
    "JoinGroup": _Whole(5, struct.pack(">ihhhi", -1, 0, 0, 0, 0)),
    "Heartbeat": _Whole(1, b""),
    "LeaveGroup": _Whole(1, b""),
    "SyncGroup": _Whole(3, struct.pack(">i", 0)),
    "InitProducerId": _Whole(0, struct.pack(">qh", -1, -1)),
    "AddPartitionsToTxn": _Rows(0, 4, 6),
    "AddOffsetsToTxn": _Whole(0, b""),
    "EndTxn": _Whole(0, b""),
    "TxnOffsetCommit": _Rows(0, 4, 6),
}
PATCHED: Final = {api: layout.version for api, layout in _LAYOUTS.items()}
"""{API: version} whose answers can carry an error of ours."""
REFUSED: Final = PATCHED.keys() - {"Fetch", "ListOffsets", "OffsetCommit"}
"""APIs of `PATCHED` that can be answered without the broker."""


def with_error(api: str, body: bytes, code: int) -> bytes:
    """The body of an answer (behind its correlation id), with `code` as the error of everything in it.

    The errors of a fetch session are the only ones that a broker gives for a Fetch as a whole."""
    patched = bytearray(body)
    match _LAYOUTS[api]:
        case _ if api == "Fetch" and code in SESSION_ERRORS:
            return body[:4] + struct.pack(">hii", code, 0, 0)  # no topics
        case _Whole():
            # OffsetFetch has its code at the end: behind throttle time and topics.
            struct.pack_into(">h", patched, len(body) - 2 if api == "OffsetFetch" else 4, code)
        case _Rows(start=start, width=width):
            reader = _Reader(body)
            reader.skip(start)
            for _ in range(reader.int32()):
                reader.text()
                for _ in range(reader.int32()):
                    struct.pack_into(">h", patched, reader.position + 4, code)
                    reader.skip(width)
                    if api == "Fetch":
                        reader.skip(16 * max(0, reader.int32()))
                        reader.skip(4)
                        reader.skip(max(0, reader.int32()))
    return bytes(patched)


def refusal(api: str, request: bytes, code: int) -> bytes:
    """The body of an answer that says nothing but `code`. `request`: the whole body of what was asked."""
    match _LAYOUTS[api]:
        case _Whole(rest=rest):
            if api == "OffsetFetch":
                return struct.pack(">iih", 0, 0, code)
            return struct.pack(">ih", 0, code) + rest
        case _Rows(start=start, width=width):
            topics = _asked_partitions(api, _Reader(request))
            answer = bytes(start) + struct.pack(">i", len(topics))  # the throttle time, where it comes first
            for topic, partitions in topics:
                answer += struct.pack(f">h{len(topic)}si", len(topic), topic, len(partitions))
                for partition in partitions:
                    answer += struct.pack(">ih", partition, code) + b"\xff" * (width - 6)  # offsets, timestamp: -1
            return answer + (bytes(4) if api == "Produce" else b"")


def _asked_partitions(api: str, body: "_Reader") -> list[tuple[bytes, list[int]]]:
    body.text()  # transactional id
    match api:
        case "Produce":
            body.skip(2 + 4)  # acks, time-out
        case "TxnOffsetCommit":
            body.text()  # group
            body.skip(8 + 2)
        case _:
            body.skip(8 + 2)  # producer id, epoch
    topics: list[tuple[bytes, list[int]]] = []
    for _ in range(body.int32()):
        topic, partitions = body.text(), list[int]()
        for _ in range(body.int32()):
            partitions.append(body.int32())
            match api:
                case "Produce":
                    body.skip(max(0, body.int32()))  # records
                case "TxnOffsetCommit":
                    body.skip(8)  # offset
                    body.text()  # metadata
        topics.append((topic, partitions))
    return topics


class _Reader:
    """Reads the basic types one after the other. Raises struct.error at the end of the bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def skip(self, count: int) -> None:
        self.position += count

    def int16(self) -> int:
        return self._unpack(">h", 2)

    def int32(self) -> int:
        return self._unpack(">i", 4)

    def int64(self) -> int:
        return self._unpack(">q", 8)

    def text(self) -> bytes:
        """A string; empty for a null one."""
        length = max(0, self.int16())
        self.position += length
        return self.content[self.position - length : self.position]

    def _unpack(self, what: str, size: int) -> int:
        (value,) = struct.unpack_from(what, self.content, self.position)
        self.position += size
        return int(value)
