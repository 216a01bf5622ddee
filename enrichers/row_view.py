"""What may be shown of rows, keys and owner ids outside of events (P6): what the rules of their table leave of them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from enrichers.compiled import CompiledTable, WrongType
from enrichers.redact import REMOVED, MissingKeyError, Redactor, RowRedactor, Secret, redactor
from enrichers.transform import BadValueError
from models import labels
from models.catalogue import Catalogue
from models.change import Row
from models.routing import id_text
from models.sources.reading import Reading
from models.strict_json import JsonError, decode
from models.tables import OwnerCase, Redaction, RedactionAction, TableSpec, spellings

MASK = labels.MASK
_FIRST_VALUE = 2
"""Of a key: behind schema and table."""


class RowView:
    """Masks by the tables of a catalogue. Without the redaction key, hashes and tokens become full masks."""

    def __init__(
        self, catalogue: Catalogue, *, secret: Secret | None = None, other: Secret | None = None, zone: str = "UTC",
        readings: Iterable[Reading] = (),
    ) -> None:  # fmt: skip
        self.catalogue = catalogue
        self._readings = tuple(readings)
        self._secret, self._other, self._zone = secret, other, zone
        self._rules: dict[str, tuple[CompiledTable, RowRedactor]] = {}
        self._owners: dict[str, CompiledTable] = {}

    def row_key(self, raw: bytes, named: str | None = None) -> str:
        """`<table>:<id>` of a raw key `[schema, table, pk…]`, as in the events of the row; MASK if it is not known how
        to redact it. `named`: the table's unique name, where that is known."""
        try:
            parts = decode(raw)
        except JsonError:
            return MASK
        if not isinstance(parts, list) or len(parts) <= _FIRST_VALUE or not all(isinstance(p, str) for p in parts[:2]):
            return MASK
        known = self.catalogue
        spec = known.match(None, parts[0], parts[1]) if named is None else known.named(named)
        return MASK if spec is None else self.key(spec, parts[_FIRST_VALUE:])

    def key(self, spec: TableSpec, values: Sequence[object]) -> str:
        """The same of the values of a key."""
        if len(spec.key) != len(values):
            return MASK
        row = self.redacted(spec, dict(zip(spec.key, values, strict=True)))[0]
        return f"{spec.name}:" + ":".join(id_text(row.get(column, MASK)) for column in spec.key)

    def redacted(self, spec: TableSpec, row: Row, adapter: str = "") -> tuple[dict[str, Any], dict[str, str]]:
        """A row as events would show it, and the types of columns that hold something else. Raises
        UnredactableError."""
        table, rules = self.rules_of(spec)
        given, wrong = dict(row), dict[str, str]()
        while isinstance(read := table.read(given, []), WrongType):
            wrong[read.column] = read.expected.value
            at = spellings(spec, tuple(given)).index(read.column)
            given[tuple(given)[at]] = None
        formed = dict(read)
        for column, transform in table.transformers_of(adapter).items():
            if column in formed:
                try:
                    formed[column] = transform(formed[column])
                except BadValueError:
                    formed[column] = None
                    wrong[column] = spec.transform[column].value
        shown = rules.redact(formed, read).row
        shown |= {column: MASK for column in wrong if column in shown}
        return {name: value for name, value in shown.items() if value is not REMOVED}, wrong

    def provided(self, spec: TableSpec, column: str | None, value: str | None) -> str | None:
        """An id that a table gives to others, out of one of its columns."""
        rule = spec.redact.get(column) if column is not None else None
        if rule is None or value is None:
            return value
        # Nobody knows any more what else stood in the row, which decides whether a conditional rule spares it.
        return MASK if rule.unless else form_of(redactor(rule, spec.name, column or "", self._secret), value)

    def owners_of(self, spec: TableSpec) -> CompiledTable:
        """The rules for ids of owners."""
        if spec.name not in self._owners:
            self._owners[spec.name] = CompiledTable(
                spec, self.catalogue, secret=self._secret, redact=True, zone=self._zone
            )
        return self._owners[spec.name]

    def owner(self, spec: TableSpec, org: str | None, user: str | None) -> tuple[str | None, str | None]:
        """Ids of the owner of a row, as its events carry them."""
        table, rule = self.owners_of(spec), spec.owner
        return (
            self._owner_id(table, rule.org if rule is not None else (), table.org_redactor, org),
            self._owner_id(table, rule.user if rule is not None else (), table.user_redactor, user),
        )

    @staticmethod
    def _owner_id(
        table: CompiledTable, cases: tuple[OwnerCase, ...], rule: Redactor | None, value: str | None
    ) -> str | None:  # fmt: skip
        if value is None:
            return None
        if rule is not None:
            return form_of(rule, value)
        return MASK if table.spared_owners and cases else value

    def rules_of(self, spec: TableSpec) -> tuple[CompiledTable, RowRedactor]:
        """Checks of its types, and its rules."""
        if spec.name not in self._rules:
            compiled = CompiledTable(spec, self.catalogue, secret=None, redact=False, zone=self._zone)
            rules = {name: rule if self._secret else _keyless(rule) for name, rule in spec.redact.items()}
            shown = RowRedactor(
                replace(spec, redact=rules),
                secret=self._secret,
                other=self._other,
                readings=self._readings,
                again=False,
            )
            self._rules[spec.name] = (compiled, shown)
        return self._rules[spec.name]


def _keyless(rule: Redaction) -> Redaction:
    """What can be shown where the redaction key is not at hand."""
    return replace(rule, action=RedactionAction.FULL_MASK, patterns=()) if rule.action.keyed else rule


def form_of(rule: Redactor, value: str) -> str:
    """Of a key or an id; MASK where the redaction key is not at hand."""
    try:
        redacted = rule(value)
    except MissingKeyError:
        return MASK
    return redacted if isinstance(redacted, str) else MASK


def printable(text: str) -> str:
    """One line, without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
