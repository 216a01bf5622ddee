"""From what was read of a shard to what stands in Kafka: raw records, and the checkpoint beside them."""

from dataclasses import dataclass, replace

from enrichers.routing import route
from models.catalogue import Catalogue
from models.checkpoint import Checkpoint, ShardState
from models.dead_letter import GAP_PREFIX
from models.position import Position, stream_name
from models.raw import Origin, raw_headers
from models.routing import partition_of
from models.shard import Shard
from models.sources.kpl import Corrupt, aggregate
from workers.engine.unit import UnitOfWork
from workers.kinesis.cursor import Part, advanced


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the records of one stream go."""

    topic: str
    """`cdc.raw.<source>`."""
    partitions: int
    checkpoints: str
    """`cdc.checkpoints`."""
    dead: str
    """`cdc.dead`."""
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of a shard that arrived from `since_ms` on (milliseconds since the epoch) may be gone."""

    shard: Shard
    since_ms: int
    why: str
    ended: bool = False
    """The shard itself is gone, nothing more comes from it."""


def forward(unit: UnitOfWork, to: Destination, stream: str, part: Part, before: Checkpoint | None) -> Checkpoint:
    """Put the records of a part into the unit, an aggregate whole, and return the checkpoint that belongs to them.
    `stream`: ARN. What stands at or before `part.after` was committed earlier and is left out (P1)."""
    name = stream_name(stream)
    sent, last = 0, None
    for record in part.records:
        sequence = record.sequence_number
        found = aggregate(record.data)
        if found is None or isinstance(found, Corrupt):
            if part.after is not None and Position(int(sequence)) <= part.after:
                continue
            origin = Origin(name, part.shard.id, sequence, 0, record.arrival_ms)
            _send(unit, to, origin, record.data, record.partition_key)
            last, sent = (sequence, 0), sent + 1
            continue
        for index, user in enumerate(found):
            if part.after is not None and Position(int(sequence), index) <= part.after:
                continue
            origin = Origin(name, part.shard.id, sequence, index, record.arrival_ms)
            outside = not user.within(part.shard.first_hash, part.shard.last_hash)
            _send(unit, to, origin, user.data, user.partition_key, outside=outside)
            last, sent = (sequence, index), sent + 1
    unit.took(sent)
    position = Position(int(last[0]), last[1]) if last is not None else None
    return advanced(before, stream, part, position, sent)


def _send(
    unit: UnitOfWork, to: Destination, origin: Origin, data: bytes, partition_key: str, *, outside: bool = False
) -> None:
    found = route(data, partition_key, to.catalogue)
    if found.retired_key is not None:
        # The row has a new key: its old partition forgets it, in the same transaction.
        headers = raw_headers(origin, adapter=found.adapter, table=found.table, retired=True)
        unit.send(to.topic, found.retired_key, None, headers, partition=partition_of(found.retired_key, to.partitions))
    headers = raw_headers(origin, adapter=found.adapter, table=found.table, out_of_range=outside)
    unit.send(to.topic, found.key, data, headers, partition=partition_of(found.key, to.partitions))


def record_loss(unit: UnitOfWork, to: Destination, stream: str, loss: Loss, before: Checkpoint | None) -> Checkpoint:
    """A gap of the source stands beside the dead letters, without key and value, and in the shard's checkpoint: so it
    is reported once. Returns the checkpoint."""
    shard = loss.shard
    where = {"stage": "bridge", "stream": stream, "shard": shard.id, "since": loss.since_ms, "why": loss.why}
    headers = [(f"{GAP_PREFIX}{name}", str(value).encode()) for name, value in where.items()]
    unit.send(to.dead, None, None, headers, partition=partition_of(shard.id.encode(), to.partitions))
    # What it covers stays as old as it is: the children of a shard that is gone may have lost something, too.
    base = before or Checkpoint.first(stream, shard, loss.since_ms)
    return replace(base, gaps=base.gaps + 1, state=ShardState.SHARD_END if loss.ended else base.state)
