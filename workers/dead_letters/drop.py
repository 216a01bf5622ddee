"""Dead letters that nobody has to look at any more: marked, not deleted; Kafka deletes them by time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import islice

from models.buried import Kind
from models.handled import Action, Handled
from models.letter_selection import Selection
from workers.dead_letters.marks import Mark, send_mark, transaction
from workers.dead_letters.pace import MAX_RECORDS
from workers.dead_letters.reading import DeadLetters, KeysOf, letters
from workers.engine.slot_producer import SlotProducer
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics


async def plan_drop(
    kafka: KafkaAccess, found: DeadLetters, selection: Selection, keys_of: KeysOf, tell: Tell, *, undo: bool
) -> tuple[list[Handled], Counter[Kind]]:
    """The marks to write (their time is 0 so far), or with `undo` those to take back, and how many of each kind."""
    marks: list[Handled] = []
    kinds: Counter[Kind] = Counter()
    wanted: tuple[Action | None, ...] = ("dropped",) if undo else (None,)
    async for buried in letters(kafka, found, selection, keys_of, tell, doing="letters read", handled=wanted):
        marks.append(Handled(buried.id, "dropped", 0, buried.time_ms))
        kinds[buried.kind] += 1
    return marks, kinds


async def write_drop(
    producer: SlotProducer, topics: Topics, marks: list[Handled], *, undo: bool, now_ms: Callable[[], int], tell: Tell
) -> None:
    """Raises what `sole_writer` translates, KafkaError."""
    rest, done = iter(marks), 0
    while part := list(islice(rest, MAX_RECORDS)):
        async with transaction(producer):
            at = now_ms()
            sent = [
                await send_mark(
                    producer, topics.handled, Mark.of(Handled(m.letter, m.action, at, m.letter_ms), forget=undo)
                )
                for m in part
            ]
            await asyncio.gather(*sent)
        done += len(part)
        tell("marks written", done, len(marks))
