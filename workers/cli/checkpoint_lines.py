"""What `cdc checkpoint` prints for people."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from workers.cli.columns import columns

if TYPE_CHECKING:
    from models.checkpoint import Boot
    from models.position import Position
    from workers.positions.look import Look, Looks
    from workers.positions.plan import Plan
    from workers.positions.shards import ShardStatus

WHOLE = 1 << 62
"""See workers/kinesis/cursor.py."""
LEAST = ("SLOT", "PARENTS", "POSITION", "LAST ARRIVAL", "GAPS", "RECORDS")
"""Of the columns of `status`, from the one that is missed least."""
TEXTS = ("SHARD", "STATE", "OWNER", "LAST ARRIVAL", "PARENTS", "POSITION", "NOW", "AFTER")


def status_lines(found: "Looks") -> Iterator[str]:
    """The group; and of every source stream, boot record, and a table of the shards."""
    yield f"bridge: group {found.group.state}, {len(found.group.members)} members"
    for look in found.sources:
        yield ""
        yield from _source_lines(look)


def _source_lines(look: "Look") -> Iterator[str]:
    unread = "" if look.source.enabled else ", not read (enabled: false)"
    yield f"{look.source.name}: {look.stream}{unread}"
    yield f"boot: {_boot(look.boot)}"
    if look.retention_ms is not None:
        yield f"the stream keeps records {look.retention_ms // 3_600_000} h"
    if not look.shards:
        return
    rows: list[tuple[str, ...]] = [
        ("SHARD", "STATE", "SLOT", "OWNER", "BEHIND", "RETENTION", "RECORDS", "GAPS", "LAST ARRIVAL", "PARENTS",
         "POSITION"),
        *map(_row, look.shards),
    ]  # fmt: skip
    yield from columns(rows, left=TEXTS, least=LEAST)


def status_summary(found: "Looks") -> Iterator[str]:
    """One line per source: how many shards in which state, and what is wrong."""
    for look in found.sources:
        name = f"{look.source.name}: " if len(found.sources) > 1 else ""
        yield name + "; ".join(_told(look))
    if found.others:
        yield f"there are checkpoints of other streams: {', '.join(found.others)}"


def _told(look: "Look") -> Iterator[str]:
    states = Counter(shard.state.value for shard in look.shards)
    yield ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no shard is known"
    overdue = [shard.shard for shard in look.shards if shard.overdue]
    if overdue:
        yield f"records are lost unread: {', '.join(overdue)}"
    gaps = sum(shard.gaps for shard in look.shards)
    if gaps:
        yield f"{gaps} gaps on record in the dead letters"
    if look.trouble:
        yield f"AWS did not tell ({look.trouble}): only what Kafka knows"
    if look.remade:
        yield "the stream was made anew since its boot: `cdc checkpoint reset --trim-horizon` begins it again"
    if look.boot is not None and look.boot.unfinished:
        yield f"not completed: {look.boot.unfinished}; run it again"


def plan_lines(plan: "Plan") -> Iterator[str]:
    """What changes: every shard that does, and what has to be known before."""
    boot = plan.change.target.boot
    yield boot.stream
    yield f"boot: {_boot(boot)}"
    rows = [("SHARD", "NOW", "AFTER")]
    rows += [(move.shard, _standing(move.before), _standing(move.after)) for move in plan.moves if move.changed]
    if len(rows) > 1:
        yield ""
        yield from columns(rows, left=TEXTS)
    for note in plan.change.target.notes:
        yield f"    {note}"
    if plan.running:
        yield f"    {', '.join(plan.running)} must be stopped before: nothing is set while a worker of the bridge runs"


def _standing(status: "ShardStatus | None") -> str:
    if status is None:
        return "-"
    return status.state.value + (f" {_position(status.position)}" if status.position is not None else "")


def _boot(boot: "Boot | None") -> str:
    if boot is None:
        return "none: the bridge has not begun this stream"
    start = (
        boot.start.kind if boot.start.kind == "TRIM_HORIZON" else f"what has come since {utc(boot.start.timestamp_ms)}"
    )
    return f"{utc(boot.at_ms)}, {len(boot.shards)} shards, from {start}"


def _row(shard: "ShardStatus") -> tuple[str, ...]:
    parents = ", ".join(f"{name} (waits)" if name in shard.waits_for else name for name in shard.parents)
    return (
        shard.shard, shard.state.value, str(shard.slot), shard.owner or "-",
        f"{shard.behind_ms // 1000:,} s" if shard.behind_ms is not None else "-",
        f"{shard.share:.1%}" if shard.share is not None else "-",
        f"{shard.records:,}", str(shard.gaps), utc(shard.arrival_ms), parents or "-", _position(shard.position),
    )  # fmt: skip


def _position(position: "Position | None") -> str:
    if position is None:
        return "-"
    if position.sub_sequence < 0:
        return f"before {position.sequence}"
    if position.sub_sequence >= WHOLE:
        return str(position.sequence)
    return str(position.sequence) + (f"/{position.sub_sequence}" if position.sub_sequence else "")


def utc(milliseconds: int) -> str:
    """ISO 8601, "-" for 0 and for what is no time of this calendar."""
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return "-"
    return at.isoformat(timespec="seconds").replace("+00:00", "Z") if milliseconds else "-"
