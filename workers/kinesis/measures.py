"""The bridge in numbers: what its shards report, for `/metrics`."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.position import stream_name
from workers import metrics
from workers.engine.stats import Stats
from workers.kinesis.forwarding import KPL_FAILURES
from workers.kinesis.source import Bridge


def measure(bridge: Bridge, shards: Mapping[str, Mapping[str, Any]], stats: Stats) -> Iterator[metrics.Sample]:
    """`shards`: reports of the slots by `<stream arn>|<shard>`. What is in none has no series."""
    for name, found in shards.items():
        arn, _, shard = name.rpartition("|")
        yield from _of_shard((stream_name(arn), shard), found)
    for source in bridge.sources:
        stream = stream_name(source.arn or source.directory.stream)
        yield metrics.SOURCE_KPL_FAILURES.of(stats.notes[KPL_FAILURES, stream], stream)
        for code, count in source.directory.errors.items():
            yield metrics.SOURCE_LISTING_ERRORS.of(count, stream, code)
    yield metrics.SOURCE_BUFFERED.of(bridge.budget.used)
    yield metrics.SOURCE_BUFFER_LIMIT.of(bridge.budget.limit)


def _of_shard(shard: tuple[str, str], found: Mapping[str, Any]) -> Iterator[metrics.Sample]:
    yield metrics.SOURCE_BLOCKED.of(len(found.get("parents", ())), *shard)
    yield metrics.SOURCE_STOPPED.of(found["state"] == "STOPPED", *shard)
    if "calls" not in found:
        return  # nobody reads it
    if found["age_ms"] is not None:
        yield metrics.SOURCE_SECONDS_BEHIND.of(found["age_ms"] / 1000, *shard)
    yield metrics.SOURCE_RECORDS.of(found["records"], *shard)
    yield metrics.SOURCE_BYTES.of(found["bytes"], *shard)
    yield metrics.SOURCE_CALLS.of(found["calls"], *shard)
    yield metrics.SOURCE_THROTTLES.of(found["throttles"], *shard)
    yield metrics.SOURCE_REBUILDS.of(found["rebuilds"], *shard)
    for code, count in found["errors"].items():
        yield metrics.SOURCE_ERRORS.of(count, *shard, code)
