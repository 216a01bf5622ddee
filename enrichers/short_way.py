"""Most records of a table look like the ones before it: their columns are read in one go, types and all, and ordinary
changes become events by a plan that was made once.

The long way (strict decoder, checks of every column, step after step) handles whatever is new, and the short way learns
from it how the source spells this table. Both answer the same; only the time differs.
"""

from collections.abc import Iterable
from typing import Any

from enrichers.compiled import CompiledTable
from enrichers.observe import Oddities
from enrichers.plan import Plan
from enrichers.plan_forms import PlanOptions
from models.change import Row
from models.column_types import KINDS
from models.sources.dms_typed import TypedReader, TypedRecord
from models.sources.reading import PLAIN, Reading
from models.tables import ColumnType, TableSpec, fold, spellings

MAX_COLUMNS = 400
MAX_LESSONS = 16
"""A source that shows new columns that often has no columns."""
PATIENCE = 256
"""Records that may go the long way in vain, more than went the short one, before it is given up."""


class ShortWay:
    """Of one table, for one source's spelling of its columns."""

    def __init__(self, table: CompiledTable, options: PlanOptions, reading: Reading = PLAIN) -> None:
        self.spec: TableSpec = table.spec
        self.plan: Plan | None = None
        """How ordinary changes become events; None: not yet known, or there is none for this table."""
        self._table = table
        self._options = options
        self._reading = reading
        self._names: frozenset[str] = frozenset()
        self._given: tuple[str, ...] = ()
        self._columns: tuple[str, ...] = ()
        """The same in the spec's spelling."""
        self._reader: TypedReader | None = None
        self._open = True
        self._lessons = 0
        self._credit = PATIENCE

    def read(self, data: bytes) -> TypedRecord | None:
        """A data record with the types of the spec; None: nobody knows yet, or something about it is unusual."""
        if self._reader is None:
            return None
        record = self._reader.read(data)
        if record is not None:
            self._credit += 1
            return record
        self._credit -= 1
        if self._credit < 0:
            self._give_up()
        return None

    def document(self, record: TypedRecord, odd: Oddities) -> dict[str, Any]:
        """A record as `dms.decode` takes it, its rows under the spec's spelling. `odd` gets the columns whose values
        had to be put right."""
        if self._reader is None:
            raise ValueError("nothing was read")
        odd += [(self._columns[place], KINDS[int], False) for place in record.numbers]
        return self._reader.document(record, self._columns)

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
        given = tuple(dict.fromkeys(name for row in (self._given, *rows) for name in row or ()))
        known = spellings(self.spec, given)
        columns = tuple(column or name for name, column in zip(given, known, strict=True))
        types = {
            name: self.spec.columns.get(column, ColumnType.ANY) for name, column in zip(given, columns, strict=True)
        }
        try:
            self._reader = TypedReader(types, self._reading)
        except ValueError:
            self._give_up()
            return
        self._names = names
        self._given, self._columns = given, columns
        self.plan = Plan.of(self._table, columns, self._options, self._reading)

    def _give_up(self) -> None:
        self._open = False
        self._reader = None


def _ambiguous(names: Iterable[str]) -> bool:
    """Two names that fold alike: which of them is the column depends on the row."""
    folded = [fold(name) for name in names]
    return len(set(folded)) < len(folded)
