"""What stands in the changelogs of the enrich stage, and what of it is damaged."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from workers.engine.gaps import lost_entries
from workers.engine.ledger import Extent, Ledger, last_written
from workers.kafka.connection import KafkaConnection
from workers.kafka.logs import Apply, Tell, ends, read_logs, refuse_unread
from workers.rebuild.image import Part, TableImage, is_readable

CLIENT = "cdc-table"


@dataclass(slots=True)
class Changelogs:
    """A look at all of them, without their entries: those of a large table are held only where they are needed."""

    bounds: dict[Part, tuple[int, int]] = field(default_factory=dict)
    """(log start, log end)"""
    last: dict[Part, int] = field(default_factory=dict)
    """Offset of the last record."""
    unreadable: dict[Part, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    """Keys of entries that cannot be read."""

    def extent(self, part: Part, written: int | None) -> Extent | None:
        """How far the changelog reaches with what was `written` (last offset) behind it; None for an empty one."""
        last = self.last.get(part) if written is None else written
        return Extent(self.bounds[part][0], last) if last is not None else None


def topic_of(group: str, table: str) -> str:
    """The changelog of a table."""
    return f"{group}-{table}-changelog"


async def look_at_changelogs(
    connection: KafkaConnection, group: str, bounds: Mapping[Part, tuple[int, int]], tell: Tell
) -> Changelogs:
    """Read them whole. Raises KafkaError, NewerFormatError, CommandError if a log cannot be read to its end."""
    found = Changelogs(dict(bounds))

    def apply(part: Part, record: Any) -> None:
        found.last[part] = record.offset
        if record.value is None or is_readable(part[0], record.key, record.value):
            found.unreadable[part].discard(record.key)
        else:
            found.unreadable[part].add(record.key)

    await _read(connection, group, bounds, apply, tell)
    return found


async def read_entries(
    connection: KafkaConnection, group: str, parts: Collection[Part], partitions: int, tell: Tell
) -> TableImage:
    """Entries of these parts that can be read. Raises as `look_at_changelogs`."""
    image = TableImage(partitions)

    def apply(part: Part, record: Any) -> None:
        entries = image.parts[part]
        if record.value is None or not is_readable(part[0], record.key, record.value):
            entries.pop(record.key, None)
        else:
            entries[record.key] = record.value

    await _read(connection, group, parts, apply, tell)
    return image


def find_damage(changelogs: Changelogs, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> dict[Part, str]:
    """{(table, partition): what is wrong, in words}; `offsets`: the committed ones of the stage.

    The ledgers of a slot's sources are read as the engine reads them: each says how far the changelogs reached when its
    own source was committed, the furthest how far they reach."""
    damage = {
        part: f"the changelog of {part[0]} holds {len(keys)} entries that cannot be read"
        for part, keys in changelogs.unreadable.items()
        if keys
    }
    ledgers: dict[int, list[Ledger]] = defaultdict(list)
    for tp, committed in offsets.items():
        ledgers[tp.partition].append(Ledger.decode(committed.metadata))
    for index, of_slot in ledgers.items():
        tables = {table for table, partition in changelogs.bounds if partition == index}
        for table, extent in last_written(of_slot, tables).items():
            part = (table, index)
            lost = lost_entries({table: extent}, {table: changelogs.bounds[part]})
            damage |= {part: lost} if lost else {}
    return damage


async def _read(connection: KafkaConnection, group: str, parts: Collection[Part], apply: Any, tell: Tell) -> None:
    names = {topic_of(group, table): table for table, _ in parts}
    tps = [TopicPartition(topic_of(group, table), index) for table, index in parts]

    def of_part(record: Any) -> None:
        apply((names[record.topic], record.partition), record)

    step: Apply = of_part
    goals = await ends(connection, CLIENT, tps, stable=False)
    refuse_unread((await read_logs(connection, CLIENT, goals, step, tell)).values())
