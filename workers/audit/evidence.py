"""The checkpoints, which say how far every shard was forwarded."""

from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition

from models.checkpoint import Boot, decode_entry
from models.source_spec import SourceSpec
from workers.audit.counts import Forwarded, ShardKey
from workers.failures import CommandError
from workers.kafka.connection import KafkaConnection
from workers.kafka.logs import PATIENCE, Tell, ends, read_logs, refuse_unread

CLIENT = "cdc-status"


async def read_shards(
    connection: KafkaConnection, topic: str, slots: int, tell: Tell = lambda *_: None, patience: float = PATIENCE
) -> dict[ShardKey, Forwarded]:
    """The checkpoints of all shards. Raises KafkaError, CommandError for what cannot be read."""
    found: dict[bytes, Forwarded] = {}

    def apply(record: Any) -> None:
        if record.value is None:
            found.pop(record.key, None)
            return
        entry = decode_entry(record.key, record.value)
        if not isinstance(entry, Boot):
            found[record.key] = Forwarded.of(entry, record.partition)

    try:
        goals = await ends(connection, CLIENT, [TopicPartition(topic, slot) for slot in range(slots)], stable=False)
        logs = await read_logs(connection, CLIENT, goals, apply, tell, patience)
    except ValueError as error:
        raise CommandError(f"{topic}: {error}", hint="another release or product writes there") from None
    refuse_unread(logs.values())
    return {(shard.stream, shard.shard): shard for shard in found.values()}


def source_of(arn: str, sources: Iterable[SourceSpec]) -> SourceSpec | None:
    """Whose stream that is, enabled or not; None if no source reads it.

    A bare name may be that of a stream in another account, too: the source that says more of its stream wins."""
    serving = [source for source in sources if source.serves(arn)]
    return min(serving, key=lambda source: (source.stream != arn, source.role is None), default=None)
