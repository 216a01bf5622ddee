"""Example rows of any table, made from its spec, and the event the pipeline itself makes of one."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, assert_never

from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.routing import route
from models.catalogue import Catalogue
from models.change import Operation
from models.outcome import Ok
from models.raw import Origin, RawRecord
from models.tables import (
    ColumnType,
    FromColumn,
    FromLookup,
    MissingOwner,
    RedactionAction,
    TableSpec,
    Transformation,
    fold,
)
from workers.failures import CommandError

COMMITTED = "2026-01-15T10:31:00.000000Z"
ARRIVED_MS = 1_768_473_060_412
STREAM, SHARD, SEQUENCE = "example", "shardId-000000000000", "49600000000000000000000000000000000000000000000000000001"
KEY = b"a key for examples only, never for a worker"
_TEXTS = {
    "email": "jane.doe@example.com", "phone": "+12025550123", "number": "+12025550123", "address": "+12025550123",
    "uri": "sip:+12025550123@example.com", "ip": "192.0.2.17", "name": "Example", "status": "ACTIVE", "currency": "EUR",
    "timezone": "Europe/Berlin", "locale": "en-GB", "country": "DE", "domain": "example.com",
}  # fmt: skip
_WORDS = {Operation.CREATE: "insert", Operation.UPDATE: "update", Operation.DELETE: "delete"}


def example_row(spec: TableSpec) -> dict[str, Any]:
    """A row that has an owner: the columns of the first owner cases hold what they ask for."""
    row: dict[str, Any] = {}
    for place, name in enumerate(sorted(spec.known, key=lambda name: (name not in spec.key, name))):
        row[name] = _value(spec, name, place + 1)
    for cases in (spec.owner.org, spec.owner.user) if spec.owner else ():
        for case in cases[:1]:
            row |= case.when
    return row


def example_event(catalogue: Catalogue, spec: TableSpec, operation: Operation) -> dict[str, Any]:
    """The detail of an event. Raises CommandError if no event comes of an example row."""
    pipeline = Pipeline(_patient(catalogue), PipelineOptions(redaction_key=KEY))
    state = InMemoryState()
    row = example_row(spec)
    for number, provider in enumerate(_providers(catalogue, spec), start=1):
        lookup_row = example_row(provider)
        for case in _lookups(spec):
            if provider is catalogue.lookup_provider(case.lookup):
                key = next(rule.key for rule in provider.provides if rule.lookup == case.lookup)
                lookup_row[key] = row[case.by]
        state.apply(pipeline.run(_record(catalogue, provider, "insert", lookup_row, None, number), state).effects)
    before = {**row, **_changed(spec, row)} if operation is Operation.UPDATE else None
    record = _record(catalogue, spec, _WORDS[operation], row, before, 1_841)
    outcome = pipeline.run(record, state, patient=False).outcome
    if not isinstance(outcome, Ok):
        why = getattr(outcome, "reason", "no owner")
        raise CommandError(f"an example row of table {spec.name} gives no event: {why}")
    event: dict[str, Any] = json.loads(outcome.value.value)
    return event


def _patient(catalogue: Catalogue) -> Catalogue:
    """An example that nobody owns, or that `where` denies, is still one; and all of them come from one adapter."""
    return Catalogue(
        replace(spec, adapter=None, where=None, on_missing_owner=MissingOwner()) for spec in catalogue.specs
    )


def _lookups(spec: TableSpec) -> list[FromLookup]:
    cases = (*spec.owner.org, *spec.owner.user) if spec.owner else ()
    return [case for case in cases if isinstance(case, FromLookup)]


def _providers(catalogue: Catalogue, spec: TableSpec) -> Iterable[TableSpec]:
    return {provider.name: provider for case in _lookups(spec)
            if (provider := catalogue.lookup_provider(case.lookup)) is not spec}.values()  # fmt: skip


def _changed(spec: TableSpec, row: dict[str, Any]) -> dict[str, Any]:
    """Two columns that tell how they look when they change: one that is redacted, if there is one, and another."""
    fixed = {*spec.key, *_owner_columns(spec), *(rule.key for rule in spec.provides)}
    free = [name for name in sorted(row) if name not in fixed and type(row[name]) is str]
    masked = [name for name in free if name in spec.redact and spec.redact[name].action is not RedactionAction.REMOVE]
    plain = [name for name in free if name not in spec.redact and spec.columns.get(name) is ColumnType.TEXT]
    return {name: _former(row[name]) for name in (*masked[:1], *plain[:1])}


def _former(value: str) -> str:
    if "0123" in value or "jane" in value:
        return value.replace("jane", "jo").replace("0123", "0198")
    return "INACTIVE" if value == "ACTIVE" else f"Former {value}"


def _owner_columns(spec: TableSpec) -> set[str]:
    cases = (*spec.owner.org, *spec.owner.user) if spec.owner else ()
    named = {case.column if isinstance(case, FromColumn) else case.by for case in cases}
    return named | {name for case in cases for name in case.when}


def _value(spec: TableSpec, name: str, place: int) -> Any:
    if spec.transform.get(name) is Transformation.ISO_DATE:
        return "2026-01-15T10:30:00Z"
    if spec.transform.get(name) is Transformation.DECIMAL:
        return "12.50"
    kind = spec.columns.get(name, ColumnType.TEXT)
    match kind:
        case ColumnType.INT:
            return place
        case ColumnType.BOOL:
            return True
        case ColumnType.TIMESTAMP:
            return "2026-01-15T10:30:00Z"
        case ColumnType.DECIMAL:
            return "12.50"
        case ColumnType.JSON:
            return '{"example": true}'
        case ColumnType.TEXT | ColumnType.ANY:
            return next((text for word, text in _TEXTS.items() if fold(name).endswith(word)), f"{name} {place}")
        case _:
            assert_never(kind)


def _record(
    catalogue: Catalogue, spec: TableSpec, word: str, row: dict[str, Any], before: dict[str, Any] | None, number: int
) -> RawRecord:
    document: dict[str, Any] = {"data": row, "metadata": {
        "timestamp": COMMITTED, "commit-timestamp": COMMITTED, "record-type": "data", "operation": word,
        "schema-name": spec.schema or "core", "table-name": spec.table, "transaction-id": 87978110091475,
        "transaction-record-id": number, "stream-position": f"mysql-bin-changelog.000042.{number}",
    }}  # fmt: skip
    if before is not None:
        document["before-image"] = before
    value = json.dumps(document).encode()
    return RawRecord(
        value=value,
        key=route(value, "example", catalogue).key,
        origin=Origin(STREAM, SHARD, SEQUENCE, 0, ARRIVED_MS),
        topic="cdc.raw.core",
        partition=0,
        offset=number,
        timestamp_ms=ARRIVED_MS,
        source="core",
        table=spec.name,
    )
