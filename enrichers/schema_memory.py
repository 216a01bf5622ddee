"""What is remembered of the columns of a table, and which changes of them are to be reported (docs/decisions/0034).

A partition writes down what its own records show (`Seen`). One slot, the home of the table, puts the `Seen` of all
partitions together, compares them with what it has reported so far, and writes that down (`History`): so a change is
reported once, whoever saw it first and however often.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from models.column_types import KINDS
from models.strict_json import encode
from models.tables import ColumnType, TableSpec

ChangeKind = Literal["new", "vanished", "retyped", "rekeyed"]
CHANGE_KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
MAX_COLUMNS = 2_000
"""Columns remembered of one table; a broken source may name any number."""
MAX_TOLD = 8
"""Types of a column, and primary keys of a table, that are kept: the first and the last ones. Two databases behind one
table may tell another one with every record, and all of them stand in the entry that each record then writes."""
MAX_CHANGES = 200
"""Changes kept for `cdc schema drift`; the counts go on."""
TYPED = frozenset(ColumnType) - {ColumnType.ANY, ColumnType.JSON}


class SeenColumn(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One column as the records of one partition, or of all, showed it. Times are milliseconds of commit time."""

    first_ms: int = 0
    last_ms: int = 0
    """Brought up to date once a day at most."""
    gone_ms: int = 0
    """When it was last known not to be there; 0 = never."""
    types: list[tuple[int, str]] = []
    """(when, type in the source's words) each time another one was told, at most MAX_TOLD."""
    kinds: dict[str, int] = {}
    """Kind of JSON value -> first time. Of a column with a declared type only those that had to be put right."""
    refused: dict[str, int] = {}
    """The same for values that could not be put right: their records are dead letters."""

    @property
    def present(self) -> bool:
        """Whether it was seen after it was last known to be gone."""
        return self.last_ms > self.gone_ms or not self.gone_ms


class Seen(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the records of one partition showed of one table."""

    since_ms: int = 0
    """Commit time of the earliest record."""
    columns: dict[str, SeenColumn] = {}
    keys: list[tuple[int, str]] = []
    """(when, columns of the primary key, comma separated) each time another one was told, at most MAX_TOLD."""
    v: int = 1

    def encode(self) -> bytes:
        """Bytes for the table's changelog, the same for the same content."""
        return encode(self)


class Reported(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the last report said of a column."""

    present: bool = True
    type: str = ""
    kinds: list[str] = []
    refused: list[str] = []


class SchemaChange(msgspec.Struct, kw_only=True, omit_defaults=True, frozen=True):
    """One change of one column, or of the primary key. Holds names and types, never a value (P6)."""

    version: int
    """Of the table's columns: 1 = as they were first seen."""
    column: str
    change: ChangeKind
    at_ms: int
    """Commit time of the record that showed it."""
    was: str = ""
    now: str = ""
    refused: bool = False
    """Values of the new kind cannot be put right."""


class History(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was reported of one table."""

    version: int = 1
    key: str = ""
    columns: dict[str, Reported] = {}
    changes: list[SchemaChange] = []
    counts: dict[str, int] = {}
    v: int = 1

    def encode(self) -> bytes:
        """Bytes for the table's changelog, the same for the same content."""
        return encode(self)


def tell(told: list[tuple[int, str]], at_ms: int, word: str) -> None:
    """Add what was told, if it is another word than the last one, and later."""
    if not told or (told[-1][1] != word and at_ms > told[-1][0]):
        told.append((at_ms, word))
        del told[1 : 1 - MAX_TOLD]


def seen_key(name: str) -> bytes:
    """Key of a partition's own observations. Pins are keyed by the bare name, which is never a JSON array."""
    return encode(["seen", name])


def is_seen(key: bytes) -> bool:
    """Whether an entry of the table holds observations."""
    return key.startswith(b'["seen",')


def is_history(key: bytes) -> bool:
    """Whether an entry of the table holds reports."""
    return key.startswith(b'["history",')


def history_key(name: str) -> bytes:
    """Key of the reports about a table; the partition this key belongs to is the home of the table."""
    return encode(["history", name])


def together(seen: Iterable[Seen]) -> Seen:
    """The observations of all partitions as one; their order does not matter."""
    whole = Seen()
    for one in seen:
        whole.since_ms = min(whole.since_ms or one.since_ms, one.since_ms)
        whole.keys = _sequence([*whole.keys, *one.keys])
        for name, column in one.columns.items():
            known = whole.columns.get(name)
            whole.columns[name] = _copy(column) if known is None else _joined(known, column)
    return whole


def _copy(column: SeenColumn) -> SeenColumn:
    return _joined(SeenColumn(first_ms=column.first_ms), column)


def _joined(one: SeenColumn, other: SeenColumn) -> SeenColumn:
    return SeenColumn(
        first_ms=min(one.first_ms, other.first_ms),
        last_ms=max(one.last_ms, other.last_ms),
        gone_ms=max(one.gone_ms, other.gone_ms),
        types=_sequence([*one.types, *other.types]),
        kinds=_earliest(one.kinds, other.kinds),
        refused=_earliest(one.refused, other.refused),
    )


def _earliest(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {kind: min(found.get(kind, at) for found in (one, other)) for kind, at in (one | other).items()}


def _sequence(told: list[tuple[int, str]]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for at, kind in sorted(told):
        if not found or found[-1][1] != kind:
            found.append((at, kind))
    return found


def report(spec: TableSpec, known: History | None, seen: Seen) -> History:
    """What is reported of a table when this is what was seen of it; equal to `known` if there is nothing new."""
    before = known or History()
    columns, found = dict(before.columns), list[SchemaChange]()
    version = before.version + 1
    for name, column in sorted(seen.columns.items()):
        told = columns.get(name)
        now, changes = _of_column(spec, name, column, told, seen.since_ms, version)
        found += changes
        if changes or told is not None:
            columns[name] = now
    at_ms, key = seen.keys[-1] if seen.keys else (0, "")
    was = before.key or ",".join(spec.key)
    if key and sorted(key.split(",")) != sorted(was.split(",")):
        found.append(SchemaChange(version=version, column=key, change="rekeyed", at_ms=at_ms, was=was, now=key))
    if not found:
        return before
    counts = Counter(before.counts) + Counter(change.change for change in found)
    return History(
        version=version, key=key, columns=columns, changes=[*before.changes, *found][-MAX_CHANGES:], counts=dict(counts)
    )


def _of_column(
    spec: TableSpec, name: str, column: SeenColumn, told: Reported | None, since_ms: int, version: int
) -> tuple[Reported, list[SchemaChange]]:
    changes: list[SchemaChange] = []
    type_now = column.types[-1][1] if column.types else ""
    typed = spec.columns.get(name) in TYPED

    def tell(change: ChangeKind, at_ms: int, was: str = "", now: str = "", *, refused: bool = False) -> None:
        changes.append(
            SchemaChange(version=version, column=name, change=change, at_ms=at_ms, was=was, now=now, refused=refused)
        )

    base = [] if typed else sorted(column.kinds, key=lambda kind: (column.kinds[kind], kind))[:1]
    if told is not None:
        known = told if told.kinds else msgspec.structs.replace(told, kinds=base)
    # The configuration wins: a column it names is not new. Without declared columns the first record is the base.
    elif name not in spec.known and (spec.columns or column.first_ms > since_ms):
        tell("new", column.first_ms, now=type_now or "".join(base))
        known = Reported(type=type_now, kinds=base)
    else:
        known = Reported(type=column.types[0][1] if column.types else "", kinds=base)
    if known.present and not column.present:
        tell("vanished", column.gone_ms, was=known.type)
    elif not known.present and column.present:
        tell("new", column.last_ms, now=type_now)
    if known.type and type_now and known.type != type_now:
        tell("retyped", column.types[-1][0], was=known.type, now=type_now)
    expected = spec.columns[name].value if typed else " or ".join(known.kinds)
    for kind in sorted(set(column.kinds) - set(known.kinds)):
        tell("retyped", column.kinds[kind], was=expected, now=kind)
    for kind in sorted(set(column.refused) - set(known.refused)):
        tell("retyped", column.refused[kind], was=expected, now=kind, refused=True)
    return (
        Reported(
            present=column.present,
            type=type_now or known.type,
            kinds=sorted({*known.kinds, *column.kinds}),
            refused=sorted({*known.refused, *column.refused}),
        ),
        changes,
    )


def treatment(spec: TableSpec, change: SchemaChange) -> str:
    """How the worker treats the column now, in words."""
    if change.change == "rekeyed":
        return f"rows are told apart by {', '.join(spec.key)}, as configured"
    if change.change == "vanished":
        return "absent from events"
    if change.refused:
        return "dead letter VALIDATION_ERROR"
    rule = spec.redact.get(change.column)
    if rule is not None:
        published = f"redacted {rule.action.value}"
    elif change.column in spec.known:
        published = "published"
    else:
        published = {"mask": "masked", "publish": "published", "drop": "dropped"}[spec.unknown_columns]
        published += " by unknown_columns"
    if "*" not in spec.include_fields and change.column not in (*spec.include_fields, *spec.key):
        published = "left out by include_fields"
    if change.change == "retyped" and spec.columns.get(change.column) in TYPED and change.now in KINDS.values():
        return f"put right to {spec.columns[change.column].value}, {published}"
    return published
