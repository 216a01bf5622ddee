"""The first boot of a stream: where it begins is decided once, for all workers, and written down."""

from models.checkpoint import Boot, Start
from models.start_position import StartAt
from workers.kinesis.directory import Listing, StreamFacts


def boot_of(start: StartAt, facts: StreamFacts, listing: Listing, now_ms: int, source: str) -> Boot:
    """The boot record. LATEST is the service's own clock, in whole seconds; `now_ms` only if it did not tell. A moment
    beyond the retention is the horizon."""
    now = facts.asked_ms or now_ms
    match start.kind:
        case "TRIM_HORIZON":
            begin = Start("TRIM_HORIZON")
        case "LATEST":
            begin = Start("AT_TIMESTAMP", now)
        case "AT_TIMESTAMP":
            old = start.timestamp_ms <= now - facts.retention_ms
            begin = Start("TRIM_HORIZON") if old else Start("AT_TIMESTAMP", min(start.timestamp_ms, now))
    return Boot(facts.arn, begin, tuple(listing.shards.values()), facts.created_ms, now, source)
