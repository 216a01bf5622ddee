"""What was seen of a table: its columns, their kinds of values, and what told its key. No value is kept (P6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from models.tables import ColumnType
from workers.drafts.personal import Personal, by_value

_EARLIEST_TEXT = len("2026-01-15")


@dataclass(slots=True)
class SeenColumn:
    """One column. `declared` is what the source says of its type; without that its values tell."""

    name: str
    declared: ColumnType | None = None
    kinds: set[ColumnType] = field(default_factory=set)
    personal: Personal | None = None
    """What its values look like."""

    def look(self, value: Any) -> None:
        """Take up one value."""
        if value is None:
            return
        self.kinds.add(kind_of(value))
        if self.personal is None:
            self.personal = by_value(value)

    @property
    def type(self) -> ColumnType:
        """`any` if nothing is known, or its values are of several kinds."""
        if self.declared is not None:
            return self.declared
        match sorted(self.kinds):
            case [only]:
                return only
            case [ColumnType.DECIMAL, ColumnType.INT]:
                return ColumnType.DECIMAL
            case [ColumnType.TEXT, ColumnType.TIMESTAMP]:
                return ColumnType.TEXT
            case _:
                return ColumnType.ANY


@dataclass(slots=True)
class SeenTable:
    """One table of one source."""

    schema: str
    table: str
    columns: dict[str, SeenColumn] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    key_told_by: str | None = None
    """What says that this is the key; None: nothing did."""
    rows: int = 0

    def column(self, name: str) -> SeenColumn:
        """The column of that name, new if it was not seen."""
        return self.columns.setdefault(name, SeenColumn(name))

    def look(self, *images: Mapping[str, Any] | None) -> None:
        """Take up the images of one row."""
        self.rows += 1
        for image in images:
            for name, value in (image or {}).items():
                self.column(name).look(value)

    def declare(self, columns: Mapping[str, ColumnType | None]) -> None:
        """Take up what the source says of columns; what it says later holds."""
        for name, kind in columns.items():
            self.column(name).declared = kind

    def tell_key(self, names: Iterable[str], by: str) -> None:
        """Take up a key. The first one stays, but for a likely one (`by` ends with a question mark)."""
        found = tuple(names)
        likely = self.key_told_by is None or self.key_told_by.endswith("?")
        if found and (not self.key or (likely and not by.endswith("?"))):
            self.key, self.key_told_by = found, by
            for name in found:
                self.column(name)


def kind_of(value: Any) -> ColumnType:
    """What a value looks like."""
    if isinstance(value, bool):
        return ColumnType.BOOL
    if isinstance(value, int):
        return ColumnType.INT
    if isinstance(value, Decimal):
        return ColumnType.DECIMAL
    if isinstance(value, str):
        return ColumnType.TIMESTAMP if _is_time(value) else ColumnType.TEXT
    return ColumnType.JSON


def _is_time(text: str) -> bool:
    """`2026-01-15`, alone or with a time; never digits without dashes, which may count anything."""
    if len(text) < _EARLIEST_TEXT or text[4:5] != "-" or text[7:8] != "-":
        return False
    try:
        datetime.fromisoformat(text.strip())
    except ValueError:
        return False
    return True
