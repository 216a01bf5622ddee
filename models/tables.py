"""What is declared about a source table: plain frozen data, compiled into steps by `enrichers`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal, get_args

from models.change import Operation, Row
from models.example import Example
from models.free_text import RegexRedaction
from models.routing import entity_key, is_key, key_text

UnknownColumns = Literal["mask", "publish", "drop"]
AbsentColumns = Literal["unchanged", "null"]
MaskStyle = Literal["text", "email", "phone", "card", "ip"]
DetailTypeStyle = Literal["event-type", "table-change"]
DETAIL_TYPE_STYLES: tuple[DetailTypeStyle, ...] = get_args(DetailTypeStyle)
TABLE_CHANGE = "CDC.TableChange"
"""The one detail type of all events of a table with `detail_type_style: table-change`."""
ALL_OPERATIONS = frozenset({Operation.CREATE, Operation.UPDATE, Operation.DELETE})
EVENT_VERBS = {Operation.CREATE: "created", Operation.UPDATE: "updated", Operation.DELETE: "deleted"}
LOOKUP_WAIT_SECONDS = 5.0
"""How long a lookup rule waits for its row by default (design: `wait:5s`)."""


class ColumnType(StrEnum):
    """Type of a column; `any` only names it."""

    INT = "int"
    TEXT = "text"
    BOOL = "bool"
    TIMESTAMP = "timestamp"
    DECIMAL = "decimal"
    JSON = "json"
    ANY = "any"


class RedactionAction(StrEnum):
    """What redaction does with a value; null stays null in all of them."""

    REMOVE = "REMOVE"
    HASH = "HASH"
    TOKENIZE = "TOKENIZE"
    PARTIAL_MASK = "PARTIAL_MASK"
    FULL_MASK = "FULL_MASK"

    @property
    def keyed(self) -> bool:
        """True if the action needs the redaction key."""
        return self in (RedactionAction.HASH, RedactionAction.TOKENIZE)


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """The rule for one column."""

    action: RedactionAction
    style: MaskStyle = "text"
    visible_chars: int | None = None
    """Characters a PARTIAL_MASK leaves readable; None = 3, and by style: email 1, phone 3, card 4."""
    mask_char: str = "*"
    replacement: str = "***REDACTED***"
    link_group: str | None = None
    """Columns of one group, in any table, hash and tokenize alike, so that consumers can join on them."""
    exact: bool | None = None
    """HASH and TOKENIZE: whether only equal values are the same. None: if models/exact_values.py says so."""
    unless: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column -> values: images with one of them in each column are spared; absent is redacted (docs/decisions/0030)."""
    patterns: tuple[RegexRedaction, ...] = ()
    """Not empty: the action is for what these find in a text, and the rest of it is published."""

    def __str__(self) -> str:
        """For people: the action, what it is for, and whom it spares."""
        found = f" of {', '.join(pattern.name for pattern in self.patterns)}" if self.patterns else ""
        spared = " and ".join(f"{column} is {' or '.join(values)}" for column, values in self.unless.items())
        what = found or (" of the exact value" if self.exact else "")
        return f"{self.action.value}{what}" + (f" unless {spared}" if spared else "")

    @property
    def lossy(self) -> bool:
        """True if two values may come out alike, which neither an entity id nor an owner id may do."""
        return not self.linkable

    @property
    def linkable(self) -> bool:
        """True if consumers can join on what the rule gives: one value in, one token out."""
        return self.action.keyed and not self.patterns

    def spares(self, image: Row) -> bool:
        """True if the rule leaves the values of this row image, as the source wrote it, alone."""
        return bool(self.unless) and all(_text(image.get(name)) in values for name, values in self.unless.items())

    def never_meets(self, conditions: Mapping[str, str]) -> bool:
        """True if images whose columns have these values are spared."""
        return bool(self.unless) and all(conditions.get(name) in values for name, values in self.unless.items())


Redaction = RedactionRule
"""What the code calls it."""


class Transformation(StrEnum):
    """A change of form on the way out."""

    ISO_DATE = "ISO_DATE"
    DECIMAL = "DECIMAL"
    UPPERCASE = "UPPERCASE"
    LOWERCASE = "LOWERCASE"


@dataclass(frozen=True, slots=True)
class FromColumn:
    """The id stands in a column of the row itself, if the columns of `when` have these values."""

    column: str
    when: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FromLookup:
    """The id stands in the row of another table whose key is the value of column `by`."""

    lookup: str
    by: str
    take: Literal["org", "user"] = "org"
    when: Mapping[str, str] = field(default_factory=dict)


OwnerCase = FromColumn | FromLookup


@dataclass(frozen=True, slots=True)
class OwnerRule:
    """Who a change belongs to: per id the first case that matches. No case: that id is always absent."""

    org: tuple[OwnerCase, ...] = ()
    user: tuple[OwnerCase, ...] = ()

    @property
    def looks_up(self) -> bool:
        """True if any case reads a lookup."""
        return any(isinstance(case, FromLookup) for case in (*self.org, *self.user))


@dataclass(frozen=True, slots=True)
class Provides:
    """This table feeds a lookup: its key finds the ids of the row."""

    lookup: str
    key: str
    org: str | None = None
    user: str | None = None
    query: str | None = None
    """How to ask a database for rows the lookup lacks, if its tables have another shape: SELECT of key, organisation
    and user (in this order; the user may be left out) for the keys in the array $1."""


@dataclass(frozen=True, slots=True)
class MissingOwner:
    """What happens to a change nobody owns: wait for a lookup, then publish without an owner or dead-letter it."""

    wait_seconds: float = 0.0
    then: Literal["publish", "dead"] = "publish"


@dataclass(frozen=True)
class TableSpec:
    """Everything the worker knows of a table. A new table is one of these and nothing else."""

    name: str
    """Unique; entityType of its events."""
    table: str
    entity: str
    """Prefix of its event types."""
    key: tuple[str, ...]
    schema: str | None = None
    """None: the first schema seen is pinned (docs/decisions/0010)."""
    adapter: str | None = None
    columns: Mapping[str, ColumnType] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    """Columns a new row must have, not null."""
    operations: frozenset[Operation] = ALL_OPERATIONS
    event_types: Mapping[Operation, str] = field(default_factory=dict)
    owner: OwnerRule | None = None
    provides: tuple[Provides, ...] = ()
    redact: Mapping[str, Redaction] = field(default_factory=dict)
    transform: Mapping[str, Transformation] = field(default_factory=dict)
    unknown_columns: UnknownColumns = "mask"
    include_fields: tuple[str, ...] = ("*",)
    on_missing_owner: MissingOwner | None = None
    publish_snapshots: bool = False
    memory: bool = True
    """False for append-only tables: their rows never come back."""
    duplicates: Literal["drop", "pass"] = "drop"
    """Whether changes that were sent again, or after a later one of their row, are left out."""
    absent_columns: AbsentColumns | None = None
    """What a column missing in one of the two images of an update means (docs/decisions/0011). None: what its source
    says, else `null` for DynamoDB, whose images are whole, and `unchanged` for others."""
    images: frozenset[Literal["before", "after"]] = frozenset()
    """Whole rows to publish beside the changes."""
    where: str | None = None
    """JMESPath over the change; what it denies is not published (docs/decisions/0032)."""
    detail_type_style: DetailTypeStyle = "event-type"
    """`table-change`: one detail type for all, and `table`, `before` and `after` in the event (docs/decisions/0033)."""
    bus: str | None = None
    """Name or ARN of the bus its events go to; None: EVENT_BUS_NAME."""
    examples: tuple[Example, ...] = field(default=(), compare=False)
    """What `cdc check` tries. No part of what the table means: other examples make no other table."""

    @property
    def published_images(self) -> frozenset[Literal["before", "after"]]:
        """The rows that events hold: those of `images`, both in the style of table changes."""
        return frozenset(("before", "after")) if self.detail_type_style == "table-change" else self.images

    @cached_property
    def known(self) -> frozenset[str]:
        """Columns that anything in this spec names; every other one falls under `unknown_columns`."""
        names = {*self.columns, *self.key, *self.required, *self.redact, *self.transform}
        names.update(name for name in self.include_fields if name != "*")
        for redaction in self.redact.values():
            names.update(redaction.unless)
        for rule in self.provides:
            names.update(name for name in (rule.key, rule.org, rule.user) if name)
        if self.owner is not None:
            for case in (*self.owner.org, *self.owner.user):
                names.update(case.when)
                names.add(case.column if isinstance(case, FromColumn) else case.by)
        return frozenset(names)

    @cached_property
    def folded(self) -> Mapping[str, str]:
        """Folded spelling -> column, where only one known column folds to it."""
        found: dict[str, str | None] = {}
        for name in sorted(self.known):
            folded = fold(name)
            found[folded] = None if folded in found else name
        return {folded: name for folded, name in found.items() if name is not None}

    @property
    def missing_owner(self) -> MissingOwner:
        """The policy in force: what the spec says, else lookup rules wait and then everything is published."""
        if self.on_missing_owner is not None:
            return self.on_missing_owner
        return MissingOwner(LOOKUP_WAIT_SECONDS if self.owner is not None and self.owner.looks_up else 0.0)

    def row_key(self, schema: str, values: Sequence[object]) -> bytes:
        """Entity key of a row, under the spec's spelling of schema and table, so that lookups find it."""
        return entity_key(self.schema or schema, self.table, values)

    def event_type(self, operation: Operation) -> str:
        """`user.updated`, unless the spec overrides it."""
        return self.event_types.get(operation) or f"{self.entity}.{EVENT_VERBS[operation]}"


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, list | dict) else key_text(value)


def fold(name: str) -> str:
    """`HOMEORGID`, `home_org_id`, `homeOrgId` -> `homeorgid`: sources spell one column in many ways."""
    return name.replace("_", "").lower()


def spellings(spec: TableSpec, names: tuple[str, ...]) -> tuple[str | None, ...]:
    """The spec's name for each column of a row, None for unknown ones. An exact spelling always wins; a folded one
    counts only if no other column of the row folds to it."""
    exact = spec.known.intersection(names)
    taken = Counter(fold(name) for name in names if name not in exact)
    found: list[str | None] = []
    for name in names:
        if name in exact:
            found.append(name)
            continue
        folded = fold(name)
        known = spec.folded.get(folded)
        found.append(known if known is not None and known not in exact and taken[folded] == 1 else None)
    return tuple(found)


def key_values(spec: TableSpec, row: Row, instead: Sequence[object] | None = None) -> list[object] | None:
    """Values of the key columns of a row in any spelling; `instead` fills in for columns the row does not hold.
    None if one is absent, null or no plain value."""
    values: list[object] = []
    for place, column in enumerate(spec.key):
        value = row.get(column)
        if value is None and column not in row:
            names = tuple(row)
            known = spellings(spec, names)
            if column in known:
                value = row[names[known.index(column)]]
        if value is None and instead is not None:
            value = instead[place]
        if not is_key(value):
            return None
        values.append(value)
    return values
