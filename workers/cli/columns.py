"""Plain-text tables."""

from collections.abc import Collection, Iterator, Sequence


def columns(rows: Sequence[Sequence[str]], *, left: Collection[str]) -> Iterator[str]:
    """Lines of a table; the first row is its head, columns named in `left` stand to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if head in left else cell.rjust(width)
            for head, cell, width in zip(rows[0], row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()
