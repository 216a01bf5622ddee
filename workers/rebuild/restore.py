"""Restores damaged tables: what is left of the changelog, and on top of it what the raw records say.

Only the damaged parts (one table, one partition) are touched. The stage must not run: a rebuild writes under the
transactional ids of the slots, so a worker that starts meanwhile takes them away from it, and it fails without harm.
A rebuild that was cut off is begun again: the stage keeps refusing until the last transaction of each slot, which
carries its position with the new extents of its changelogs.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from enrichers.pipeline import Pipeline
from enrichers.state import NewerFormatError
from models.raw import raw_record
from workers.contract import enrich_pipeline, read_catalogue
from workers.engine.ledger import Ledger
from workers.engine.offsets import log_bounds
from workers.failures import ConfigurationError, RefusedError
from workers.groups import committed_offsets
from workers.kafka_access import KafkaAccess
from workers.rebuild.changelogs import CLIENT, Changelogs, find_damage, read_changelogs, topic_of
from workers.rebuild.image import Part, TableImage
from workers.rebuild.raw import RawRange, Tell, in_order
from workers.settings import MEBIBYTE, Settings
from workers.topics import MEMORY_TABLE, PINS_TABLE, Topics, group_of

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
    ranges: dict[int, RawRange]
    """The raw records it comes from, by partition."""
    since_ms: dict[int, int]
    """Kafka time of the first raw record of a partition; partitions without records are left out."""
    records: int
    """Raw records that were read, more than once if necessary."""
    offsets: dict[int, OffsetAndMetadata]
    changelogs: Changelogs

    @property
    def cut(self) -> tuple[int, ...]:
        """Partitions whose raw records do not reach back to the stage's first one."""
        damaged = {part.partition for part in self.mended}
        return tuple(sorted(index for index in damaged if not self.ranges[index].whole))


def tables_of(settings: Settings) -> tuple[str, ...]:
    """Names of all tables of the stage."""
    return (*read_catalogue(settings).lookups, PINS_TABLE, MEMORY_TABLE)


async def plan_rebuild(
    settings: Settings, kafka: KafkaAccess, forced: Collection[str], *, discard: bool, tell: Tell
) -> Rebuild:  # fmt: skip
    """Look for damage, and compute what the tables have to hold. Writes nothing.

    `forced`: rebuild these tables whether damaged or not. `discard`: begin with nothing instead of what is left.
    Raises RefusedError while a worker runs, ConfigurationError, KafkaError."""
    return await _Planner(settings, kafka, discard, tell).plan(forced)


async def write_rebuild(settings: Settings, kafka: KafkaAccess, rebuild: Rebuild, tell: Tell) -> None:
    """Write it, slot by slot. Raises RefusedError if a worker has worked meanwhile, KafkaError."""
    await _refuse_members(settings, kafka)
    group, raw = group_of(settings, STAGE), Topics.of(settings).raw
    slots: dict[int, list[Mended]] = defaultdict(list)
    for part in rebuild.mended:
        slots[part.partition].append(part)
    total = sum(len(part.put) + len(part.removed) for part in rebuild.mended)
    done = 0
    for index, parts in sorted(slots.items()):
        producer = AIOKafkaProducer(
            **kafka.connection.client(CLIENT), transactional_id=f"{group}-{index}",
            transaction_timeout_ms=TRANSACTION_MS, max_request_size=12 * MEBIBYTE,
        )  # fmt: skip
        await producer.start()  # InitProducerId: what the slot left open has ended, and it commits nothing any more
        try:
            tp = TopicPartition(raw, index)
            # P2: read after the fence. A position that moved belongs to other tables than those computed here.
            if (await committed_offsets(kafka.connection, group, [tp])).get(tp) != rebuild.offsets[index]:
                raise RefusedError("a worker has gone on meanwhile", hint="stop all workers of enrich, then try again")
            written: dict[Part, int] = {}
            for part in parts:
                written[part.table, index] = await _write_entries(producer, topic_of(group, part.table), part)
                done += len(part.put) + len(part.removed)
                tell("entries", done, total)
            await _write_position(producer, group, tp, rebuild, parts, written)
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


async def _write_position(
    producer: AIOKafkaProducer, group: str, tp: TopicPartition, rebuild: Rebuild, parts: list[Mended],
    written: Mapping[Part, int],
) -> None:  # fmt: skip
    """The position stays; its ledger learns how far the changelogs reach now."""
    committed = rebuild.offsets[tp.partition]
    ledger = Ledger.decode(committed.metadata)
    extents = dict(ledger.changelogs)
    for part in parts:
        where = (part.table, part.partition)
        extent = rebuild.changelogs.extent(where, written[where] if written[where] >= 0 else None)
        if extent is None:
            extents.pop(part.table, None)
        else:
            extents[part.table] = extent
    metadata = Ledger(ledger.counts, ledger.since, extents).encode()
    await producer.begin_transaction()
    await producer.send_offsets_to_transaction({tp: OffsetAndMetadata(committed.offset, metadata)}, group)
    await producer.commit_transaction()


async def _refuse_members(settings: Settings, kafka: KafkaAccess) -> None:
    group = await kafka.group(group_of(settings, STAGE))
    if not group.idle:
        raise RefusedError(
            f"workers of the enrich stage are running: {', '.join(group.members) or group.state}",
            hint="stop all of them; one that was killed counts until its session ends (CDC_SESSION_TIMEOUT)",
        )


class _Planner:
    def __init__(self, settings: Settings, kafka: KafkaAccess, discard: bool, tell: Tell) -> None:
        self.settings = settings
        self.kafka = kafka
        self.discard = discard
        self.tell = tell
        self.catalogue = read_catalogue(settings)
        self.pipeline: Pipeline = enrich_pipeline(settings, self.catalogue)
        self.lookups = (*self.catalogue.lookups, PINS_TABLE)
        self.raw = Topics.of(settings).raw
        self.group = group_of(settings, STAGE)
        self.ranges: dict[int, RawRange] = {}
        self.since_ms: dict[int, int] = {}
        self.records = 0

    async def plan(self, forced: Collection[str]) -> Rebuild:
        await _refuse_members(self.settings, self.kafka)
        indexes = range(self.settings.partitions)
        sources = [TopicPartition(self.raw, index) for index in indexes]
        offsets = await committed_offsets(self.kafka.connection, self.group, sources)
        missing = [tp for tp in sources if tp not in offsets]
        if missing:
            raise ConfigurationError(
                f"group {self.group} has no offset for {missing[0].topic}/{missing[0].partition}: nobody knows how far "
                "its tables should reach",
                hint="start the stage once, or set its offsets, then try again",
            )
        tables = (*self.lookups, MEMORY_TABLE)
        topics = [TopicPartition(topic_of(self.group, table), index) for table in tables for index in indexes]
        bounds = await self._bounds([*sources, *topics])
        try:
            changelogs = await read_changelogs(
                self.kafka.connection, self.group, tables, bounds, self.settings.partitions
            )
        except NewerFormatError as error:
            raise ConfigurationError(str(error), hint="rebuild with the newest release that has run") from None
        self.ranges = {tp.partition: _range(tp, bounds[tp], offsets[tp]) for tp in sources}
        damage = {(table, index): "asked for" for table in forced for index in indexes}
        damage |= find_damage(changelogs, ((tp.partition, committed) for tp, committed in offsets.items()))
        mended = await self._mend(changelogs, damage)
        positions = {tp.partition: committed for tp, committed in offsets.items()}
        return Rebuild(mended, self.ranges, self.since_ms, self.records, positions, changelogs)

    async def _bounds(self, tps: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        consumer = AIOKafkaConsumer(**self.kafka.connection.client(CLIENT), isolation_level="read_committed")
        await consumer.start()
        try:
            return await log_bounds(consumer, tps)
        finally:
            await consumer.stop()

    async def _mend(self, changelogs: Changelogs, damage: Mapping[Part, str]) -> tuple[Mended, ...]:
        if not damage:
            return ()
        found = changelogs.image.copy(changelogs.image.parts)
        if self.discard:
            for part in damage:
                found.parts[part] = {}
        if any(table != MEMORY_TABLE for table, _ in damage):
            await self._restore_lookups(found, damage)
        if any(table == MEMORY_TABLE for table, _ in damage):
            await self._restore_memory(found, damage)
        return tuple(self._difference(changelogs, found, part, why) for part, why in sorted(damage.items()))

    async def _restore_lookups(self, found: TableImage, damage: Mapping[Part, str]) -> None:
        """Without the memory of the rows: by that, every change would be one that was sent again."""
        image = found.copy(part for part in found.parts if part[0] != MEMORY_TABLE)
        await self._fold(image, "lookups")
        for part in damage:
            if part[0] != MEMORY_TABLE:
                found.parts[part] = image.parts[part]

    async def _restore_memory(self, found: TableImage, damage: Mapping[Part, str]) -> None:
        """With lookups as they were at each record; an entry that came later than its row is taken from the end."""
        kept = (part for part in found.parts if part[0] == PINS_TABLE or (part in damage and part[0] == MEMORY_TABLE))
        image = found.copy(kept, later=found)
        await self._fold(image, "row memory")
        for part in damage:
            if part[0] == MEMORY_TABLE:
                found.parts[part] = image.parts[part]

    async def _fold(self, image: TableImage, doing: str) -> None:
        async for record in in_order(self.kafka.connection, self.ranges, self.tell, doing):
            self.since_ms.setdefault(record.partition, record.timestamp)
            self.records += 1
            image.partition = record.partition
            result = self.pipeline.run(_raw(record), image, patient=False)
            image.apply(result.effects)

    @staticmethod
    def _difference(changelogs: Changelogs, found: TableImage, part: Part, why: str) -> Mended:
        before, after = changelogs.image.parts.get(part, {}), found.parts.get(part, {})
        put = {key: value for key, value in after.items() if before.get(key) != value}
        gone = [key for key in (*before, *changelogs.unreadable.get(part, ())) if key not in after]
        return Mended(*part, why, len(after) - len(put), put, tuple(gone))


def _range(tp: TopicPartition, bounds: tuple[int, int], committed: OffsetAndMetadata) -> RawRange:
    since, start = Ledger.decode(committed.metadata).since, bounds[0]
    return RawRange(tp, min(start, committed.offset), committed.offset, since is not None and start <= since)


def _raw(record: Any) -> Any:
    return raw_record(
        topic=record.topic, partition=record.partition, offset=record.offset, timestamp_ms=record.timestamp,
        key=record.key, value=record.value, headers=record.headers,
    )  # fmt: skip
