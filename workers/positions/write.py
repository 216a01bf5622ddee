"""Writes a change of the checkpoints, so that a crash at any moment leaves something that refuses.

First the producers of all slots are fenced: nobody commits any more who had one. Then, one transaction each: slot 0
with a boot record that says `unfinished`, which no worker reads on with; every other slot; and last the boot record as
it shall be, after everything was read back. Who is cut off before that is run again. A worker that starts meanwhile
takes slots away from us and refuses to read; we fail, and the record stays unfinished.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace

from aiokafka.errors import ProducerFenced

from models.checkpoint import BOOT_SLOT, Boot
from workers.engine.slot_producer import SlotProducer
from workers.failures import RefusedError
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics, group_of
from workers.positions.look import STAGE, refuse_members
from workers.positions.target import Change
from workers.positions.topic import CLIENT, Positions, read_positions
from workers.settings.worker import MEBIBYTE, Settings

TRANSACTION_MS = 30_000
AT_ONCE = 8


async def write_change(settings: Settings, kafka: KafkaAccess, change: Change, tell: Tell) -> None:
    """Raises RefusedError if a worker runs or has run meanwhile, KafkaError."""
    group = group_of(settings, STAGE)
    topic = Topics.of(settings).checkpoints
    everywhere = range(settings.source_slots)
    refuse_members(await kafka.group(group), STAGE)
    boot, arn = change.target.boot, change.target.boot.stream
    writes = {slot: dict(entries) for slot, entries in change.writes.items()}
    begun = replace(boot, unfinished=change.target.what)
    first = writes.pop(BOOT_SLOT, {}) | {boot.key: begun.encode()}
    try:
        async with _producers(settings, kafka, {BOOT_SLOT, *writes}) as producers:
            refuse_members(await kafka.group(group), STAGE)
            if not _same(
                await read_positions(kafka.connection, topic, everywhere, tell, fenced=True), change.before, arn
            ):
                raise _gone_on()
            await _commit(producers[BOOT_SLOT], topic, BOOT_SLOT, first)
            for done, (slot, entries) in enumerate(sorted(writes.items()), 1):
                await _commit(producers[slot], topic, slot, entries)
                tell("slots", done, len(writes))
            refuse_members(await kafka.group(group), STAGE)
            stands = await read_positions(kafka.connection, topic, everywhere, tell, fenced=True)
            if not _same(stands, change.after(), arn, boot=begun):
                raise _gone_on()
            await _commit(producers[BOOT_SLOT], topic, BOOT_SLOT, {boot.key: boot.encode()})
    except ProducerFenced:
        raise _gone_on() from None


@contextlib.asynccontextmanager
async def _producers(
    settings: Settings, kafka: KafkaAccess, needed: Iterable[int]
) -> AsyncIterator[dict[int, SlotProducer]]:
    """Fence every slot: one without a checkpoint may have its first one in the hands of a frozen worker. Those that are
    not `needed` are closed again."""
    group = group_of(settings, STAGE)
    keep = set(needed)
    room = asyncio.Semaphore(AT_ONCE)
    opened: dict[int, SlotProducer] = {}

    async def fence(slot: int) -> None:
        async with room:
            producer = SlotProducer(
                **kafka.connection.client(CLIENT), transactional_id=f"{group}-{slot}",
                transaction_timeout_ms=TRANSACTION_MS, max_request_size=12 * MEBIBYTE,
            )  # fmt: skip
            opened[slot] = producer
            await producer.start()  # InitProducerId
            if slot not in keep:
                await opened.pop(slot).stop()

    try:
        ended = await asyncio.gather(*map(fence, range(settings.source_slots)), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error
        yield opened
    finally:
        await asyncio.gather(*(producer.stop() for producer in opened.values()), return_exceptions=True)


async def _commit(producer: SlotProducer, topic: str, slot: int, entries: Mapping[bytes, bytes | None]) -> None:
    await producer.begin_transaction()
    for key, value in entries.items():
        await producer.send(topic, key=key, value=value, partition=slot)
    await producer.commit_transaction()


def _same(found: Positions, wanted: Positions, arn: str, boot: Boot | None = None) -> bool:
    of_stream = [
        {where: checkpoint for where, checkpoint in positions.placed.items() if checkpoint.stream == arn}
        for positions in (found, wanted)
    ]
    return of_stream[0] == of_stream[1] and found.boots.get(arn) == (boot or wanted.boots.get(arn))


def _gone_on() -> RefusedError:
    return RefusedError("a worker has worked meanwhile", hint="stop all workers of bridge, then run it again")
