"""Observe: which columns a record shows, and of which kind. An ordinary record shows nothing new, and costs one look.

What is known is a memo of the table values read last, so the same record and the same state always give the same
answer: a unit that aborts leaves other bytes in the table, and with them the memo is another one.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from enrichers.schema_memory import MAX_COLUMNS, History, Reported, Seen, SeenColumn, tell
from enrichers.state import Observe, State, read_entry
from models.change import EPOCH, MAX_MICROSECONDS, Control, Operation, SourceRow, milliseconds
from models.column_types import KINDS
from models.tables import ColumnType, TableSpec, spellings

DAY_MS = 86_400_000
MAX_MEMOS = 64
MAX_SHAPES = 256
WHOLE_ROWS = frozenset({"debezium"})
"""Adapters whose new rows name every column of the table, the null ones too. A flat row may come from a document
database, where each row has columns of its own."""
KIND_OF: Final[Mapping[type, str]] = {**KINDS, int: "number", Decimal: "number"}
"""Of columns without a declared type: 3 and 3.5 are of one kind."""

Oddities = list[tuple[str, str, bool]]
"""(column, kind of its value, whether it was refused) of typed columns that came as another kind of JSON value."""

_seen = msgspec.json.Decoder(Seen)
_history = msgspec.json.Decoder(History)


def read_seen(raw: bytes) -> Seen:
    """Raises NewerFormatError or UnreadableEntryError."""
    return read_entry(_seen, raw)


def read_history(raw: bytes) -> History:
    """Raises NewerFormatError or UnreadableEntryError."""
    return read_entry(_history, raw)


@dataclass(frozen=True, slots=True)
class _Shape:
    untyped: tuple[tuple[str, str], ...]
    """Columns without a declared type: (as it came, name)."""
    fresh_until: int
    """Commit time from which on a row like this says that its columns are still there."""
    declared: Sequence[Any] | None


class _Known:
    """What two table values say, made ready for looking at rows."""

    def __init__(self, seen: bytes | None, history: bytes | None) -> None:
        self.seen = read_seen(seen) if seen is not None else None
        self.reported = read_history(history).columns if history is not None else {}
        self.columns = self.seen.columns if self.seen is not None else {}
        self.shapes: dict[tuple[bool, tuple[str, ...]], _Shape] = {}
        """(whether these are all columns, columns as they came) -> what makes a row of them ordinary."""
        self.settled: dict[Hashable, int] = {}
        """What a plan saw -> commit time from which on it has to be looked at again."""

    def lacks(self, name: str, kind: str | None, *, refused: bool = False) -> bool:
        """Whether a value of this kind is news."""
        column = self.columns.get(name)
        return column is None or kind not in (column.refused if refused else column.kinds)

    def is_there(self, name: str) -> bool:
        """Whether a column counts as one the table has, here and in the last report."""
        column, reported = self.columns.get(name), self.reported.get(name)
        return column is not None and column.present and (reported is None or reported.present)


class Watch:
    """The columns of one table, watched by all slots of a process."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self._name = spec.name
        self._memos: dict[tuple[bytes | None, bytes | None], _Known] = {}

    def row(self, source: SourceRow, state: State, odd: Oddities, at_ms: int) -> tuple[Observe, ...]:
        """What a row adds to the memory of its table: nothing, or its partition's whole entry."""
        row = source.row
        if row is None or source.operation is Operation.DELETE or not at_ms:
            return ()
        known = self._known(state)
        whole = source.operation is Operation.CREATE and source.adapter in WHOLE_ROWS
        shape = known.shapes.get((whole, tuple(row)))
        if shape is not None and at_ms < shape.fresh_until and source.declared == shape.declared:
            news = odd and any(known.lacks(name, kind, refused=refused) for name, kind, refused in odd)
            if not news:
                for given, name in shape.untyped:
                    value = row[given]
                    if value is not None and KIND_OF.get(type(value)) not in known.columns[name].kinds:
                        break
                else:
                    return ()
        return self._look(source, row, known, odd, at_ms, whole=whole)

    def is_settled(self, sight: Hashable, state: State, at_ms: int) -> bool:
        """Whether a row is no news. `sight`: its columns and the types of their values. A row of no time never is, and
        settles nothing: `row` does not look at it."""
        if not at_ms:
            return True
        name = self._name
        known = self._memos.get((state.seen(name), state.history(name)))
        return known is not None and at_ms < known.settled.get(sight, 0)

    def settle(self, sight: Hashable, columns: tuple[str, ...], state: State) -> None:
        """`row` had nothing to add for one like this."""
        known = self._known(state)
        shape = known.shapes.get((False, columns))
        if shape is not None and len(known.settled) < MAX_SHAPES:
            known.settled[sight] = shape.fresh_until

    def control(self, control: Control, state: State) -> tuple[Observe, ...]:
        """What a control record adds: columns it tells of, and those that are gone."""
        at_ms = _told_ms(control.told_at)
        if not at_ms or not (control.columns or control.dropped or control.primary_key):
            return ()
        known = self._known(state)
        seen = _copy(known.seen, at_ms)
        columns = control.columns or {}
        told = dict(zip(self._names(tuple(columns)), columns.values(), strict=True))
        for name, kind in told.items():
            self._tell(seen, name, kind, at_ms)
        gone = self._names(control.dropped)
        if control.whole:
            gone += [name for name in seen.columns if name not in told]
        self._end(seen, gone, at_ms)
        key = ",".join(self._names(control.primary_key))
        if key:
            tell(seen.keys, at_ms, key)
        return self._effect(seen, known)

    def _known(self, state: State) -> _Known:
        at = state.seen(self.spec.name), state.history(self.spec.name)
        found = self._memos.get(at)
        if found is None:
            if len(self._memos) >= MAX_MEMOS:
                self._memos.clear()
            found = self._memos[at] = _Known(*at)
        return found

    def _look(
        self, source: SourceRow, row: Mapping[str, Any], known: _Known, odd: Oddities, at_ms: int, *, whole: bool
    ) -> tuple[Observe, ...]:
        given = tuple(row)
        named = self._names(given)
        untyped = tuple(
            (name, known_as) for name, known_as in zip(given, named, strict=True) if self._watched(known_as)
        )
        seen = _copy(known.seen, at_ms)
        for name in named:
            self._sight(seen, name, known.reported.get(name), at_ms)
        for name, known_as in untyped:
            kind = KIND_OF.get(type(row[name]))
            if kind is not None and known_as in seen.columns:
                seen.columns[known_as].kinds.setdefault(kind, at_ms)
        for name, kind, refused in odd:
            column = seen.columns.get(name)
            if column is not None:
                (column.refused if refused else column.kinds).setdefault(kind, at_ms)
        told = self._told(source.declared)
        for name, type_told in told.items():
            self._tell(seen, name, type_told, at_ms)
        everything = set(told) or (set(named) if whole else None)
        if everything is not None:
            self._end(seen, [name for name in seen.columns if name not in everything], at_ms)
        effect = self._effect(seen, known)
        if not effect and len(known.shapes) < MAX_SHAPES and self._settled(known, named, told, everything):
            fresh_until = min((known.columns[name].last_ms for name in named), default=0) + DAY_MS
            known.shapes[whole, given] = _Shape(untyped, fresh_until, source.declared)
        return effect

    def _settled(
        self, known: _Known, named: Sequence[str], told: Mapping[str, str], everything: set[str] | None
    ) -> bool:
        """Whether no later row of this shape can be news by its time alone."""
        if not all(known.is_there(name) for name in named):
            return False
        if any(known.columns[name].types[-1][1] != kind for name, kind in told.items()):
            return False
        return everything is None or all(name in everything for name, column in known.columns.items() if column.present)

    def _told(self, declared: Sequence[Any] | None) -> dict[str, str]:
        """Column -> type, by the schema that came with a row."""
        fields = [field for field in (declared or ())[:MAX_COLUMNS] if type(field) is dict]
        told = {field["field"]: field.get("name") or field.get("type") for field in fields
                if type(field.get("field")) is str}  # fmt: skip
        kinds = [kind if type(kind) is str else "?" for kind in told.values()]
        return dict(zip(self._names(tuple(told)), kinds, strict=True))

    def _names(self, given: tuple[str, ...]) -> list[str]:
        return [found or name for name, found in zip(given, spellings(self.spec, given), strict=True)]

    def _watched(self, name: str) -> bool:
        return self.spec.columns.get(name, ColumnType.ANY) is ColumnType.ANY

    def _sight(self, seen: Seen, name: str, reported: Reported | None, at_ms: int) -> None:
        column = seen.columns.get(name)
        if column is None:
            if len(seen.columns) < MAX_COLUMNS:
                seen.columns[name] = SeenColumn(first_ms=at_ms, last_ms=at_ms)
            return
        gone = not column.present or (reported is not None and not reported.present)
        if at_ms - column.last_ms >= DAY_MS or (gone and at_ms > column.last_ms):
            column.last_ms = at_ms

    def _tell(self, seen: Seen, name: str, kind: str, at_ms: int) -> None:
        self._sight(seen, name, None, at_ms)
        column = seen.columns.get(name)
        if column is not None:
            tell(column.types, at_ms, kind)

    def _end(self, seen: Seen, names: Sequence[str], at_ms: int) -> None:
        for name in names:
            column = seen.columns.get(name)
            # One that was seen later is there: a record of another partition or an old one says nothing of now.
            if column is not None and column.present and at_ms > column.last_ms:
                column.gone_ms = at_ms

    def _effect(self, seen: Seen, known: _Known) -> tuple[Observe, ...]:
        return () if seen == known.seen else (Observe(self.spec.name, seen.encode()),)


def _copy(seen: Seen | None, at_ms: int) -> Seen:
    if seen is None:
        return Seen(since_ms=at_ms)
    columns = {
        name: SeenColumn(
            first_ms=column.first_ms, last_ms=column.last_ms, gone_ms=column.gone_ms, types=[*column.types],
            kinds={**column.kinds}, refused={**column.refused},
        )
        for name, column in seen.columns.items()
    }  # fmt: skip
    return Seen(since_ms=seen.since_ms, columns=columns, keys=[*seen.keys])


def _told_ms(told_at: str | None) -> int:
    """0 if there is no time since 1970."""
    if told_at is None:
        return 0
    try:
        moment = datetime.fromisoformat(told_at)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return 0
    return milliseconds(moment) if moment > EPOCH and milliseconds(moment) < MAX_MICROSECONDS // 1_000 else 0
