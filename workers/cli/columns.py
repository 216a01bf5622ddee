"""Plain-text tables: on a terminal as wide as it is, elsewhere (a pipe, a file) with everything in them."""

import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence

import click

GAP = 2
EASY, HARD = 20, 12
"""To how few characters a cell may be shortened: before columns are left out, and when there is none left for that."""
TIME = re.compile(r"[0-9]{4}-([0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?Z")
WHOLE = re.compile(r"[0-9]{2}-[0-9]{2} [0-9:]{8}Z|[A-Z][A-Z_]+")
ALL = "`| less -S` shows all"
Rows = Sequence[Sequence[str]]


def columns(rows: Rows, *, left: Collection[str], least: Sequence[str] = (), indent: int = 0) -> Iterator[str]:
    """Lines of a table; the first row is its head, columns named in `left` stand to the left, numbers to the right.

    On a terminal that is too narrow texts are shortened (names in the middle), times go without their year, and then
    the columns of `least` are left out, the first one first; stderr says which. `indent`: what the caller puts before
    every line."""
    width = terminal_width()
    shown, gone = (rows, ()) if width is None else fitted(rows, left, least, width - indent)
    yield from _lines(shown, left)
    if gone:
        talk(f"cdc: left out to fit {width} columns: {', '.join(gone)}; {ALL}")


def talk(text: str) -> None:
    """A sentence on stderr; on a terminal it is broken between words, and goes on below its first word."""
    width = shutil.get_terminal_size().columns if sys.stderr.isatty() else None
    for line in hanging(text, len(text) - len(text.lstrip()) or len("cdc: "), width):
        click.echo(line, err=True)


def hanging(text: str, indent: int, width: int | None) -> list[str]:
    """Lines of so many columns, broken between words, all but the first one indented. Without a width, and if it fits,
    the text as it is."""
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )  # fmt: skip


def terminal_width() -> int | None:
    """Columns of the terminal that stdout is, or of COLUMNS; None: it is none, and a line may be as long as it is."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fitted(rows: Rows, left: Collection[str], least: Sequence[str], width: int) -> tuple[Rows, tuple[str, ...]]:
    """The rows in so many columns, as far as it goes; and the names of the columns that are left out."""
    rest = [name for name in least if name in rows[0]]
    for count in range(len(rest) + 1):
        shown = _shortened(_without(rows, rest[:count]), left, width, EASY)
        if _width(shown) <= width:
            return shown, tuple(rest[:count])
    return _shortened(_without(rows, rest), left, width, HARD), tuple(rest)


def _without(rows: Rows, names: Sequence[str]) -> Rows:
    kept = [at for at, name in enumerate(rows[0]) if name not in names]
    return [[row[at] for at in kept] for row in rows]


def _shortened(rows: Rows, left: Collection[str], width: int, least: int) -> Rows:
    if _width(rows) <= width:
        return rows
    cells = [[short_time(cell) for cell in row] for row in rows]
    widths = _widths(cells)
    floors = [
        min(most, max(len(name), least, *map(_whole, (row[at] for row in cells)))) if name in left else most
        for at, (name, most) in enumerate(zip(cells[0], widths, strict=True))
    ]
    over = sum(widths) + GAP * (len(widths) - 1) - width
    while over > 0 and (open_ := [at for at, most in enumerate(widths) if most > floors[at]]):
        widest = max(open_, key=lambda at: widths[at])
        widths[widest] -= 1
        over -= 1
    return [[shortened(cell, most) for cell, most in zip(row, widths, strict=True)] for row in cells]


def _whole(cell: str) -> int:
    """Of what says nothing if a part of it is missing: times, and words of a fixed list (VALIDATION_ERROR)."""
    return len(cell) if WHOLE.fullmatch(cell) else 0


def short_time(cell: str) -> str:
    """Times in it without year and fractions."""
    return TIME.sub(r"\1 \2Z", cell)


def cut(line: str, width: int) -> str:
    """A line that does not go beyond the terminal."""
    return line if len(line) <= width else f"{line[: width - 1]}…"


def shortened(cell: str, width: int) -> str:
    """Words lose their end, a name its middle: names differ in their ends. A long name among words counts more."""
    if len(cell) <= width:
        return cell
    if " " in cell:
        name = max(cell.split(" "), key=len)
        room = len(name) - (len(cell) - width)
        if len(name) > EASY and room >= HARD:
            return cell.replace(name, shortened(name, room))
        return f"{cell[: width - 1].rstrip()}…"
    head = (width - 1) // 3
    return f"{cell[:head]}…{cell[len(cell) - (width - 1 - head) :]}"


def _widths(rows: Rows) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _width(rows: Rows) -> int:
    widths = _widths(rows)
    return sum(widths) + GAP * (len(widths) - 1)


def _lines(rows: Rows, left: Collection[str]) -> Iterator[str]:
    widths = _widths(rows)
    for row in rows:
        cells = [
            cell.ljust(width) if head in left else cell.rjust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        yield (" " * GAP).join(cells).rstrip()
