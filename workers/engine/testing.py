"""A test kit for stages: batches in, outputs, tables and commits out, without a broker (docs/testing-agents.md).

    async with StageKit(make_app) as kit:
        await kit.feed("orders", [(b"k1", b"v1"), (b"k2", b"v2")])
        assert kit.output("totals") == [(b"k1", b"1"), (b"k2", b"1")]
        assert kit.table("seen") == {b"k1": b"1", b"k2": b"1"}
        assert kit.committed("orders", 0) == 2

The agents, the runner, units, slots, windows and tables are the real ones. The broker is in memory, the transport hands
batches over as Faust's would, and time jumps to the next timer instead of passing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from models.change import SourceRow
from models.record_type import RecordType
from models.routing import partition_of
from workers.engine.app import StageApp
from workers.engine.faults import Fault, Faults
from workers.engine.ledger import Ledger
from workers.engine.memory_broker import Fate, MemoryBroker, Transaction
from workers.engine.memory_stage import MemoryStage
from workers.engine.virtual_time import VirtualTime

PATIENCE = 5.0
"""Seconds of the kit's time that `settle` waits for a stage to have nothing left to do."""
TICK = 0.01
"""Seconds between two looks at first; later a hundredth of what was waited."""
LEAST = 1e-6
"""Seconds: what is left may be too small to move the clock."""


@dataclass(frozen=True, slots=True)
class Input:
    """A record to feed. `partition`: that of the key, if None. `offset`: the next one, if None; a later one leaves a
    hole as compaction does. `timestamp_ms`: the kit's time, if None."""

    key: bytes | None
    value: bytes | None
    partition: int | None = None
    offset: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int | None = None


Fed = Input | tuple[bytes | None, bytes | None]


class StageKit:
    """One stage on a broker of its own. `make_app` is called again for every restart.

    `clock`: give one if the app needs the kit's time of day (`VirtualTime.now_ms`) when it is made. `topics`: number
    of partitions of those that have not as many as the stage has slots; one with 0 does not exist."""

    def __init__(
        self,
        make_app: Callable[[], StageApp],
        *,
        clock: VirtualTime | None = None,
        topics: Mapping[str, int] | None = None,
    ) -> None:
        self.make_app = make_app
        self.clock = clock or VirtualTime()
        self.broker = MemoryBroker(self.clock.now_ms, topics or {})
        self.faults = Faults()
        self._stage: MemoryStage | None = None

    @property
    def stage(self) -> MemoryStage:
        """What runs now. Raises RuntimeError outside of the `async with` block."""
        if self._stage is None:
            raise RuntimeError("the stage does not run: use `async with StageKit(make_app) as kit`")
        return self._stage

    @property
    def app(self) -> StageApp:
        """The running app."""
        return self.stage.app

    async def __aenter__(self) -> Self:
        self.clock.install()
        try:
            await self._start()
        except BaseException:
            self.clock.uninstall()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stage.stop()
            self._raise_failures()
        finally:
            self._stage = None
            self.clock.uninstall()

    async def _start(self) -> None:
        self._stage = MemoryStage(self.make_app(), self.broker, self.faults.wrap)
        await self._stage.start()

    # in

    async def feed(
        self, topic: str, records: Iterable[Fed], *, aborted: bool = False, within: float = PATIENCE
    ) -> bool:
        """Append records to a topic, and settle. What is fed at once comes as one batch per partition, up to the
        options' bounds. `aborted`: in a transaction that is then aborted."""
        by_partition: dict[int, list[Input]] = {}
        for record in records:
            one = record if isinstance(record, Input) else Input(*record)
            by_partition.setdefault(self._partition(topic, one), []).append(one)
        transaction = Transaction() if aborted else None
        for partition, inputs in by_partition.items():
            self._append(TP(topic, partition), inputs, transaction)
        if transaction is not None:
            self.broker.end(transaction, Fate.ABORTED)
        self.broker.tell()
        return await self.settle(within)

    async def put(self, table: str, entries: dict[bytes, bytes | None]) -> None:
        """Write entries of a table as another worker would: through its changelog. None deletes."""
        topic = self.app.tables[table].changelog_topic_name
        for key, value in entries.items():
            self.broker.write(TP(topic, self._partition(topic, Input(key, value))), [(None, key, value, ())])
        self.broker.tell()

    # out

    def records(self, topic: str) -> list[Any]:
        """Committed records of a topic, partition by partition, as a consumer gets them."""
        logs = sorted((log for tp, log in self.broker.logs.items() if tp.topic == topic), key=lambda log: log.tp)
        return [record for log in logs for record in log.read(log.start)]

    def output(self, topic: str) -> list[tuple[bytes | None, bytes | None]]:
        """(key, value) of the committed records of a topic, partition by partition."""
        return [(record.key, record.value) for record in self.records(topic)]

    def table(self, name: str) -> dict[bytes, bytes]:
        """Entries of a table in the stage's memory."""
        return dict(self.app.tables[name].data.items())

    def changelog(self, name: str) -> dict[bytes, bytes]:
        """Entries of a table as a worker that starts now would recover them."""
        entries = dict(self.output(self.app.tables[name].changelog_topic_name))
        return {key: value for key, value in entries.items() if key is not None and value is not None}

    def committed(self, topic: str, partition: int) -> int:
        """The stage's committed offset."""
        return self._offset(TP(topic, partition)).offset

    def ledger(self, topic: str, partition: int) -> Ledger:
        """Counts of the committed inputs of a source partition."""
        return Ledger.decode(self._offset(TP(topic, partition)).metadata)

    def held(self, topic: str, partition: int) -> bool:
        """Whether a Pause, a failing body or a full window holds the partition back."""
        return TP(topic, partition) in self.stage.consumer.held

    # time

    async def settle(self, within: float = PATIENCE) -> bool:
        """Let time pass until every record is dealt with, at most `within` seconds; whether it is. Raises what left an
        actor, which is a bug of the engine."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not self._quiet():
            self._raise_failures()
            waited = loop.time() - started
            if waited >= within:
                return False
            await asyncio.sleep(max(LEAST, min(within - waited, max(TICK, waited / 100))))
        return True

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    # what goes wrong

    def abort_next(self, n: int = 1) -> Fault:
        """The next `n` transactions fail after records and offsets were sent: nothing of them becomes visible."""
        return self.faults.abort_next(n)

    def lose_answer_of_next_commit(self) -> Fault:
        """The next transaction commits, and the stage is not told."""
        return self.faults.lose_answers()

    def stall_next_commit(self) -> Fault:
        """The next commit never answers; the engine's deadline ends it."""
        return self.faults.stall_next()

    def refuse(self, topic: str, error: type[KafkaError], n: float = float("inf")) -> Fault:
        """The broker refuses batches for a topic with an error of aiokafka, until lifted or `n` times."""
        return self.faults.refuse(topic, error, n)

    def too_large(self, topic: str, limit: int) -> Fault:
        """A topic takes no batch of more than `limit` bytes."""
        return self.faults.too_large(topic, limit)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """The log begins at offset `before`: retention, or somebody's hand."""
        self.broker.log(topic, partition).delete_before(before)

    def fence(self, partition: int) -> None:
        """Another worker opens the slot's transactional id: the stage's next commit there is a zombie's."""
        self.broker.open_session(f"{self.app.conf.id}-{partition}")

    async def redeliver(self, within: float = PATIENCE) -> bool:
        """Seek to the committed offsets: what is not committed comes again. A stage with a window gets a new
        generation instead, as it would."""
        if any(slot.bodies for slot in self.app.slots.owned.values()):
            return await self.rebalance(within=within)
        positions = {tp: at for slot in self.app.slots.owned.values() for tp, at in slot.position.items()}
        await self.stage.consumer.deliver_from(positions)
        return await self.settle(within)

    async def rebalance(self, slots: Iterable[int] | None = None, *, within: float = PATIENCE) -> bool:
        """A new generation of the group, in which the stage holds these slots (all, if None)."""
        every = range(self.app.options.partitions)
        await self.stage.rebalance(set(every if slots is None else slots))
        return await self.settle(within)

    async def restart(self, *, orderly: bool = True, within: float = PATIENCE) -> bool:
        """End the stage and start a new app on the same broker. Not orderly: nothing of what it still has to commit
        arrives, as if the process had been killed."""
        if not orderly:
            self.faults.cut()
        await self.stage.stop()
        self._raise_failures()
        await self._start()
        return await self.settle(within)

    def _raise_failures(self) -> None:
        if self.stage.failures:
            raise self.stage.failures.pop()

    def _quiet(self) -> bool:
        app = self.app
        if not app.ready or app.slots.running:
            return False
        sources = [TP(topic, index) for topic in app.source_topics for index in app.slots.owned]
        return not any(self.broker.log(*tp).read(self._offset(tp).offset) for tp in sources)

    def _offset(self, tp: TP) -> OffsetAndMetadata:
        return self.broker.offsets[self.app.conf.id, tp]

    def _partition(self, topic: str, record: Input) -> int:
        if record.partition is not None:
            return record.partition
        return partition_of(record.key, self.broker.partitions(topic)) if record.key is not None else 0

    def _append(self, tp: TP, inputs: list[Input], transaction: Transaction | None) -> None:
        log = self.broker.log(*tp)
        for one in inputs:
            if one.offset is not None:
                if one.offset < log.end:
                    raise ValueError(f"offset {one.offset} of {tp.topic}/{tp.partition} is taken")
                log.skip_to(one.offset)
            self.broker.write(tp, [(one.timestamp_ms, one.key, one.value, one.headers)], transaction)


class MockedRecordType(RecordType):
    """Row models of a table that refuse what the test says, and remember what they were asked: `Pipeline(catalogue,
    options, {"users": MockedRecordType("ID: missing")})`."""

    def __init__(self, refuses: str | None = None) -> None:
        self.refuses = refuses
        self.asked: list[SourceRow] = []

    def refusal(self, source: SourceRow) -> str | None:
        """See RecordType."""
        self.asked.append(source)
        return self.refuses
