"""Which shard may be read now, and from where: parents before children, whoever owns them. Pure."""

from dataclasses import dataclass
from typing import Protocol

from models.checkpoint import Boot, Checkpoint, Start
from models.shard import Shard

TRIM_HORIZON = Start("TRIM_HORIZON")


class Known(Protocol):
    """What a worker knows of one stream. All of it may be old; nothing of it is taken back while the slot is held."""

    boot: Boot | None

    def checkpoint(self, shard: str) -> Checkpoint | None:
        """The newest committed checkpoint that was seen, of any slot."""

    def vanished(self, shard: str) -> bool:
        """Two complete listings at least 30 s apart did not have it, and all checkpoints were read past the second: one
        listing that misses a shard, or a checkpoint that comes late, must not start a child early."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Read to its end."""


@dataclass(frozen=True, slots=True)
class Unbooted:
    """The stream has no boot record yet."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on behind the checkpoint; from `start` if it holds no position yet. Not from the time it covers: the clocks of
    worker and service differ."""

    checkpoint: Checkpoint
    start: Start = TRIM_HORIZON


@dataclass(frozen=True, slots=True)
class Begin:
    """Nothing of this shard was forwarded yet. Times: milliseconds since the epoch, 0 = unknown."""

    start: Start
    covered_ms: int = 0
    """Nothing that is wanted has come before this: not before the parents closed, not before where it begins."""
    since_ms: int = 0
    """What has come since then must be there."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """These parents are not read to their end."""

    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vanished:
    """The shard itself left the stream before it was read to its end: what it still held, from `since_ms` on
    (milliseconds since the epoch), is lost."""

    since_ms: int


@dataclass(frozen=True, slots=True)
class Orphaned:
    """These parents left the stream and were never read: what they held is lost, from `since_ms` on."""

    parents: tuple[str, ...]
    since_ms: int


Decision = Ended | Unbooted | Resume | Begin | Blocked | Vanished | Orphaned


def decide(shard: Shard, own: Checkpoint | None, known: Known) -> Decision:
    """What the owner of `shard` does with it; `own` is the checkpoint it read itself, behind its fence."""
    if own is not None and own.ended:
        return Ended()
    if known.boot is None:
        return Resume(own) if own is not None and own.position is not None else Unbooted()
    at_boot = shard.id in known.boot.names
    if known.vanished(shard.id):
        return Vanished(own.covered_ms if own is not None else known.boot.at_ms)
    start = known.boot.start if at_boot else TRIM_HORIZON
    if own is not None:
        return Resume(own, start)
    open_parents, lost, covered = [], [], []
    for parent in shard.parents:
        checkpoint = known.checkpoint(parent)
        if checkpoint is not None:
            if checkpoint.ended:
                covered.append(checkpoint.covered_ms)
            else:
                open_parents.append(parent)
        elif at_boot and parent not in known.boot.names:
            continue  # trimmed before the boot
        elif known.vanished(parent):
            lost.append(parent)
        else:
            open_parents.append(parent)
    if open_parents:
        return Blocked(tuple(open_parents))
    if lost:
        return Orphaned(tuple(lost), known.boot.at_ms)
    if at_boot:
        return Begin(start, start.timestamp_ms, max(start.timestamp_ms, known.boot.at_ms))
    return Begin(start, min(covered, default=0), min(covered, default=0))
