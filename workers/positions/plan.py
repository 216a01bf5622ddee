"""From what is asked for to a change that can be shown and written. Writes nothing."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from models.source_spec import SourceSpec
from workers.aws.errors import AwsError
from workers.failures import CommandError
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics, group_of
from workers.positions.look import STAGE, moment, refuse_members, service_now, slot_owners
from workers.positions.shards import Scene, ShardStatus, judge
from workers.positions.stream import StreamNow, ask_stream, aws_failure
from workers.positions.target import Change, Target, change_to
from workers.positions.topic import Positions, read_positions
from workers.settings.worker import Settings

Aim = Callable[[StreamNow, Positions], Awaitable[Target]]


@dataclass(frozen=True, slots=True)
class Move:
    """One shard, before and after; None: not known there."""

    shard: str
    before: ShardStatus | None
    after: ShardStatus | None

    @property
    def changed(self) -> bool:
        """Whether it will go on elsewhere."""
        return _place(self.before) != _place(self.after)


@dataclass(frozen=True, slots=True)
class Plan:
    """A change, and what it does to every shard."""

    change: Change
    moves: tuple[Move, ...]
    running: tuple[str, ...] = ()
    """Workers of the bridge, who all have to be stopped before it is written: only a dry run meets any."""

    @property
    def idle(self) -> bool:
        """Whether all stands already as it shall, but for the time of the boot record: there is nothing to write."""
        there, boot = self.change.before.boots.get(self.change.target.boot.stream), self.change.target.boot
        return not any(self.change.writes.values()) and there is not None and replace(there, at_ms=boot.at_ms) == boot

    def document(self, *, written: bool) -> dict[str, Any]:
        """For scripts."""
        boot = self.change.target.boot
        return {
            "written": written, "stream": boot.stream, "command": self.change.target.what,
            "boot": {
                "start": boot.start.kind, "startTime": moment(boot.start.timestamp_ms), "shards": sorted(boot.names),
            },
            "notes": list(self.change.target.notes), "running": list(self.running),
            "shards": [
                {"shard": move.shard, "changed": move.changed, "before": _told(move.before), "after": _told(move.after)}
                for move in self.moves
            ],
        }  # fmt: skip


async def plan_change(
    settings: Settings, kafka: KafkaAccess, source: SourceSpec, aim: Aim, tell: Tell,
    waits: Callable[[int], None] | None, *, dry_run: bool,
) -> Plan:  # fmt: skip
    """`waits`: see `ask_stream`. Raises RefusedError while a worker runs, unless it is a dry run, CommandError,
    KafkaError."""
    topics = Topics.of(settings)
    group = await kafka.group(group_of(settings, STAGE))
    if not dry_run:
        refuse_members(group, STAGE)
    try:
        stream = await ask_stream(settings, source, waits)
        positions = await read_positions(kafka.connection, topics.checkpoints, range(settings.source_slots), tell)
        target = await aim(stream, positions)
    except AwsError as error:
        raise aws_failure(error) from None
    target = target.of(source.name)
    change = change_to(target, positions, stream, settings.source_slots)
    owners = slot_owners(group, topics, source)
    before, after = (_judged(settings, stream, found, owners) for found in (positions, change.after()))
    names = sorted(before.keys() | after.keys())
    moves = tuple(Move(name, before.get(name), after.get(name)) for name in names)
    shown = tuple(move for move in moves if move.changed or move.shard in stream.shards)
    return Plan(change, shown, tuple(dict.fromkeys(group.members)))


def _judged(
    settings: Settings, stream: StreamNow, positions: Positions, owners: Mapping[int, str]
) -> dict[str, ShardStatus]:
    arn = stream.facts.arn
    scene = Scene(
        positions.boots.get(arn), positions.of(arn), stream.shards, stream.facts.retention_ms, owners,
        settings.source_slots, service_now(stream),
    )  # fmt: skip
    return {status.shard: status for status in judge(scene, everything=True)}


def _place(status: ShardStatus | None) -> tuple[Any, ...] | None:
    return (status.state, status.position) if status is not None else None


def _told(status: ShardStatus | None) -> dict[str, Any] | None:
    if status is None:
        return None
    found = status.document()
    return {name: found[name] for name in ("state", "sequence", "subSequence", "waitsFor", "records")}


def parse_pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """`SHARD=SEQUENCE`, each shard once. Raises CommandError."""
    found: dict[str, str] = {}
    for text in texts:
        shard, _, sequence = text.partition("=")
        if not shard or not sequence.isdecimal() or shard in found:
            raise CommandError(f"{text}: not SHARD=SEQUENCE NUMBER, or named twice")
        found[shard] = sequence
    return found
