"""Cuts a text into JSON documents: one after the other, on lines, pretty-printed, in arrays, or all of it mixed.

Only the borders are found here; each piece is judged later by the strict decoder. A piece that is no JSON must not
take its neighbours along (P7). It ends where the next document plausibly begins: behind its own balanced brackets, or,
if those never close or close only later, before the next line that opens an object or array no deeper indented than
the broken one. Text that opens neither ends with its line.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_BETWEEN = re.compile(r"[\s,\[\]]*")
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[{}\[\]]')
_OPENING_LINE = re.compile(r"^([ \t]*)[{\[]", re.MULTILINE)
_decoder = json.JSONDecoder(strict=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """One document, or what stands in its place. `content` are its own bytes, `line` (from 1) is where it begins."""

    content: bytes
    line: int


def pieces(data: bytes) -> Iterator[Piece]:
    """Every document of a file. Brackets and commas between documents only separate: arrays are opened."""
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    at = _skip(text, 0)
    line, counted = 1, 0
    while at < len(text):
        end = _end(text, at)
        line += text.count("\n", counted, at)
        counted = at
        yield Piece(text[at:end].strip().encode("utf-8", "surrogateescape"), line)
        at = _skip(text, end)


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _end(text: str, at: int) -> int:
    try:
        return _decoder.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        pass
    if text[at] != "{":
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    return _balanced(text, at, _next_opening(text, at))


def _balanced(text: str, at: int, limit: int) -> int:
    """Behind the bracket that closes the one at `at`, at most `limit`."""
    depth = 0
    for token in _TOKEN.finditer(text, at, limit):
        match token.group()[0]:
            case "{" | "[":
                depth += 1
            case "}" | "]":
                depth -= 1
                if depth == 0:
                    return token.end()
            case _:
                continue
    return limit


def _next_opening(text: str, at: int) -> int:
    start = text.rfind("\n", 0, at) + 1
    before = text[start:at]
    indent = len(before) - len(before.lstrip(" \t"))
    for found in _OPENING_LINE.finditer(text, at + 1):
        if found.start() > at and len(found.group(1)) <= indent:
            return found.start()
    return len(text)
