"""The streams the bridge reads, and everything it reads them with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from models.source_spec import SourceSpec
from models.start_position import StartAt
from workers.aws.client import IRequester
from workers.aws.errors import AwsError
from workers.engine.clock import monotonic
from workers.kafka.topics import Topics
from workers.kinesis.budget import Budget
from workers.kinesis.directory import ShardDirectory
from workers.kinesis.forwarding import Destination
from workers.kinesis.reader import ReadOptions

OVER_SECONDS = 60.0
"""A trouble that was not met for so long was over: whoever waits it out tries at least every 10 s."""


class Log(Protocol):
    """Where an operator reads."""

    def error(self, msg: str, *args: Any) -> None:
        """See logging.Logger."""

    def info(self, msg: str, *args: Any) -> None:
        """See logging.Logger."""


@dataclass(frozen=True, slots=True)
class Source:
    """`name` is that of its raw topic, `raw.<name>`."""

    name: str
    client: IRequester
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
    """This host's clock; what concerns a stream goes by `now_of`."""
    told: set[str] = field(default_factory=set)
    """Troubles the log knows of."""
    met: dict[str, float] = field(default_factory=dict)
    """Troubles of single shards, and when each was last met (monotonic seconds)."""
    disabled: tuple[SourceSpec, ...] = ()
    """Streams that are not read on purpose."""
    halted: dict[str, str] = field(default_factory=dict)
    """By name: sources that are not read before an operator has done something, and why."""
    _refreshing: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    def now_of(self, source: Source) -> int:
        """The clock of the service that holds the stream, milliseconds since the epoch."""
        return source.directory.now_ms(self.now_ms())

    def refresh(self, source: Source, log: Log) -> "asyncio.Task[None] | None":
        """List the stream's shards if that is due, beside everything else: a stream whose AWS does not answer must not
        hold up the others. The task that does it, if one is under way."""
        task = self._refreshing.get(source.name)
        if task is not None:
            if not task.done():
                return task
            del self._refreshing[source.name]
            task.result()  # AWS's errors are told; anything else is ours
        if not source.directory.due:
            return None
        task = self._refreshing[source.name] = asyncio.create_task(self._refresh(source, log))
        return task

    async def first_listing(self, log: Log, patience: float) -> None:
        """Wait for the sources that were never listed, `patience` seconds at most."""
        begun = [self.refresh(source, log) for source in self.sources]
        unlisted = [
            task for source, task in zip(self.sources, begun, strict=True)
            if task is not None and source.directory.listing is None
        ]  # fmt: skip
        if unlisted:
            await asyncio.wait(unlisted, timeout=patience)

    def twin(self, source: Source) -> Source | None:
        """An earlier source that is the same stream: two readers would forward everything twice."""
        arn = source.arn
        for other in self.sources:
            if other is source:
                break
            if arn is not None and other.arn == arn:
                return other
        return None

    async def close(self) -> None:
        """Nothing is asked any more."""
        under_way = [task for task in self._refreshing.values() if not task.done()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _refresh(self, source: Source, log: Log) -> None:
        """What fails is said once, until it works again, and what was known stays true."""
        stream = source.directory.label
        try:
            await source.directory.refresh()
        except AwsError as error:
            missing = " (there is none of this name here)" if error.code == "ResourceNotFoundException" else ""
            self.tell(f"stream {stream}: cannot list its shards: {error.code}{missing}, trying again", log)
        else:
            over = {told for told in self.told if told.startswith(f"stream {stream}: ")}
            if over:
                log.info("stream %s: its shards are listed again", stream)
            self.told.difference_update(over)

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
