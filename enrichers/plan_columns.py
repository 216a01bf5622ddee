"""What a plan prepares: what happens to each column on its way into the event, and what each operation means."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import UNSET

from enrichers.compiled import CompiledTable
from enrichers.detail import Sides
from enrichers.diff import same
from enrichers.redact import REMOVED, Redactor
from models.change import Operation, Row
from models.outcome import Drop
from models.sources import dms
from models.sources.dms_typed import MAX_SHAPES, Difference
from models.sources.plain_objects import Values
from models.strict_json import wire
from models.tables import RedactionAction, TableSpec

_ABSENT: Final = UNSET
_REMOVED: Final = REMOVED
_Sides: Final = Sides


@dataclass(frozen=True, slots=True)
class PlanColumn:
    """A column that may stand in the event."""

    name: str
    is_json: bool
    """Whether it holds JSON text, which is compared parsed."""
    form: Callable[[Any], Any] | None
    """Transformation and redaction; most columns have neither."""
    touched: bool
    """Whether it counts as redacted."""
    gone: bool
    """Whether it is removed, whatever its values are."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What the changes of the same columns have in common."""

    places: tuple[int, ...]
    """All that changed."""
    keys: tuple[int, ...]
    """Those that are part of the row's key."""
    columns: tuple[tuple[str, int, Callable[[Any], Any] | None], ...]
    """Those that may stand in the event: name, place, and what is made of the values; None for most."""
    touched: tuple[str, ...]
    """Those that count as redacted, sorted."""
    compares: bool
    """Whether some of them are compared parsed."""


class PlanColumns:
    """The columns of a plan's rows, by place."""

    def __init__(self, table: CompiledTable, names: Sequence[str]) -> None:
        """`names`: in the spec's spelling."""
        self._columns = tuple(_column(table, name) for name in names)
        self._keys = frozenset(place for place, name in enumerate(names) if name in table.spec.key)
        self._changed: dict[Difference, Changed] = {}

    def changed(self, difference: Difference) -> Changed:
        """What is known of it."""
        return self._changed.get(difference) or self._learn(difference)

    def differences(self, new: Values, old: Values, changed: Changed) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What may be published of the changed columns, and which of them count as redacted. Raises BadValueError."""
        if changed.compares:
            return self._carefully(new, old, changed)
        changes: dict[str, Any] = {}
        for name, place, form in changed.columns:
            after, before = new[place], old[place]
            if form is None and type(after) is str and type(before) is str:
                changes[name] = _Sides(after, before)
                continue
            if after is _ABSENT or before is _ABSENT:
                return self._carefully(new, old, changed)
            if form is not None:
                after, before = form(after), form(before)
                if after is _REMOVED or before is _REMOVED:
                    continue
            changes[name] = _Sides(wire(after), wire(before))
        return changes, changed.touched

    def _learn(self, difference: Difference) -> Changed:
        columns = [(place, column) for place in difference.places if (column := self._columns[place]) is not None]
        changed = Changed(
            difference.places,
            tuple(place for place in difference.places if place in self._keys),
            tuple((column.name, place, _removed if column.gone else column.form) for place, column in columns),
            tuple(sorted(column.name for _, column in columns if column.touched)),
            any(column.is_json for _, column in columns),
        )
        if len(self._changed) < MAX_SHAPES:
            self._changed[difference] = changed
        return changed

    def _carefully(self, new: Values, old: Values, changed: Changed) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Column by column: one that a row lacks, or that says the same in other words, has not changed."""
        changes: dict[str, Any] = {}
        touched: list[str] = []
        for place in changed.places:
            column = self._columns[place]
            after, before = new[place], old[place]
            if column is None or after is UNSET or before is UNSET:
                continue
            if column.is_json and same(before, after, is_json=True):
                continue
            if column.touched:
                touched.append(column.name)
            if column.form is not None:
                after, before = column.form(after), column.form(before)
                if after is REMOVED or before is REMOVED:
                    continue
            changes[column.name] = Sides(wire(after), wire(before))
        return changes, tuple(sorted(touched))

    def values(
        self, new: Values, places: Iterable[int], but: Container[str]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:  # fmt: skip
        """The same of a whole row, but for some columns."""
        changes: dict[str, Any] = {}
        touched: list[str] = []
        for place in places:
            column = self._columns[place]
            if column is None or column.name in but:
                continue
            if column.touched:
                touched.append(column.name)
            value = new[place] if column.form is None else column.form(new[place])
            if value is not REMOVED:
                changes[column.name] = {"new": wire(value)}
        return changes, tuple(sorted(touched))


def _removed(_: Any) -> Any:
    return REMOVED


@dataclass(frozen=True, slots=True)
class Word:
    """An operation as DMS calls it."""

    operation: Operation
    snapshot: bool
    kept_back: Drop | None
    """Why its rows are not published."""
    required: tuple[int, ...]
    """Columns its rows must have, not null."""


def _column(table: CompiledTable, name: str) -> PlanColumn | None:
    """None: it is not published."""
    spec = table.spec
    if table.includes is not None and name not in table.includes:
        return None
    rule = table.redactors.get(name)
    if rule is None and name not in spec.known:
        rule = table.rule_of_unknown(name)
    change_form = table.transformers_of(dms.ADAPTER).get(name)
    named = spec.redact.get(name)
    removes = named is not None and named.action is RedactionAction.REMOVE and not named.patterns
    return PlanColumn(
        name=name,
        is_json=name in table.json_columns,
        form=_both(change_form, rule),
        touched=rule is not None and (name in table.redactors or spec.unknown_columns != "drop"),
        gone=removes and name in table.redactors and change_form is None,
    )


def _both(first: Callable[[Any], Any] | None, then: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if first is None or then is None:
        return first or then
    return lambda value: then(first(value))


def words(spec: TableSpec, places: Mapping[str, int]) -> dict[str, Word]:
    """By the word for it: inserts, if the rows have all required columns, and updates."""
    found = {}
    for word, operation in dms.OPERATIONS.items():
        required = sorted(spec.required) if operation is Operation.CREATE else []
        if operation is Operation.DELETE or not places.keys() >= set(required):
            continue
        snapshot = word in dms.SNAPSHOT_OPERATIONS
        kept_back = Drop("snapshot") if snapshot and not spec.publish_snapshots else None
        if operation not in spec.operations:
            kept_back = kept_back or Drop("operation_not_listed")
        found[word] = Word(
            operation, snapshot, kept_back,
            tuple(places[name] for name in required),
        )  # fmt: skip
    return found


def redacted_keys(keys: Row, rules: Mapping[str, Redactor]) -> dict[str, Any]:
    """Key columns as they may be published."""
    redacted = {name: rules[name](value) if name in rules else value for name, value in keys.items()}
    return {name: value for name, value in redacted.items() if value is not REMOVED}


def published_id(value: str | None, rule: Redactor | None) -> Any:
    """An id of the owner by the rule of the column it comes from; None if there is none."""
    if value is None or rule is None:
        return value
    redacted = rule(value)
    return None if redacted is REMOVED else redacted
