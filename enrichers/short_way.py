"""Most records of a table look like the ones before it: their columns are read in one go, types and all.

The long way (strict decoder, checks of every column) reads whatever is new, and the short way learns from it how the
source spells this table. Both answer the same; only the time differs.
"""

from collections.abc import Iterable
from typing import Any

from enrichers.observe import Oddities
from models.change import Row
from models.column_types import KINDS
from models.sources.dms import BEFORE_FIELD
from models.sources.dms_typed import TypedReader
from models.sources.reading import PLAIN, Reading
from models.tables import ColumnType, TableSpec, fold, spellings

MAX_COLUMNS = 400
MAX_LESSONS = 16
"""A source that shows new columns that often has no columns."""
PATIENCE = 256
"""Records that may go the long way in vain, more than went the short one, before it is given up."""


class ShortWay:
    """Of one table, for one source's spelling of its columns."""

    def __init__(self, spec: TableSpec, reading: Reading = PLAIN) -> None:
        self.spec = spec
        self._reading = reading
        self._names: frozenset[str] = frozenset()
        self._renamed: dict[str, str] = {}
        self._read: TypedReader | None = None
        self._open = True
        self._lessons = 0
        self._credit = PATIENCE

    def read(self, data: bytes, odd: Oddities) -> dict[str, Any] | None:
        """A document as `dms.decode` takes it, its rows under the spec's spelling and of the spec's types; None: nobody
        knows yet, or something about it is unusual. `odd` gets the columns whose values had to be put right."""
        if self._read is None:
            return None
        numbers: list[str] = []
        document = self._read.read(data, numbers)
        if document is None:
            self._credit -= 1
            if self._credit < 0:
                self._give_up()
            return None
        self._credit += 1
        odd += [(self._renamed.get(name, name), KINDS[int], False) for name in numbers]
        if self._renamed:
            for part in ("data", self._reading.before_image or BEFORE_FIELD):
                if part in document:
                    document[part] = {self._renamed.get(name, name): value for name, value in document[part].items()}
        return document

    def learn(self, *rows: Row | None) -> None:
        """Rows of a valid record that went the long way, as the source spells them."""
        if not self._open:
            return
        names = self._names.union(*(row for row in rows if row))
        if len(names) == len(self._names):
            return
        self._lessons += 1
        if self._lessons > MAX_LESSONS or len(names) > MAX_COLUMNS or _ambiguous(names):
            self._give_up()
            return
        given = tuple(sorted(names))
        known = dict(zip(given, spellings(self.spec, given), strict=True))
        types = {name: self.spec.columns.get(column or name, ColumnType.ANY) for name, column in known.items()}
        try:
            self._read = TypedReader(types, self._reading)
        except ValueError:
            self._give_up()
            return
        self._names = names
        self._renamed = {name: column for name, column in known.items() if column is not None and column != name}

    def _give_up(self) -> None:
        self._open = False
        self._read = None


def _ambiguous(names: Iterable[str]) -> bool:
    """Two names that fold alike: which of them is the column depends on the row."""
    folded = [fold(name) for name in names]
    return len(set(folded)) < len(folded)
