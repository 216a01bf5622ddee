"""The plan of one table: an ordinary insert or update of DMS becomes its event in one pass over what changed.

It does what the steps of `enrichers.pipeline` do, in their order, with everything prepared that the table's spec and
the columns of its rows decide. What is not ordinary has no plan, or the plan gives it back: then the steps are taken.
"""

from collections.abc import Hashable, Sequence
from datetime import timedelta
from typing import Any, Final

from msgspec import UNSET

from enrichers import remember
from enrichers.compiled import CompiledTable
from enrichers.enriched import Enriched
from enrichers.normalize import position_of
from enrichers.owner import find_owner
from enrichers.owner_places import OwnerPlaces
from enrichers.plan_columns import Changed, PlanColumns, Word, published_id, redacted_keys
from enrichers.plan_forms import Form, Forms, PlanOptions
from enrichers.state import Effect, LookupEntry, Note, Remember, State
from enrichers.transform import BadValueError
from enrichers.validate import commit_times
from models.change import EPOCH, Change, Operation, SourceRow
from models.column_types import KINDS
from models.outcome import Drop, Miss, Ok
from models.raw import RawRecord
from models.routing import key_form, key_text
from models.sources import dms
from models.sources.dms_document import (
    COMMIT_TIMESTAMP,
    SCHEMA_NAME,
    STREAM_POSITION,
    TABLE_NAME,
    TIMESTAMP,
    TRANSACTION_ID,
    TRANSACTION_RECORD_ID,
)
from models.sources.dms_typed import TypedRecord
from models.sources.plain_objects import row_of
from models.sources.reading import Reading
from models.strict_json import travels, wire
from models.tables import ColumnType

_ABSENT: Final = UNSET
_Enriched: Final = Enriched
_Note: Final = Note
_Ok: Final = Ok
FLAG: Final = KINDS[int]
"""What a flag is that came as a number."""


class Plan:
    """For rows with these columns, as the reader of one source delivers them."""

    def __init__(self, table: CompiledTable, columns: Sequence[str], options: PlanOptions, reading: Reading) -> None:
        """See `of`."""
        spec = table.spec
        places = {name: place for place, name in enumerate(columns)}
        self._spec = spec
        self._name = spec.name
        self._options = options
        self._names = tuple(columns)
        self._columns = PlanColumns(table, columns)
        self._commit_time = commit_times(options.zone)
        self._keys = tuple((name, places[name]) for name in spec.key)
        self._has_number_keys = any(spec.columns.get(name, ColumnType.ANY) in _NUMBERS for name in spec.key)
        self._no_keys = tuple(place for name, place in places.items() if name not in spec.key)
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
        self._org_rule, self._user_rule = table.org_redactor, table.user_redactor
        self._forms = Forms(spec, places, options)

    @staticmethod
    def of(
        table: CompiledTable, columns: Sequence[str], options: PlanOptions, reading: Reading
    ) -> "Plan | None":  # fmt: skip
        """`columns`: of the reader's rows, in the spec's spelling. None if the steps have to be taken each time."""
        spec = table.spec
        if spec.where is not None or spec.published_images or table.conditional:
            return None
        if table.aliases or table.org_alias is not None or table.user_alias is not None:
            return None
        if reading.lob_max_size or options.second.mode == "all":
            return None
        provided = {name for rule in spec.provides for name in (rule.org, rule.user) if name is not None}
        return Plan(table, columns, options, reading) if {*spec.key, *provided} <= {*columns} else None

    def run(self, typed: TypedRecord, record: RawRecord, state: State, *, patient: bool) -> Enriched | None:
        """All steps for one record; None: they have to be taken one by one. Raises as the pipeline does."""
        metadata, new, row = typed.metadata, typed.new, record.key
        form = self._forms.of(record.source, metadata)
        if form is None or row is None or record.replay:
            return None
        changed = self._columns.changed(typed.changed)
        if not self._is_ordinary(form, typed, changed):
            return None
        schema, word = form.schema, form.word
        if self._pinned and state.pinned_schema(self._name) != schema:
            return None
        time = metadata[COMMIT_TIMESTAMP] or metadata[TIMESTAMP]
        if type(time) is not str or (committed := self._commit_time(time)) is None:
            return None
        committed_ms, timestamp = committed
        keys = {name: new[place] for name, place in self._keys}
        if self._has_number_keys:
            keys = {name: key_form(value) for name, value in keys.items()}
        transaction = _name(metadata[TRANSACTION_ID])
        names = (_name(metadata[STREAM_POSITION]), transaction, _name(metadata[TRANSACTION_RECORD_ID]))
        named = names[0] and transaction and names[2]
        spec = self._spec
        digest = form.stem.digest(
            [key_text(value) for value in keys.values()] if self._names_keys else None,
            ["change", *names] if named else position_of(record),
        )
        if self._samples and self._options.second.wanted(digest):
            return None
        memory = state.memory(row) if self._remembers else None
        note = named and self._drops_resent
        if note and ((memory is not None and digest in memory.changes) or state.is_recent(digest)):
            return _Enriched(_RESENT, table=self._name)
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
            effects.append(_Note(digest))
        owner = self._owner.find(new, state, schema, committed_ms)
        if owner is None:
            published = word.kept_back is None
            change = self._change(word, typed, record, keys, committed_ms)
            found = find_owner(
                change, spec, self._options.catalogue, state, memory, patient=patient and published, ask=published
            )
            if isinstance(found, Miss):
                return _Enriched(found, table=self._name)
            owner = found
            if owner.source == "missing" and self._needs_owner:
                return None
        if self._remembers:
            effects += remember.memorize_in_turn(owner, row, memory, digest if named else None, committed_ms)
        retyped = len(typed.numbers)
        if word.kept_back is not None:
            return _Enriched(word.kept_back, tuple(effects), self._name, retyped)
        content = self._content(form, typed, changed, keys)
        if content is None:
            return None
        shown, changes, touched = content
        event = form.frame.event(
            record, digest, committed_ms, timestamp, shown, changes, touched, owner,
            compared=form.creates or typed.old is not None,
            org_id=published_id(owner.org_id, self._org_rule), user_id=published_id(owner.user_id, self._user_rule),
            transaction_id=transaction or _ABSENT,
        )  # fmt: skip
        return _Enriched(_Ok(event), tuple(effects), self._name, retyped)

    def _is_ordinary(self, form: Form, typed: TypedRecord, changed: Changed) -> bool:
        """Whether the row is valid, its key has not changed, and its images can be compared, if there are two."""
        new, old, shape = typed.new, typed.old, typed.shape
        for place in form.needs:
            if place in shape.empty:
                return False
        if old is None or form.creates:
            return old is None
        for place in changed.keys:
            if old[place] is not None and old[place] is not _ABSENT:
                return False
        if self._fills and any(new[place] is _ABSENT or old[place] is _ABSENT for place in changed.places):
            return False
        # Fewer changes than columns beside the key: one of the others stands in both rows.
        in_both = len(changed.places) + len(self._keys) < len(shape.present)
        return in_both or any(old[place] is not _ABSENT for place in self._no_keys)

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
            if org is _ABSENT or user is _ABSENT:
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
            schema=str(typed.metadata[SCHEMA_NAME]),
            table=typed.metadata[TABLE_NAME],
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

    def _content(
        self, form: Form, typed: TypedRecord, changed: Changed, keys: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]] | None:
        """(keys, changes, columns that count as redacted) as they may be published. None: a value has no form that the
        table wants it in."""
        try:
            if typed.old is not None:
                changes, touched = self._columns.differences(typed.new, typed.old, changed)
            else:
                changes, touched = self._columns.values(typed.new, typed.shape.present, () if form.creates else keys)
        except BadValueError:
            return None
        if self._key_rules:
            touched = tuple(sorted({*touched, *self._key_rules}))
            keys = redacted_keys(keys, self._key_rules)
        return keys if all(travels(value) for value in keys.values()) else wire(keys), changes, touched


def _id(typed: TypedRecord, place: int | None) -> Any:
    """An id for a lookup: text, None, or UNSET if the row does not hold its column. None as place: no such id."""
    if place is None:
        return None
    value = typed.new[place]
    if value is _ABSENT and typed.old is not None:
        value = typed.old[place]
    return value if value is _ABSENT or value is None else key_text(value) or None


def _name(value: Any) -> str:
    """What metadata says to name a change; empty if it names nothing."""
    return "" if value is None or value is _ABSENT else key_text(value)


_NUMBERS: Final = frozenset({ColumnType.DECIMAL, ColumnType.JSON, ColumnType.ANY})
"""Types of columns whose values may be fractions."""
_RESENT: Final = Drop("resent")
