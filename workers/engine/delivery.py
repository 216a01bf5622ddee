"""What a sink outside of Kafka is to the engine, what it answers for each record, and the bounds of its window."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from models.retry import RetryConfig
from workers.engine.batch import record_size
from workers.engine.unit import UnitOfWork


@dataclass(frozen=True, slots=True)
class Delivered:
    """The sink has it. `receipt` goes to the window's `emit`."""

    receipt: Any = None


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The sink will never take it: a dead letter, and the lane goes on."""

    failure: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: the record stays at the head of its lane. `pause` (seconds) holds the whole window, 0 = back off."""

    reason: str = ""
    pause: float = 0.0


Outcome = Delivered | Undeliverable | Retry
Emit = Callable[[UnitOfWork, Any, Delivered | Undeliverable, int, bool], None]
"""(unit, record, outcome, attempts, with_value): write receipt or dead letter of a record that leaves the window."""
Deliver = Callable[[Sequence[Any]], Awaitable[Sequence[Outcome]]]
"""A sink in its plainest form: records to outcomes, index-aligned."""


class Prepared(Protocol):
    """A record as its sink sends it. It stays the same for every try (P3)."""

    @property
    def channel(self) -> str:
        """Where it goes; what one channel refuses says nothing of the others."""

    @property
    def size(self) -> int:
        """Bytes it takes of a call."""


class Sink(Protocol):
    """A system outside of Kafka."""

    def prepare(self, record: Any) -> Any:
        """A `Prepared` of this sink, or `Undeliverable`. Asked once, when the record comes into the window: quick,
        and it never raises."""

    def fit(self, prepared: Sequence[Any]) -> int:
        """How many of these, from the first on, go into one call. All are of one channel; at least one goes."""

    async def put(self, prepared: Sequence[Any]) -> Sequence[Outcome]:
        """One call; outcomes aligned with `prepared`. What it raises is an unknown outcome for all of them."""


@dataclass(frozen=True, slots=True)
class Bare:
    """A record that is sent as it is."""

    record: Any
    size: int
    channel: str = ""


class FunctionSink:
    """A function as a sink with one channel."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver

    def prepare(self, record: Any) -> Bare:
        """See Sink."""
        return Bare(record, record_size(record))

    def fit(self, prepared: Sequence[Bare]) -> int:
        """See Sink."""
        return len(prepared)

    async def put(self, prepared: Sequence[Bare]) -> Sequence[Outcome]:
        """See Sink."""
        return await self._deliver([bare.record for bare in prepared])


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """Bounds of one slot's window; bytes and seconds."""

    per_call: int = 10
    max_calls: int = 8
    max_records: int = 2_000
    max_bytes: int = 8 << 20
    call_timeout: float = 10.0
    retry: RetryConfig = field(default_factory=lambda: RetryConfig(0.1, 5.0))
    commit_records: int = 1_000
