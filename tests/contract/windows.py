"""A stage with a window before a scripted sink, in the test kit: what happens to it is told, and what must hold."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models.infrastructure import CircuitBreakerConfig
from models.outcome import ErrorCategory, Failure
from models.retry import RetryConfig
from models.routing import partition_of
from workers.engine.app import StageApp
from workers.engine.clock import monotonic
from workers.engine.delivery import Delivered, Order, Outcome, Retry, Undeliverable, WindowOptions
from workers.engine.options import EngineOptions
from workers.engine.testing import StageKit
from workers.engine.unit import UnitOfWork
from workers.engine.window import Window
from workers.eventbridge.gate import GateOptions, Gates

PARTITIONS = 2
KEYS = (b"a:1", b"a:2", b"a:3", b"b:1", b"b:2")
"""The letter is the bus."""
PER_CALL = 3
ROUND_TRIP = 0.02


@dataclass(frozen=True, slots=True)
class Sent:
    """See engine.delivery.Prepared."""

    key: bytes
    value: bytes
    wire: bytes
    channel: str
    size: int


FAULTS = ("one fails", "throttle one", "throttle", "denied", "time-out", "lost", "short", "broken", "none comes")


class ScriptedSink:
    """Answers calls by a script, and accepts everything when that is over."""

    def __init__(self) -> None:
        self.script: deque[str] = deque()
        self.down: set[str] = set()
        self.accepted: list[tuple[bytes, bytes]] = []
        self.wires: dict[bytes, set[bytes]] = {}
        self.on_their_way: Counter[bytes] = Counter()
        self.sent: Counter[bytes] = Counter()
        self.failing: Callable[[bytes], bool] = lambda _value: False
        """Whether an event fails this time."""
        self.prepared = 0
        self.strict = True

    def prepare(self, record: Any) -> Sent | Undeliverable:
        """See Sink."""
        self.prepared += 1
        if record.value.startswith(b"poison"):
            return Undeliverable(Failure.VALIDATION_ERROR, "poison")
        return Sent(record.key, record.value, b"<%s>" % record.value, record.key[:1].decode(), len(record.value))

    def fit(self, prepared: Sequence[Sent]) -> int:
        """See Sink."""
        return min(PER_CALL, len(prepared))

    async def put(self, prepared: Sequence[Sent]) -> Sequence[Outcome]:
        """See Sink."""
        keys = [one.key for one in prepared]
        assert len({one.channel for one in prepared}) == 1
        if self.strict:
            assert len(keys) == len(set(keys)), "two events of an entity share a request"
            assert not any(self.on_their_way[key] for key in keys), "two requests of an entity at a time"
        self.on_their_way.update(keys)
        try:
            return await self._answer(prepared)
        finally:
            self.on_their_way.subtract(keys)

    async def _answer(self, prepared: Sequence[Sent]) -> Sequence[Outcome]:
        for one in prepared:
            self.wires.setdefault(one.value, set()).add(one.wire)
        self.sent.update(one.value for one in prepared)
        await asyncio.sleep(ROUND_TRIP)
        if prepared[0].channel in self.down:
            raise ConnectionError("down")
        match self.script.popleft() if self.script else "":
            case "one fails":
                return [Retry("InternalFailure"), *self._take(prepared[1:])]
            case "throttle one":
                throttled = Retry("ThrottlingException", category=ErrorCategory.THROTTLING)
                return [*self._take(prepared[:-1]), throttled]
            case "throttle":
                return [Retry("ThrottlingException", category=ErrorCategory.THROTTLING, whole=True)] * len(prepared)
            case "denied":
                denied = Retry("AccessDeniedException", 10.0, ErrorCategory.CONFIGURATION, whole=True)
                return [denied] * len(prepared)
            case "time-out":
                await asyncio.sleep(3_600)
            case "lost":
                self._take(prepared)
                raise ConnectionResetError("after acceptance")
            case "short":
                return self._take(prepared)[:-1]
            case "broken":
                raise RuntimeError("a bug of the sink")
            case "none comes":
                return []
        return self._take(prepared)

    def _take(self, prepared: Sequence[Sent]) -> list[Outcome]:
        found: list[Outcome] = []
        for one in prepared:
            if self.failing(one.value):
                found.append(Retry("InternalFailure"))
            elif one.value.startswith(b"refused"):
                found.append(Undeliverable(Failure.EVENTBRIDGE_ERROR, "MalformedDetail"))
            else:
                self.accepted.append((one.key, one.value))
                found.append(Delivered(b"receipt"))
        return found


def first_deliveries(sink: ScriptedSink) -> dict[bytes, list[int]]:
    """Numbers of the events of each entity in the order in which they were accepted for the first time."""
    found: dict[bytes, list[int]] = {}
    for key, value in dict.fromkeys(sink.accepted):
        found.setdefault(key, []).append(int(value.split(b"-")[1]))
    return found


class World:
    """A stage with a scripted sink, and what was fed to it."""

    def __init__(self, order: Order = Order.STRICT, **window: Any) -> None:
        self.sink = ScriptedSink()
        self.sink.strict = order is Order.STRICT
        self.window: dict[str, Any] = {"max_records": 12, "retry": RetryConfig(0.2, 2.0, attempts=3)} | window
        self.order = order
        self.fed: list[tuple[bytes, bytes]] = []
        self.gates = Gates(GateOptions(), monotonic)
        self.kit = StageKit(self.make)

    def make(self) -> StageApp:
        """The stage, as publish has it."""
        app = StageApp("deliver", EngineOptions("nowhere:9092", PARTITIONS, batch_records=5))
        self.gates = Gates(GateOptions(circuit=CircuitBreakerConfig(5, 30.0, 3)), monotonic)

        def emit(unit: UnitOfWork, record: Any, outcome: Any, attempts: int, with_value: bool) -> None:
            topic = "receipts" if isinstance(outcome, Delivered) else "dead"
            unit.send(topic, record.key, record.value if with_value else None, [("attempts", b"%d" % attempts)])

        options = WindowOptions(order=self.order, per_call=PER_CALL, **self.window)
        app.deliver_to(self.sink, "events", emit=emit, options=options, gate_of=self.gates.of, name="deliver", doc="")
        return app

    async def feed(self, kinds: Sequence[tuple[bytes, str]]) -> None:
        """Events by (key, kind): their values are `<kind>-<number>`."""
        records = [(key, b"%s-%d" % (kind.encode(), len(self.fed) + n)) for n, (key, kind) in enumerate(kinds)]
        self.fed += records
        await self.kit.feed("events", records, within=0)

    @property
    def windows(self) -> list[Window]:
        """Of all slots."""
        return [body for slot in self.kit.app.slots.owned.values() for body in slot.bodies]

    def expected_dead(self) -> list[tuple[bytes, bytes]]:
        """What no sink takes."""
        return [(key, value) for key, value in self.fed if not value.startswith(b"event")]

    def check(self) -> None:
        """What holds at any moment."""
        accepted = set(self.sink.accepted)
        dead = self.kit.output("dead")
        done = accepted | set(self.expected_dead())
        for index in range(PARTITIONS):
            here = [pair for pair in self.fed if partition_of(pair[0], PARTITIONS) == index]
            # P3: offsets never pass what is not delivered.
            assert set(here[: self.kit.committed("events", index)]) <= done
            ledger = self.kit.ledger("events", index)
            assert ledger.balanced
            assert ledger.counts.get("in", 0) == self.kit.committed("events", index)
        # P7: nothing but poison is a dead letter. P5: and each once.
        assert len(dead) == len(set(dead))
        assert set(dead) <= set(self.expected_dead())
        assert all(len(wires) == 1 for wires in self.sink.wires.values())
        if self.order is Order.STRICT:
            assert all(numbers == sorted(numbers) for numbers in first_deliveries(self.sink).values())

    async def finish(self) -> None:
        """The world works again: everything comes out."""
        self.sink.script.clear()
        self.sink.down.clear()
        assert await self.kit.settle(within=600)
        assert set(self.sink.accepted) == set(self.fed) - set(self.expected_dead())
        assert sorted(self.kit.output("dead")) == sorted(self.expected_dead())
        assert sorted(self.kit.output("receipts")) == sorted(set(self.sink.accepted))
        self.check()
