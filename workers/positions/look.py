"""One look at the positions of the configured streams."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from models.checkpoint import Boot
from models.source_spec import SourceSpec
from workers.aws.errors import AwsError
from workers.failures import ConfigurationError, RefusedError
from workers.kafka.access import KafkaAccess
from workers.kafka.groups import GroupState
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics, group_of
from workers.positions.shards import Scene, ShardStatus, judge
from workers.positions.stream import StreamNow, ask_stream
from workers.positions.topic import Positions, read_positions
from workers.settings.worker import Settings

STAGE = "bridge"


@dataclass(frozen=True, slots=True)
class Look:
    """One source, as `cdc checkpoint status` shows it."""

    source: SourceSpec
    stream: str
    """ARN; the configured name if neither AWS nor Kafka knows it."""
    trouble: str
    """Code of the error with which AWS answered; "" if it told."""
    retention_ms: int | None
    boot: Boot | None
    remade: bool
    """The stream was deleted and made anew since its boot."""
    shards: tuple[ShardStatus, ...]

    @property
    def sound(self) -> bool:
        """AWS was asked, and nothing is lost or about to be; or nobody is meant to read it."""
        unfinished = self.boot is not None and bool(self.boot.unfinished)
        return not self.source.enabled or not (
            self.trouble or self.remade or unfinished or any(shard.overdue for shard in self.shards)
        )

    def document(self) -> dict[str, Any]:
        """For scripts."""
        boot = self.boot
        return {
            "source": self.source.name, "enabled": self.source.enabled, "stream": self.stream,
            "aws": self.trouble or "ok",
            "retentionHours": self.retention_ms // 3_600_000 if self.retention_ms is not None else None,
            "boot": {
                "start": boot.start.kind, "startTime": moment(boot.start.timestamp_ms), "at": moment(boot.at_ms),
                "shards": sorted(boot.names), "unfinished": boot.unfinished, "remade": self.remade,
            } if boot is not None else None,
            "shards": [{"source": self.source.name, **shard.document()} for shard in self.shards],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Looks:
    """Every source that was asked for."""

    group: GroupState
    sources: tuple[Look, ...]
    others: tuple[str, ...]
    """ARNs of streams with checkpoints here that no source is."""

    def document(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "group": self.group.state, "members": list(self.group.members),
            "sources": [look.document() for look in self.sources], "otherStreams": list(self.others),
        }  # fmt: skip


async def look(
    settings: Settings, kafka: KafkaAccess, sources: Iterable[SourceSpec], tell: Tell, *, everything: bool
) -> Looks:
    """Ask AWS, the group and the topic. Raises KafkaError, CommandError; an AWS that does not answer is told."""
    wanted = tuple(sources)
    asked = await asyncio.gather(*(_ask(settings, source) for source in wanted))
    group = await kafka.group(group_of(settings, STAGE))
    topics = Topics.of(settings)
    positions = await read_positions(kafka.connection, topics.checkpoints, range(settings.source_slots), tell)
    found = []
    for source, (stream, trouble) in zip(wanted, asked, strict=True):
        arn = stream.facts.arn if stream is not None else _known_as(positions, source)
        boot = positions.boots.get(arn)
        scene = Scene(
            boot, positions.of(arn), stream.shards if stream is not None else None,
            stream.facts.retention_ms if stream is not None else None, slot_owners(group, topics, source),
            settings.source_slots, service_now(stream),
        )  # fmt: skip
        remade = boot is not None and stream is not None and boot.created_ms != stream.facts.created_ms
        shards = tuple(judge(scene, everything=everything))
        found.append(Look(source, arn, trouble, scene.retention_ms, boot, remade, shards))
    known = {one.stream for one in found}
    others = (
        arn for arn in positions.streams()
        if arn not in known and not any(source.serves(arn) for source in settings.sources)
    )  # fmt: skip
    return Looks(group, tuple(found), tuple(others))


async def _ask(settings: Settings, source: SourceSpec) -> tuple[StreamNow | None, str]:
    try:
        return await ask_stream(settings, source), ""
    except AwsError as error:
        return None, error.code


def slot_owners(group: GroupState, topics: Topics, source: SourceSpec) -> dict[int, str]:
    """Who reads the shards of a source, by source slot; nobody reads one that is not enabled."""
    return {slot: owner for (topic, slot), owner in group.holders.items() if topic == topics.slots and source.enabled}


def service_now(stream: StreamNow | None) -> int:
    """Milliseconds since the epoch, by the clock of the service if it told."""
    return (stream.facts.asked_ms if stream is not None else 0) or time.time_ns() // 1_000_000


def moment(milliseconds: int) -> str | None:
    """ISO 8601 in UTC; None for 0."""
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _known_as(positions: Positions, source: SourceSpec) -> str:
    known = [arn for arn in positions.streams() if source.serves(arn)]
    if len(known) > 1:
        raise ConfigurationError(
            f"AWS does not answer, and checkpoints are there of {', '.join(known)}",
            hint=f"name the stream of source {source.name} by one of these ARNs",
        )
    return known[0] if known else source.stream


def refuse_members(group: GroupState, stage: str) -> None:
    """Raises RefusedError while somebody is in the group: never overruled, two writers would undo each other."""
    if not group.idle:
        raise RefusedError(
            f"workers of the {stage} stage are running: {', '.join(group.members) or group.state}",
            hint="stop all of them; one that was killed counts until its session ends (CDC_SESSION_TIMEOUT)",
        )
