"""A TableSpec made ready for the hot path: checks, transformations and redactions as plain functions per column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, assert_never

from enrichers.filter import Filter
from enrichers.guarded import GuardedColumns
from enrichers.observe import Oddities, Watch
from enrichers.redact import Redactor, Secret, redactor, unknown_column
from enrichers.transform import Transformer, transformer
from models.catalogue import Catalogue
from models.change import Row
from models.column_types import CHECKS, KINDS, NATIVE, WRONG, Check
from models.routing import key_form
from models.sources import dms
from models.sources.reading import Reading
from models.tables import ColumnType, FromColumn, FromLookup, OwnerCase, OwnerRule, Redaction, TableSpec, spellings

MAX_SHAPES = 256
"""Different sets of columns remembered per table; sources deliver a handful, a broken one might deliver any."""

_UNCHECKED = frozenset({ColumnType.ANY, ColumnType.JSON})
_AS_IT_IS: Mapping[ColumnType, type] = {
    ColumnType.INT: int, ColumnType.TEXT: str, ColumnType.BOOL: bool, ColumnType.DECIMAL: Decimal,
}  # fmt: skip
"""Python type whose values their check would answer unchanged: most values need no call."""

_Column = tuple[str, Check | None, type | None, frozenset[type]]
"""(name, check, type that needs none, types the source is expected to send)"""


EXACT_DOUBLE = 1 << 53
"""Larger integers have neighbours that are the same double."""


def _was_rounded(value: Any, checked: Any) -> bool:
    return type(value) is Decimal and type(checked) is int and abs(checked) > EXACT_DOUBLE


def _key_text(value: Any) -> Any:
    """Text of a key column: a number has its one form there, as in raw keys, so that one row has one entityId."""
    return CHECKS[ColumnType.TEXT](key_form(value))


@dataclass(frozen=True, slots=True)
class WrongType:
    """A column of a row is not of its declared type."""

    column: str
    expected: ColumnType


class CompiledTable:
    """One spec with everything that can be prepared before the first record."""

    def __init__(
        self,
        spec: TableSpec,
        catalogue: Catalogue,
        *,
        secret: Secret | None,
        redact: bool,
        zone: str,
        other: Secret | None = None,
        readings: Iterable[Reading] = (),
    ) -> None:
        self.spec = spec
        self.redacts = redact
        # Columns that are dropped are no secret: they are dropped without redaction too.
        self.unknown = unknown_column(spec) if redact or spec.unknown_columns == "drop" else None
        self.guarded = GuardedColumns(spec, readings)
        self.redactors: dict[str, Redactor] = {}
        self.conditional: dict[str, Redaction] = {}
        """Rules that spare some rows."""
        self.aliases: dict[str, Redactor] = {}
        """What hashes and tokens of a column are under the other key version, while there are two."""
        self.org_alias: Redactor | None = None
        self.user_alias: Redactor | None = None
        self.org_redactor: Redactor | None = None
        self.user_redactor: Redactor | None = None
        self.spared_owners: frozenset[str] = frozenset()
        """Columns an owner id is read from only where their rule spares the row."""
        if redact:
            self.redactors = {name: redactor(rule, spec.name, name, secret) for name, rule in spec.redact.items()}
            self.conditional = {name: rule for name, rule in spec.redact.items() if rule.unless}
            rules = spec.owner or OwnerRule()
            self.org_redactor = self._of_owner(rules.org, catalogue, secret)
            self.user_redactor = self._of_owner(rules.user, catalogue, secret)
            if other is not None:
                self.aliases = {
                    name: redactor(rule, spec.name, name, other) for name, rule in spec.redact.items() if rule.linkable
                }
                self.org_alias = self._of_owner(rules.org, catalogue, other)
                self.user_alias = self._of_owner(rules.user, catalogue, other)
            cases = (*rules.org, *rules.user)
            self.spared_owners = frozenset(
                case.column for case in cases if isinstance(case, FromColumn) and case.column in self.conditional
            )
        self.transformers: Mapping[str, Transformer] = {
            name: transformer(kind, zone, means_z=True) for name, kind in spec.transform.items()
        }
        self._transformers_of_dms = {name: transformer(kind, zone) for name, kind in spec.transform.items()}
        self.json_columns = frozenset(name for name, kind in spec.columns.items() if kind is ColumnType.JSON)
        self.key_is_redacted = redact and any(name in spec.redact for name in spec.key)
        self.includes: frozenset[str] | None = (
            None if "*" in spec.include_fields else frozenset((*spec.include_fields, *spec.key))
        )
        self.watch = Watch(spec)
        self.where = Filter(spec.where, spec) if spec.where is not None else None
        self._shapes: dict[tuple[str, ...], tuple[_Column, ...]] = {}

    def rule_of_unknown(self, name: str) -> Redactor | None:
        """What happens to a column that the spec does not name. None: it is published."""
        if self.unknown is not None or not self.redactors:
            return self.unknown
        return self.redactors.get(self.guarded.find(name) or "")

    def transformers_of(self, adapter: str) -> Mapping[str, Transformer]:
        """The functions of the table's transformations for values of an adapter."""
        return self._transformers_of_dms if adapter == dms.ADAPTER else self.transformers

    def read(self, row: Row, odd: Oddities, imprecise: set[str] | None = None) -> dict[str, Any] | WrongType:
        """The row under the spec's spelling of its columns, typed columns checked. `odd` gets the columns whose values
        had to be put right, or could not be. `imprecise`, for sources that write integers as doubles: gets the columns
        where that may have cost digits."""
        names = tuple(row)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shape(names)
        found: dict[str, Any] = {}
        for (name, check, as_it_is, native), value in zip(shape, row.values(), strict=True):
            kind = type(value)
            if check is None or value is None or kind is as_it_is:
                found[name] = value
                continue
            checked = check(value)
            if checked is WRONG:
                odd.append((name, KINDS.get(kind, "object"), True))
                return WrongType(name, self.spec.columns[name])
            if kind not in native:
                odd.append((name, KINDS.get(kind, "object"), False))
            if imprecise is not None and _was_rounded(value, checked):
                imprecise.add(name)
            found[name] = checked
        return found

    def _shape(self, names: tuple[str, ...]) -> tuple[_Column, ...]:
        spec = self.spec
        shape: list[_Column] = []
        for given, known in zip(names, spellings(spec, names), strict=True):
            kind = spec.columns.get(known) if known is not None else None
            name = given if known is None else known
            if kind is None or kind in _UNCHECKED:
                shape.append((name, None, None, frozenset()))
            else:
                check = _key_text if kind is ColumnType.TEXT and name in spec.key else CHECKS[kind]
                shape.append((name, check, _AS_IT_IS.get(kind), NATIVE[kind]))
        if len(self._shapes) < MAX_SHAPES:
            self._shapes[names] = tuple(shape)
        return tuple(shape)

    def _of_owner(self, cases: tuple[OwnerCase, ...], catalogue: Catalogue, secret: Secret | None) -> Redactor | None:
        """An id read from a redacted column, here or in the table of a lookup, is that column's value: it leaves in the
        same form (P6)."""
        for case in cases:
            match case:
                case FromColumn(column=column, when=when):
                    table = self.spec
                    if column in table.redact and table.redact[column].never_meets(when):
                        continue
                case FromLookup(lookup=lookup, take=take):
                    table = catalogue.lookup_provider(lookup)
                    provided = next(rule for rule in table.provides if rule.lookup == lookup)
                    column = (provided.org if take == "org" else provided.user) or ""
                case _:
                    assert_never(case)
            if column in table.redact:
                return redactor(table.redact[column], table.name, column, secret)
        return None
