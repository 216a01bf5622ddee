"""What the pipeline remembers, in plain dictionaries."""

from collections.abc import Iterable
from typing import TypeVar, assert_never

from enrichers.state import Answer, Effect, LookupEntry, Memorize, Note, Observe, Pin, Remember, RowMemory

Key = TypeVar("Key")
Entry = TypeVar("Entry")


class InMemoryState:
    """State in plain dictionaries, for `cdc invoke` and tests: nothing outlives the process."""

    def __init__(self) -> None:
        self.lookups: dict[tuple[str, bytes], LookupEntry] = {}
        self.memories: dict[bytes, RowMemory] = {}
        self.recent: set[str] = set()
        self.pins: dict[str, str] = {}
        self.schemas: dict[str, bytes] = {}

    def lookup(self, name: str, row: bytes) -> LookupEntry | None:
        """See State."""
        return self.lookups.get((name, row))

    def memory(self, row: bytes) -> RowMemory | None:
        """See State."""
        return self.memories.get(row)

    def is_recent(self, digest: str) -> bool:
        """See State."""
        return digest in self.recent

    def pinned_schema(self, spec_name: str) -> str | None:
        """See State."""
        return self.pins.get(spec_name)

    def database(self, name: str, schema: str, key: str) -> LookupEntry | Answer:
        """See State."""
        return Answer.NO_DATABASE

    def seen(self, spec_name: str) -> bytes | None:
        """See State."""
        return self.schemas.get(spec_name)

    def history(self, spec_name: str) -> bytes | None:
        """See State."""
        return None

    def apply(self, effects: Iterable[Effect]) -> None:
        """Do what the pipeline asked for."""
        for effect in effects:
            if isinstance(effect, Memorize):
                _put(self.memories, effect.row, effect.memory)
            elif isinstance(effect, Note):
                self.recent.add(effect.digest)
            elif isinstance(effect, Remember):
                _put(self.lookups, (effect.lookup, effect.row), effect.entry)
            elif isinstance(effect, Pin):
                self.pins[effect.name] = effect.schema
            elif isinstance(effect, Observe):
                self.schemas[effect.name] = effect.entry
            else:
                assert_never(effect)


def _put(table: dict[Key, Entry], key: Key, value: Entry | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
