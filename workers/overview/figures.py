"""What Kafka, the bus and the workers say of a stage, before anybody judges it."""

from dataclasses import dataclass
from enum import StrEnum

from models.pause import Pause


@dataclass(frozen=True, slots=True)
class Stop:
    """A stage stands still at a partition over too many dead letters."""

    where: str
    since_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that were deleted before the stage had read them."""

    where: str
    position: int
    log_start: int
    log_end: int


class NoticeKind(StrEnum):
    """As workers say it of what stands in the way of a stage; pauses and stops are read from Kafka."""

    BLOCKED = "blocked"
    """Somebody has to do something."""
    AWAY = "away"
    """Something does not answer; it goes on by itself."""
    PARKED = "parked"
    """Some rows wait behind a failure, the others go on."""
    DIFFERS = "differs"
    """Workers have other tables than each other. No worker says so, it shows when all are heard."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What workers say of a stage. No values of a row."""

    stage: str
    kind: NoticeKind
    what: str
    why: str
    workers: tuple[str, ...]
    places: tuple[str, ...] = ()
    """Each slot, partition, shard or bus that `what` speaks of."""
    since_ms: int = 0
    """When the first of them began to say so; 0: nobody knows."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What Kafka says of a stage."""

    stage: str
    group_state: str
    members: int
    lag: int | None
    """Offsets that are still to be read; None for bridge, whose source is not Kafka."""
    oldest_ms: int = 0
    """When the oldest record came that it has not dealt with; 0: there is none."""
    danger: float = 0.0
    """Share of the retention that the oldest one has used up, the worst of all partitions."""
    danger_at: str = ""
    rate: float | None = None
    """Records a second; None: not measured."""
    redriven: int = 0
    """Offsets of the redrive topic that are still to be read."""
    stops: tuple[Stop, ...] = ()
    gaps: tuple[Gap, ...] = ()
    pauses: tuple[Pause, ...] = ()
    bus: str = ""
    """Of publish: in a word."""
    bus_name: str = ""
    notices: tuple[Notice, ...] = ()
    """Only what workers say beyond the rest."""
