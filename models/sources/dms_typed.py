"""The short way to read records of DMS whose columns are known: msgspec checks the types while it decodes.

It answers what `strict_json.decode` and the checks of `column_types` answer, or nothing at all: whatever is unusual (a
column nobody expected, a value that has to be put right, a key that stands there twice) goes the long way.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypedDict

import msgspec

from models.column_types import CHECKS, WRONG, Check
from models.sources.dms import BEFORE_FIELD, DOCUMENT_COLUMN
from models.sources.reading import Reading
from models.strict_json import MAX_BYTES, key_endings
from models.tables import ColumnType

_METADATA = (
    "timestamp", "record-type", "operation", "partition-key-type", "partition-key-value", "schema-name", "table-name",
    "transaction-id", "transaction-record-id", "prev-transaction-id", "prev-transaction-record-id", "commit-timestamp",
    "stream-position",
)  # fmt: skip
_TYPES: Mapping[ColumnType, Any] = {
    ColumnType.INT: int | None,
    ColumnType.TEXT: str | None,
    ColumnType.TIMESTAMP: str | None,
    ColumnType.BOOL: bool | int | None,
}
"""What needs no look afterwards if it is null or of this type. The others are looked at by `_CHECKED`."""
_NESTED = (dict, list)
_NEVER = -1_000_000
"""Far below any number of fractions."""


def _fraction(text: str) -> Decimal:
    if "e" in text or "E" in text or len(text) > 40:
        raise ValueError("unusual")
    return Decimal(text)


def _scalar(value: Any) -> Any:
    """A column of any type: what is nested may hold a key twice, which is not for us to see."""
    return WRONG if type(value) in _NESTED else value


_CHECKED: Mapping[ColumnType, Check] = {
    ColumnType.TIMESTAMP: CHECKS[ColumnType.TIMESTAMP],
    ColumnType.BOOL: CHECKS[ColumnType.BOOL],
    ColumnType.DECIMAL: CHECKS[ColumnType.DECIMAL],
    ColumnType.JSON: _scalar,
    ColumnType.ANY: _scalar,
}
_Metadata = TypedDict("_Metadata", dict.fromkeys(_METADATA, str | int | None), total=False)  # type: ignore[misc]
_encode = msgspec.json.Encoder().encode


class TypedReader:
    """Reads data records with these columns."""

    def __init__(self, columns: Mapping[str, ColumnType], reading: Reading) -> None:
        """`columns`: as the source spells them. Raises ValueError for a name that means something else to `decode`."""
        if any(name == DOCUMENT_COLUMN or reading.column_before(name) is not None for name in columns):
            raise ValueError("a column with the name of a before image, or of a document")
        self._before = before = reading.before_image or BEFORE_FIELD
        row = TypedDict("row", {name: _TYPES.get(kind, Any) for name, kind in columns.items()}, total=False)  # type: ignore[misc]
        parts = {"data": row, before: row, "metadata": _Metadata}
        document = TypedDict("document", parts, total=False)  # type: ignore[misc]
        self._decode: Callable[[bytes], dict[str, Any]]
        self._decode = msgspec.json.Decoder(document, float_hook=_fraction).decode  # type: ignore[assignment]
        self._checked = tuple((name, _CHECKED[kind]) for name, kind in columns.items() if kind in _CHECKED)

    def read(self, data: bytes, numbers: list[str]) -> dict[str, Any] | None:
        """The document, its rows checked; None: go the long way. `numbers`: the names of flags that were numbers, as
        MySQL has them."""
        try:
            document = self._decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
            return None
        row = document.get("data")
        if row is None or "metadata" not in document or len(data) > MAX_BYTES:
            return None
        before = document.get(self._before)
        flags: list[tuple[dict[str, Any], str]] = []
        fractions = self._check(row, {}, flags)
        keys = len(document) + len(row) + len(document["metadata"])
        if before is not None:
            keys += len(before)
            fractions += self._check(before, row, flags)
        if fractions < 0 or not _whole(document, data, keys, fractions):
            return None
        for image, name in flags:
            image[name] = bool(image[name])
            numbers.append(name)
        return document

    def _check(self, row: dict[str, Any], good: dict[str, Any], flags: list[tuple[dict[str, Any], str]]) -> int:
        """How many values are fractions; far below zero if one is not of its type. `good`: values that are."""
        fractions = 0
        get, known = row.get, good.get
        for name, check in self._checked:
            value = get(name)
            if value is None:
                continue
            kind = type(value)
            if kind is str:
                if value == known(name):
                    continue
            elif kind is Decimal:
                fractions += 1
            found = check(value)
            if found is value:
                continue
            if kind is not int or type(found) is not bool:
                return _NEVER
            flags.append((row, name))
        return fractions


def _whole(document: dict[str, Any], data: bytes, keys: int, fractions: int) -> bool:
    """Whether the document says all that the bytes say: decoding left out no unknown and no repeated key.

    Written compactly it is never longer than the bytes it came from, but for two quotes around each fraction. So if the
    lengths agree nothing was left out; if not, the bytes may just not be compact, and their keys are counted."""
    if len(_encode(document)) - 2 * fractions == len(data):
        return True
    return key_endings(data) == keys
