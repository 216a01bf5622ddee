"""The streams as one worker sees them, for the page: lineage from the listing, positions from everybody's checkpoints,
and what its own readers met. Names of shards, counts and codes; no keys and no data (P6)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from models.checkpoint import UNKNOWN_COVER_MS, Checkpoint
from models.shard import HASH_SPACE_BITS, Shard
from workers.kinesis.checkpoints import CheckpointBook
from workers.kinesis.source import Bridge, Source


def sources(bridge: Bridge, book: CheckpointBook, reports: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`reports`: of the shards of this worker's slots, by `<stream arn>|<shard>`."""
    return [_source(bridge, source, book, reports) for source in bridge.sources] + [
        {"name": spec.name, "stream": spec.stream, "disabled": True, "shards": []} for spec in bridge.disabled
    ]


def _source(
    bridge: Bridge, source: Source, book: CheckpointBook, reports: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    directory, facts = source.directory, source.directory.facts
    halted = [bridge.halted[source.name]] if source.name in bridge.halted else []
    return {
        "name": source.name,
        "stream": directory.label,
        "arn": source.arn,
        "topic": source.to.topic,
        "disabled": False,
        "listed": directory.listing is not None,
        "troubles": halted + sorted(text for text in bridge.told if text.startswith(f"stream {directory.label}: ")),
        "listing_errors": dict(directory.errors.items()),
        "retention_ms": facts.retention_ms if facts is not None else None,
        "unordered": facts.unordered if facts is not None else False,
        "encrypted": facts.encrypted if facts is not None else None,
        "shards": list(_shards(bridge, source, book, reports)),
    }


def _shards(
    bridge: Bridge, source: Source, book: CheckpointBook, reports: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    listing, arn = source.directory.listing, source.arn or ""
    checkpoints = {found.shard: found for found in book.of(arn)}
    known = {shard.id: shard for slot in range(bridge.slots) for shard in source.directory.of_slot(slot)}
    for name in sorted(known.keys() | checkpoints.keys()):
        checkpoint, shard = checkpoints.get(name), known.get(name)
        yield {
            "id": name,
            "parents": list(_parents(shard, checkpoint)),
            "slot": shard.source_slot(bridge.slots) if shard is not None else None,
            "share": _share(shard),
            "open": listing is not None and name in listing.open,
            "listed": listing is not None and name in listing.shards,
            **_position(checkpoint, bridge.now_of(source)),
            **({"report": dict(reports[f"{arn}|{name}"])} if f"{arn}|{name}" in reports else {}),
        }


def _parents(shard: Shard | None, checkpoint: Checkpoint | None) -> Iterable[str]:
    if shard is not None:
        return shard.parents
    return checkpoint.parents if checkpoint is not None else ()


def _share(shard: Shard | None) -> float | None:
    """Of the hash space, and so about of the records."""
    return round((shard.last_hash - shard.first_hash + 1) / (1 << HASH_SPACE_BITS), 6) if shard is not None else None


def _position(checkpoint: Checkpoint | None, now_ms: int) -> dict[str, Any]:
    if checkpoint is None:
        return {"ended": False, "sequence": None, "records": None, "arrival": None, "age_ms": None, "gaps": 0}
    covered = checkpoint.covered_ms
    return {
        "ended": checkpoint.ended,
        "sequence": checkpoint.sequence or None,
        "records": checkpoint.records,
        "arrival": checkpoint.arrival_ms or None,
        "age_ms": max(0, now_ms - covered) if covered > UNKNOWN_COVER_MS and not checkpoint.ended else None,
        "gaps": checkpoint.gaps,
    }
