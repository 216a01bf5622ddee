"""Faults of Kinesis: shards that split and merge, and calls that fail; drawn from a seed, and done with proof."""

import asyncio
import random
from dataclasses import dataclass
from time import monotonic
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.aws.control_client import ControlError, StandInControl
from sandbox.aws.faults import FaultRule
from sandbox.chaos.plan import Action

FIRE_SECONDS = 20.0
"""A fault has so long to meet its calls."""
LISTING_SECONDS = 45.0
"""The same for calls that a worker makes every 30 s."""
WATCH_SECONDS = 0.1
STEP_SECONDS = 0.4
"""Between two reshards while nobody reads: each generation of shards gets some records."""
LEVERS = 3
"""GetShardIterator is called when an iterator is gone: so many are made to expire beside a fault of it."""
READ_KINDS = (
    "throttle", "internal_failure", "unavailable", "cut_before", "cut_after", "truncate", "expired_iterator",
    "expired_iterator", "kms_throttling", "slow",
)  # fmt: skip
ITERATOR_KINDS = ("throttle", "internal_failure", "cut_after", "truncate")
LISTING = ("ListShards", "DescribeStreamSummary")
LISTING_KINDS = ("throttle", "unavailable", "slow")
MOST_SHARDS = 10
"""Open ones: a run has a few thousand records."""
BOTO_ATTEMPTS = 3
"""boto3 hides so many failures of a cold call from the worker."""


def draw_fault(dice: random.Random, *, patient: bool) -> dict[str, Any]:
    """Options of a `kinesis-fault`: fields of FaultRule. `patient`: also of calls that are made every 30 s only."""
    chance = dice.random()
    if patient and chance < 0.1:
        kind = dice.choice(LISTING_KINDS)
        return {"operation": dice.choice(LISTING), "kind": kind, "times": 2 * BOTO_ATTEMPTS, "seconds": 2.0}
    if chance < 0.3:
        return {"operation": "GetShardIterator", "kind": dice.choice(ITERATOR_KINDS), "times": dice.randint(1, 3)}
    kind = dice.choice(READ_KINDS)
    options = {"operation": "GetRecords", "kind": kind, "times": dice.randint(1, 6)}
    return options | ({"seconds": round(dice.uniform(0.5, 4.0), 2)} if kind == "slow" else {})


def draw_step(dice: random.Random, kind: str, shards: int) -> tuple[str, float, int]:
    """(split or merge, where from 0 to 1, open shards afterwards). `kind` is what is wanted: neither can a single shard
    merge, nor should the shards become too many."""
    kind = "split" if shards < 2 else "merge" if shards >= MOST_SHARDS else kind
    return kind, round(dice.random(), 3), shards + (1 if kind == "split" else -1)


def draw_steps(dice: random.Random, shards: int) -> tuple[list[list[Any]], int]:
    """Steps of a `reshard-down`, one after the other, and the open shards afterwards."""
    steps = []
    for _ in range(dice.randint(1, 4)):
        kind, place, shards = draw_step(dice, dice.choice(["split", "merge"]), shards)
        steps.append([kind, place])
    return steps, shards


@dataclass(frozen=True, slots=True)
class OpenShard:
    """An open shard and its hash range, both ends inclusive."""

    id: str
    first: int
    last: int


class Kinesis:
    """The stand-in in the hands of the nemesis. `client` is boto3's, `stream` the name of the stream."""

    def __init__(self, control: StandInControl, client: Any, stream: str) -> None:
        self.control = control
        self.client = client
        self.stream = stream

    async def do(self, action: Action) -> tuple[bool, dict[str, Any]]:
        """(whether it happened, proof). Raises RuntimeError or OSError if the stand-in refuses or does not answer."""
        try:
            match action.kind:
                case "kinesis-fault":
                    return await self._fault(dict(action.options))
                case "reshard-down":
                    return await self._steps(action.options["steps"])
                case _:
                    return await asyncio.to_thread(self.reshard, action.kind, action.options["place"])
        except (ControlError, BotoCoreError, ClientError) as error:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error

    async def heal(self) -> None:
        """No fault stays in force."""
        await asyncio.to_thread(self.control.clear_faults)

    def shards(self) -> list[dict[str, Any]]:
        """All shards, also closed ones, as DescribeStream has them: no fault of the plan hits that call."""
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            answer = self.client.describe_stream(StreamName=self.stream, **more)["StreamDescription"]
            found += answer["Shards"]
            if not answer["HasMoreShards"]:
                return found
            more = {"ExclusiveStartShardId": found[-1]["ShardId"]}

    def reshard(self, kind: str, place: float) -> tuple[bool, dict[str, Any]]:
        """Split an open shard in the middle, or merge two neighbours; `place` chooses which, from 0 to 1."""
        before = self._opened()
        if kind == "split":
            one = _choose(before, place)
            cut = str((one.first + one.last) // 2)
            self.client.split_shard(StreamName=self.stream, ShardToSplit=one.id, NewStartingHashKey=cut)
            closed = {one.id}
        else:
            index = before.index(_choose(before[:-1], place))
            one, other = before[index : index + 2]
            self.client.merge_shards(StreamName=self.stream, ShardToMerge=one.id, AdjacentShardToMerge=other.id)
            closed = {one.id, other.id}
        self.client.get_waiter("stream_exists").wait(StreamName=self.stream, WaiterConfig={"Delay": 1})
        after = {shard.id for shard in self._opened()}
        opened = sorted(after - {shard.id for shard in before})
        return bool(opened) and not closed & after, {"closed": sorted(closed), "opened": opened}

    def _opened(self) -> list[OpenShard]:
        opened = [
            OpenShard(
                shard["ShardId"], int(shard["HashKeyRange"]["StartingHashKey"]),
                int(shard["HashKeyRange"]["EndingHashKey"]),
            )
            for shard in self.shards() if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
        ]  # fmt: skip
        return sorted(opened, key=lambda shard: shard.first)

    async def _steps(self, steps: list[list[Any]]) -> tuple[bool, dict[str, Any]]:
        done = []
        for kind, place in steps:
            done.append(await asyncio.to_thread(self.reshard, kind, place))
            await asyncio.sleep(STEP_SECONDS)
        return all(fired for fired, _ in done), {"steps": [proof for _, proof in done]}

    async def _fault(self, options: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        rules = [FaultRule(**options)]
        if options["operation"] == "GetShardIterator":
            rules.append(FaultRule(kind="expired_iterator", operation="GetRecords", times=LEVERS))
        reports = [await asyncio.to_thread(self.control.add_fault, rule) for rule in rules]
        deadline = monotonic() + (LISTING_SECONDS if options["operation"] in LISTING else FIRE_SECONDS)
        while (await asyncio.to_thread(self.control.counts, reports[0])).fired < options["times"]:
            if monotonic() >= deadline:
                break
            await asyncio.sleep(WATCH_SECONDS)
        last = [await asyncio.to_thread(self.control.remove_fault, report) for report in reports]
        return last[0].fired > 0, {"fired": last[0].fired, "of": options["times"], "calls": last[0].matched}


def _choose(shards: list[OpenShard], place: float) -> OpenShard:
    return shards[min(int(place * len(shards)), len(shards) - 1)]
