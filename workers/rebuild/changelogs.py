"""What stands in the changelogs of the enrich stage, and what of it is damaged."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from workers.engine.catch_up import read_to_end
from workers.engine.gaps import lost_entries
from workers.engine.ledger import Extent, Ledger
from workers.engine.types import TP
from workers.kafka_connection import KafkaConnection
from workers.rebuild.image import Part, TableImage, is_readable

CLIENT = "cdc-table"


@dataclass(slots=True)
class Changelogs:
    """What was read."""

    image: TableImage
    """Entries that can be read."""
    unreadable: dict[Part, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """Keys of those that cannot."""
    bounds: dict[Part, tuple[int, int]] = field(default_factory=dict)
    """(log start, log end)"""
    last: dict[Part, int] = field(default_factory=dict)
    """Offset of the last record."""

    def extent(self, part: Part, written: int | None) -> Extent | None:
        """How far the changelog reaches with what was `written` (last offset) behind it; None for an empty one."""
        last = self.last.get(part) if written is None else written
        return Extent(self.bounds[part][0], last) if last is not None else None


def topic_of(group: str, table: str) -> str:
    """The changelog of a table."""
    return f"{group}-{table}-changelog"


async def read_changelogs(
    connection: KafkaConnection, group: str, tables: Collection[str], bounds: Mapping[TopicPartition, tuple[int, int]],
    partitions: int,
) -> Changelogs:  # fmt: skip
    """Read these tables whole. Raises KafkaError, NewerFormatError."""
    names = {topic_of(group, table): table for table in tables}
    found = Changelogs(TableImage(partitions))
    raw: dict[Part, dict[bytes, bytes]] = defaultdict(dict)

    def apply(record: Any) -> None:
        part = (names[record.topic], record.partition)
        found.last[part] = record.offset
        if record.value is None:
            raw[part].pop(record.key, None)
        else:
            raw[part][record.key] = record.value

    starts = {TP(topic, index): 0 for topic in names for index in range(partitions)}
    await read_to_end(connection.client(CLIENT), starts, apply)
    for part, entries in raw.items():
        for key, value in entries.items():
            if is_readable(part[0], value):
                found.image.parts[part][key] = value
            else:
                found.unreadable[part].append(key)
    found.bounds = {
        (table, index): bounds[TopicPartition(topic, index)]
        for topic, table in names.items()
        for index in range(partitions)
    }
    return found


def find_damage(changelogs: Changelogs, offsets: Iterable[tuple[int, OffsetAndMetadata]]) -> dict[Part, str]:
    """{(table, partition): what is wrong, in words}; `offsets`: (partition, committed offset) of the stage."""
    damage = {
        part: f"the changelog of {part[0]} holds {len(keys)} entries that cannot be read"
        for part, keys in changelogs.unreadable.items()
        if keys
    }
    for index, committed in offsets:
        for table, extent in Ledger.decode(committed.metadata).changelogs.items():
            part = (table, index)
            if part in changelogs.bounds:
                lost = lost_entries({table: extent}, {table: changelogs.bounds[part]})
                damage |= {part: lost} if lost else {}
    return damage
