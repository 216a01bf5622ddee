"""Columns that nobody named and that are one with a rule all the same: it must not leave by another name (P6)."""

from collections.abc import Iterable

from models.sources.reading import PLAIN, Reading
from models.tables import RedactionAction, TableSpec, fold

_STRICTNESS = {
    RedactionAction.PARTIAL_MASK: 0, RedactionAction.TOKENIZE: 1, RedactionAction.HASH: 1,
    RedactionAction.FULL_MASK: 2, RedactionAction.REMOVE: 3,
}  # fmt: skip


class GuardedColumns:
    """Of one table: its columns with a redaction rule, by whatever else they may be called."""

    def __init__(self, spec: TableSpec, readings: Iterable[Reading] = ()) -> None:
        """`readings`: those of the sources, which say how columns of before images are called."""
        self._known = spec.known
        by_strictness = sorted(spec.redact.items(), key=lambda item: (_STRICTNESS[item[1].action], item[0]))
        self._columns = {fold(name): name for name, _ in by_strictness}
        """If several fold alike, the one that leaves least."""
        self._readings = tuple(dict.fromkeys((PLAIN, *readings)))

    def find(self, name: str) -> str | None:
        """The column with a rule of which this unknown one is another spelling, or the former value (`BI_…`) although
        the record makes no before image of it. None: of none, or it is a column that the table names."""
        if name in self._known or not self._columns:
            return None
        found = self._columns.get(fold(name))
        for reading in self._readings if found is None else ():
            column = reading.column_before(name)
            if column is not None and (found := self._columns.get(fold(column))) is not None:
                break
        return found
