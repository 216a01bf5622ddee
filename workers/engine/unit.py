"""The unit of work: outputs, table changes and source offsets of one batch, all or nothing."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from faust.types import TP

from models.record_format import packed_headers
from workers.engine.batch import RecordBatch
from workers.engine.clock import monotonic
from workers.engine.errors import Broken, DataError, HeldBack, StaleBatch
from workers.engine.ledger import DEAD, DROP, IN, OUT
from workers.engine.unit_producer import Packed

current_unit: ContextVar["UnitOfWork | None"] = ContextVar("current_unit", default=None)

Headers = list[tuple[str, bytes]] | bytes
"""As they are, or packed (`models.record_format.packed_headers`)."""
_NO_HEADERS = packed_headers([])
RECORD_OVERHEAD = 128
"""Bytes Kafka adds to key, value and headers of one record in a batch, rounded up."""


@dataclass(frozen=True, slots=True)
class Done:
    """The body has dealt with the whole batch."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The record at offset `prefix` has to wait `delay` seconds. What the body put into the unit belongs to the
    records before it: that part is committed, the rest is delivered again."""

    prefix: int
    delay: float
    until: asyncio.Event | None = None
    """The wait is over when this is set, if that is earlier."""


Body = Callable[["UnitOfWork"], Awaitable[Done | Pause]]


@dataclass(slots=True)
class Advance:
    """How far a unit moves one source partition: offsets `start` .. `end - 1`, and what became of the inputs."""

    start: int
    end: int
    counts: Counter[str] = field(default_factory=Counter)
    letters: list[tuple[int, str]] = field(default_factory=list)
    """Of each dead letter the inputs before it, and why, in words without values (P6)."""


class Committing(Protocol):
    """What a unit needs of its slot (`workers/engine/slot.py`)."""

    app: Any
    index: int
    lock: asyncio.Lock
    usable: bool
    why: str

    @property
    def current(self) -> bool:
        """Whether this worker still holds it."""

    def new_batch(self) -> Any:
        """An empty record batch."""

    async def commit(self, unit: "UnitOfWork") -> None:
        """One transaction for everything in the unit. Raises a sorted EngineError."""


class UnitOfWork:
    """Nothing touches the broker before the body has ended: outputs are packed in memory and table changes go to an
    overlay. A body that fails costs nothing to undo, and a killed worker rarely leaves a transaction open."""

    def __init__(
        self,
        slot: Committing,
        batch: RecordBatch | None = None,
        *,
        while_stopping: bool = False,
        new_work: bool = False,
    ) -> None:
        """`new_work`: it forwards records of a source outside of Kafka; as one with a batch, a pause stops it."""
        self.slot = slot
        self.app = slot.app
        self.batch = batch
        self._counts: Counter[str] | None = None
        self._max_record_bytes: int = slot.app.options.max_record_bytes
        self.partition = slot.index
        self.while_stopping = while_stopping
        self.new_work = new_work or batch is not None
        self.overlays: dict[Any, dict[bytes, bytes | None]] = {}
        self.outputs: dict[tuple[str, int], list[Any]] = {}
        self.output_bytes = 0
        self.source_records = 0
        self.notes: Counter[tuple[str, ...]] = Counter()
        """What is worth counting beside the outcomes, by name and labels; it counts when the unit has committed."""
        self.traced: list[Any] = []
        """Records of traces, for `StageApp.tell_traced`."""
        self.begun = 0.0
        """When it got its slot."""
        self.advances: dict[TP, Advance] = {}
        self.finished = asyncio.Event()
        self._body: asyncio.Task[Done | Pause] | None = None
        self._token: Token[UnitOfWork | None] | None = None

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the slot is about to be given up: a body ends within 2 s of it."""
        event: asyncio.Event = self.app.slots.stopping
        return event

    @property
    def full(self) -> bool:
        """The outputs have reached the bound of one transaction: a body ends with `Pause(next offset, 0)`."""
        return bool(self.output_bytes >= self.app.options.output_bytes)

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        *,
        partition: int | None = None,
    ) -> None:
        """Add an output record; it goes to the slot's own partition unless another one is named.

        Raises DataError for a record that no broker of this configuration would take: checked here, before anything
        is produced, because a refused batch kills its producer."""
        # Called for every record: no generator, dict or attribute chain that an ordinary one does not need.
        size = len(key or b"") + len(value or b"") + RECORD_OVERHEAD
        if isinstance(headers, bytes):
            size += len(headers)
        elif headers:
            for name, content in headers:
                size += len(name) + len(content)
        else:
            headers = _NO_HEADERS
        if size > self._max_record_bytes:
            raise DataError(f"record of {size} bytes for {topic}, at most {self._max_record_bytes} fit")
        self.output_bytes += size
        where = (topic, self.partition if partition is None else partition)
        packed = self.outputs.get(where)
        if packed is None:
            packed = self.outputs[where] = [self.slot.new_batch()]
        if packed[-1].append(key, value, headers) is None:
            packed.append(self.slot.new_batch())  # the first record of a batch always fits
            packed[-1].append(key, value, headers)

    def send_all(self, topic: str, partition: int, records: Iterable[Packed]) -> None:
        """`send` for many records of one partition, in a shorter way."""
        rest = iter(records)
        where = (topic, partition)
        if where not in self.outputs:
            self.outputs[where] = [self.slot.new_batch()]
        while True:
            batch = self.outputs[where][-1]
            before = batch.size()
            left = batch.extend(rest, self._max_record_bytes - RECORD_OVERHEAD)
            self.output_bytes += batch.size() - before
            if left is None:
                return
            key, value, headers = left
            self.send(topic, key, value, headers, partition=partition)

    def took(self, records: int) -> None:
        """Records of a source outside of Kafka that this unit forwards."""
        self.source_records += records

    def count(self, outcome: str, n: int = 1, tp: TP | None = None) -> None:
        """Add to the ledger: `out`, `dead` or `drop.<reason>` (see `ledger`)."""
        counts = self._counts if tp is None else self.advances[tp].counts
        if counts is None:
            raise RuntimeError("this unit has no source batch")
        counts[outcome] += n

    def out(self) -> None:
        """One input became an output."""
        self.count(OUT)

    def dead(self, why: str = "") -> None:
        """One input became a dead letter; `why`, without values, is told if there are too many."""
        advance = self.advances[self._batch().tp]
        advance.letters.append((advance.counts.total(), why))
        self.count(DEAD)

    def drop(self, reason: str) -> None:
        """One input was left out on purpose."""
        self.count(DROP + reason)

    def overlay(self, table: Any) -> dict[bytes, bytes | None]:
        """This unit's own writes to a table."""
        return self.overlays.setdefault(table, {})

    async def __aenter__(self) -> Self:
        slot, batch = self.slot, self.batch
        await slot.lock.acquire()
        try:
            if not slot.current or (self.stopping.is_set() and not self.while_stopping):
                raise StaleBatch(repr(batch))
            if batch is not None and self.app.consumer.is_stale(batch):
                raise StaleBatch(repr(batch))
            if self.new_work and self.app.brake.stops(slot.index):
                raise HeldBack(f"slot {slot.index} is paused")
            if not slot.usable:
                raise Broken(slot.why)
        except BaseException:
            slot.lock.release()
            raise
        self.begun = monotonic()
        if batch is not None:
            advance = self.advances[batch.tp] = Advance(batch.start, batch.next_offset)
            self._counts = advance.counts
        self.app.slots.running.add(self)
        self._token = current_unit.set(self)
        return self

    async def run(self, body: Body) -> Done | Pause:
        """Run the body in a task of its own, so that it can be cut off without cancelling the actor."""
        self._body = asyncio.ensure_future(body(self))
        try:
            ended = await self._body
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                self._body.cancel()
                raise
            raise StaleBatch("cut off") from None  # cancellation never escapes an actor
        self._close_books(ended)
        return ended

    def _close_books(self, ended: Done | Pause) -> None:
        batch = self._batch()
        advance = self.advances[batch.tp]
        if isinstance(ended, Pause):
            if not batch.start <= ended.prefix <= batch.next_offset:
                raise ValueError(f"prefix {ended.prefix} lies outside of {batch}")
            advance.end = ended.prefix
            if ended.prefix == batch.start:
                if self.outputs or self.overlays:
                    raise ValueError("an empty prefix with effects")
                del self.advances[batch.tp]
                return
        inputs = sum(1 for record in batch if record.offset < advance.end)
        # P5: the body accounted for every input, or the unit does not commit.
        if inputs != advance.counts.total():
            raise ValueError(f"{inputs} inputs but {advance.counts.total()} outcomes in {batch}")
        advance.counts[IN] = inputs

    def cut_off(self) -> bool:
        """Cancel a body that did not end in time; whether there was one."""
        if self._body is None or self._body.done():
            return False
        return self._body.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            current_unit.reset(self._token)
        try:
            if kind is None and (self.advances or self.outputs or self.overlays):
                for table, writes in self.overlays.items():  # one changelog record per key and unit
                    for key, value in writes.items():
                        self.send(table.changelog_topic_name, key, value)
                admitted = self.app.dead_window.admit(self.advances)  # P7: before anything is written
                try:
                    await self.slot.commit(self)
                except BaseException:
                    self.app.dead_window.withdraw(admitted)
                    raise
        finally:
            self.app.slots.running.discard(self)
            self.finished.set()
            self.slot.lock.release()

    def _batch(self) -> RecordBatch:
        if self.batch is None:
            raise RuntimeError("this unit has no source batch")
        return self.batch
