"""A broker in memory: as much of Kafka's logs, transactions and offsets as a stage can tell apart from the real one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiokafka.errors import InvalidTxnState, ProducerFenced
from aiokafka.structs import OffsetAndMetadata
from faust.types import TP

from workers.engine.record import Record

Row = tuple[int | None, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]
"""(timestamp in ms or None for now, key, value, headers)"""


class Fate(Enum):
    """How a transaction ends."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class Transaction:
    """What a producer has written since its `begin`."""

    fate: Fate = Fate.OPEN
    logs: list["PartitionLog"] = field(default_factory=list)
    offsets: dict[tuple[str, TP], OffsetAndMetadata] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Session:
    """A transactional id in the hands of one producer; `epoch` grows with every new one."""

    transactional_id: str
    epoch: int
    transaction: Transaction | None = None


class PartitionLog:
    """The log of one partition: offsets of records, of aborted records and of control markers."""

    def __init__(self, tp: TP) -> None:
        self.tp = tp
        self.start = 0
        self._entries: list[tuple[Any, Transaction | None]] = []
        self._open: dict[Transaction, int] = {}

    @property
    def end(self) -> int:
        """The high watermark."""
        return len(self._entries)

    @property
    def stable(self) -> int:
        """The last stable offset: nobody who reads committed records sees further than the first open transaction."""
        return min(self._open.values(), default=self.end)

    def append(self, rows: Iterable[Row], now_ms: int, transaction: Transaction | None) -> int:
        """Add records; returns the offset of the first one."""
        first = self.end
        if transaction is not None and transaction not in self._open:
            self._open[transaction] = first
            transaction.logs.append(self)
        for timestamp, key, value, headers in rows:
            record = Record(
                self.tp.topic, self.tp.partition, self.end, now_ms if timestamp is None else timestamp, 0, key, value,
                tuple(headers),
            )  # fmt: skip
            self._entries.append((record, transaction))
        return first

    def skip_to(self, offset: int) -> None:
        """Leave a hole before `offset`, as compaction does."""
        self._entries.extend([(None, None)] * (offset - self.end))

    def mark(self, transaction: Transaction) -> None:
        """The control marker that ends a transaction takes an offset of its own."""
        self._open.pop(transaction, None)
        self._entries.append((None, transaction))

    def delete_before(self, offset: int) -> None:
        """DeleteRecords, or retention: the log begins at `offset`."""
        self.start = max(self.start, min(offset, self.end))

    def read(self, offset: int) -> list[Any]:
        """Committed records from `offset` to the last stable offset."""
        return [
            record
            for record, transaction in self._entries[max(offset, self.start) : self.stable]
            if record is not None and (transaction is None or transaction.fate is Fate.COMMITTED)
        ]


class MemoryBroker:
    """Topics appear when they are first named. Nothing is kept when the process ends."""

    def __init__(self, now_ms: Callable[[], int], counts: Mapping[str, int]) -> None:
        self.now_ms = now_ms
        self.default_partitions = 1
        self.counts = dict(counts)
        """Partitions of topics that have another number; with 0 it does not exist."""
        self.logs: dict[TP, PartitionLog] = {}
        self.offsets: dict[tuple[str, TP], OffsetAndMetadata] = {}
        self.listeners: list[Callable[[], None]] = []
        """See tell."""
        self._sessions: dict[str, Session] = {}

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self.counts.get(topic, self.default_partitions)

    def log(self, topic: str, partition: int) -> PartitionLog:
        """The log of a partition."""
        tp = TP(topic, partition)
        if tp not in self.logs:
            self.logs[tp] = PartitionLog(tp)
        return self.logs[tp]

    def write(self, tp: TP, rows: Iterable[Row], transaction: Transaction | None = None) -> int:
        """Append records, in a transaction or outside of any; returns the offset of the first one. Readers of what is
        outside of any are told by `tell`."""
        return self.log(*tp).append(rows, self.now_ms(), transaction)

    def open_session(self, transactional_id: str) -> Session:
        """InitProducerId: the older session is fenced, what it left open is aborted."""
        older = self._sessions.get(transactional_id)
        if older is not None and older.transaction is not None:
            self.end(older.transaction, Fate.ABORTED)
        session = Session(transactional_id, older.epoch + 1 if older is not None else 0)
        self._sessions[transactional_id] = session
        return session

    def check(self, session: Session) -> Transaction:
        """The session's open transaction. Raises ProducerFenced if the id has a newer session, InvalidTxnState if
        nothing was begun."""
        if self._sessions.get(session.transactional_id) is not session:
            raise ProducerFenced
        if session.transaction is None:
            raise InvalidTxnState
        return session.transaction

    def end(self, transaction: Transaction, fate: Fate) -> None:
        """EndTxn: all of it or nothing of it, offsets included."""
        transaction.fate = fate
        for log in transaction.logs:
            log.mark(transaction)
        if fate is Fate.COMMITTED:
            self.offsets.update(transaction.offsets)
        self.tell()

    def tell(self) -> None:
        """There may be something new to read."""
        for listener in list(self.listeners):
            listener()
