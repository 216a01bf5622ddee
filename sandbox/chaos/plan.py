"""A plan: everything one chaos run does, decided before it starts. The same plan can be run again from its file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from workers.failures import CommandError, NotFoundError

VERSION = 1

Kind = Literal[
    "kill", "term", "stop", "join", "leave",
    "broker-kill", "broker-restart", "broker-freeze",
    "net-cut", "net-blackhole", "net-latency", "net-fault",
    "delete-behind", "delete-ahead", "sink-outage",
    "split", "merge", "reshard-down", "kinesis-fault",
    "bus-slow", "bus-cut", "bus-entries", "bus-throttle", "bus-token", "bus-loss",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workload:
    """What is produced and what the stages do with it; rates in records per second, shares between 0 and 1."""

    stages: tuple[str, ...] = ("count",)
    table: Literal["table", "global-table"] = "table"
    partitions: int = 4
    keys: int = 60
    rate: float = 200.0
    transactional: bool = False
    """The source writes transactions, and aborts or abandons some of them."""
    aborted: float = 0.0
    body_failures: float = 0.0
    """Share of batches whose body raises in the middle."""
    body_pauses: float = 0.0
    """Share of records at which the body returns a Pause."""
    window_records: int = 400
    on_gap: Literal["stop", "continue"] = "stop"
    session_timeout: float = 6.0
    shards: int = 4
    """Of the stream that a bridge reads, at first."""
    aggregates: float = 0.0
    """Share of the stream's records that are KPL aggregates."""
    padding: int = 0
    """Bytes that each change of the stream has beside what it says."""
    memory_budget: int = 0
    """`CDC_MEMORY_BUDGET` of a bridge; 0: its default."""
    custom_bus: bool = False
    """Whether a publisher sends to a Custom Event Bus (v2)."""

    @property
    def source(self) -> str:
        """The topic the source writes to; `stream` is that of Kinesis."""
        if self.bridges or self.publishes:
            return "stream" if self.bridges else "events"
        return "in" if "count" in self.stages else "out"

    @property
    def output(self) -> str:
        """The topic of what has been done, exactly once."""
        return "raw" if self.bridges else "out" if "count" in self.stages else "receipts"

    @property
    def bridges(self) -> bool:
        """Whether the product's own bridge runs, instead of stages of the harness."""
        return "bridge" in self.stages

    @property
    def publishes(self) -> bool:
        """Whether the product's own publisher runs, instead of stages of the harness."""
        return "publish" in self.stages


@dataclass(frozen=True, slots=True)
class SinkFaults:
    """What the sink does to requests all the time; shares between 0 and 1, seconds."""

    delay: tuple[float, float] = (0.005, 0.05)
    failures: float = 0.05
    """Share of requests that end with 500 and have no effect."""
    lost_responses: float = 0.05
    """Share of requests that have their effect, but no answer."""
    entry_failures: float = 0.05
    """Share of events that a request leaves out."""
    refused: float = 0.004
    """Share of events that are refused for good; of a publisher's, those that are no events."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker process; `named` gives it a stable name in its groups."""

    name: str
    stages: tuple[str, ...]
    named: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """Something the nemesis does `at` seconds after the chaos began; `seconds` is how long, or until the restart."""

    at: float
    kind: Kind
    target: str = ""
    seconds: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. A pure function of scenario, seed and length (`scenarios.make_plan`)."""

    scenario: str
    seed: int
    seconds: float
    workload: Workload
    workers: tuple[WorkerPlan, ...]
    actions: tuple[Action, ...]
    sink: SinkFaults = SinkFaults()
    limits: Mapping[str, float] = field(default_factory=dict)
    """Bounds of this scenario that the checker holds: `pause`, `peer_pause` (seconds), `stall_bytes`."""

    @property
    def name(self) -> str:
        """Directory of its results."""
        return f"{self.scenario}-{self.seed}"

    @property
    def behind_proxy(self) -> bool:
        """Whether the workers reach Kafka through the proxy."""
        return any(action.kind.startswith("net-") for action in self.actions)

    def to_json(self) -> str:
        """The plan as it stands in `plan.json`."""
        return json.dumps({"version": VERSION} | asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises ValueError, KeyError or TypeError for anything that is no plan of this version."""
        raw = json.loads(text)
        if raw.pop("version") != VERSION:
            raise ValueError(f"only version {VERSION} is known")
        raw["workload"]["stages"] = tuple(raw["workload"]["stages"])
        raw["sink"]["delay"] = tuple(raw["sink"]["delay"])
        workers = tuple(WorkerPlan(**entry | {"stages": tuple(entry["stages"])}) for entry in raw.pop("workers"))
        return cls(
            workload=Workload(**raw.pop("workload")),
            sink=SinkFaults(**raw.pop("sink")),
            workers=workers,
            actions=tuple(Action(**entry) for entry in raw.pop("actions")),
            **raw,
        )

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read `plan.json`. Raises NotFoundError, or CommandError if it is none."""
        try:
            return cls.from_json(file.read_text(encoding="utf-8"))
        except OSError:
            raise NotFoundError(f"there is no plan {file}", hint="`cdc chaos run` writes one per run") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CommandError(f"{file} is no plan of this version: {type(error).__name__}") from None
