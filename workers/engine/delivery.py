"""What a sink outside of Kafka is to the engine, what it answers for each record, and the bounds of its window."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from models.outcome import ErrorCategory
from models.retry import RETRY_OF, Component, RetryConfig
from workers.engine.batch import record_size
from workers.engine.unit import UnitOfWork


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """The sink has it. `receipt` goes to the window's `emit`."""

    receipt: Any = None


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The sink will never take it: a dead letter, and the lane goes on."""

    failure: str
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now: the record stays at the head of its lane, and only its lane backs off."""

    reason: str = ""
    pause: float = 0.0
    """Seconds to wait at least."""
    category: ErrorCategory = ErrorCategory.TRANSIENT
    """TRANSIENT, THROTTLING or CONFIGURATION."""
    whole: bool = False
    """The call failed, not the record alone: its channel backs off."""
    unsent: bool = False
    """Nothing was sent: it says nothing of the sink."""
    attempts: int = 0
    otherwise: Undeliverable | None = None
    """What it is after so many answers of this kind; None: there is no last try. Not for what is known to pass (P7)."""


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


class Gate(Protocol):
    """What may hold a channel back beside its own window: one for all windows of a process that share the channel."""

    def wait(self, wake: Callable[[], None]) -> float | None:
        """Seconds until a call may begin, 0 = now. None: once another call has ended; `wake` is called then."""

    def begin(self, entries: int) -> None:
        """A call of so many records goes out now."""

    def end(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """It has ended after so long; without outcomes: it was cut off."""

    def reordered(self, records: int) -> None:
        """So many were accepted although an earlier one of their key in the same call was not."""

    def left(self) -> None:
        """The window has ended. When all of them end, others may go on with what waits."""


class OpenGate:
    """Holds nothing back and counts nothing."""

    def wait(self, wake: Callable[[], None]) -> float | None:
        """See Gate."""
        return 0.0

    def begin(self, entries: int) -> None:
        """See Gate."""

    def end(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """See Gate."""

    def reordered(self, records: int) -> None:
        """See Gate."""

    def left(self) -> None:
        """See Gate."""


class Order(StrEnum):
    """What is kept in order, and how."""

    STRICT = "strict"
    """Per key: one record of a key in a call, one call of a key at a time."""
    BATCH = "batch"
    """Per key, unless one in the middle of a call fails: several records of a key may share a call."""
    NONE = "none"


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

    order: Order = Order.STRICT
    per_call: int = 10
    max_calls: int = 8
    """At a time, of one channel."""
    fill_seconds: float = 0.005
    """How long a call that is not full waits for more, while others are on their way."""
    max_records: int = 2_000
    max_bytes: int = 8 << 20
    call_timeout: float = 10.0
    retry: RetryConfig = RETRY_OF[Component.PUT_EVENTS]
    commit_records: int = 1_000
