"""The streams the bridge reads, and everything it reads them with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from models.start_position import StartAt
from workers.aws.client import JsonClient
from workers.kinesis.budget import Budget
from workers.kinesis.directory import ShardDirectory
from workers.kinesis.forwarding import Destination
from workers.kinesis.reader import ReadOptions
from workers.topics import Topics


@dataclass(frozen=True, slots=True)
class Source:
    """`name` is that of its raw topic, `raw.<name>`."""

    name: str
    client: JsonClient
    directory: ShardDirectory
    start: StartAt
    to: Destination

    @property
    def arn(self) -> str | None:
        """Of the stream; None until AWS has told it."""
        return self.directory.facts.arn if self.directory.facts is not None else None


@dataclass(frozen=True, slots=True)
class Bridge:
    """What the bridge works with."""

    sources: tuple[Source, ...]
    reading: ReadOptions
    topics: Topics
    slots: int
    budget: Budget
    on_gap: Literal["stop", "continue"]
    now_ms: Callable[[], int]
    told: set[str] = field(default_factory=set)
    """Troubles the log knows of."""
