"""The streams the bridge reads, and everything it reads them with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from models.start_position import StartAt
from workers.aws.client import JsonClient
from workers.aws.errors import AwsError
from workers.engine.clock import monotonic
from workers.kinesis.budget import Budget
from workers.kinesis.directory import ShardDirectory
from workers.kinesis.forwarding import Destination
from workers.kinesis.reader import ReadOptions
from workers.topics import Topics

OVER_SECONDS = 60.0
"""A trouble that was not met for so long was over: whoever waits it out tries at least every 10 s."""


class Log(Protocol):
    """Where an operator reads."""

    def error(self, msg: str, *args: Any) -> None:
        """See logging.Logger."""


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
    met: dict[str, float] = field(default_factory=dict)
    """Troubles of single shards, and when each was last met (monotonic seconds)."""

    async def refresh(self, source: Source, log: Log) -> None:
        """List the stream's shards if that is due; what fails is said once, until it works again, and what was known
        stays true."""
        name = source.directory.stream
        try:
            await source.directory.refresh()
        except AwsError as error:
            self.tell(f"stream {name}: cannot list its shards: {error.code}", log)
        else:
            self.told.difference_update([told for told in self.told if told.startswith(f"stream {name}: ")])

    def tell(self, text: str, log: Log) -> None:
        """Say it once."""
        if text not in self.told:
            self.told.add(text)
            log.error("%s", text)

    def tell_met(self, text: str, log: Log) -> None:
        """Say a trouble that is met again and again: once, and once more when it comes back after it was over."""
        now = monotonic()
        for old in [old for old, at in self.met.items() if now - at > OVER_SECONDS]:
            del self.met[old]
        if text not in self.met:
            log.error("%s", text)
        self.met[text] = now
