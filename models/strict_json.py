"""The one JSON decoder for bytes that others wrote: strict, exact, bounded; it answers or raises JsonError.

Stricter than RFC 8259 where leniency would hide a broken source: no duplicate keys, no NaN or infinities, no lone
surrogates, no byte order mark. Integers stay exact at any size and fractions become `Decimal`, never a float. A
document may be packed with gzip, as one member.
"""

import json
import re
import zlib
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

import msgspec

MAX_BYTES: Final = 12 << 20
"""The largest value of a raw topic (design: size ladder)."""
MAX_UNPACKED_BYTES = 8 << 20
"""Of a gzip record: a packed one of 8 KiB can hold as much."""
MAX_VALUES = 500_000
"""Commas and brackets of one document: a list of empty objects takes 30 times its bytes in memory."""
MAX_DEPTH = 64
MAX_DIGITS = 4_300
"""Python's own limit for turning text into an integer, applied to fractions too."""
MAX_EXPONENT = 400
"""Beyond a double (1e308) and beyond Oracle and DynamoDB numbers (1e125); guards against 1e999999999."""
INT64_MAX: Final = (1 << 63) - 1
INT64_MIN: Final = -(1 << 63)
SHORT: Final = 1 << 60
"""Below it compiled code works with an integer quickly."""

_GZIP = b"\x1f\x8b"
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NESTED: Final = frozenset({dict, list})
_Decimal: Final = Decimal
PLAIN: Final = frozenset({str, bool, type(None)})
"""What travels as it is."""
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')


class JsonError(ValueError):
    """The bytes are no JSON document we accept. The message never quotes them (P6)."""


def _number(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise JsonError("number with too many digits")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise JsonError("number out of range") from None
    if abs(number.adjusted()) > MAX_EXPONENT:  # zero too: 0e999999999 takes forever to become an integer
        raise JsonError("number out of range")
    return number


def _constant(_: str) -> NoReturn:
    raise JsonError("NaN or infinity is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonError("duplicate key in an object")
    return found


_fast: Final = msgspec.json.Decoder(float_hook=_number)
_slow: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_number, parse_constant=_constant)


def decode(data: bytes) -> Any:
    """Decode one document. Objects are dicts, fractions `Decimal`, integers exact. Raises JsonError."""
    data = _bounded(data)
    try:
        document = _fast.decode(data)
    except JsonError:
        raise
    except UnicodeDecodeError:
        raise JsonError("not UTF-8") from None
    except (msgspec.DecodeError, ValueError, RecursionError, OverflowError):
        raise JsonError(_why(data)) from None
    if key_endings(data) != _keys(document):
        _check_slowly(data)
    return document


def key_endings(data: bytes) -> int | None:
    """How many keys a JSON document has, repeated ones too, found by what stands behind a key: `":`. None if only a
    decoder can tell."""
    if _SPACED_COLON.search(data) is not None:
        return None
    found = data.count(b'":')
    if b"\\" not in data:
        return found
    # A quote behind one backslash is part of a text; behind two it may end one.
    return None if b'\\\\":' in data else found - data.count(b'\\":')


def lenient(data: bytes) -> Any:
    """Decode for routing only: duplicates pass (the strict decoder refuses them later). Raises ValueError."""
    try:
        return _fast.decode(_bounded(data))
    except (RecursionError, OverflowError) as error:
        raise JsonError(type(error).__name__) from None


def travels(value: Any) -> bool:
    """Whether a plain value is in the form in which it travels."""
    kind = type(value)
    if kind is int:
        number: int = value
        return -SHORT < number < SHORT or INT64_MIN <= number <= INT64_MAX
    return kind is str or value is None or kind is bool


def wire(value: Any) -> Any:
    """The form in which a value travels: integers beyond int64 and fractions as text, everything else as it is."""
    if travels(value):
        return value
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is _Decimal:
        return decimal_text(value)
    if kind is dict:
        return {name: item if type(item) in PLAIN else wire(item) for name, item in value.items()}
    if kind is list:
        return [wire(item) for item in value]
    return value


def decimal_text(number: Decimal) -> str:
    """Exact decimal digits without an exponent where that stays readable: `10000`, `1.50`, `1E-130`."""
    return format(number, "f") if -40 < number.adjusted() < 40 else str(number)


_encoder: Final = msgspec.json.Encoder(order="sorted")


def encode(document: Any) -> bytes:
    """Compact JSON, keys sorted, UTF-8: the same document gives the same bytes in every process."""
    return _encoder.encode(document)


def _bounded(data: bytes) -> bytes:
    """The document unpacked, if its size, its depth and the number of its values are within bounds."""
    if data.startswith(_GZIP):
        data = _unpacked(data)
    if len(data) > MAX_BYTES:
        raise JsonError(f"larger than {MAX_BYTES} bytes")
    if len(data) > MAX_VALUES and _values(data) > MAX_VALUES and _values(_TEXT.sub(b"", data)) > MAX_VALUES:
        raise JsonError(f"more than {MAX_VALUES} values")
    if is_deeper(data, MAX_DEPTH):
        raise JsonError(f"nested deeper than {MAX_DEPTH}")
    return data


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpacker.decompress(data, MAX_UNPACKED_BYTES)
    except zlib.error:
        raise JsonError("gzip that cannot be unpacked") from None
    if unpacker.unconsumed_tail:
        raise JsonError(f"larger than {MAX_UNPACKED_BYTES} bytes when unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise JsonError("gzip that is cut off, or has something behind it")
    return found


def _values(data: bytes) -> int:
    return data.count(b",") + data.count(b"{") + data.count(b"[")


def _keys(document: Any) -> int:
    items: Collection[Any]
    if type(document) is dict:
        count, items = len(document), document.values()
    elif type(document) is list:
        count, items = 0, document
    else:
        return 0
    if _NESTED.isdisjoint(map(type, items)):  # an ordinary row: no step of Python per value
        return count
    return count + sum(_keys(item) for item in items)


def _check_slowly(data: bytes) -> None:
    try:
        _slow.decode(data.decode("utf-8"))
    except JsonError:
        raise
    except (ValueError, RecursionError):
        raise JsonError("malformed") from None


def _why(data: bytes) -> str:
    """A reason in our own words: the decoder's message may quote the input."""
    try:
        _slow.decode(data.decode("utf-8"))
    except JsonError as refused:
        return str(refused)
    except json.JSONDecodeError as broken:
        return f"malformed at line {broken.lineno} column {broken.colno}"
    except UnicodeDecodeError:
        return "not UTF-8"
    except (ValueError, RecursionError):
        return "malformed"
    return "text with a lone surrogate or an unsupported number"


def is_deeper(data: bytes, levels: int) -> bool:
    """Whether brackets outside of texts are nested deeper than that. The limit of a decoder depends on its Python."""
    if data.count(b"{") + data.count(b"[") <= levels:
        return False
    depth = 0
    for byte in _TEXT.sub(b"", data):
        if byte in b"{[":
            depth += 1
            if depth > levels:
                return True
        elif byte in b"}]":
            depth -= 1
    return False
