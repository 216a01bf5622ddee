"""`cdc.raw.<source>` -> `cdc.events`, exactly once (P2): events, dead letters, tables and offsets in one
transaction."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

from enrichers.enriched import Enriched
from enrichers.pipeline import Pipeline
from enrichers.schema_memory import history_key, seen_key
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
from models.dead_letter import dead_headers, dead_letter
from models.outcome import Dead, Drop, Failure, Miss, Ok
from models.raw import HEADER_REDRIVEN, HEADER_SOURCE, RawRecord, raw_record_of
from models.redrive import origin_of, redriven_raw
from models.trace_context import HEADER_TRACEPARENT, TraceContext
from workers.agents.enrich_counts import EnrichCounts
from workers.agents.recent import RecentChanges
from workers.engine.app import StageApp
from workers.engine.errors import ConfigurationRefused, DataError
from workers.engine.tables import GlobalTable, Table
from workers.engine.unit import Done, Pause, UnitOfWork
from workers.kafka.topics import MEMORY_TABLE, PINS_TABLE, RECENT_TABLE, Topics
from workers.tracing.spans import Hop

STAGE = "enrich"
MISS_POLL = 0.25
"""Seconds between looks for an awaited lookup entry."""
ANSWER_SECONDS = 30.0
"""Longest pause for answers of the database; then the records say again what they want."""


class Fallback(Protocol):
    """A place behind the lookup tables, outside of Kafka (workers.database.resolver)."""

    def find(self, lookup: str, schema: str, key: str) -> LookupEntry | Answer:
        """What is known by now; what has to be asked for is noted."""

    def forget_noted(self) -> None:
        """Begin anew."""

    def ask(self) -> asyncio.Event:
        """Ask for what is noted; set when it is answered."""


@dataclass(frozen=True, slots=True)
class Enrich:
    """What the stage works with. `now_ms` decides only how long a miss waits and stamps dead letters."""

    pipeline: Pipeline
    topics: Topics
    partitions: int
    fingerprint: str
    now_ms: Callable[[], int]
    fallback: Fallback | None = None


class TableState:
    """The pipeline's memory on Faust tables, as the running unit sees them, and what the database told of the rest."""

    def __init__(
        self, app: StageApp, partitions: int, lookups: tuple[str, ...], fallback: Fallback | None = None
    ) -> None:
        self.partitions = partitions
        self.fallback = fallback
        self.lookups: dict[str, GlobalTable] = {
            name: app.everywhere(name, f"Owner ids by row of {name}, on every worker") for name in lookups
        }
        self.schemas = app.everywhere(PINS_TABLE, "Schema, columns and reported changes of each table")
        self.owners: Table = app.partitioned(MEMORY_TABLE, "Last owner and last changes of each row")
        self.recent = RecentChanges(app.partitioned(RECENT_TABLE, "Last changes of each partition"))

    def lookup(self, name: str, row: bytes) -> LookupEntry | None:
        """See enrichers.state.State."""
        table = self.lookups.get(name)
        value = table.find(row, self.partitions) if table is not None else None
        return LookupEntry.decode(value) if value is not None else None

    def memory(self, row: bytes) -> RowMemory | None:
        """See enrichers.state.State."""
        value = self.owners.get(row)
        return RowMemory.decode(value) if value is not None else None

    def is_recent(self, digest: str) -> bool:
        """See enrichers.state.State."""
        return self.recent.holds(digest)

    def pinned_schema(self, spec_name: str) -> str | None:
        """The pin of the lowest partition wins, should two partitions have pinned at the same moment."""
        name = spec_name.encode()
        found = (self.schemas.read(name, partition) for partition in range(self.partitions))
        return next((value.decode() for value in found if value is not None), None)

    def seen(self, spec_name: str) -> bytes | None:
        """See enrichers.state.State."""
        return self.schemas.get(seen_key(spec_name))

    def history(self, spec_name: str) -> bytes | None:
        """See enrichers.state.State."""
        return self.schemas.find(history_key(spec_name), self.partitions)

    def database(self, name: str, schema: str, key: str) -> LookupEntry | Answer:
        """See enrichers.state.State."""
        return Answer.NO_DATABASE if self.fallback is None else self.fallback.find(name, schema, key)

    def apply(self, effects: tuple[Effect, ...]) -> None:
        """Write what the pipeline asked for into the running unit."""
        for effect in effects:
            match effect:
                case Remember(lookup, row, entry):
                    table = self.lookups.get(lookup)
                    if table is not None:
                        table[row] = entry.encode() if entry is not None else None
                case Memorize(row, memory):
                    self.owners[row] = memory.encode() if memory is not None else None
                case Note(digest):
                    self.recent.add(digest)
                case Pin(name, schema):
                    self.schemas[name.encode()] = schema.encode()
                case Observe(name, entry):
                    self.schemas[seen_key(name)] = entry
                case _:
                    assert_never(effect)


def add_enrich(app: StageApp, enrich: Enrich) -> TableState:
    """Register the stage's work and its tables."""
    state = TableState(app, enrich.partitions, enrich.pipeline.catalogue.lookups, enrich.fallback)
    counts = EnrichCounts(enrich.pipeline.catalogue)

    sources = {topic: source for source, topic in enrich.topics.raw.items()}
    redriven = [enrich.topics.redrive[STAGE]] if STAGE in enrich.topics.redrive else []

    def read(record: Any) -> RawRecord:
        source = sources.get(record.topic)
        return raw_record_of(record, source) if source is not None else redriven_raw(record, sources)

    def bury(unit: UnitOfWork, record: Any, error: DataError, with_value: bool) -> None:
        dead = Dead(Failure.VALIDATION_ERROR, str(error))
        _bury(enrich, unit, record, read(record), dead, with_value=with_value)

    @app.process(*enrich.topics.raw.values(), *redriven, bury=bury)
    async def enrich_changes(unit: UnitOfWork) -> Done | Pause:
        """Raw changes to clean events, exactly once."""
        for kafka_record in unit.batch or ():
            if unit.full:
                return Pause(kafka_record.offset, 0.0)
            record = read(kafka_record)
            try:
                result = _run(enrich, state, record, kafka_record.timestamp)
            except (NewerFormatError, UnreadableEntryError) as error:
                # Never a miss: an older worker must not publish "missing" because a newer one writes the table.
                raise ConfigurationRefused(f"{error}; `cdc table rebuild` restores a damaged table") from None
            match result.outcome:
                case Ok(event):
                    headers = [(HEADER_SOURCE, record.source.encode())]
                    if kafka_record.topic not in sources:
                        headers.append((HEADER_REDRIVEN, b"%d" % kafka_record.offset))
                    if record.parent is not None:
                        headers.append((HEADER_TRACEPARENT, _hop(kafka_record, record.parent).header()))
                    unit.send(enrich.topics.events, event.key, event.value, headers)
                    unit.out()
                case Drop(reason):
                    unit.drop(reason)
                case Dead() as dead:
                    _bury(enrich, unit, kafka_record, record, dead, table=result.table)
                    unit.dead(f"{result.table or 'no table'}: {dead.failure}: {dead.reason}")
                case Miss(unasked=True):
                    rest = (read(later) for later in unit.batch or () if later.offset >= record.offset)
                    return Pause(record.offset, ANSWER_SECONDS, _ask(enrich, state, rest))
                case Miss():
                    return Pause(record.offset, MISS_POLL)
                case _:
                    assert_never(result.outcome)
            state.apply(result.effects)
            counts.add(unit.notes, result)
            if record.parent is not None and record.parent.sampled and app.tell_traced is not None:
                unit.traced.append(_traced(kafka_record, record.parent, result))
        return Done()

    app.measures.append(lambda: counts.measure(app.slots.stats.notes))
    return state


def _hop(kafka_record: Any, parent: TraceContext) -> TraceContext:
    """The span of this stage; the record alone says which, so that its event has the same header every time (P3)."""
    return parent.child(STAGE, kafka_record.topic, kafka_record.partition, kafka_record.offset)


def _traced(kafka_record: Any, parent: TraceContext, result: Enriched) -> Hop:
    outcome = result.outcome
    told: dict[str, str | int] = {
        "cdc.topic": kafka_record.topic, "cdc.partition": kafka_record.partition, "cdc.offset": kafka_record.offset,
        "cdc.table": result.table or "", "cdc.outcome": type(outcome).__name__.lower(),
    }  # fmt: skip
    match outcome:
        case Ok(event):
            told["cdc.event_id"] = event.event_id
        case Drop(reason):
            told["cdc.reason"] = reason
        case Dead(failure):
            told["cdc.reason"] = failure
        case Miss():
            pass
    return Hop(_hop(kafka_record, parent), parent, kafka_record.timestamp, told)


def _run(enrich: Enrich, state: TableState, record: RawRecord, waits_since_ms: int) -> Enriched:
    """A miss waits from the time on at which the record came into the topic it is read from. So a pipeline that lags
    never waits, and what is redriven waits for owners that are redriven beside it."""
    if not record.source:
        return Enriched(Dead(Failure.VALIDATION_ERROR, "no source of this stage is the origin of this record"))
    result = enrich.pipeline.run(record, state)
    if isinstance(result.outcome, Miss):
        waited_ms = enrich.now_ms() - waits_since_ms
        if waited_ms >= result.outcome.wait_seconds * 1000:
            return enrich.pipeline.run(record, state, patient=False)
    return result


def _ask(enrich: Enrich, state: TableState, rest: Iterable[RawRecord]) -> asyncio.Event | None:
    """Ask the database for everything the rest of the batch will want, in one query per lookup."""
    if state.fallback is None:
        return None
    state.fallback.forget_noted()
    with contextlib.suppress(NewerFormatError, UnreadableEntryError):  # the record itself will tell
        for record in rest:
            enrich.pipeline.run(record, state, owner_only=True)
    return state.fallback.ask()


def _bury(
    enrich: Enrich,
    unit: UnitOfWork,
    kafka_record: Any,
    record: RawRecord,
    dead: Dead,
    *,
    table: str | None = None,
    with_value: bool = True,
) -> None:
    """`record`: what `kafka_record` is, or was when it came for the first time."""
    redriven = kafka_record.topic == enrich.topics.redrive.get(STAGE)
    origin = origin_of(kafka_record.headers) if redriven else None
    letter = dead_letter(
        dead, record, stage=STAGE, failed_ms=enrich.now_ms(), fingerprint=enrich.fingerprint, table=table,
        attempts=1 + (origin.attempts if origin is not None else 0),
        first_failed_ms=origin.first_failed_ms if origin is not None else None,
        redriven=kafka_record.offset if redriven else None,
    )  # fmt: skip
    value, headers = (record.value, kafka_record.headers) if with_value else (None, ())
    unit.send(enrich.topics.dead, record.key, value, dead_headers(letter, headers))
    EnrichCounts.letter(unit.notes, table, dead)
