"""A stream of its own for a bridge, rows that change in order, and what of them stands in the raw topic."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from models.checkpoint import Boot, Checkpoint, decode_entry
from models.raw import RawRecord, raw_record_of
from sandbox.world import World
from tests.integration.reading import read_committed
from tests.journey.traffic import Outside
from tests.journey.worker_process import own_environment
from workers.settings.worker import Settings, load_settings


async def read_topic(settings: Settings, topic: str) -> list[Any]:
    """Every committed record of a topic, each partition in its order. `topic`: without the prefix."""
    return await read_committed({"bootstrap_servers": settings.kafka_bootstrap_servers}, settings.topic(topic))


def change(row: int, version: int) -> bytes:
    """An update of a built-in table, as DMS sends it."""
    record = {
        "data": {"ID": row, "HomeOrgID": 3, "UserName": f"v{version}", "Status": "active"},
        "metadata": {
            "timestamp": "2026-01-15T10:31:00Z", "record-type": "data", "operation": "update",
            "partition-key-type": "primary-key", "schema-name": "core", "table-name": "users",
        },
    }  # fmt: skip
    return json.dumps(record).encode()


@dataclass
class Stream:
    """`rows` rows change again and again; the partition key is the row's."""

    settings: Settings
    environment: dict[str, str]
    rows: int = 40
    source: str = "core"
    versions: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self.kinesis = Outside(self.environment).client("kinesis")
        self.name = self.environment["KINESIS_STREAM_NAME"]

    def put(self, times: int = 1) -> None:
        """Every row changes `times` times."""
        for _ in range(times):
            entries = []
            for row in range(self.rows):
                entries.append({"PartitionKey": f"row-{row}", "Data": change(row, self.versions[row])})
                self.versions[row] += 1
            answer = self.kinesis.put_records(StreamName=self.name, Records=entries)
            assert answer["FailedRecordCount"] == 0

    @property
    def count(self) -> int:
        """Records put so far."""
        return sum(self.versions.values())

    def shards(self) -> list[dict[str, Any]]:
        """As ListShards has them now."""
        found: list[dict[str, Any]] = self.kinesis.list_shards(StreamName=self.name)["Shards"]
        return found

    def opened(self) -> list[dict[str, Any]]:
        """Open shards in the order of their hash ranges."""
        opened = [s for s in self.shards() if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
        return sorted(opened, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def split(self, index: int = 0) -> None:
        """Cut an open shard into halves."""
        shard = self.opened()[index]
        first, last = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
        self.kinesis.split_shard(
            StreamName=self.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((first + last) // 2)
        )
        self._settle()

    def merge(self, index: int = 0) -> None:
        """Join an open shard and the one behind it."""
        one, other = self.opened()[index : index + 2]
        self.kinesis.merge_shards(
            StreamName=self.name, ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"]
        )
        self._settle()

    def _settle(self) -> None:
        self.kinesis.get_waiter("stream_exists").wait(StreamName=self.name, WaiterConfig={"Delay": 1})

    async def raw(self) -> list[RawRecord]:
        """What stands in the raw topic."""
        return [raw_record_of(record, self.source) for record in await read_topic(self.settings, f"raw.{self.source}")]

    async def arrived(self, count: int | None = None) -> bool:
        """As many raw records as were put, or `count`."""
        return len(await self.raw()) >= (self.count if count is None else count)

    async def checkpoints(self) -> dict[str, Checkpoint]:
        """By shard, the newest ones."""
        found = {}
        for record in await read_topic(self.settings, "checkpoints"):
            if record.value is not None:
                entry = decode_entry(record.key, record.value)
                if not isinstance(entry, Boot):
                    found[entry.shard] = entry
        return found

    async def holds_everything_once_and_in_order(self) -> None:
        """P1 and P4: each change of each row once, in the order it was put."""
        places = Counter[tuple[str, str, int]]()
        versions = defaultdict[int, list[int]](list)
        for record in await self.raw():
            places[record.origin.shard, record.origin.sequence, record.origin.sub_sequence] += 1
            row = json.loads(record.value or b"")["data"]
            versions[row["ID"]].append(int(row["UserName"].removeprefix("v")))
        assert set(places.values()) == {1}
        assert versions == {row: list(range(count)) for row, count in self.versions.items()}


def own_stream(
    world: World, monkeypatch: pytest.MonkeyPatch, directory: Path, name: str, shards: int = 2, **settings: str
) -> Stream:
    """A new stream in the world's Kinesis, with topics of its own; the process stands in `directory` and has the
    settings in its environment. `name`: nobody else's."""
    names = own_environment(world.environment(), name) | {"CDC_DATA_DIR": str(directory)} | settings
    for variable, value in names.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(directory)
    Outside(names).make(shards)
    return Stream(load_settings(), names)
