"""One run of the whole pipeline, in a world of its own or in one that runs: generator, worker, consumer, verdict."""

import json
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.dead_letter import DeadLetter
from models.event_bus import event_bus
from models.source_spec import Adapter
from sandbox.event_queue import EventQueue
from sandbox.generator.ledger import SourceChange
from sandbox.generator.sender import Sender
from sandbox.generator.traffic import Traffic
from sandbox.kafka_view import KafkaView
from sandbox.running_world import RunningWorkers, RunningWorld
from sandbox.verdict import Checker, Verdict, read_event
from sandbox.worker_process import WorkerProcess
from sandbox.world import BUS, STREAM, World
from workers.failures import UnreachableError
from workers.kafka.topics import Topics, group_of
from workers.settings.worker import Settings

SETTLE_SECONDS = 0.5
"""After the last expected ending: what comes now was delivered twice."""
STALL_SECONDS = 30.0
LOAD_SECONDS = 15.0
"""Longest time that changes wait for what was there before them."""
LOAD = " load"
ROWS_PER_SECOND = 1_000
"""A run in a world that runs begins with the row that the time of day tells: no two runs have one in common."""
SOURCES = "sources.yaml"
DEFAULT_ADAPTER: Adapter = "dms"
"""Told by each record, as without sources.yaml."""
KEPT = 200
STAGES = ("bridge", "enrich", "publish")


@dataclass(frozen=True, slots=True)
class StageFigures:
    """Counts of one stage since it started; `lag` is how many records stand before it."""

    name: str
    taken: int = 0
    out: int = 0
    filtered: int = 0
    dead: int = 0
    lag: int = 0
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at the run: counts of records, seconds since the first was put."""

    wanted: int
    sent: int
    ended: int
    elapsed: float
    stages: tuple[StageFigures, ...]


@dataclass(slots=True)
class Sights:
    """The latest that went by, for people: events (already redacted) and dead letters (without their bytes)."""

    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT))
    letters: list[DeadLetter] = field(default_factory=list)


class Demonstration:
    """Use as a context manager; `start`, then `look` until `finished`, then `verdict`."""

    def __init__(
        self, *, changes: int, rate: float | None, seed: int, cache: Path | None, adapter: Adapter, custom_bus: bool,
        report: Callable[[str], None], on_event: Callable[[dict[str, Any]], None] = lambda _: None,
        here: Settings | None = None,
    ) -> None:  # fmt: skip
        """`here`: settings of a world and of workers that run already; rows and transactions are new ones there."""
        self.directory = Path(tempfile.mkdtemp(prefix="cdc-demo-"))
        self.adapter = adapter
        # A worker in a world of its own has the defaults, whatever our environment says.
        self._settings = here or Settings.model_construct()
        self.world: World | RunningWorld
        self.worker: WorkerProcess | RunningWorkers
        if here is not None:
            self.world, self.worker = RunningWorld(here, report), RunningWorkers(here)
        else:
            self.world = World(
                self.directory / "world", stream=STREAM, bus=BUS, custom_bus=custom_bus, cache=cache, report=report
            )
            self.worker = WorkerProcess(self.directory / "worker", {})
        self.sights = Sights()
        self.keep_log = False
        """Whether the worker's log stays when all else goes."""
        self._changes, self._rate, self._report = changes, rate, report
        self._on_event = on_event
        now = datetime.now(UTC)
        first = int(now.timestamp()) * ROWS_PER_SECOND if here is not None else 0
        self._traffic = Traffic(
            seed, changes, start=now, partitions=self._settings.partitions if here is not None else 4,
            adapter=adapter, first=first,
        )  # fmt: skip
        self._run = f"cdc-demo-{first}" if here is not None else "cdc-demo"
        self._checker = Checker(self._traffic.canaries)
        self._lock = threading.Lock()
        self._sender: Sender | None = None
        self._queue: EventQueue | None = None
        self._kafka: KafkaView | None = None
        self._began = self._moved_at = self._complete_at = 0.0
        self._seen: dict[str, int] = {}

    def __enter__(self) -> "Demonstration":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the world and the worker, then begin to send. Raises CommandError with a hint if a part cannot."""
        settings = self._settings
        self.world.start()
        environment = self.world.environment()
        if isinstance(self.worker, WorkerProcess):
            if self.adapter != DEFAULT_ADAPTER:
                environment["CDC_SOURCES"] = str(self._write_sources(settings.source))
            self.worker = WorkerProcess(self.directory / "worker", environment)
            self.worker.start()
        aws = self.world.aws
        self._queue = EventQueue(
            aws.client("eventbridgev2" if event_bus(aws.bus).custom else "events"), aws.client("sqs"), bus=aws.bus,
            source=settings.event_source, on_message=self._receive, name=self._run,
        )  # fmt: skip
        self._queue.start()
        self.worker.wait_until_ready()
        self._report(f"worker runs, web views at {self.worker.address}" if self.log else "workers run")
        self._kafka = KafkaView(
            self.world.kafka.bootstrap, dead=Topics.of(settings).dead, partitions=int(environment["CDC_PARTITIONS"]),
            group=group_of(settings, "enrich"), on_letter=self._bury, on_filtered=self._checker.filtered,
            from_now=isinstance(self.world, RunningWorld),
        )  # fmt: skip
        self._kafka.start()
        self._sender = Sender(aws.client("kinesis"), self._stream, self._source(), self._checker.put, rate=self._rate)
        self._began = self._moved_at = time.monotonic()
        self._sender.start()

    def look(self) -> Progress:
        """How far it is. Raises UnreachableError if a part of the world or of the check has failed."""
        seen = self._checker.seen
        now = time.monotonic()
        if seen != self._seen:
            self._seen, self._moved_at = seen, now
        self._raise_failures()
        ended = min(seen["sent"], self._ended(seen))
        state = self.worker.get() or {}
        stages = stage_figures(state.get("stages", {}), seen["sent"])
        return Progress(self._changes, seen["sent"], ended, now - self._began, stages)

    @property
    def finished(self) -> bool:
        """True when every expected ending has been seen, and a moment more."""
        sending = self._sender is not None and self._sender.running
        if sending or not self._checker.complete:
            self._complete_at = 0.0
            return False
        now = time.monotonic()
        if not self._complete_at:
            self._complete_at = now
        return now - max(self._complete_at, self._moved_at) >= SETTLE_SECONDS

    @property
    def stalled(self) -> bool:
        """True if nothing has happened for STALL_SECONDS."""
        return time.monotonic() - self._moved_at > STALL_SECONDS

    def latest(self) -> tuple[list[dict[str, Any]], list[DeadLetter]]:
        """Events and dead letters that went by, oldest first."""
        with self._lock:
            return list(self.sights.events), list(self.sights.letters)

    @property
    def log(self) -> Path | None:
        """Of the worker, if it is the demo's own."""
        return self.worker.log if isinstance(self.worker, WorkerProcess) else None

    @property
    def _stream(self) -> str:
        return self._settings.kinesis_stream_name if isinstance(self.world, RunningWorld) else STREAM

    @property
    def ownerless(self) -> int:
        """Events published without an owner, which is allowed where a lookup came too late."""
        return self._checker.ownerless

    def verdict(self) -> Verdict:
        """Judge the run, and the worker's own log and pages for what redaction has to remove (P6)."""
        for where, text in self.worker.outside():
            self._checker.outside(where, text)
        return self._checker.verdict()

    def close(self) -> None:
        """End everything and remove what was made, well within 5 s. Fine if it is closed already."""
        parts = [part for part in (self._sender, self._queue, self._kafka) if part is not None]
        for part in parts:
            part.stop(0)
        if self._kafka is not None:
            self._kafka.stop(0.5)  # it ends more quietly while the broker still answers
        # Nothing in here is worth an orderly end: the world goes, and all that the worker could hand in with it.
        self.worker.stop(0)
        self.world.stop()
        for part in parts:
            part.stop(0.3)
        if self._queue is not None and isinstance(self.world, RunningWorld):
            self._queue.remove()
        if self.log is not None and self.log.is_file() and self.keep_log:
            shutil.rmtree(self.directory / "worker" / "data", ignore_errors=True)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _write_sources(self, name: str) -> Path:
        """One stream, of one format: a record without a byte can be told from a broken one only then."""
        path = self.directory / SOURCES
        source = {"name": name, "stream": STREAM, "adapter": self.adapter}
        path.write_text(json.dumps({"version": 1, "sources": [source]}), encoding="utf-8")  # JSON is YAML
        return path

    def _source(self) -> Iterator[SourceChange | None]:
        """As a DMS task: changes begin when the full load is through, or rows would wait for what they refer to."""
        loads = 0
        loading = True
        for change in self._traffic:
            if loading and change.kind.endswith(LOAD):
                loads += 1
            elif loading:
                deadline = time.monotonic() + LOAD_SECONDS
                while self._ended(self._checker.seen) < loads and time.monotonic() < deadline:
                    yield None
                loading = False
            yield change

    @staticmethod
    def _ended(seen: dict[str, int]) -> int:
        return seen["published"] + seen["filtered"] + seen["dead"]

    def _receive(self, body: str, at: float) -> None:
        detail = read_event(body)
        self._checker.event(detail, body, at)
        with self._lock:
            self.sights.events.append(detail)
        self._on_event(detail)

    def _bury(self, letter: DeadLetter) -> None:
        self._checker.dead_letter(letter.shard, letter.sequence, letter.code.value, letter.message)
        with self._lock:
            self.sights.letters.append(letter)

    def _raise_failures(self) -> None:
        for part in (self._sender, self._queue, self._kafka):
            if part is not None and part.error is not None:
                raise UnreachableError(
                    f"the demo's own client failed: {type(part.error).__name__}",
                    hint="is another process ending what the demo started?",
                )
        for server in self.world.parts:
            if server.pid is None:
                raise UnreachableError(f"{server.name} ended unexpectedly")
        if not self.worker.alive:
            raise UnreachableError("the worker ended unexpectedly", hint="run `cdc worker` in `cdc sandbox up`")


def stage_figures(states: dict[str, Any], sent: int) -> tuple[StageFigures, ...]:
    """Counts per stage from the worker's web view. A retired key adds a record between bridge and enrich."""
    figures: list[StageFigures] = []
    before = sent
    for name in STAGES:
        state = states.get(name) or {}
        stats = state.get("stats") or {}
        outcomes = stats.get("outcomes") or {}
        drops = {reason: count for reason, count in outcomes.items() if reason.startswith("drop.")}
        taken = stats.get("inputs", 0)
        if name == "enrich":
            before += drops.get("drop.key_moved", 0)
        figures.append(
            StageFigures(
                name, taken, outcomes.get("out", 0), sum(drops.values()), outcomes.get("dead", 0),
                max(0, before - taken), bool(state.get("ready")),
            )
        )  # fmt: skip
        before = outcomes.get("out", 0)
    return tuple(figures)
