"""What a plan prepares: what happens to each column on its way into the event, and what each operation means."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET

from enrichers.compiled import CompiledTable
from enrichers.detail import Sides
from enrichers.diff import same
from enrichers.redact import REMOVED, Redactor
from models.change import Operation, Row
from models.outcome import Drop
from models.sources import dms
from models.sources.dms_typed import Values
from models.strict_json import PLAIN, wire
from models.tables import RedactionAction, TableSpec


class PlanColumn(msgspec.Struct, frozen=True, gc=False):
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


class PlanColumns:
    """The columns of a plan's rows, by place."""

    def __init__(self, table: CompiledTable, names: Sequence[str]) -> None:
        """`names`: in the spec's spelling."""
        self._columns = tuple(_column(table, name) for name in names)

    def differences(self, new: Values, old: Values, changed: Iterable[int]) -> tuple[dict[str, Any], list[str]]:
        """What may be published of the changed columns, and which of them count as redacted. Raises BadValueError."""
        changes: dict[str, Any] = {}
        touched: list[str] = []
        columns = self._columns
        for place in changed:
            column = columns[place]
            after, before = new[place], old[place]
            if column is None or after is UNSET or before is UNSET:
                continue
            name, form = column.name, column.form
            if column.is_json and same(before, after, is_json=True):
                continue
            if column.touched:
                touched.append(name)
            if column.gone:
                continue
            if form is not None:
                after, before = form(after), form(before)
                if after is REMOVED or before is REMOVED:
                    continue
            changes[name] = Sides(
                after if type(after) in PLAIN else wire(after), before if type(before) in PLAIN else wire(before)
            )
        return changes, touched

    def values(self, new: Values, places: Iterable[int], but: Container[str]) -> tuple[dict[str, Any], list[str]]:
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
        return changes, touched


@dataclass(frozen=True, slots=True)
class Word:
    """An operation as DMS calls it."""

    operation: Operation
    wire: str
    event_type: str
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
        rule = table.unknown
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
            operation, operation.wire, spec.event_type(operation), snapshot, kept_back,
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
