"""The tables of the enrich stage outside of a worker: what a changelog still holds, and what raw records make of it."""

from collections import defaultdict
from collections.abc import Iterable

from enrichers.observe import read_history, read_seen
from enrichers.recent import Ring, digests_of, is_full
from enrichers.schema_memory import history_key, is_history, is_seen, seen_key
from enrichers.state import (
    Answer,
    Effect,
    LookupEntry,
    Memorize,
    NewerFormatError,
    Note,
    Observe,
    Pin,
    Remember,
    RowMemory,
    UnreadableEntryError,
)
from models.routing import partition_of
from workers.kafka.topics import MEMORY_TABLE, PINS_TABLE, RECENT_TABLE

Part = tuple[str, int]
"""(table, partition)"""


class TableImage:
    """All tables, their values as bytes. Implements enrichers.state.State.

    `later`: what lookups hold at the end. A live worker waits for an entry that is about to come; here it is taken
    from there."""

    def __init__(self, partitions: int, later: "TableImage | None" = None) -> None:
        self.partitions = partitions
        self.partition = 0
        """That of the record at hand."""
        self.forgetful = False
        """Rows have no memory, and changes were not seen before, while this is set."""
        self.parts: dict[Part, dict[bytes, bytes]] = defaultdict(dict)
        self._later = later
        self._rings: dict[int, Ring] = {}

    def copy(self, parts: Iterable[Part], later: "TableImage | None" = None) -> "TableImage":
        """A new image that begins with these parts."""
        made = TableImage(self.partitions, later)
        for part in parts:
            made.parts[part] = dict(self.parts.get(part, {}))
        return made

    # what the pipeline reads

    def lookup(self, name: str, row: bytes) -> LookupEntry | None:
        """See State."""
        value = self.parts[name, partition_of(row, self.partitions)].get(row)
        if value is not None:
            return LookupEntry.decode(value)
        return self._later.lookup(name, row) if self._later is not None else None

    def memory(self, row: bytes) -> RowMemory | None:
        """See State."""
        value = self.parts[MEMORY_TABLE, self.partition].get(row) if not self.forgetful else None
        return RowMemory.decode(value) if value is not None else None

    def is_recent(self, digest: str) -> bool:
        """See State."""
        return not self.forgetful and bytes.fromhex(digest) in self._ring()

    def pinned_schema(self, spec_name: str) -> str | None:
        """See State."""
        name = spec_name.encode()
        found = (self.parts[PINS_TABLE, partition].get(name) for partition in range(self.partitions))
        return next((value.decode() for value in found if value is not None), None)

    def seen(self, spec_name: str) -> bytes | None:
        """See State."""
        return self.parts[PINS_TABLE, self.partition].get(seen_key(spec_name))

    def history(self, spec_name: str) -> bytes | None:
        """See State."""
        key = history_key(spec_name)
        return self.parts[PINS_TABLE, partition_of(key, self.partitions)].get(key)

    def database(self, name: str, schema: str, key: str) -> LookupEntry | Answer:
        """See State. It tells what is now: a rebuild knows only what raw says."""
        return Answer.NO_DATABASE

    # what it asks for

    def apply(self, effects: Iterable[Effect]) -> None:
        """Write into the partition of the record at hand, as a unit does."""
        for effect in effects:
            match effect:
                case Remember(lookup, row, entry):
                    self._put(lookup, row, entry.encode() if entry is not None else None)
                case Memorize(row, memory):
                    self._put(MEMORY_TABLE, row, memory.encode() if memory is not None else None)
                case Note(digest):
                    self._note(bytes.fromhex(digest))
                case Pin(name, schema):
                    self._put(PINS_TABLE, name.encode(), schema.encode())
                case Observe(name, entry):
                    self._put(PINS_TABLE, seen_key(name), entry)

    def _note(self, digest: bytes) -> None:
        ring, part = self._ring(), self.parts[RECENT_TABLE, self.partition]
        if digest in ring:
            return
        key, block = ring.add(digest)
        part[key] = block
        if is_full(block):
            ring.follow(part)  # forgets what the next block takes the place of

    def _ring(self) -> Ring:
        """That of the record at hand; what is added to it is what the part holds."""
        found = self._rings.get(self.partition)
        if found is None:
            found = self._rings[self.partition] = Ring(self.partition, self.parts[RECENT_TABLE, self.partition])
        return found

    def _put(self, table: str, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.parts[table, self.partition].pop(key, None)
        else:
            self.parts[table, self.partition][key] = value


def is_readable(table: str, key: bytes, value: bytes) -> bool:
    """Whether an entry of that table is one. Raises NewerFormatError: a later release wrote it, and must rebuild."""
    try:
        if table == PINS_TABLE:
            _read_schema(key, value)
        elif table == MEMORY_TABLE:
            RowMemory.decode(value)
        elif table == RECENT_TABLE:
            digests_of(value)
        else:
            LookupEntry.decode(value)
    except NewerFormatError:
        raise
    except (UnreadableEntryError, UnicodeDecodeError):
        return False
    return True


def _read_schema(key: bytes, value: bytes) -> None:
    if is_seen(key):
        read_seen(value)
    elif is_history(key):
        read_history(value)
    else:
        value.decode()
