"""Kinesis -> `cdc.raw.<source>`, exactly once (P1): records and positions stand in one transaction.

A source slot owns the shards whose hash range has its midpoint in it. Whoever holds the slot fences its predecessor,
reads the slot's checkpoints to the high watermark, and goes on behind them.
"""

import asyncio
from dataclasses import dataclass

from enrichers.routing import route
from models.catalogue import Catalogue
from models.checkpoint import Checkpoint, ShardState
from models.raw import Origin, raw_headers
from models.routing import partition_of
from workers.aws.client import JsonClient
from workers.aws.errors import AwsError
from workers.engine.app import StageApp
from workers.engine.errors import StaleBatch
from workers.engine.slot import Slot
from workers.engine.unit import UnitOfWork
from workers.kinesis.checkpoints import read_checkpoints
from workers.kinesis.intake import Intake, Part
from workers.kinesis.reader import ReadOptions, Record, ShardReader
from workers.kinesis.shards import REFRESH_SECONDS, RETRY_SECONDS, Shard, ShardDirectory
from workers.topics import Topics

INTAKE_BYTES = 16 << 20
LINGER = 0.1
"""Seconds a unit waits for more records; a transaction costs the same whatever its size."""
POLL = 0.5


@dataclass(frozen=True, slots=True)
class Bridge:
    """What the bridge works with."""

    client: JsonClient
    directory: ShardDirectory
    reading: ReadOptions
    catalogue: Catalogue
    topics: Topics
    partitions: int


def add_bridge(app: StageApp, bridge: Bridge) -> None:
    """Register the stage's work: one task per source slot."""

    @app.slot_task(bridge.topics.slots)
    async def bridge_shards(slot: Slot, stopping: asyncio.Event) -> None:
        """Kinesis shards to raw records, exactly once."""
        try:
            shards = await bridge.directory.of_slot(slot.index)
        except AwsError as error:
            if bridge.directory.is_news(error):
                app.log.error("cannot list the shards of stream %s: %s", bridge.reading.stream, error.code)
            await app.slots.wait_stopping(RETRY_SECONDS)
            return
        if not shards:
            await app.slots.wait_stopping(REFRESH_SECONDS)
            return
        # P1: InitProducerId first, then the checkpoints, then the records.
        if not await app.slots.repair(slot, counted=False):
            return
        client = app.options.client(f"{app.conf.id}-checkpoints")
        checkpoints = await read_checkpoints(client, bridge.topics.checkpoints, slot.index)
        await _forward(bridge, slot, shards, checkpoints, stopping)


async def _forward(
    bridge: Bridge, slot: Slot, shards: tuple[Shard, ...], checkpoints: dict[str, Checkpoint], stopping: asyncio.Event
) -> None:
    """Until the slot is given up, or the slot's shards change."""
    readers = [
        ShardReader(bridge.client, bridge.reading, shard, checkpoints.get(shard.id))
        for shard in shards
        if not _ended(checkpoints.get(shard.id))
    ]
    async with Intake(readers, INTAKE_BYTES) as intake:
        while not stopping.is_set() and slot.current:
            if await _listed(bridge, slot, shards) != shards:
                return
            parts = await intake.take(POLL)
            if not parts:
                continue
            try:
                async with UnitOfWork(slot) as unit:
                    moved = [_send_part(bridge, unit, part, checkpoints.get(part.shard.id)) for part in parts]
            except StaleBatch:
                return
            checkpoints.update((checkpoint.shard, checkpoint) for checkpoint in moved)
            await slot.app.slots.wait_stopping(LINGER)


async def _listed(bridge: Bridge, slot: Slot, known: tuple[Shard, ...]) -> tuple[Shard, ...]:
    """The slot's shards now; what is known while the listing fails. A busy slot has to see new shards too."""
    try:
        return await bridge.directory.of_slot(slot.index)
    except AwsError as error:
        if bridge.directory.is_news(error):
            slot.app.log.warning("cannot list the shards of stream %s: %s", bridge.reading.stream, error.code)
        return known


def _ended(checkpoint: Checkpoint | None) -> bool:
    return checkpoint is not None and checkpoint.state is ShardState.SHARD_END


def _send_part(bridge: Bridge, unit: UnitOfWork, part: Part, before: Checkpoint | None) -> Checkpoint:
    for record in part.records:
        _send_record(bridge, unit, part.shard, record)
    last = part.records[-1] if part.records else None
    after = Checkpoint(
        stream=bridge.reading.stream,
        shard=part.shard.id,
        state=ShardState.SHARD_END if part.last else ShardState.ACTIVE,
        sequence=last.sequence_number if last else before.sequence if before else "",
        sub_sequence=0,
        arrival_ms=last.arrival_ms if last else before.arrival_ms if before else 0,
        records=(before.records if before else 0) + len(part.records),
        parents=part.shard.parents,
    )
    unit.send(bridge.topics.checkpoints, after.key, after.encode())
    unit.took(len(part.records))
    return after


def _send_record(bridge: Bridge, unit: UnitOfWork, shard: Shard, record: Record) -> None:
    found = route(record.data, record.partition_key, bridge.catalogue)
    origin = Origin(bridge.reading.stream, shard.id, record.sequence_number, 0, record.arrival_ms)
    topic, partitions = bridge.topics.raw, bridge.partitions
    if found.retired_key is not None:
        # The row has a new key: its old partition forgets it, in the same transaction.
        headers = raw_headers(origin, adapter=found.adapter, table=found.table, retired=True)
        unit.send(topic, found.retired_key, None, headers, partition=partition_of(found.retired_key, partitions))
    headers = raw_headers(origin, adapter=found.adapter, table=found.table)
    unit.send(topic, found.key, record.data, headers, partition=partition_of(found.key, partitions))
