"""Positions from elsewhere, made to fit the stream and the parent rule. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from models.checkpoint import Boot, Checkpoint, Start
from workers.failures import RefusedError
from workers.positions.stream import StreamNow
from workers.positions.target import Family, Target, ended, known_shards
from workers.positions.topic import Positions


@dataclass(frozen=True, slots=True)
class Brought:
    """Positions of one stream. Shards that are not in it begin at TRIM_HORIZON, unless a descendant has a position."""

    checkpoints: Mapping[str, Checkpoint]
    """By shard; the stream's ARN is set later."""
    boot: Boot | None = None
    """None: the source knows none."""
    notes: tuple[str, ...] = ()


def take_over(
    what: str,
    brought: Brought,
    stream: StreamNow,
    positions: Positions,
    now_ms: int,
    *,
    replacing: bool,
    gone_ended: bool,
) -> Target:
    """`replacing`: also if the stream has checkpoints. `gone_ended`: shards that left the stream count as read to their
    end. Raises RefusedError."""
    arn, facts = stream.facts.arn, stream.facts
    there = positions.boots.get(arn)
    if not replacing and (positions.of(arn) or there is not None) and (there is None or there.unfinished != what):
        raise RefusedError("there are checkpoints of this stream", hint="--replace writes others in their place")
    boot = brought.boot
    if boot is not None and boot.stream != arn:
        raise RefusedError(
            f"these are positions of another stream, {boot.stream}", hint="its numbers mean nothing in this one"
        )
    if boot is not None and boot.created_ms != facts.created_ms:
        raise RefusedError(
            "the stream was deleted and made anew since then", hint="cdc checkpoint reset --trim-horizon"
        )
    if boot is None:
        boot = Boot(
            arn, Start("TRIM_HORIZON"), tuple(stream.shards.values()), facts.created_ms, facts.asked_ms or now_ms
        )
    notes = list(brought.notes)
    checkpoints = {
        name: replace(
            found, stream=arn, parents=stream.shards[name].parents if name in stream.shards else found.parents
        )
        for name, found in brought.checkpoints.items()
    }
    gone = [name for name, found in sorted(checkpoints.items()) if not found.ended and name not in stream.shards]
    if gone and not gone_ended:
        raise RefusedError(
            f"shards left the stream before they were read to their end: {', '.join(gone)}",
            hint="what they still held is lost, or was read and nobody noted it; --gone-ended takes them for read",
        )
    for name in gone:
        checkpoints[name] = ended(checkpoints[name])
        notes.append(f"{name} left the stream: it counts as read to its end")
    shards = known_shards(stream, positions)
    shards |= {shard.id: shard for shard in boot.shards} | dict(stream.shards)
    family = Family(shards)
    _end_ancestors(checkpoints, family, stream, arn, notes)
    _keep_order(checkpoints, family, notes)
    unread = sorted(stream.shards.keys() - checkpoints.keys())
    if unread:
        notes.append(f"no position of {', '.join(unread)}: begins at its start, behind its parents")
    return Target(what, replace(boot, stream=arn, unfinished=""), checkpoints, tuple(notes))


def _end_ancestors(
    checkpoints: dict[str, Checkpoint], family: Family, stream: StreamNow, arn: str, notes: list[str]
) -> None:
    """Readers forget a shard when its children have begun: without a position it was read, or was never to be."""
    for name in sorted(checkpoints):
        for ancestor in sorted(family.ancestors(name) & stream.shards.keys() - checkpoints.keys()):
            checkpoints[ancestor] = ended(Checkpoint.first(arn, stream.shards[ancestor]))
            notes.append(f"{ancestor} has no position, but {name}, which descends from it, has: it counts as read")


def _keep_order(checkpoints: dict[str, Checkpoint], family: Family, notes: list[str]) -> None:
    """A child with a position whose parent is not read to its end, as in a file that was written while workers ran."""
    unfinished: Iterable[str] = [name for name, found in checkpoints.items() if not found.ended]
    for parent in unfinished:
        for child in sorted(family.descendants(parent) & checkpoints.keys()):
            del checkpoints[child]
            notes.append(f"{child} begins again from its start, behind {parent}, which is not read to its end")
