"""Entries and sizes of tables, out of their changelogs, up to where these ended when the reading began."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition

from enrichers.state import NewerFormatError
from models.routing import partition_of
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell, ends, read_logs, refuse_unread
from workers.kafka.topics import PINS_TABLE, group_of
from workers.lookup_tables.entries import TableEntry
from workers.rebuild.changelogs import CLIENT, topic_of
from workers.rebuild.image import Part, is_readable
from workers.settings.worker import Settings

STAGE = "enrich"


@dataclass(slots=True)
class PartSize:
    """One partition of one table, by its changelog. Sizes in bytes, times in milliseconds."""

    table: str
    partition: int
    start: int = 0
    end: int = 0
    """Offsets: where the changelog begins, and where what was committed ends."""
    records: int = 0
    tombstones: int = 0
    """Records that take an entry away. Kafka removes them some time after compaction."""
    unreadable: int = 0
    entries: int = 0
    bytes: int = 0
    """Of keys and values that are there; the changelog itself holds what was overwritten, too."""
    oldest_ms: int | None = None
    newest_ms: int | None = None
    """Kafka's times of the entries that are there."""

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "table": self.table, "partition": self.partition, "entries": self.entries, "bytes": self.bytes,
            "records": self.records, "tombstones": self.tombstones, "unreadable": self.unreadable,
            "logStart": self.start, "logEnd": self.end, "oldestMs": self.oldest_ms, "newestMs": self.newest_ms,
        }  # fmt: skip


@dataclass(slots=True)
class _Live:
    """The entries of one partition, without their values."""

    sizes: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Key -> (bytes with the value, time)."""
    unreadable: set[bytes] = field(default_factory=set)

    def put(self, size: PartSize, record: Any) -> None:
        size.records += 1
        self.unreadable.discard(record.key)
        if record.value is None:
            size.tombstones += 1
            self.sizes.pop(record.key, None)
            return
        self.sizes[record.key] = len(record.key or b"") + len(record.value), record.timestamp
        try:
            readable = is_readable(size.table, record.key or b"", record.value)
        except NewerFormatError:
            readable = False
        if not readable:
            self.unreadable.add(record.key)


async def measure_tables(
    settings: Settings, kafka: KafkaAccess, tables: Collection[str], tell: Tell
) -> list[PartSize]:  # fmt: skip
    """Sizes of all partitions of these tables. Raises CommandError, KafkaError."""
    parts = [(table, index) for table in tables for index in range(settings.partitions)]
    sizes = {part: PartSize(*part) for part in parts}
    live = {part: _Live() for part in parts}

    def apply(part: Part, record: Any) -> None:
        live[part].put(sizes[part], record)

    bounds = await _read(settings, kafka, parts, apply, tell)
    for part, size in sizes.items():
        held = live[part]
        size.start, size.end = bounds[part]
        size.entries, size.unreadable = len(held.sizes), len(held.unreadable)
        size.bytes = sum(number for number, _ in held.sizes.values())
        times = [at for _, at in held.sizes.values()]
        size.oldest_ms, size.newest_ms = min(times, default=None), max(times, default=None)
    return list(sizes.values())


async def read_table(
    settings: Settings, kafka: KafkaAccess, table: str, keep: Callable[[TableEntry], bool], tell: Tell
) -> list[TableEntry]:  # fmt: skip
    """Entries that `keep` wants, by partition and in the order in which they were written last. Raises CommandError,
    KafkaError."""
    return await _entries(settings, kafka, [(table, index) for index in range(settings.partitions)], keep, tell)


async def read_keys(
    settings: Settings, kafka: KafkaAccess, keys: Mapping[str, Iterable[bytes]], tell: Tell
) -> list[TableEntry]:
    """Entries of exactly these keys of tables: only the partitions in which they can stand are read. Raises as
    `read_table`."""
    wanted = {
        (table, partition_of(key, settings.partitions), key) for table, some in keys.items() for key in some
    }  # fmt: skip
    parts = {(table, index) for table, index, _ in wanted}

    def keep(entry: TableEntry) -> bool:
        return (entry.table, entry.partition, entry.key) in wanted

    return await _entries(settings, kafka, sorted(parts), keep, tell)


async def read_pins(settings: Settings, kafka: KafkaAccess, tell: Tell) -> dict[str, str]:
    """{table: the schema it was first seen with}; of two partitions that pinned at once the lower one counts."""
    entries = await read_table(settings, kafka, PINS_TABLE, lambda entry: not entry.key.startswith(b"["), tell)
    ranked = sorted(entries, key=lambda entry: entry.partition, reverse=True)
    return {entry.key.decode("utf-8", "replace"): entry.value.decode("utf-8", "replace") for entry in ranked}


async def _entries(
    settings: Settings, kafka: KafkaAccess, parts: Collection[Part], keep: Callable[[TableEntry], bool], tell: Tell
) -> list[TableEntry]:  # fmt: skip
    found: dict[tuple[str, int, bytes], TableEntry] = {}

    def apply(part: Part, record: Any) -> None:
        place = (*part, record.key)
        found.pop(place, None)
        if record.value is not None:
            entry = TableEntry(*part, record.key, record.value, record.offset, record.timestamp)
            if keep(entry):
                found[place] = entry

    await _read(settings, kafka, parts, apply, tell)
    return sorted(found.values(), key=lambda entry: entry.partition)


async def _read(
    settings: Settings, kafka: KafkaAccess, parts: Collection[Part], apply: Callable[[Part, Any], None], tell: Tell
) -> dict[Part, tuple[int, int]]:  # fmt: skip
    """Returns (log start, end of what was committed) of each part."""
    group = group_of(settings, STAGE)
    topics = {topic_of(group, table): table for table, _ in parts}
    await kafka.require(dict.fromkeys(topics, settings.partitions))
    tps = {TopicPartition(topic_of(group, table), index): (table, index) for table, index in parts}
    goals = await ends(kafka.connection, CLIENT, tps, stable=True)
    logs = await read_logs(
        kafka.connection, CLIENT, goals, lambda record: apply((topics[record.topic], record.partition), record), tell
    )
    refuse_unread(logs.values())
    return {part: (logs[tp].start, logs[tp].end) for tp, part in tps.items()}
