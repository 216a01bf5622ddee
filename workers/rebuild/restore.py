"""Restores damaged tables: what is left of the changelog, and on top of it what the raw records say.

Only the damaged parts (one table, one partition) are touched. The stage must not run: a rebuild writes under the
transactional ids of the slots, so a worker that starts meanwhile takes them away from it, and it fails without harm.
A rebuild that was cut off is begun again: its first transaction marks the parts of a slot as unfinished in the ledger,
and the stage refuses until the last one has sent the extents of what is there now.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from workers.engine.ledger import UNFINISHED, Extent, Ledger
from workers.failures import RefusedError
from workers.kafka.access import KafkaAccess
from workers.kafka.groups import committed_offsets
from workers.kafka.log_ranges import LogRange
from workers.kafka.logs import Tell
from workers.kafka.topics import Topics, group_of
from workers.rebuild.changelogs import CLIENT, Changelogs, topic_of
from workers.settings.worker import MEBIBYTE, Settings

STAGE = "enrich"
ENTRIES_PER_TRANSACTION = 5_000
TRANSACTION_MS = 60_000


@dataclass(frozen=True, slots=True)
class Mended:
    """One table in one partition."""

    table: str
    partition: int
    why: str
    """What is wrong with it."""
    kept: int
    """Entries of the changelog that stay as they are."""
    put: dict[bytes, bytes]
    """Entries to write."""
    removed: tuple[bytes, ...]
    """Keys to remove: their rows are gone, or their entries cannot be read."""


@dataclass(frozen=True, slots=True)
class Rebuild:
    """What there is to do."""

    mended: tuple[Mended, ...]
    ranges: dict[TopicPartition, LogRange]
    """The raw records it comes from."""
    since_ms: dict[TopicPartition, int]
    """Kafka time of the first raw record of a partition; partitions without records are left out."""
    records: int
    """Raw records that were read, more than once if necessary."""
    offsets: dict[TopicPartition, OffsetAndMetadata]
    """Committed ones of the stage."""
    changelogs: Changelogs

    @property
    def cut_ranges(self) -> tuple[LogRange, ...]:
        """Those of damaged partitions that do not reach back to the stage's first record."""
        damaged = {part.partition for part in self.mended}
        return tuple(found for tp, found in sorted(self.ranges.items()) if tp.partition in damaged and not found.whole)

    @property
    def cut(self) -> tuple[int, ...]:
        """Partitions of which raw records are missing, whatever the source."""
        return tuple(sorted({found.tp.partition for found in self.cut_ranges}))

    def since(self, index: int) -> int | None:
        """Kafka time from which on no raw record of that partition is missing; None if none is left."""
        cut = [found.tp for found in self.cut_ranges if found.tp.partition == index]
        times = [self.since_ms[tp] for tp in cut or self.ranges if tp.partition == index and tp in self.since_ms]
        return (max(times) if cut else min(times)) if times else None


async def write_rebuild(settings: Settings, kafka: KafkaAccess, rebuild: Rebuild, tell: Tell) -> None:
    """Write it, slot by slot. Raises RefusedError if a worker has worked meanwhile, KafkaError."""
    await refuse_members(settings, kafka)
    slots: dict[int, list[Mended]] = defaultdict(list)
    for part in rebuild.mended:
        slots[part.partition].append(part)
    total = sum(len(part.put) + len(part.removed) for part in rebuild.mended)
    done = 0
    for index, parts in sorted(slots.items()):
        try:
            await _write_slot(settings, kafka, rebuild, index, parts)
        except ProducerFenced:
            raise _gone_on() from None
        done += sum(len(part.put) + len(part.removed) for part in parts)
        tell("entries", done, total)


async def refuse_members(settings: Settings, kafka: KafkaAccess) -> None:
    """Raises RefusedError while somebody is in the group."""
    group = await kafka.group(group_of(settings, STAGE))
    if not group.idle:
        raise RefusedError(
            f"workers of the enrich stage are running: {', '.join(group.members) or group.state}",
            hint="stop all of them; one that was killed counts until its session ends (CDC_SESSION_TIMEOUT)",
        )


def _gone_on() -> RefusedError:
    return RefusedError("a worker has started meanwhile", hint="stop all workers of enrich, then try again")


async def _write_slot(
    settings: Settings, kafka: KafkaAccess, rebuild: Rebuild, index: int, parts: Sequence[Mended]
) -> None:  # fmt: skip
    group = group_of(settings, STAGE)
    producer = AIOKafkaProducer(
        **kafka.connection.client(CLIENT), transactional_id=f"{group}-{index}", transaction_timeout_ms=TRANSACTION_MS,
        max_request_size=12 * MEBIBYTE,
    )  # fmt: skip
    await producer.start()  # InitProducerId: what the slot left open has ended, and it commits nothing any more
    try:
        topics = Topics.of(settings)
        sources = [TopicPartition(topic, index) for topic in (*topics.raw.values(), topics.redrive[STAGE])]
        offsets = {tp: entry for tp, entry in rebuild.offsets.items() if tp.partition == index}
        # P2: read after the fence. A position that moved belongs to other tables than those computed here.
        if await committed_offsets(kafka.connection, group, sources) != offsets:
            raise _gone_on()
        extents = {part.table: rebuild.changelogs.extent((part.table, index), None) for part in parts}
        unfinished = {table: Extent(extent.begin if extent else 0, UNFINISHED) for table, extent in extents.items()}
        await _write_positions(producer, group, offsets, unfinished)
        for part in parts:
            last = await _write_entries(producer, topic_of(group, part.table), part)
            if last >= 0:
                extents[part.table] = rebuild.changelogs.extent((part.table, index), last)
        await _write_positions(producer, group, offsets, extents)
    finally:
        await producer.stop()


async def _write_entries(producer: AIOKafkaProducer, topic: str, part: Mended) -> int:
    """Returns the last offset written, -1 for none."""
    entries: list[tuple[bytes, bytes | None]] = [*part.put.items(), *((key, None) for key in part.removed)]
    last = -1
    for start in range(0, len(entries), ENTRIES_PER_TRANSACTION):
        await producer.begin_transaction()
        sent = [
            await producer.send(topic, key=key, value=value, partition=part.partition)
            for key, value in entries[start : start + ENTRIES_PER_TRANSACTION]
        ]
        for delivery in sent:
            last = max(last, (await delivery).offset)
        await producer.commit_transaction()
    return last


async def _write_positions(
    producer: AIOKafkaProducer, group: str, offsets: Mapping[TopicPartition, OffsetAndMetadata],
    extents: Mapping[str, Extent | None],
) -> None:  # fmt: skip
    """The positions stay; their ledgers learn how far the changelogs reach now.

    All ledgers of the slot, at once: the furthest extent of any of them counts, so that one which still told of the
    log before it was made anew, or of an unfinished rebuild, would have the stage refuse for ever."""
    found = {}
    for tp, committed in offsets.items():
        ledger = Ledger.decode(committed.metadata)
        known = {table: extent for table, extent in ledger.changelogs.items() if table not in extents}
        known |= {table: extent for table, extent in extents.items() if extent is not None}
        metadata = Ledger(ledger.counts, ledger.since, known).encode()
        found[tp] = OffsetAndMetadata(committed.offset, metadata)
    await producer.begin_transaction()
    await producer.send_offsets_to_transaction(found, group)
    await producer.commit_transaction()
