"""A Kinesis of a test's own, whose clock and answers the test holds in its hands, and a bridge that reads it."""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sandbox.aws.control_client import StandInControl
from sandbox.aws.protocol import Operation
from sandbox.aws.server import StandIn
from sandbox.world import World
from tests.contract.standin import running as stand_in_running
from tests.integration.bridging import Stream
from tests.integration.stage import eventually, running
from tests.journey.traffic import Outside
from tests.journey.worker_process import own_environment
from workers import app as stages
from workers.engine import follower
from workers.engine.app import StageApp
from workers.kinesis import directory, slot_work
from workers.settings.worker import Settings, load_settings

_names = iter(range(10**6))


@dataclass(slots=True)
class MovedClock:
    """The machine's clock, and what the test adds to it (seconds)."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Hostile:
    """`stream` of a stand-in in this process."""

    stand_in: StandIn
    clock: MovedClock
    stream: Stream
    control: StandInControl
    twisted: Counter[str] = field(default_factory=Counter)
    """How often each operation answered as the test said."""

    @property
    def settings(self) -> Settings:
        return self.stream.settings

    def shard(self, index: int = 0) -> str:
        """Id of an open shard, in the order of the hash ranges."""
        return str(self.stream.opened()[index]["ShardId"])

    def later(self, hours: float) -> None:
        """Time passes, at the service and at the worker."""
        self.clock.ahead += hours * 3600

    def twist(self, operation: str, answer: Callable[[Any, dict[str, Any]], Any], times: int = 1) -> None:
        """The next `times` answers of an operation are what `answer` makes of them: it gets the true answer and the
        request, and returns bytes, or something for JSON, or None: not this one."""
        operations = self.stand_in._services["Kinesis_20131202"].operations
        true: Operation = operations[operation]

        async def twisted(body: Any) -> Any:
            found = await true(body)
            if self.twisted[operation] >= times:
                return found
            made = answer(msgspec.json.decode(found) if isinstance(found, bytes) else found, body)
            if made is None:
                return found
            self.twisted[operation] += 1
            return made if isinstance(made, bytes) else msgspec.json.encode(made)

        operations[operation] = twisted  # type: ignore[index]

    async def fired(self, operation: str, times: int = 1) -> None:
        """Wait until so many answers were twisted."""

        async def enough() -> bool:
            return self.twisted[operation] >= times

        await eventually(enough)

    async def struck(self, fault: Any, times: int = 1) -> None:
        """Wait until a fault rule has fired so often."""

        async def enough() -> bool:
            return self.control.counts(fault).fired >= times

        await eventually(enough)

    async def counted(self, app: StageApp, what: str, least: int = 1) -> None:
        """Wait until the shards' reports add up to so much of `what`."""

        async def enough() -> bool:
            return sum(found.get(what, 0) for found in report(app).values()) >= least

        await eventually(enough)

    async def shows(self, app: StageApp, what: str, *values: object) -> None:
        """Wait until the shards' reports have these values of `what`, one per shard, in any order."""

        async def shown() -> bool:
            return Counter(found[what] for found in report(app).values()) == Counter(values)

        await eventually(shown)

    async def becomes(self, app: StageApp, shard: str, state: str) -> None:
        """Wait until the report has a shard in a state."""

        async def there() -> bool:
            return bool(report(app).get(shard, {}).get("state") == state)

        await eventually(there)

    @contextlib.asynccontextmanager
    async def bridge(self, *, wait_ready: bool = True, **changes: Any) -> AsyncIterator[StageApp]:
        """A running bridge; `changes` of its settings."""
        app = stages.make_bridge(self.settings.model_copy(update=changes))
        async with running(app, wait_ready=wait_ready):
            yield app


def report(app: StageApp) -> dict[str, dict[str, Any]]:
    """What the web view has, by shard id."""
    found: dict[str, dict[str, Any]] = app.reports["shards"]()
    return {name.rpartition("|")[2]: shard for name, shard in found.items()}


@contextlib.contextmanager
def hostile(
    world: World, monkeypatch: pytest.MonkeyPatch, directory_: Path, *, shards: int = 2, rows: int = 40
) -> Iterator[Hostile]:
    """A stream with that many shards, and settings for a bridge of its own with few slots; listings, retries and
    waits are faster than in production."""
    clock = MovedClock()
    monkeypatch.setattr(directory, "REFRESH_SECONDS", 0.5)
    monkeypatch.setattr(directory, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(follower, "BOUNDS_EVERY", 0.05)  # or the checkpoints never catch up with the listings
    monkeypatch.setattr(follower, "POLL_MS", 50)
    monkeypatch.setattr(slot_work, "POLL", 0.1)
    monkeypatch.setattr(stages, "now_ms", lambda: int(clock() * 1000))
    with stand_in_running(clock) as stand_in:
        names = own_environment(world.environment(), f"hostile{next(_names)}") | {
            "CDC_DATA_DIR": str(directory_), "CDC_SOURCE_SLOTS": "4", "CDC_PARTITIONS": "2",
            "CDC_KINESIS_POLL_INTERVAL": "0.05", "CDC_KINESIS_READ_SHARE": "0", "MAX_RETRY_ATTEMPTS": "1",
            "CDC_RETRY_KINESIS": "9/20ms/200ms",
            "AWS_ENDPOINT_URL": stand_in.url,
        }  # fmt: skip
        for name, value in names.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(directory_)
        Outside(names).client("kinesis").create_stream(StreamName=names["KINESIS_STREAM_NAME"], ShardCount=shards)
        stream = Stream(load_settings(), names, rows)
        yield Hostile(stand_in, clock, stream, StandInControl(stand_in.url))


def said(caplog: pytest.LogCaptureFixture, text: str, level: int = logging.ERROR) -> int:
    """How often the log has a text, at `level` or above."""
    return sum(record.levelno >= level and text in record.getMessage() for record in caplog.records)
