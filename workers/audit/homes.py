"""Which raw topic holds the records of a checkpoint's stream, as far as the configured sources tell."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from models.source_spec import SourceSpec
from workers.audit.counts import Forwarded, ShardKey
from workers.audit.evidence import source_of
from workers.audit.tallies import ShardOrigin


@dataclass(frozen=True, slots=True)
class Home:
    """Where the records of a shard are to be looked for."""

    origin: ShardOrigin | None
    """As raw records tell it; None: nobody knows the topic."""
    doubt: str = ""
    """Why they may not be there, or not there alone."""

    @property
    def topic(self) -> str | None:
        """The raw topic."""
        return self.origin[0] if self.origin is not None else None


def homes_of(
    shards: Mapping[ShardKey, Forwarded], sources: Iterable[SourceSpec], raw: Mapping[str, str]
) -> dict[ShardKey, Home]:
    """Of all shards; `raw`: topic by source. What a stream left behind that no source reads any more stands in the
    only raw topic there is, or in any of several."""
    specs = tuple(sources)
    topics: dict[ShardKey, str | None] = {}
    unread: set[ShardKey] = set()
    for key, told in shards.items():
        source = source_of(told.stream, specs)
        if source is None:
            unread.add(key)
        topics[key] = raw[source.name] if source is not None else _only(raw)
    namesakes: dict[ShardKey, list[ShardKey]] = defaultdict(list)
    for key, told in shards.items():
        namesakes[told.name, told.shard].append(key)
    homes = {}
    for key, told in shards.items():
        topic = topics[key]
        doubts = [f"no source reads {told.stream}"] if key in unread else []
        alike = sorted(
            other[0] for other in namesakes[told.name, told.shard]
            if other != key and (topics[other] is None or topics[other] == topic)
        )  # fmt: skip
        if alike and topic is not None:
            doubts.append(f"records of {', '.join(alike)}, which has the same name, may stand there, too")
        homes[key] = Home((topic, told.name, told.shard) if topic is not None else None, "; ".join(doubts))
    return homes


def _only(raw: Mapping[str, str]) -> str | None:
    return next(iter(raw.values())) if len(raw) == 1 else None
