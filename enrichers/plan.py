"""The plan of one table: an ordinary insert or update of DMS becomes its event in one pass over what changed.

It does what the steps of `enrichers.pipeline` do, in their order, with everything prepared that the table's spec and
the columns of its rows decide. What is not ordinary has no plan, or the plan gives it back: then the steps are taken.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any, Final

from msgspec import UNSET

from enrichers import remember
from enrichers.compiled import CompiledTable
from enrichers.enriched import Enriched
from enrichers.frame import Frame
from enrichers.normalize import Stem, position_of
from enrichers.owner import find_owner
from enrichers.owner_places import OwnerPlaces
from enrichers.plan_columns import PlanColumns, Word, published_id, redacted_keys, words
from enrichers.second_opinion import SecondOpinion
from enrichers.state import Effect, LookupEntry, Note, Remember, State
from enrichers.transform import BadValueError
from enrichers.validate import commit_times
from models.catalogue import Catalogue
from models.change import EPOCH, Change, Operation, SourceRow
from models.column_types import KINDS
from models.enrichment import Enrichment
from models.event import Event
from models.outcome import Drop, Miss, Ok
from models.raw import RawRecord
from models.routing import key_form, key_text
from models.sources import dms
from models.sources.dms_typed import TypedRecord, row_of
from models.sources.reading import Reading
from models.strict_json import wire
from models.tables import ColumnType

FLAG: Final = KINDS[int]
"""What a flag is that came as a number."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a plan takes from its pipeline."""

    catalogue: Catalogue
    second: SecondOpinion
    service: str
    environment: str
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Form:
    """An operation on the table of one source."""

    word: Word
    needs: frozenset[int]
    """Columns its rows must have, not null, their key among them."""
    frame: Frame
    stem: Stem


_Place = tuple[str, str, str, str, str]
"""Source, record type, operation, schema and table, as a record has them."""
MAX_FORMS: Final = 64
"""A schema's and a table's name may be written in several ways."""


class Plan:
    """For rows with these columns, as the reader of one source delivers them."""

    def __init__(self, table: CompiledTable, columns: Sequence[str], options: PlanOptions, reading: Reading) -> None:
        """See `of`."""
        spec = table.spec
        places = {name: place for place, name in enumerate(columns)}
        self._table = table
        self._spec = spec
        self._options = options
        self._names = tuple(columns)
        self._columns = PlanColumns(table, columns)
        self._commit_time = commit_times(options.zone)
        self._keys = tuple((name, places[name]) for name in spec.key)
        self._key_places = frozenset(places[name] for name in spec.key)
        self._has_number_keys = any(spec.columns.get(name, ColumnType.ANY) in _NUMBERS for name in spec.key)
        self._no_keys = tuple(place for name, place in places.items() if name not in spec.key)
        self._words = words(spec, places)
        self._key_rules = {name: table.redactors[name] for name in spec.key if name in table.redactors}
        self._owner = OwnerPlaces(spec, columns, options.catalogue)
        self._names_keys = not table.key_is_redacted
        self._provides = tuple(
            (rule, places.get(rule.org or ""), places.get(rule.user or "")) for rule in spec.provides
        )
        self._fills = (spec.absent_columns or reading.absent_columns) == "null"
        self._drops_resent = spec.duplicates != "pass"
        self._needs_owner = spec.missing_owner.then == "dead"
        self._remembers = spec.memory
        self._samples = options.second.mode != "off"
        self._pinned = spec.schema is None
        self._watch = table.watch
        self._forms: dict[_Place, Form] = {}

    @staticmethod
    def of(
        table: CompiledTable, columns: Sequence[str], options: PlanOptions, reading: Reading
    ) -> "Plan | None":  # fmt: skip
        """`columns`: of the reader's rows, in the spec's spelling. None if the steps have to be taken each time."""
        spec = table.spec
        if spec.where is not None or spec.published_images or table.conditional or table.aliases:
            return None
        if reading.lob_max_size or options.second.mode == "all":
            return None
        provided = {name for rule in spec.provides for name in (rule.org, rule.user) if name is not None}
        return Plan(table, columns, options, reading) if {*spec.key, *provided} <= {*columns} else None

    def run(self, typed: TypedRecord, record: RawRecord, state: State, *, patient: bool) -> Enriched | None:
        """All steps for one record; None: they have to be taken one by one. Raises as the pipeline does."""
        metadata, new, row = typed.metadata, typed.new, record.key
        schema: Any = metadata.schema_name
        place = (record.source, metadata.record_type, metadata.operation, schema, metadata.table_name)
        form = self._forms.get(place) or self._form(*place)
        if form is None or row is None or record.replay or not self._is_ordinary(form, typed):
            return None
        if self._pinned and state.pinned_schema(self._spec.name) != schema:
            return None
        word = form.word
        time = metadata.commit_timestamp or metadata.timestamp
        if type(time) is not str or (committed := self._commit_time(time)) is None:
            return None
        committed_ms, timestamp = committed
        keys = {name: new[place] for name, place in self._keys}
        if self._has_number_keys:
            keys = {name: key_form(value) for name, value in keys.items()}
        parts = (metadata.stream_position, metadata.transaction_id, metadata.transaction_record_id)
        named = _NO_NAME.isdisjoint(parts)
        spec = self._spec
        digest = form.stem.digest(
            [key_text(value) for value in keys.values()] if self._names_keys else None,
            ["change", *[str(part) for part in parts]] if named else position_of(record),
        )
        if self._samples and self._options.second.wanted(digest):
            return None
        memory = state.memory(row) if self._remembers else None
        note = named and self._drops_resent
        if note and ((memory is not None and digest in memory.changes) or state.is_recent(digest)):
            return Enriched(_RESENT, table=spec.name)
        effects: list[Effect] = []
        sight = (typed.shape, *typed.numbers) if typed.numbers else typed.shape
        if not self._watch.is_settled(sight, state, committed_ms):
            effects += self._observed(sight, typed, schema, committed_ms, state)
        if self._provides:
            entries = self._lookups(typed, row, committed_ms, state)
            if entries is None:
                return None
            effects += entries
        if note:
            effects.append(Note(digest))
        owner = self._owner.find(new, state, schema, committed_ms)
        if owner is None:
            published = word.kept_back is None
            change = self._change(word, typed, record, keys, committed_ms)
            found = find_owner(
                change, spec, self._options.catalogue, state, memory, patient=patient and published, ask=published
            )
            if isinstance(found, Miss):
                return Enriched(found, table=spec.name)
            owner = found
            if owner.source == "missing" and self._needs_owner:
                return None
        if self._remembers:
            effects += remember.memorize_in_turn(owner, row, memory, digest if named else None, committed_ms)
        retyped = len(typed.numbers)
        if word.kept_back is not None:
            return Enriched(word.kept_back, tuple(effects), spec.name, retyped)
        event = self._event(form, typed, record, owner, keys, digest, committed_ms, timestamp)
        return None if event is None else Enriched(Ok(event), tuple(effects), spec.name, retyped)

    def _is_ordinary(self, form: Form, typed: TypedRecord) -> bool:
        """Whether the row is valid, its key has not changed, and its images can be compared, if there are two."""
        new, old, changed, shape, keys = typed.new, typed.old, typed.changed.places, typed.shape, self._key_places
        if not form.needs.isdisjoint(shape.empty):
            return False
        if old is None or form.word.operation is Operation.CREATE:
            return old is None
        if not keys.isdisjoint(changed) and any(
            place in changed and old[place] is not None and old[place] is not UNSET for place in keys
        ):
            return False
        if self._fills and any(new[place] is UNSET or old[place] is UNSET for place in changed):
            return False
        # Fewer changes than columns beside the key: one of the others stands in both rows.
        in_both = len(changed) + len(keys) < len(shape.present)
        return in_both or any(old[place] is not UNSET for place in self._no_keys)

    def _observed(
        self, sight: Hashable, typed: TypedRecord, schema: str, committed_ms: int, state: State
    ) -> tuple[Effect, ...]:
        row = row_of(typed.new, self._names)
        source = SourceRow(dms.ADAPTER, schema, self._spec.table, Operation.UPDATE, row, None, None, None)
        odd = [(self._names[place], FLAG, False) for place in typed.numbers]
        observed = self._watch.row(source, state, odd, committed_ms)
        if not observed:
            self._watch.settle(sight, tuple(row), state)
        return observed

    def _lookups(self, typed: TypedRecord, row: bytes, committed_ms: int, state: State) -> list[Remember] | None:
        """`remember.lookups`; None if an entry needs more than the row."""
        effects: list[Remember] = []
        for rule, org_place, user_place in self._provides:
            org, user = _id(typed, org_place), _id(typed, user_place)
            if org is UNSET or user is UNSET:
                return None
            known = state.lookup(rule.lookup, row)
            if known is None or org != known.org_id or user != known.user_id:
                entry = LookupEntry(org_id=org, user_id=user, since_ms=committed_ms)
                effects.append(Remember(rule.lookup, row, entry))
        return effects

    def _change(
        self, word: Word, typed: TypedRecord, record: RawRecord, keys: dict[str, Any], committed_ms: int
    ) -> Change:
        return Change(
            name=self._spec.name,
            schema=str(typed.metadata.schema_name),
            table=typed.metadata.table_name,
            operation=word.operation,
            keys=keys,
            previous_keys=None,
            before=None if typed.old is None else row_of(typed.old, self._names),
            after=row_of(typed.new, self._names),
            committed_at=EPOCH + timedelta(milliseconds=committed_ms),
            identity=None,
            origin=record.origin,
            adapter=dms.ADAPTER,
        )

    def _event(
        self, form: Form, typed: TypedRecord, record: RawRecord, owner: Enrichment, keys: dict[str, Any], digest: str,
        committed_ms: int, timestamp: str,
    ) -> Event | None:  # fmt: skip
        """None: a value has no form that the table wants it in."""
        metadata, old, table = typed.metadata, typed.old, self._table
        compared = old is not None or form.word.operation is Operation.CREATE
        try:
            if old is not None:
                changes, touched = self._columns.differences(typed.new, old, typed.changed)
            else:
                changes, touched = self._columns.values(typed.new, typed.shape.present, () if compared else keys)
        except BadValueError:
            return None
        published, transaction = keys, metadata.transaction_id
        if self._key_rules:
            touched = tuple(sorted({*touched, *self._key_rules}))
            published = redacted_keys(keys, self._key_rules)
        org, user = owner.org_id, owner.user_id
        if table.org_redactor is not None:
            org = published_id(org, table.org_redactor)
        if table.user_redactor is not None:
            user = published_id(user, table.user_redactor)
        return form.frame.event(
            record, digest, committed_ms, timestamp, wire(published), changes, touched, owner,
            compared=compared, org_id=org, user_id=user,
            transaction_id=UNSET if transaction in _NO_NAME else str(transaction),
        )  # fmt: skip

    def _form(self, source: str, kind: str, operation: str, schema: Any, table: str) -> Form | None:
        """None: the record is not of this table, or of another kind."""
        options, spec, word = self._options, self._spec, self._words.get(operation)
        if word is None or kind != "data" or type(schema) is not str:
            return None
        if options.catalogue.first(dms.ADAPTER, schema, table) is not spec:
            return None
        frame = Frame(
            spec, word.operation, dms.ADAPTER, schema, table,
            service=options.service, environment=options.environment, snapshot=word.snapshot,
        )  # fmt: skip
        stem = Stem(source, spec.name, word.operation, schema)
        form = Form(word, self._key_places.union(word.required), frame, stem)
        if len(self._forms) < MAX_FORMS:
            self._forms[source, kind, operation, schema, table] = form
        return form


def _id(typed: TypedRecord, place: int | None) -> Any:
    """An id for a lookup: text, None, or UNSET if the row does not hold its column. None as place: no such id."""
    if place is None:
        return None
    value = typed.new[place]
    if value is UNSET and typed.old is not None:
        value = typed.old[place]
    return value if value is UNSET or value is None else key_text(value) or None


_NUMBERS: Final = frozenset({ColumnType.DECIMAL, ColumnType.JSON, ColumnType.ANY})
"""Types of columns whose values may be fractions."""
_RESENT: Final = Drop("resent")
_NO_NAME: Final = frozenset({None, "", UNSET})
"""Values of metadata that name nothing."""
