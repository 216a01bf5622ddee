"""What a sink outside of Kafka answers for each record, and the bounds of the window that feeds it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.retry import RetryConfig
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
Sink = Callable[[Sequence[Any]], Awaitable[Sequence[Outcome]]]
Emit = Callable[[UnitOfWork, Any, Delivered | Undeliverable, int, bool], None]
"""(unit, record, outcome, attempts, with_value): write receipt or dead letter of a record that leaves the window."""
Pick = Callable[[Sequence[Any]], int]
"""How many of these records, from the first on, fit one call."""


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
