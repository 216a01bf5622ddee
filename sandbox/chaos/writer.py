"""Puts the input of a bridge into Kinesis: rows that change again and again, each row's versions in order."""

import asyncio
import contextlib
import random
from collections import Counter
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.chaos.bridging import STREAM, change
from sandbox.chaos.history import History
from sandbox.chaos.plan import Plan
from sandbox.generator.aggregates import aggregated

TICK = 0.1
STOP_SECONDS = 30.0
LARGEST_AGGREGATE = 6

Change = tuple[int, int, int]
"""(row, uid, version)"""


class Writer:
    """Runs until `stop`; the history says of every change whether it is in the stream (ok), not (fail), or unclear
    (info). One request at a time, never repeated: so the stream has the versions of a row in order."""

    def __init__(self, plan: Plan, client: Any, history: History) -> None:
        """`client`: boto3's, without retries."""
        self.plan = plan
        self.client = client
        self.history = history
        self.uid = 0
        self.versions: Counter[int] = Counter()
        self.counts: Counter[str] = Counter()
        self._dice = random.Random(f"writer:{plan.seed}")
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to put."""
        self._task = asyncio.ensure_future(self._live())

    async def stop(self) -> None:
        """Finish the request that is on its way."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait_for(self._task, STOP_SECONDS)

    async def _live(self) -> None:
        while not self._stopping.is_set():
            records = self._records()
            if records:
                await self._put(records)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK)

    def _records(self) -> list[list[Change]]:
        """One tick's worth of Kinesis records: a single change, or an aggregate of changes of one row, which goes where
        the row goes."""
        dice, workload = self._dice, self.plan.workload
        exact = workload.rate * TICK
        left = int(exact) + (dice.random() < exact % 1)
        found: list[list[Change]] = []
        while left > 0:
            row = dice.randrange(workload.keys)
            size = dice.randint(2, LARGEST_AGGREGATE) if dice.random() < workload.aggregates else 1
            found.append([self._next(row) for _ in range(size)])
            left -= size
        return found

    def _next(self, row: int) -> Change:
        self.uid += 1
        self.versions[row] += 1
        return row, self.uid, self.versions[row]

    async def _put(self, records: list[list[Change]]) -> None:
        for record in records:
            for one in record:
                self._tell("invoke", one)
        entries = [{"PartitionKey": f"row-{record[0][0]}", "Data": self._data(record)} for record in records]
        try:
            answer = await asyncio.to_thread(self.client.put_records, StreamName=STREAM, Records=entries)
        except (BotoCoreError, ClientError):
            for record in records:
                for one in record:
                    self._tell("info", one)
            return
        for record, told in zip(records, answer["Records"], strict=True):
            for sub, one in enumerate(record):
                if "ErrorCode" in told:
                    self._tell("fail", one)
                else:
                    self._tell("ok", one, shard=told["ShardId"], sequence=told["SequenceNumber"], sub=sub)

    def _tell(self, type_: Any, one: Change, **fields: Any) -> None:
        row, uid, version = one
        self.counts[type_] += 1
        self.history.add("writer", "put", type_, key=f"row-{row}", uid=uid, version=version, **fields)

    def _data(self, record: list[Change]) -> bytes:
        padding = self.plan.workload.padding
        if len(record) == 1:
            return change(*record[0], padding)
        return aggregated((f"row-{one[0]}", change(*one, padding), None) for one in record)
