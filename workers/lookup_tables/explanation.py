"""Why does this event have this owner: its raw record found again, and every place of the owner search asked anew."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from enrichers.explain import Explanation, explain_owner
from enrichers.pipeline import Pipeline
from enrichers.row_view import RowView
from enrichers.state import Answer, LookupEntry, NewerFormatError, RowMemory, UnreadableEntryError
from enrichers.trace import Trace
from models.change import Change
from models.outcome import Dead, Drop
from models.raw import RawRecord
from workers.contract import pipeline_options
from workers.failures import CommandError, ConfigurationError
from workers.kafka.access import KafkaAccess
from workers.kafka.logs import Tell
from workers.kafka.topics import MEMORY_TABLE
from workers.lookup_tables.places import MadeEvent, find_event, is_event_id, last_raw
from workers.lookup_tables.row_names import InvalidRow, row_name
from workers.settings.worker import Settings

Keys = Mapping[str, Iterable[bytes]]
"""Keys by table."""
Fetch = Callable[[Keys], Awaitable[Mapping[tuple[str, bytes], bytes]]]
"""Values of keys, out of the changelogs or out of the memory of workers; what is not there is left out."""


@dataclass(frozen=True, slots=True)
class OwnerStory:
    """Everything that is known of the owner of one change."""

    row: str
    """As events name it."""
    operation: str
    record: RawRecord
    event: MadeEvent | None
    """None if a row was asked for: its last raw record is explained."""
    ids: tuple[Explanation, ...]
    rule: bool
    """Whether the table has a rule at all."""

    def document(self) -> dict[str, Any]:
        """For programs."""
        record = self.record
        return {
            "row": self.row, "operation": self.operation,
            "raw": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
            "event": self.event.document() if self.event is not None else None,
            "ownerRule": self.rule, "now": [one.document() for one in self.ids],
        }  # fmt: skip


async def explain(
    settings: Settings, kafka: KafkaAccess, rows: RowView, text: str, fetch: Fetch, pins: Mapping[str, str], tell: Tell
) -> OwnerStory:
    """`text`: the id of an event, or the name of a row. `pins`: the schema of each table without one.

    Raises InvalidRow, NotFoundError, CommandError if the record is no change, KafkaError."""
    event = None
    if is_event_id(text):
        event, record = await find_event(settings, kafka, text, tell)
    else:
        named = row_name(text, rows.catalogue)
        schema = named.spec.schema or pins.get(named.spec.name)
        if schema is None and named.schema is None:
            raise InvalidRow(f"no record of {named.spec.name} was seen yet, so that its schema is not known")
        record = await last_raw(settings, kafka, named.key(schema or ""), tell)
    return await _explained(settings, rows, record, event, fetch, pins)


async def _explained(
    settings: Settings, rows: RowView, record: RawRecord, event: MadeEvent | None, fetch: Fetch, pins: Mapping[str, str]
) -> OwnerStory:
    pipeline = Pipeline(rows.catalogue, pipeline_options(settings, None))
    state = _Asked(pins, database=settings.has_database)
    change = _change(pipeline, record, state)
    spec = rows.catalogue.named(change.name)
    if spec is None:
        raise CommandError(f"table {change.name} is not known any more")
    row = record.key or spec.row_key(change.schema, tuple(change.keys.values()))
    try:
        while True:
            memory = state.memory(row) if spec.memory else None
            ids = explain_owner(change, spec, rows, state, memory)
            wanted = state.take_unknown()
            if not wanted:
                break
            state.learn(wanted, await fetch(wanted))
    except NewerFormatError as error:
        raise ConfigurationError(str(error), hint="use the newest release that has run") from None
    except UnreadableEntryError as error:
        raise CommandError(str(error), hint="`cdc table verify` says which, `cdc table rebuild` restores it") from None
    name = rows.key(spec, list(change.keys.values()))
    return OwnerStory(name, change.operation.wire, record, event, ids, spec.owner is not None)


def _change(pipeline: Pipeline, record: RawRecord, state: "_Asked") -> Change:
    trace = Trace()
    result = pipeline.run(record, state, owner_only=True, patient=False, trace=trace)
    state.take_unknown()
    if trace.change is not None:
        return trace.change
    match result.outcome:
        case Dead(failure=failure, reason=reason):
            why = f"it is a dead letter: {failure}: {reason}"
        case Drop(reason=reason):
            why = f"it is dropped: {reason}"
        case _:
            why = "it is no change of a row"
    place = f"{record.topic}/{record.partition} offset {record.offset}"
    raise CommandError(f"the raw record at {place} has no owner: {why}", hint="`cdc dlq list` shows dead letters")


class _Asked:
    """A state that notes what it is asked for and does not hold. Implements enrichers.state.State."""

    def __init__(self, pins: Mapping[str, str], *, database: bool) -> None:
        self._pins = pins
        self._database = Answer.UNASKED if database else Answer.NO_DATABASE
        self._known: dict[tuple[str, bytes], bytes | None] = {}
        self._unknown: dict[str, set[bytes]] = {}

    def take_unknown(self) -> dict[str, set[bytes]]:
        """What was asked for and not known; the next round begins without."""
        unknown, self._unknown = self._unknown, {}
        return unknown

    def learn(self, asked: Keys, found: Mapping[tuple[str, bytes], bytes]) -> None:
        """What is not among `found` is not there."""
        self._known |= {(table, key): found.get((table, key)) for table, keys in asked.items() for key in keys}

    def _read(self, table: str, key: bytes) -> bytes | None:
        if (table, key) not in self._known:
            self._unknown.setdefault(table, set()).add(key)
        return self._known.get((table, key))

    def lookup(self, name: str, row: bytes) -> LookupEntry | None:
        value = self._read(name, row)
        return LookupEntry.decode(value) if value is not None else None

    def memory(self, row: bytes) -> RowMemory | None:
        value = self._read(MEMORY_TABLE, row)
        return RowMemory.decode(value) if value is not None else None

    def is_recent(self, digest: str) -> bool:
        return False

    def pinned_schema(self, spec_name: str) -> str | None:
        return self._pins.get(spec_name)

    def database(self, name: str, schema: str, key: str) -> LookupEntry | Answer:
        return self._database

    def seen(self, spec_name: str) -> bytes | None:
        return None

    def history(self, spec_name: str) -> bytes | None:
        return None
