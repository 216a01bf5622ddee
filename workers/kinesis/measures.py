"""The bridge in numbers: what its shards report, for `/metrics`, also while none of them can be read."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.checkpoint import UNKNOWN_COVER_MS
from workers import metrics
from workers.engine.slot import Slot
from workers.engine.stats import Stats
from workers.kinesis.checkpoints import CheckpointBook
from workers.kinesis.forwarding import KPL_FAILURES
from workers.kinesis.source import Bridge


def waiting(bridge: Bridge, book: CheckpointBook, slot: Slot) -> dict[str, dict[str, Any]]:
    """The shards of a slot that cannot commit, or that an operator has paused, in the form of its report: nobody reads
    them until Kafka or the operator lets it work again, and how far behind they fall is only to be had from everybody's
    checkpoints."""
    found: dict[str, dict[str, Any]] = {}
    paused = slot.app.brake.stops(slot.index)
    if slot.usable and not paused:
        return found
    state, why = ("PAUSED", "an operator has paused it") if paused else ("WAITING", slot.why)
    for source in bridge.sources:
        for shard in source.directory.of_slot(slot.index):
            checkpoint = book.checkpoints.get((source.arn or "", shard.id))
            if checkpoint is not None and checkpoint.ended:
                continue
            covered = checkpoint.covered_ms if checkpoint is not None else 0
            age = max(0, bridge.now_of(source) - covered) if covered > UNKNOWN_COVER_MS else None
            found[f"{source.arn}|{shard.id}"] = {"state": state, "why": why, "age_ms": age}
    return found


def measure(bridge: Bridge, shards: Mapping[str, Mapping[str, Any]], stats: Stats) -> Iterator[metrics.Sample]:
    """`shards`: reports of the slots by `<stream arn>|<shard>`. What is in none has no series."""
    # Of several sources that are the same stream the first is read.
    names = {source.arn: source.name for source in reversed(bridge.sources)}
    for name, found in shards.items():
        arn, _, shard = name.rpartition("|")
        yield from _of_shard((names.get(arn, arn), shard), found)
    for source in bridge.sources:
        up = source.directory.listing is not None and not source.directory.failing
        yield metrics.SOURCE_UP.of(up and source.name not in bridge.halted, source.name)
        yield metrics.SOURCE_KPL_FAILURES.of(stats.notes[KPL_FAILURES, source.name], source.name)
        for code, count in source.directory.errors.items():
            yield metrics.SOURCE_LISTING_ERRORS.of(count, source.name, code)
    yield metrics.SOURCE_BUFFERED.of(bridge.budget.used)
    yield metrics.SOURCE_BUFFER_LIMIT.of(bridge.budget.limit)


def _of_shard(shard: tuple[str, str], found: Mapping[str, Any]) -> Iterator[metrics.Sample]:
    yield metrics.SOURCE_BLOCKED.of(len(found.get("parents", ())), *shard)
    yield metrics.SOURCE_STOPPED.of(found["state"] == "STOPPED", *shard)
    if found.get("age_ms") is not None:
        yield metrics.SOURCE_SECONDS_BEHIND.of(found["age_ms"] / 1000, *shard)
    if "calls" not in found:
        return  # nobody reads it
    yield metrics.SOURCE_RECORDS.of(found["records"], *shard)
    yield metrics.SOURCE_BYTES.of(found["bytes"], *shard)
    yield metrics.SOURCE_CALLS.of(found["calls"], *shard)
    yield metrics.SOURCE_THROTTLES.of(found["throttles"], *shard)
    yield metrics.SOURCE_REBUILDS.of(found["rebuilds"], *shard)
    for code, count in found["errors"].items():
        yield metrics.SOURCE_ERRORS.of(count, *shard, code)
