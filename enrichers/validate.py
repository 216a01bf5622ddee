"""Validate: a decoded row against its table -> a Change, or why it is none."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from enrichers.compiled import CompiledTable, WrongType
from enrichers.observe import Oddities
from enrichers.transform import iso
from models.change import EPOCH, MAX_MICROSECONDS, Change, Operation, Row, SourceRow, milliseconds
from models.outcome import Dead, Failure, Ok
from models.raw import RawRecord
from models.routing import is_key, key_form, key_value
from models.sources import dms
from models.sources.reading import PLAIN, Reading

_HEXADECIMAL = re.compile("[0-9A-Fa-f]+", re.ASCII)


def validate(
    source: SourceRow,
    table: CompiledTable,
    record: RawRecord,
    odd: Oddities,
    reading: Reading = PLAIN,
    zone: tzinfo = UTC,
    *,
    typed: bool = False,
) -> Ok[Change] | Dead:
    """Check operation, types, required columns, keys and time. Reasons name columns and types, never values (P6).

    `odd` gets the columns that came as another kind of value than the one of their type. `zone`: of commit times that
    carry none. `typed`: the rows came the short way, which has checked their columns."""
    spec = table.spec
    if source.operation is Operation.UNKNOWN:
        return Dead(Failure.VALIDATION_ERROR, "unknown operation")
    imprecise: set[str] | None = set() if source.adapter == dms.ADAPTER else None
    row: Any = source.row
    before: Any = source.before
    if not typed:
        row, before = _read(row, table, odd, imprecise), _read(before, table, odd, imprecise)
        for image in (row, before):
            if isinstance(image, WrongType):
                return Dead(Failure.VALIDATION_ERROR, f"column {image.column} is not of type {image.expected.value}")
    if row is None and source.operation is not Operation.DELETE:
        return Dead(Failure.VALIDATION_ERROR, "data is missing")
    if source.operation is Operation.CREATE:
        for name in sorted(spec.required):
            if (row or {}).get(name) is None:
                return Dead(Failure.VALIDATION_ERROR, f"required column {name} is absent or null")
    if source.operation is Operation.DELETE:
        before, row = _last_image(row, before), None
    keyed = before if source.operation is Operation.DELETE else row
    keys = {}
    for name in spec.key:
        value = (keyed or {}).get(name)
        if value is None:
            return Dead(Failure.VALIDATION_ERROR, f"key column {name} is absent or null")
        if not is_key(value):
            return Dead(Failure.VALIDATION_ERROR, f"key column {name} is no plain value")
        keys[name] = key_form(value)
    previous = None
    if source.operation is Operation.UPDATE and before and row is not None:
        was = {name: key_form(before[name]) if before.get(name) is not None else value for name, value in keys.items()}
        previous = None if all(_is_same(value, keys[name]) for name, value in was.items()) else was
        absent = spec.absent_columns or reading.absent_columns or ("null" if source.whole_images else "unchanged")
        # An image of the key alone is no whole row (docs/decisions/0011), unless the source has no others.
        if absent == "null" and (source.whole_images or not before.keys() <= keys.keys()):
            row, before = _filled_with_null(row, before), _filled_with_null(before, row)
    moment = moment_of(source, record, zone)
    if moment is None:
        return Dead(Failure.VALIDATION_ERROR, "commit time is missing or no time since 1970")
    return Ok(
        Change(
            name=spec.name,
            schema=source.schema,
            table=source.table,
            operation=source.operation,
            keys=keys,
            previous_keys=previous,
            before=before,
            after=row,
            committed_at=moment,
            identity=source.identity,
            origin=record.origin,
            adapter=source.adapter,
            snapshot=source.snapshot,
            transaction_id=source.transaction_id,
            identity_needs_key=source.identity_needs_key,
            order=source.order,
            imprecise=tuple(sorted(imprecise)) if imprecise else (),
            truncated=_cut_off(reading.lob_max_size, row, before) if reading.lob_max_size else (),
        )
    )


def _is_same(former: Any, value: Any) -> bool:
    """Whether two key values name one row: 7 and "7" do, 1 and true do not."""
    return (type(former) is bool) is (type(value) is bool) and key_value(former) == key_value(value)


def _read(row: Row | None, table: CompiledTable, odd: Oddities, imprecise: set[str] | None) -> Any:
    return None if row is None else table.read(row, odd, imprecise)


def _last_image(row: dict[str, Any] | None, before: dict[str, Any] | None) -> dict[str, Any]:
    """What a deleted row was. Null tells nothing here: PostgreSQL deletes carry the key and null for the rest."""
    image = {**(before or {}), **{name: value for name, value in (row or {}).items() if value is not None}}
    return {name: value for name, value in image.items() if value is not None}


def _filled_with_null(image: Row, other: Row) -> Row:
    """`absent_columns: null`: each image is whole, a column missing in one of them was or is null there."""
    return {**image, **{name: None for name in other if name not in image}}


def moment_of(source: SourceRow, record: RawRecord, zone: tzinfo = UTC) -> datetime | None:
    """Commit time of a row; None if the record has none that is a time since 1970. `zone`: of times that carry none."""
    if source.committed_at is None:
        arrived = record.origin.arrival_ms or record.timestamp_ms
        return EPOCH + timedelta(milliseconds=arrived) if 0 < arrived < MAX_MICROSECONDS // 1_000 else None
    return moment_in(source.committed_at, zone)


def moment_in(text: str, zone: tzinfo) -> datetime | None:
    """The time a text holds; None if it holds none since 1970. `zone`: of a text without one."""
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= EPOCH else None


def commit_times(zone: tzinfo) -> Callable[[str], tuple[int, str] | None]:
    """The same as milliseconds since 1970 and as events have it. Changes of one transaction share it."""

    @lru_cache(maxsize=1_024)
    def commit_time(text: str) -> tuple[int, str] | None:
        moment = moment_in(text, zone)
        return None if moment is None else (milliseconds(moment), iso(moment))

    return commit_time


def _cut_off(kibibytes: int, *images: Row | None) -> tuple[str, ...]:
    """Columns with a value exactly as long as the longest that the source lets through: most likely it was longer."""
    size = kibibytes << 10
    values = [item for image in images for item in (image or {}).items()]
    return tuple(sorted({name for name, value in values if type(value) is str and _has_size(value, size)}))


def _has_size(text: str, size: int) -> bool:
    """A text of that many characters or bytes, or the digits of that many bytes."""
    if 4 * len(text) < size:
        return False
    if size in (len(text), len(text.encode())):
        return True
    digits = text.removeprefix("0x")
    return len(digits) == 2 * size and _HEXADECIMAL.fullmatch(digits) is not None
