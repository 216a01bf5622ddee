"""Objects of JSON whose names are known, as tuples of their plain values; and whether the bytes they were decoded from
hold a key twice, told by how many bytes and quotes they have.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET

from models.strict_json import SHORT, key_endings

Values = tuple[Any, ...]
"""In the order of the names; UNSET for those that the object does not have."""
_ABSENT: Final = UNSET
_Decimal: Final = Decimal


def row_of(values: Values, names: Sequence[str]) -> dict[str, Any]:
    """The members an object has."""
    return {name: value for name, value in zip(names, values, strict=True) if value is not _ABSENT}


class Members:
    """What objects with these names take in JSON."""

    __slots__ = ("_all", "_widths")

    def __init__(self, names: Iterable[str]) -> None:
        """Raises ValueError for a name that takes an escape: it would bring quotes that nobody counts."""
        names = tuple(names)
        if any(len(msgspec.json.encode(name)) != len(name.encode()) + 2 for name in names):
            raise ValueError("a column whose name takes an escape")
        self._widths = tuple(len(msgspec.json.encode(name)) + len(":,") for name in names)
        self._all = sum(self._widths) + len("{}") - len(",")

    def written(self, values: Values) -> tuple[int, int]:
        """(quotes, fewest bytes) of one, without the objects in it."""
        quotes, size = 2 * len(values), self._all
        for place, value in enumerate(values):
            if isinstance(value, str):
                quotes += 2
                size += len(value) + 2
            elif value is None or value is True:
                size += 4
            elif value is _ABSENT:
                quotes -= 2
                size -= self._widths[place]
            elif value is False:
                size += 5
            elif isinstance(value, int):
                size += _digits(value)
            elif type(value) is _Decimal:
                size += len(str(value))
        return quotes, size


def is_whole(data: bytes, quotes: int, size: int, objects: Sequence[Values]) -> bool:
    """Whether objects say all that the bytes say: decoding left out no key that stands there twice.

    `quotes`, `size`: what all of them take at least. A repeated key takes two quotes or more, and more bytes than
    quotes (`"":0,`). So there is none if the bytes have no other quotes; nor if they have as many quotes more as bytes,
    which are quotes within texts, each with its backslash. Behind two backslashes a quote may end its text: then keys
    are counted.
    """
    more = data.count(b'"') - quotes
    if not more or more == len(data) - size:
        return True
    if b"\\\\" not in data:
        return more == data.count(b'\\"')
    return key_endings(data) == sum(len(values) - values.count(UNSET) for values in objects)


def _digits(number: int) -> int:
    if not 0 <= number < SHORT:
        return len(str(number))
    found = 1
    while number >= 1_000_000:
        number //= 1_000_000
        found += 6
    while number >= 10:
        number //= 10
        found += 1
    return found
