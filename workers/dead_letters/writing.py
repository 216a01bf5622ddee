"""Records back to their stages, exactly once: `cdc.redrive.<stage>`.

P8: what was done stands in the same transaction as the records themselves. P4: they are written in the order in which
they come.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from time import monotonic
from typing import TypeVar

from models.redrive import RedriveRecord
from workers.dead_letters.marks import Mark, send_mark, transaction
from workers.dead_letters.pace import Pace
from workers.engine.slot_producer import SlotProducer
from workers.kafka.topics import Topics
from workers.settings.worker import MEBIBYTE

MAX_BYTES = 8 * MEBIBYTE
"""Of the originals of one transaction, unless one record is larger."""

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]


async def write_again(
    producer: SlotProducer, topics: Topics, chosen: AsyncIterable[tuple[T, RedriveRecord]],
    marks: Callable[[Sequence[T]], Iterable[Mark]], *, pace: Pace, tell: Callable[[int], None],
    clock: Callable[[], float] = monotonic, sleep: Sleep = asyncio.sleep,
) -> None:  # fmt: skip
    """Write records in their order; `marks` says what to write down of those of one transaction, `tell` hears how many
    stand."""
    written, due = 0, clock()
    async for part in _parts(chosen, pace.at_once):
        if (delay := due - clock()) > 0:
            await sleep(delay)
        due = pace.next_after(due, clock(), len(part))
        async with transaction(producer):
            sent = [
                await producer.send(
                    topics.redrive[record.stage], key=record.key, value=record.value, headers=list(record.headers),
                    partition=record.partition,
                )
                for _, record in part
            ]  # fmt: skip
            sent += [await send_mark(producer, topics.handled, mark) for mark in marks([one for one, _ in part])]
            await asyncio.gather(*sent)
        written += len(part)
        tell(written)


async def _parts(
    chosen: AsyncIterable[tuple[T, RedriveRecord]], at_once: int
) -> AsyncIterator[list[tuple[T, RedriveRecord]]]:
    """As many as fit into one transaction, in order."""
    part: list[tuple[T, RedriveRecord]] = []
    size = 0
    async for one, record in chosen:
        if part and (len(part) == at_once or size + len(record.value) > MAX_BYTES):
            yield part
            part, size = [], 0
        part.append((one, record))
        size += len(record.value)
    if part:
        yield part
