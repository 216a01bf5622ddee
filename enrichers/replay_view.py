"""What is known of a record that is to come again: its table, its event type, and the names of its row."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import msgspec

from enrichers.letter_view import LetterView, printable
from models.buried import Buried
from models.catalogue import Catalogue
from models.change import Control, SourceRow
from models.handled import LetterId
from models.outcome import Dead
from models.raw import HEADER_ADAPTER, HEADER_TABLE
from models.redrive import DeadRecord
from models.sources import adapters
from models.sources.reading import Reading
from models.strict_json import JsonError, decode
from models.tables import ALL_OPERATIONS


@dataclass(frozen=True, slots=True)
class Seen:
    """One record. `table` and `event_type` are empty where nobody knows them; `names`: all under which its table can be
    asked for."""

    table: str
    event_type: str = ""
    names: Collection[str] = ()


class _Metadata(msgspec.Struct, rename="camel"):
    source_table: str = ""


class _Event(msgspec.Struct, rename="camel"):
    event_type: str = ""
    entity_type: str = ""
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


_event = msgspec.json.Decoder(_Event)


class ReplayView(Protocol):
    """What is known of the records of a topic, of any Kafka client."""

    def seen(self, record: Any) -> Seen | None:
        """None: no event is made of it. Never raises."""
        ...

    def keys(self, seen: Seen, record: Any) -> Collection[str]:
        """All names of its row: as it is in events, and as it stands in Kafka."""
        ...


@dataclass(frozen=True, slots=True)
class EventReplayView:
    """Of `cdc.events`. See ReplayView. Of a table that is not known, and of a type of events that its table does not
    have, nothing is told: other programs may have written it (P6)."""

    catalogue: Catalogue

    def seen(self, record: Any) -> Seen | None:
        """What the event says."""
        if record.value is None:
            return None
        try:
            found = _event.decode(record.value)
        except (msgspec.MsgspecError, RecursionError):
            return Seen("")
        spec = self.catalogue.named(found.entity_type)
        names = {found.entity_type, found.metadata.source_table} - {""}
        if spec is None:
            return Seen("", names=names)
        known = found.event_type in map(spec.event_type, ALL_OPERATIONS)
        return Seen(spec.name, found.event_type if known else "", names)

    def keys(self, seen: Seen, record: Any) -> Collection[str]:
        """That of the entity."""
        return ((record.key or b"").decode("utf-8", "replace"),)


@dataclass(frozen=True, slots=True)
class ChangeReplayView:
    """Of one raw topic, as its stage reads it. See ReplayView."""

    catalogue: Catalogue
    letters: LetterView
    reading: Reading

    def seen(self, record: Any) -> Seen | None:
        """None for markers without value, and for control records: an old one would set back what is known of the
        columns of its table."""
        if record.value is None:
            return None
        found = dict(record.headers)
        name = found.get(HEADER_TABLE, b"").decode("utf-8", "replace")
        if name:  # the bridge has read it: a change of a known table
            spec = self.catalogue.named(name)
            return Seen(printable(name), names={name, spec.table if spec is not None else name})
        try:
            adapter = found.get(HEADER_ADAPTER, b"").decode("utf-8", "replace") or None
            change = adapters.decode(decode(record.value), adapter, self.reading)
        except JsonError:
            return Seen("")
        match change:
            case Control():
                return None
            case SourceRow():
                spec = self.catalogue.first(change.adapter, change.schema, change.table)
                shown = spec.name if spec is not None else printable(change.table)
                return Seen(shown, names={shown, change.table})
            case Dead():
                return Seen("")
            case _:
                assert_never(change)

    def keys(self, seen: Seen, record: Any) -> Collection[str]:
        """As `cdc dlq` knows the rows of letters."""
        headers: Mapping[str, bytes] = {HEADER_TABLE: seen.table.encode(), **dict(record.headers)}
        letter = DeadRecord(0, 0, 0, record.key, None, tuple(headers.items()))
        return self.letters.keys(Buried(LetterId(0, 0), letter, None))
