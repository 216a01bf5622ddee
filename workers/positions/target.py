"""What the checkpoints of a stream shall become. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from models.checkpoint import BOOT_SLOT, Boot, Checkpoint, ShardState
from models.shard import Shard
from models.start_position import StartAt
from workers.failures import ConfigurationError, NotFoundError, RefusedError
from workers.kinesis.boot import boot_of
from workers.positions.stream import StreamNow
from workers.positions.topic import Positions

BEFORE = -1
"""Sub-sequence in front of every user record: the record of that sequence number is the next one."""


@dataclass(frozen=True, slots=True)
class Target:
    """All checkpoints of a stream, and its boot record."""

    what: str
    """The command, for whoever finds the change cut off."""
    boot: Boot
    checkpoints: Mapping[str, Checkpoint]
    """By shard. Shards that are not in it begin as the boot record says, behind their parents."""
    notes: tuple[str, ...] = ()
    """What an operator has to know before."""

    def of(self, source: str) -> "Target":
        """The same for the source of that name: it may have been read, or exported, under another one."""
        named = {shard: replace(found, source=source) for shard, found in self.checkpoints.items()}
        return replace(self, boot=replace(self.boot, source=source), checkpoints=named)


@dataclass(frozen=True, slots=True)
class Change:
    """The way from what stands in the topic to the target."""

    target: Target
    before: Positions
    writes: Mapping[int, Mapping[bytes, bytes | None]]
    """By source slot: key and value; None takes a checkpoint away. Without the boot record."""

    def after(self) -> Positions:
        """What will stand there."""
        arn = self.target.boot.stream
        placed = dict(self.before.placed)
        for slot, entries in self.writes.items():
            for key, value in entries.items():
                placed.pop((slot, key), None)
                if value is not None:
                    placed[slot, key] = Checkpoint.decode(value)
        return Positions({**self.before.boots, arn: self.target.boot}, placed)


def begin_again(what: str, start: StartAt, stream: StreamNow, positions: Positions, now_ms: int) -> Target:
    """No checkpoint stays; the shards of the present listing begin at `start`, all later ones behind their parents."""
    records = sum(found.records for _, found in positions.of(stream.facts.arn).values())
    notes = []
    if start.kind == "LATEST":
        notes.append("what has come and was not forwarded yet is skipped")
    if start.kind != "LATEST" and records:
        notes.append(f"raw gets records again: {records:,} were forwarded so far, and as many events may come again")
    return Target(what, boot_of(start, stream.facts, stream.listing, now_ms, source=""), {}, tuple(notes))


@dataclass(frozen=True, slots=True)
class Mark:
    """Go on AT a record of a shard: it is the next one that is forwarded."""

    shard: str
    sequence: str
    arrival_ms: int
    """Milliseconds since the epoch."""


def go_on_at(what: str, marks: Iterable[Mark], stream: StreamNow, positions: Positions) -> Target:
    """Single shards are set. Their descendants wait for them again, their ancestors count as read to their end.

    Raises NotFoundError for a shard that is not listed, RefusedError, ConfigurationError."""
    arn = stream.facts.arn
    boot = positions.boots.get(arn)
    if boot is None:
        raise RefusedError("the bridge has not begun this stream", hint="reset it as a whole, or import positions")
    if boot.created_ms != stream.facts.created_ms:
        raise RefusedError("the stream was deleted and made anew", hint="reset it as a whole, with --trim-horizon")
    if boot.unfinished not in ("", what):
        raise RefusedError(f"not completed: cdc checkpoint {boot.unfinished}", hint="run that again first")
    checkpoints = {shard: found for shard, (_, found) in positions.of(arn).items()}
    family = Family(known_shards(stream, positions))
    chosen = {mark.shard: mark for mark in marks}
    notes: list[str] = []
    for name, mark in sorted(chosen.items()):
        if name not in stream.shards:
            raise NotFoundError(f"{name} is not listed", hint="`cdc checkpoint status` lists the shards")
        if both := sorted(chosen.keys() & family.ancestors(name)):
            raise ConfigurationError(f"{name} descends from {both[0]}: set the ancestor alone")
        for ancestor in sorted(family.ancestors(name)):
            found = checkpoints.get(ancestor)
            if found is not None and found.ended:
                continue
            if found is None and ancestor not in stream.shards and ancestor not in boot.names:
                continue  # trimmed before the boot: nobody waits for it
            checkpoints[ancestor] = ended(found or Checkpoint.first(arn, family.shard(ancestor)))
            notes.append(f"{ancestor} counts as read to its end: what of it is not in raw is skipped")
        for descendant in sorted(family.descendants(name) & checkpoints.keys()):
            del checkpoints[descendant]
            notes.append(f"{descendant} begins again from its start, behind {name}")
        before = checkpoints.get(name) or Checkpoint.first(arn, stream.shards[name])
        checkpoints[name] = replace(
            before, state=ShardState.ACTIVE, sequence=mark.sequence, sub_sequence=BEFORE, arrival_ms=mark.arrival_ms,
            covered_ms=mark.arrival_ms, children=(),
        )  # fmt: skip
        was = before.position
        if was is None or was.sequence >= int(mark.sequence):
            notes.append(f"raw gets records of {name} again, from {mark.sequence} on")
        else:
            notes.append(f"records of {name} between {was.sequence} and {mark.sequence} are skipped")
    return Target(what, replace(boot, unfinished=""), checkpoints, tuple(dict.fromkeys(notes)))


def ended(checkpoint: Checkpoint) -> Checkpoint:
    """The same, as read to its end. What it covers stays: 0 promises nothing to its children."""
    return replace(checkpoint, state=ShardState.SHARD_END)


def change_to(target: Target, positions: Positions, stream: StreamNow, slots: int) -> Change:
    """`slots`: number of source slots."""
    arn = target.boot.stream
    known = known_shards(stream, positions) | {shard.id: shard for shard in target.boot.shards}
    known |= {child.id: child for found in target.checkpoints.values() for child in found.children}
    slot_of = {shard: slot for shard, (slot, _) in positions.of(arn).items()}
    wanted: dict[tuple[int, bytes], bytes] = {}
    for name, checkpoint in target.checkpoints.items():
        shard = known.get(name)
        # Of a shard that is gone, and that nothing describes, any slot may hold the end: nobody writes it again.
        slot = slot_of.get(name, shard.source_slot(slots) if shard is not None else BOOT_SLOT)
        wanted[slot, checkpoint.key] = checkpoint.encode()
    writes: dict[int, dict[bytes, bytes | None]] = {}
    for (slot, key), found in positions.placed.items():
        if found.stream == arn and (slot, key) not in wanted:
            writes.setdefault(slot, {})[key] = None
    for (slot, key), value in wanted.items():
        there = positions.placed.get((slot, key))
        if there is None or there.encode() != value:
            writes.setdefault(slot, {})[key] = value
    return Change(target, positions, writes)


def known_shards(stream: StreamNow, positions: Positions) -> dict[str, Shard]:
    """Every shard of the stream that something tells of."""
    placed = positions.of(stream.facts.arn)
    boot = positions.boots.get(stream.facts.arn)
    found = {name: Shard(name, 0, 0, checkpoint.parents) for name, (_, checkpoint) in placed.items()}
    found |= {child.id: child for _, checkpoint in placed.values() for child in checkpoint.children}
    found |= {shard.id: shard for shard in (boot.shards if boot is not None else ())}
    return found | dict(stream.shards)


class Family:
    """Who descends from whom."""

    def __init__(self, shards: Mapping[str, Shard]) -> None:
        self._shards = shards
        self._children: dict[str, set[str]] = {}
        for shard in shards.values():
            for parent in shard.parents:
                self._children.setdefault(parent, set()).add(shard.id)

    def shard(self, name: str) -> Shard:
        """By name; one that nothing describes has no hash range."""
        return self._shards.get(name, Shard(name, 0, 0))

    def ancestors(self, name: str) -> set[str]:
        """All parents, theirs, and so on."""
        return self._reach(name, lambda one: self.shard(one).parents)

    def descendants(self, name: str) -> set[str]:
        """All children, theirs, and so on."""
        return self._reach(name, lambda one: self._children.get(one, ()))

    @staticmethod
    def _reach(name: str, near: Callable[[str], Iterable[str]]) -> set[str]:
        found: set[str] = set()
        waiting = list(near(name))
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += near(one)
        return found
