"""The steps of a change, in the one order that keeps its promises:

decode    bytes -> SourceRow, strictly: later steps may trust every value
validate  SourceRow -> Change, under the spelling and the types of its table; pydantic may be asked, too
observe   which columns the row shows, also of rows that are refused: news go to the schema memory (ADR 34)
remember  before anything may drop or wait: also records that are not published feed lookups (`load` above all)
where     behind `remember`: what is not published still feeds lookups and the memory of its row. Before `owner`: nobody
          waits for the owner of what is not published. On raw values, of which it tells nothing but yes or no
owner     needs the raw values, before redaction takes them
diff      compares raw values: two values that mask alike still differ
transform before redaction, so that a mask never sees an unformatted value
redact    the whole content at once, and the last step that sees a raw value (P6)
normalize cannot leak: it gets only what redaction let through
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from enrichers import envelope, remember
from enrichers.compiled import CompiledTable
from enrichers.diff import diff
from enrichers.enriched import Enriched
from enrichers.left_out import is_past, kept_back_by
from enrichers.normalize import change_digest, normalize
from enrichers.observe import Oddities
from enrichers.owner import find_owner
from enrichers.plan_forms import PlanOptions
from enrichers.redact import MissingKeyError, Secret
from enrichers.second_opinion import SecondOpinion, Validation
from enrichers.short_way import ShortWay
from enrichers.state import NewerFormatError, State, UnreadableEntryError
from enrichers.trace import Trace
from enrichers.validate import moment_of, validate
from models.catalogue import Catalogue
from models.change import Change, Control, milliseconds
from models.enrichment import Enrichment
from models.event import Event
from models.outcome import Dead, Drop, Failure, Miss, Ok
from models.raw import RawRecord
from models.record_type import RecordType
from models.sources import adapters
from models.sources.dms import ADAPTER as DMS
from models.sources.dms_typed import TypedRecord
from models.sources.reading import PLAIN, Reading
from models.strict_json import JsonError, decode
from models.tables import TableSpec


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """What the pipeline takes from the settings."""

    service: str = "cdc-pipeline"
    environment: str = "PRD"
    redaction_key: bytes | None = None
    redaction_key_version: int = 1
    other_redaction_key: bytes | None = None
    """The next or the former key, while one replaces the other (docs/decisions/0030)."""
    other_redaction_key_version: int = 0
    redaction_enabled: bool = True
    strict_tables: bool = False
    time_zone: str = "UTC"
    """Zone of source times that carry none."""
    readings: Mapping[str, Reading] = field(default_factory=dict)
    """What is known of the records of a source, by its name."""
    validate: Validation = "off"
    """Which changes pydantic looks at, too."""


class Pipeline:
    """Raw record -> event. Pure: same record, same state, same answer."""

    def __init__(
        self, catalogue: Catalogue, options: PipelineOptions, records: Mapping[str, RecordType] | None = None
    ) -> None:
        """`records`: what says of a table's rows whether they are valid, instead of the models of its columns."""
        self.catalogue = catalogue
        self.options = options
        self._zone = UTC if options.time_zone == "UTC" else ZoneInfo(options.time_zone)
        self._second = SecondOpinion(options.validate, records)
        secret = Secret(options.redaction_key, options.redaction_key_version) if options.redaction_key else None
        other = (
            Secret(options.other_redaction_key, options.other_redaction_key_version)
            if options.other_redaction_key and secret is not None
            else None
        )
        self._tables = {
            spec.name: CompiledTable(
                spec,
                catalogue,
                secret=secret,
                other=other,
                redact=options.redaction_enabled,
                zone=options.time_zone,
                readings=options.readings.values(),
            )
            for spec in catalogue.specs
        }
        self._plan_options = PlanOptions(catalogue, self._second, options.service, options.environment, self._zone)
        self._ways: dict[tuple[str, str | None], ShortWay] = {}

    def run(
        self, record: RawRecord, state: State, *, patient: bool = True, owner_only: bool = False,
        trace: Trace | None = None,
    ) -> Enriched:  # fmt: skip
        """Run all steps. Never raises for data. `patient=False`: lookups are not waited for any longer. `owner_only`
        ends after the search for the owner: what counts then is only what it asked `state` for.

        Raises MissingKeyError (a rule needs the redaction key), NewerFormatError and UnreadableEntryError (from the
        state): all mean that this worker must not work at all.
        """
        try:
            way = read = None
            if record.adapter == DMS and record.value:
                way = self._ways.get((record.source, record.table)) or self._way(record)
                read = way.read(record.value) if way is not None else None
                if read is not None and way is not None and way.plan is not None and trace is None and not owner_only:
                    planned = way.plan.run(read, record, state, patient=patient)
                    if planned is not None:
                        return planned
            return self._run(record, state, way, read, patient=patient, owner_only=owner_only, trace=trace)
        except (MissingKeyError, NewerFormatError, UnreadableEntryError):
            raise
        except Exception as error:  # noqa: BLE001 - P7: a bug that one record meets must not stop its neighbours
            return Enriched(Dead(Failure.TRANSFORMATION_ERROR, f"bug in the worker: {_place(error)}"))

    def _run(
        self, record: RawRecord, state: State, way: ShortWay | None, read: TypedRecord | None, *, patient: bool,
        owner_only: bool, trace: Trace | None,
    ) -> Enriched:  # fmt: skip
        if not record.value and (record.value is None or adapters.is_tombstone(record.value, record.adapter)):
            return self._without_value(record)
        reading = self.options.readings.get(record.source, PLAIN)
        odd: Oddities = []
        document = way.document(read, odd) if read is not None and way is not None else None
        typed = document is not None
        try:
            decoded = adapters.decode(document if typed else decode(record.value), record.adapter, reading)
        except JsonError as error:
            return Enriched(Dead(Failure.PARSE_ERROR, f"not acceptable JSON: {error}"))
        if isinstance(decoded, Dead):
            return Enriched(decoded)
        if trace is not None:
            trace.read(decoded)
        if isinstance(decoded, Control):
            return self._control(decoded, state)
        spec = self.catalogue.match(decoded.adapter, decoded.schema, decoded.table, state.pinned_schema)
        if spec is None:
            if self.options.strict_tables:
                return Enriched(Dead(Failure.VALIDATION_ERROR, "unknown table"))
            return Enriched(Drop("unknown_table"))
        table = self._tables[spec.name]
        valid = validate(decoded, table, record, odd, reading, self._zone, typed=typed)
        if typed and way is not None and (way.spec is not spec or isinstance(valid, Dead)):
            # The header names another table than the record, or the reason is one that the long way words.
            record = replace(record, table=None)
            return self._run(record, state, None, None, patient=patient, owner_only=owner_only, trace=trace)
        moment = moment_of(decoded, record, self._zone) if isinstance(valid, Dead) else valid.value.committed_at
        observed = table.watch.row(decoded, state, odd, milliseconds(moment) if moment is not None else 0)
        if isinstance(valid, Dead):
            return Enriched(valid, observed, spec.name)
        if way is not None and not typed and way.spec is spec:
            way.learn(decoded.row, decoded.before)
        change = valid.value
        digest = change_digest(change, table, record)
        twice = self._second.wanted(digest)
        if twice and (refused := self._second.on_row(decoded, spec)) is not None:
            return Enriched(refused, observed, spec.name)
        if trace is not None:
            trace.validated(change, spec, digest, twice=twice)
        row = record.key or spec.row_key(change.schema, tuple(change.keys.values()))
        memory = state.memory(row) if spec.memory else None
        if (past := is_past(change, spec, record, memory, digest, state)) is not None:
            return Enriched(Drop(past), table=spec.name)
        replay = record.replay > 0
        outdated = replay and remember.is_outdated(change, memory, digest)
        effects = (
            *observed,
            *remember.pin(change.schema, spec, state),
            *remember.lookups(change, spec, row, state, replay=replay, outdated=outdated),
            *remember.note(change, spec, digest, replay=replay),
        )
        if trace is not None:
            trace.remembered(effects)
        retyped = len(odd)
        kept_back = kept_back_by(change, table)
        if trace is not None and spec.where is not None:
            trace.append(("where", "not published" if kept_back is not None else "published"))
        published = kept_back is None
        owner = find_owner(
            change, spec, self.catalogue, state, memory, patient=patient and published, ask=published
        )  # fmt: skip
        if isinstance(owner, Miss):
            if trace is not None:
                trace.append(("owner", f"waits for lookup {owner.lookup}"))
            return Enriched(owner, table=spec.name)
        if owner_only:
            return Enriched(Drop("owner_found"), table=spec.name)
        if trace is not None:
            trace.owned(change, spec, owner, memory)
        if spec.memory:
            learnt = remember.memorize(
                change, owner, row, memory, digest, outdated=outdated, provides=bool(spec.provides)
            )
            effects = (*effects, *learnt)
            if trace is not None and learnt:
                trace.remembered(learnt)
        if kept_back is not None:
            return Enriched(kept_back, effects, spec.name, retyped)
        if owner.source == "missing" and spec.missing_owner.then == "dead":
            return Enriched(Dead(Failure.ENRICHMENT_ERROR, "no owner found"), effects, spec.name)
        return Enriched(self._publish(change, owner, table, record, digest, trace), effects, spec.name, retyped)

    def _publish(
        self,
        change: Change,
        owner: Enrichment,
        table: CompiledTable,
        record: RawRecord,
        digest: str,
        trace: Trace | None,
    ) -> Ok[Event] | Dead:
        changes, compared = diff(change, table)
        if trace is not None:
            trace.compared(changes, compared=compared)
        images = envelope.images_of(change, table)
        transformed = envelope.transform(changes, images, table, change.adapter)
        if isinstance(transformed, Dead):
            return transformed
        if trace is not None:
            trace.transformed(changes, images, table.spec)
        content = envelope.redact(change, changes, images, owner, table, compared=compared)
        if trace is not None:
            trace.redacted(changes, content, table)
        event = normalize(
            change,
            content,
            owner,
            table,
            record,
            digest=digest,
            service=self.options.service,
            environment=self.options.environment,
        )
        if trace is not None:
            trace.normalized(event)
        if self._second.wanted(digest) and (refused := self._second.on_event(event.value)) is not None:
            return refused
        return Ok(event)

    def _way(self, record: RawRecord) -> ShortWay | None:
        """A new one, of the table whose name the bridge wrote beside the record, for the records of one source."""
        if record.table is None or (spec := self.catalogue.named(record.table)) is None:
            return None
        reading = self.options.readings.get(record.source, PLAIN)
        way = ShortWay(self._tables[spec.name], self._plan_options, reading)
        self._ways[record.source, record.table] = way
        return way

    def _control(self, control: Control, state: State) -> Enriched:
        """Nothing to publish; the schema memory learns what it says of the columns of a known table."""
        spec = self.catalogue.match(control.adapter or None, control.schema, control.table, state.pinned_schema)
        if spec is None:
            return Enriched(Drop("control"))
        return Enriched(Drop("control"), self._tables[spec.name].watch.control(control, state), spec.name)

    def _without_value(self, record: RawRecord) -> Enriched:
        """A `retired` marker ends what is remembered of a row; any other record without value says nothing."""
        if not record.retired or record.key is None:
            return Enriched(Drop("tombstone"))
        spec = self._spec_of_key(record)
        return Enriched(Drop("key_moved"), remember.forget(spec, record.key), spec.name if spec else None)

    def _spec_of_key(self, record: RawRecord) -> TableSpec | None:
        if record.table is not None:
            return self.catalogue.named(record.table)
        try:
            schema, table, *_ = decode(record.key or b"")
            return self.catalogue.match(record.adapter, str(schema), str(table))
        except (JsonError, ValueError, TypeError):
            return None


def _place(error: BaseException) -> str:
    """Type and line of an exception; its text may hold values of the row (P6)."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace else "nowhere"
    return f"{type(error).__name__} in {where}"
