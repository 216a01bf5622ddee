"""What a plan prepares: what happens to each column on its way into the event, and what each operation means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from enrichers.compiled import CompiledTable
from enrichers.redact import REMOVED, Redactor
from models.change import Operation, Row
from models.outcome import Drop
from models.sources import dms
from models.tables import TableSpec


@dataclass(frozen=True, slots=True)
class PlanColumn:
    """A column that may stand in the event."""

    name: str
    is_json: bool
    """Whether it holds JSON text, which is compared parsed."""
    forms: tuple[Callable[[Any], Any], ...]
    """Transformation, then redaction; most columns have neither."""
    touched: bool
    """Whether it counts as redacted."""

    def formed(self, value: Any) -> Any:
        """What may be published of a value, or REMOVED. Raises BadValueError."""
        for form in self.forms:
            value = form(value)
        return value


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


def plan_columns(table: CompiledTable, names: Sequence[str]) -> tuple[PlanColumn | None, ...]:
    """By place; None: the column is not published."""
    return tuple(_column(table, name) for name in names)


def _column(table: CompiledTable, name: str) -> PlanColumn | None:
    spec = table.spec
    if table.includes is not None and name not in table.includes:
        return None
    rule = table.redactors.get(name)
    if rule is None and name not in spec.known:
        rule = table.unknown
    forms = (table.transformers_of(dms.ADAPTER).get(name), rule)
    touched = rule is not None and (name in table.redactors or spec.unknown_columns != "drop")
    return PlanColumn(
        name, name in table.json_columns, tuple(form for form in forms if form is not None), touched
    )  # fmt: skip


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
    """An id of the owner by the rule of the column it comes from; UNSET if there is none."""
    if value is None:
        return UNSET
    redacted = value if rule is None else rule(value)
    return UNSET if redacted is REMOVED or redacted is None else redacted
