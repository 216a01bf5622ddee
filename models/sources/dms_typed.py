"""The short way to read records of DMS whose columns are known: msgspec checks the types while it decodes.

It answers what `strict_json.decode` and the checks of `column_types` answer, or nothing at all: whatever is unusual (a
column nobody expected, a value that has to be put right, a key that stands there twice) goes the long way. A row is a
tuple of values in the order of the reader's columns, UNSET where the record has none.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import astuple

from models.column_types import CHECKS, WRONG, Check
from models.sources.dms import BEFORE_FIELD, DOCUMENT_COLUMN
from models.sources.dms_document import METADATA, TYPES, document_decoder
from models.sources.plain_objects import Members, Values, is_whole, row_of
from models.sources.reading import Reading
from models.strict_json import MAX_BYTES
from models.tables import ColumnType

COMPILED: Final = not __file__.endswith(".py")
MAX_SHAPES: Final = 256
"""Combinations of types, and of changed columns, that are remembered per reader; the others are looked at again each
time."""

_ABSENT: Final = UNSET
_values_of: Final = astuple
"""Names of a module's own that are final cost compiled code nothing (docs/decisions/0065)."""
_NESTED: Final = (dict, list)


def _fraction(text: str) -> Decimal:
    if "e" in text or "E" in text or len(text) > 40:
        raise ValueError("unusual")
    return Decimal(text)


def _scalar(value: Any) -> Any:
    """A column of any type: what is nested may hold a key twice, which is not for us to see."""
    return WRONG if type(value) in _NESTED else value


def _decimal(value: Any) -> Any:
    """A number; one that the check would spell otherwise (`nan`) is unusual."""
    found = CHECKS[ColumnType.DECIMAL](value)
    return value if found is value else WRONG


_CHECKED: Final[Mapping[ColumnType, Check]] = {
    ColumnType.TIMESTAMP: CHECKS[ColumnType.TIMESTAMP],
    ColumnType.DECIMAL: _decimal,
    ColumnType.JSON: _scalar,
    ColumnType.ANY: _scalar,
}
_SURE: Final[frozenset[type]] = frozenset({UnsetType, type(None)})
"""Types of values that no check has to look at."""
_BY_TYPE: Final[Mapping[ColumnType, frozenset[type]]] = {
    ColumnType.DECIMAL: _SURE | frozenset({int, Decimal}),
    ColumnType.JSON: _SURE | frozenset({str, int, bool, Decimal}),
    ColumnType.ANY: _SURE | frozenset({str, int, bool, Decimal}),
}
"""The same by type of column."""
_write: Final = msgspec.json.Encoder(decimal_format="number").encode_into
_is_time: Final = CHECKS[ColumnType.TIMESTAMP]
_moment: Final = datetime.fromisoformat
"""Enough for most times, and quicker."""


def _is_right(value: Any, column: ColumnType) -> bool:
    return type(value) in _BY_TYPE.get(column, _SURE) or _CHECKED[column](value) is not WRONG


def _glance(column: ColumnType) -> Callable[[Any], object]:
    """Raises TypeError or ValueError for values that may not be right."""
    if column is ColumnType.TIMESTAMP:
        return _moment

    def glance(value: Any) -> None:
        if not _is_right(value, column):
            raise ValueError("not of its type")

    return glance


class Shape:
    """What rows whose values are of the same types have in common."""

    __slots__ = ("checks", "empty", "loose", "present", "times")

    def __init__(self, types: tuple[type, ...], kinds: Sequence[ColumnType]) -> None:
        places = tuple(zip(range(len(types)), types, kinds, strict=True))
        self.present = tuple(place for place, kind, _ in places if kind is not UnsetType)
        """Columns the row has."""
        self.empty = frozenset(place for place, kind, _ in places if kind in _SURE)
        """Columns the row does not have, or has as null."""
        self.times = tuple(place for place, kind, column in places if column is ColumnType.TIMESTAMP and kind is str)
        self.checks = tuple(
            (place, _CHECKED[column])
            for place, kind, column in places
            if column is not ColumnType.TIMESTAMP and column in _CHECKED and kind not in _BY_TYPE.get(column, _SURE)
        )
        self.loose = tuple(
            place for place, kind, column in places if column not in TYPES and kind in (bool, int, Decimal)
        )
        """Where 1 may stand beside true, which are equal for Python alone."""


class Difference:
    """Where two rows differ: what the changes of the same columns have in common."""

    __slots__ = ("checks", "places")

    def __init__(self, places: tuple[int, ...], kinds: Sequence[ColumnType]) -> None:
        self.places = places
        self.checks = tuple((place, _glance(kinds[place])) for place in places if kinds[place] in _CHECKED)
        """For the values before; those of the new row are checked already."""


NO_DIFFERENCE: Final = Difference((), ())
_METADATA: Final = Members(METADATA)


class TypedRecord:
    """A data record whose rows are valid."""

    __slots__ = ("changed", "metadata", "new", "numbers", "old", "shape")

    def __init__(
        self, metadata: Values, new: Values, old: Values | None, shape: Shape, changed: Difference, numbers: list[int]
    ) -> None:
        self.metadata = metadata
        """In the order of `METADATA`."""
        self.new = new
        self.old = old
        self.shape = shape
        """Of `new`."""
        self.changed = changed
        """Of the two rows; NO_DIFFERENCE if there is one alone."""
        self.numbers = numbers
        """Places of flags that were numbers, as MySQL has them; twice if in both rows."""


class TypedReader:
    """Reads data records with these columns."""

    def __init__(self, columns: Mapping[str, ColumnType], reading: Reading, *, measures: bool = COMPILED) -> None:
        """`columns`: as the source spells them. `measures`: whether the values of a record are measured at once to find
        a key that stands there twice, or only if the record, written again, has another length: which is quicker.

        Raises ValueError for a name that means something else to `decode`."""
        if any(name == DOCUMENT_COLUMN or reading.column_before(name) is not None for name in columns):
            raise ValueError("a column with the name of a before image, or of a document")
        self._kinds = tuple(columns.values())
        self._before = reading.before_image or BEFORE_FIELD
        self._measures = measures
        self._row = Members(columns)
        self._document = Members(["data", "metadata", self._before])
        self._decode = document_decoder(columns, self._before, _fraction)
        self._flags = tuple(place for place, kind in enumerate(self._kinds) if kind is ColumnType.BOOL)
        self._shapes: dict[tuple[type, ...], Shape] = {}
        self._differences: dict[tuple[int, ...], Difference] = {}

    def read(self, data: bytes) -> TypedRecord | None:
        """The record, its rows checked; None: go the long way."""
        try:
            document: Any = self._decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
            return None
        if len(data) > MAX_BYTES:
            return None
        parts: Values = _values_of(document)
        new: Values = _values_of(parts[0])
        metadata: Values = _values_of(parts[1])
        before = parts[2]
        old: Values | None = None if before is None or before is _ABSENT else _values_of(before)
        if (self._measures or not _is_compact(document, data)) and not self._is_whole(data, parts, new, metadata, old):
            return None
        numbers: list[int] = []
        for place in self._flags:
            if type(new[place]) is int or (old is not None and type(old[place]) is int):
                right = self._put_right(new, numbers)
                right_old = None if old is None else self._put_right(old, numbers)
                if right is None or (right_old is None and old is not None):
                    return None
                new, old = right, right_old
                break
        types = tuple([type(value) for value in new])
        shape = self._shapes.get(types) or self._shape(types)
        try:
            for place in shape.times:
                _moment(new[place])
        except ValueError:
            if any(_is_time(new[place]) is WRONG for place in shape.times):
                return None
        for place, check in shape.checks:
            if check(new[place]) is WRONG:
                return None
        if old is None:
            return TypedRecord(metadata, new, None, shape, NO_DIFFERENCE, numbers)
        places = tuple(
            [place for place in range(len(new)) if new[place] is not old[place] and new[place] != old[place]]
        )
        changed = self._differences.get(places) or self._difference(places)
        try:
            for place, glance in changed.checks:
                glance(old[place])
        except (TypeError, ValueError):
            if not all(_is_right(old[place], self._kinds[place]) for place, _ in changed.checks):
                return None
        for place in shape.loose:
            if (type(new[place]) is bool) is not (type(old[place]) is bool):
                return None
        return TypedRecord(metadata, new, old, shape, changed, numbers)

    def _is_whole(self, data: bytes, parts: Values, new: Values, metadata: Values, old: Values | None) -> bool:
        quotes, size = self._document.written(parts)
        more, longer = self._row.written(new)
        quotes, size = quotes + more, size + longer
        more, longer = _METADATA.written(metadata)
        quotes, size = quotes + more, size + longer
        if old is not None:
            more, longer = self._row.written(old)
            quotes, size = quotes + more, size + longer
        return len(data) == size or is_whole(data, quotes, size, (parts, new, metadata, old or ()))

    def document(self, record: TypedRecord, names: Sequence[str]) -> dict[str, Any]:
        """As `dms.decode` takes it, the columns under these names."""
        metadata = row_of(record.metadata, METADATA)
        parts = {"data": row_of(record.new, names), "metadata": metadata}
        return parts if record.old is None else {**parts, self._before: row_of(record.old, names)}

    def _shape(self, types: tuple[type, ...]) -> Shape:
        shape = Shape(types, self._kinds)
        if len(self._shapes) < MAX_SHAPES:
            self._shapes[types] = shape
        return shape

    def _difference(self, places: tuple[int, ...]) -> Difference:
        difference = Difference(places, self._kinds)
        if len(self._differences) < MAX_SHAPES:
            self._differences[places] = difference
        return difference

    def _put_right(self, row: Values, numbers: list[int]) -> Values | None:
        """The row with its flags as flags; None if a number is none."""
        for place in self._flags:
            value = row[place]
            if type(value) is int:
                if value not in (0, 1):
                    return None
                row = (*row[:place], bool(value), *row[place + 1 :])
                numbers.append(place)
        return row


def _is_compact(document: Any, data: bytes) -> bool:
    """Whether the bytes are what the document is written as, to their length: then nothing of them was left out."""
    written = bytearray(len(data))
    _write(document, written)
    return len(written) == len(data)
