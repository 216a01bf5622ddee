"""Positions in DynamoDB: lease tables of the KCL, and the checkpoint table of the Lambda pipeline.

Both name the last record that was handled. Nobody wrote down what else that covers, so the record has to be there when
the bridge goes on behind it, or its shard stops with a gap.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from models.checkpoint import UNKNOWN_COVER_MS, Checkpoint, ShardState
from models.position import stream_name
from workers.failures import ConfigurationError, NotFoundError
from workers.kinesis.cursor import WHOLE
from workers.positions.brought import Brought

Item = Mapping[str, Mapping[str, Any]]
"""As DynamoDB gives it: {"name": {"S": "…"}}."""
Scan = Callable[..., Awaitable[dict[str, Any]]]
"""boto's `scan`. Raises AwsError."""

LEASE_KEY = re.compile(r"(?:(?P<stream>.+):)?(?P<shard>shardId-\d+)")
"""`shardId-…`, or `<account>:<stream>:<creation>:shardId-…` of a reader of several streams (AWS, "DynamoDB metadata
tables in KCL")."""
SHARD_END = "SHARD_END"
UNREAD = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
SHARD_KEY = "SHARD#"
SORT_KEY = "CHECKPOINT"


@dataclass(frozen=True, slots=True)
class DynamoDBActionParams:
    """Which page of a table to scan, consistently."""

    table: str
    start: Item | None = None
    """Key of the item that ended the page before."""

    def arguments(self) -> dict[str, Any]:
        """As boto's `scan` takes them."""
        found: dict[str, Any] = {"TableName": self.table, "ConsistentRead": True}
        return found if self.start is None else {**found, "ExclusiveStartKey": self.start}


async def items_of(scan: Scan, table: str) -> list[Item]:
    """Every item of a table, read consistently. Raises AwsError."""
    found: list[Item] = []
    page: dict[str, Any] = await scan(**DynamoDBActionParams(table).arguments())
    while True:
        found += page.get("Items", [])
        if not page.get("LastEvaluatedKey"):
            return found
        page = await scan(**DynamoDBActionParams(table, page["LastEvaluatedKey"]).arguments())


def scanned_items(content: bytes) -> list[Item] | None:
    """Of a file that `aws dynamodb scan` printed; None if it is something else. Raises
    ConfigurationError if it is one page of several."""
    try:
        page = json.loads(content)
        items = page["Items"]
        if not all(isinstance(value, dict) for item in items for value in item.values()):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if page.get("NextToken") or page.get("LastEvaluatedKey"):
        raise ConfigurationError("the file is one page of a scan, and there are more", hint="scan without --max-items")
    found: list[Item] = items
    return found


def kcl_leases(items: Iterable[Item], stream: str) -> Brought:
    """Out of a lease table of KCL 1, 2 or 3; `stream` is a name or ARN, or the prefix of the lease keys. What is no
    lease (KCL 3.5 keeps its workers and its leader there, too) is left out.

    A lease without a position (TRIM_HORIZON, LATEST, AT_TIMESTAMP) says that nothing was handled: the shard begins at
    its start, so that nothing is lost. Raises NotFoundError, ConfigurationError."""
    found: dict[str, Checkpoint] = {}
    notes: list[str] = []
    prefixes: set[str] = set()
    for item in items:
        key = LEASE_KEY.fullmatch(_text(item, "leaseKey"))
        if key is None or "checkpoint" not in item:
            continue
        if key["stream"] is not None and not _names(key["stream"], stream):
            prefixes.add(key["stream"])
            continue
        shard, position = key["shard"], _text(item, "checkpoint")
        if shard in found:
            raise ConfigurationError(f"{shard} has two leases", hint="--stream with the whole prefix of the lease keys")
        if position in UNREAD:
            notes.append(f"the lease of {shard} is at {position}: it begins at its start")
        elif position == SHARD_END:
            found[shard] = replace(_handled(shard, "", 0), state=ShardState.SHARD_END, covered_ms=0)
        elif position.isdecimal():
            found[shard] = _handled(shard, position, int(_number(item, "checkpointSubSequenceNumber")))
        else:
            raise ConfigurationError(f"the lease of {shard} holds no position this release knows")
    if not found:
        there = f"; there are: {', '.join(sorted(prefixes))}" if prefixes else ""
        raise NotFoundError(f"the table has no position of stream {stream}{there}", hint="--stream names another one")
    return Brought(found, None, tuple(notes))


def lambda_checkpoints(items: Iterable[Item]) -> Brought:
    """Out of the checkpoint table of the Lambda pipeline: `pk` is SHARD#<shard>, `sk` is CHECKPOINT, `sequenceNumber`
    the last record. It handled records whole, and did not note the end of a shard. Raises NotFoundError,
    ConfigurationError."""
    found: dict[str, Checkpoint] = {}
    for item in items:
        key = _text(item, "pk")
        if not key.startswith(SHARD_KEY) or _text(item, "sk") != SORT_KEY:
            continue
        shard, sequence = key.removeprefix(SHARD_KEY), _text(item, "sequenceNumber")
        if not sequence.isdecimal():
            raise ConfigurationError(f"the checkpoint of {shard} holds no sequence number")
        found[shard] = _handled(shard, sequence, WHOLE)
    if not found:
        raise NotFoundError("the table has no checkpoint of a shard", hint="pk SHARD#<shard id>, sk CHECKPOINT")
    return Brought(found)


def _handled(shard: str, sequence: str, sub_sequence: int) -> Checkpoint:
    return Checkpoint("", shard, ShardState.ACTIVE, sequence, sub_sequence, 0, 0, (), UNKNOWN_COVER_MS)


def _names(prefix: str, stream: str) -> bool:
    """`<account>:<stream>:<creation>`, or what a reader chose."""
    parts = prefix.split(":")
    return stream == prefix or (len(parts) == 3 and parts[1] == stream_name(stream))


def _text(item: Item, name: str) -> str:
    found = item.get(name, {}).get("S", "")
    return found if isinstance(found, str) else ""


def _number(item: Item, name: str) -> str:
    found = str(item.get(name, {}).get("N", "0"))
    return found if found.isdecimal() else "0"
