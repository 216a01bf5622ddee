"""What stands in `cdc.checkpoints`, read from the outside."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition

from models.checkpoint import Boot, Checkpoint, decode_entry
from workers.failures import CommandError
from workers.kafka.connection import KafkaConnection
from workers.kafka.logs import Tell, ends, read_logs, refuse_unread

CLIENT = "cdc-checkpoint"


@dataclass(frozen=True, slots=True)
class Positions:
    """Boot records and checkpoints of all streams."""

    boots: Mapping[str, Boot]
    """By ARN."""
    placed: Mapping[tuple[int, bytes], Checkpoint]
    """By (source slot, key of the record)."""

    def of(self, arn: str) -> dict[str, tuple[int, Checkpoint]]:
        """{shard: (source slot, checkpoint)} of one stream."""
        return {found.shard: (slot, found) for (slot, _), found in sorted(self.placed.items()) if found.stream == arn}

    def streams(self) -> tuple[str, ...]:
        """ARNs of all streams that are mentioned."""
        return tuple(sorted({*self.boots, *(found.stream for found in self.placed.values())}))


async def read_positions(
    connection: KafkaConnection, topic: str, slots: Iterable[int], tell: Tell, *, fenced: bool = False
) -> Positions:
    """Read these partitions as far as everything is decided: what stands behind an open transaction comes later.
    `fenced`: no producer has one open, so up to the high watermarks. Raises KafkaError, CommandError for what cannot be
    read: a position is not guessed."""
    boots: dict[str, Boot] = {}
    placed: dict[tuple[int, bytes], Checkpoint] = {}

    def apply(record: Any) -> None:
        stream, _, shard = record.key.decode().rpartition("|")
        if record.value is None:
            if shard:
                placed.pop((record.partition, record.key), None)
            else:
                boots.pop(stream, None)
            return
        match decode_entry(record.key, record.value):
            case Boot() as boot:
                boots[stream] = boot
            case Checkpoint() as checkpoint:
                placed[record.partition, record.key] = checkpoint

    try:
        goals = await ends(connection, CLIENT, [TopicPartition(topic, slot) for slot in slots], stable=not fenced)
        logs = await read_logs(connection, CLIENT, goals, apply, tell)
    except ValueError as error:
        raise CommandError(f"{topic}: {error}", hint="another release or product writes there") from None
    refuse_unread(logs.values())
    return Positions(boots, placed)
