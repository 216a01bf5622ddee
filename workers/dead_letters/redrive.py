"""Dead letters back to their stages: `cdc.dead` -> `cdc.redrive.<stage>`, exactly once.

P8: what was redriven stands in the same transaction as the records themselves. A command that is killed has written a
letter and its mark, or neither; the next one begins by fencing it off, reads the marks, and goes on with what is left.
P4: letters of one key stand in one partition, and are written in the order in which they stand there.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from time import monotonic

from models.buried import GAP, Buried, Kind
from models.handled import Handled, LetterId
from models.letter_selection import Selection
from models.redrive import NotRedrivable, RedriveRecord, redrive_of
from workers.dead_letters.marks import Mark
from workers.dead_letters.pace import MAX_RECORDS, Pace
from workers.dead_letters.reading import DeadLetters, KeysOf, letters
from workers.dead_letters.writing import Sleep, write_again
from workers.engine.slot_producer import SlotProducer
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics

DOING = "letters redriven"

Chosen = tuple[Buried, RedriveRecord]


@dataclass(slots=True)
class Tally:
    """What a redrive does, or did."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    """Letters to redrive."""
    refused: list[tuple[LetterId, str]] = field(default_factory=list)
    """Selected letters that stay, each with the reason."""
    gaps: int = 0
    """Selected gap records: no letters, and left alone."""

    @property
    def letters(self) -> int:
        """How many are redriven."""
        return self.kinds.total()


@dataclass(frozen=True, slots=True)
class Redrive:
    """Which letters to redrive. The same object plans and writes, so that both see the same letters."""

    found: DeadLetters
    selection: Selection
    keys_of: KeysOf
    max_replays: int
    limit: int | None = None
    """At most so many, the oldest ones."""

    async def plan(self, kafka: KafkaAccess, tell: Tell) -> Tally:
        """What would be done."""
        tally = Tally()
        async with aclosing(self._chosen(kafka, tally, tell)) as chosen:
            async for _ in chosen:
                pass
        return tally

    async def write(
        self, kafka: KafkaAccess, producer: SlotProducer, topics: Topics, *, pace: Pace, now_ms: Callable[[], int],
        tell: Tell, total: int,
    ) -> Tally:  # fmt: skip
        """Do it; `tell` hears how many of `total` letters are. `found` must have been looked at behind the fence of
        `producer`. Raises what `sole_writer` translates, KafkaError, CommandError."""
        tally = Tally()
        chosen = self._chosen(kafka, tally, lambda *_: None)
        async with aclosing(chosen):
            await write_letters(
                producer, topics, chosen, pace=pace, now_ms=now_ms, tell=lambda done: tell(DOING, done, total),
                forget=obsolete(self.found),
            )  # fmt: skip
        return tally

    async def _chosen(self, kafka: KafkaAccess, tally: Tally, tell: Tell) -> AsyncGenerator[Chosen]:
        read = letters(kafka, self.found, self.selection, self.keys_of, tell, doing="letters read")
        async with aclosing(read) as selected:
            async for buried in selected:
                if buried.code == GAP:
                    tally.gaps += 1
                    continue
                match redrive_of(buried.record, max_replays=self.max_replays):
                    case NotRedrivable(reason):
                        tally.refused.append((buried.id, reason))
                    case RedriveRecord(partition=partition) if partition != buried.id.partition:
                        tally.refused.append((buried.id, "it stands in another partition than its original"))
                    case RedriveRecord() as record:
                        tally.kinds[buried.kind] += 1
                        yield buried, record
                        if tally.letters == self.limit:
                            return


async def write_letters(
    producer: SlotProducer, topics: Topics, chosen: AsyncIterable[Chosen], *, pace: Pace, now_ms: Callable[[], int],
    tell: Callable[[int], None], forget: Iterator[Handled], clock: Callable[[], float] = monotonic,
    sleep: Sleep = asyncio.sleep,
) -> None:  # fmt: skip
    """Write letters in their order, each with its mark; `tell` hears how many stand. Marks to `forget` go along."""

    def marks(part: Sequence[Buried]) -> Iterator[Mark]:
        at = now_ms()
        for buried in part:
            yield Mark.of(Handled(buried.id, "redriven", at, buried.time_ms))
        for handled in islice(forget, MAX_RECORDS):
            yield Mark.of(handled, forget=True)

    await write_again(producer, topics, chosen, marks, pace=pace, tell=tell, clock=clock, sleep=sleep)


def obsolete(found: DeadLetters) -> Iterator[Handled]:
    """Marks whose letters Kafka has deleted: nobody will ask for them any more."""
    starts = {tp.partition: start for tp, start in found.starts.items()}
    for mark in found.marks.values():
        if mark.letter.offset < starts.get(mark.letter.partition, 0):
            yield mark
