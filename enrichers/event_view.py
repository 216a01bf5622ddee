"""What may be shown of records of `cdc.events` (P6): what the rules of their table leave of them now.

Events of this pipeline were redacted before they were written, and stand as they are shown. But any program may write
into the topic, and rules may have been made since.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from enrichers.compiled import WrongType
from enrichers.frame import entity_id
from enrichers.redact import Redactor, UnredactableError
from enrichers.row_view import MASK, RowView, form_of
from models.column_types import CHECKS, WRONG
from models.event import read_envelope
from models.labels import label
from models.normalized_record import NormalizedRecord
from models.record_type import refusal_of
from models.strict_json import JsonError, decode, wire
from models.tables import ALL_OPERATIONS, ColumnType, FromColumn, OwnerCase, OwnerRule, TableSpec, spellings

_TOKEN = re.compile(r"h[0-9]{1,9}\.[0-9a-f]{32}|tok[0-9]{1,9}_[0-9a-f]{24}", re.ASCII)
"""What a keyed action gives, under whatever key."""
_SIDES = {"old": "before", "new": "after"}
_LABELS = (
    "service", "environment", "sourceSchema", "sequenceNumber", "shardId", "transactionId", "correlationId",
)  # fmt: skip
_NAMES = ("redactedFields", "truncatedFields", "precisionLoss")
_ONLY_ON_THE_BUS = ("payloadRef", "omittedFields")
"""What a publisher adds to an event that is too large for its bus: nothing of `cdc.events` has them."""

NOT_OURS = "another program wrote it: it has not the form of our events"


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """`content` is None if nothing can be shown; `why` says the reason."""

    content: dict[str, Any] | None = None
    hidden: tuple[str, ...] = ()
    """Columns and members that stand in the record otherwise than they are shown, sorted."""
    wrong_types: Mapping[str, str] = field(default_factory=dict)
    """Columns whose values are not of their type, with that type."""
    why: str = ""
    foreign: bool = False
    """It is no event at all: the publisher does not send it either."""


class EventView:
    """Masks events by the tables of a catalogue."""

    def __init__(self, rows: RowView) -> None:
        self._rows = rows

    def event(self, value: bytes) -> ShownEvent:
        """Never raises for data."""
        try:
            read_envelope(value)
        except ValueError:
            return ShownEvent(why="it is no event of cdc.events", foreign=True)
        if refusal_of(NormalizedRecord, value) is not None:
            return ShownEvent(why=NOT_OURS)
        try:
            content = wire(decode(value))
        except JsonError as error:
            return ShownEvent(why=f"another program wrote it: not acceptable JSON: {error}")
        if any(name in content or name in content["metadata"] for name in _ONLY_ON_THE_BUS):
            return ShownEvent(why=NOT_OURS)
        spec = self._rows.catalogue.named(content["entityType"])
        if spec is not None and {*spec.key} != content["keys"].keys():
            return ShownEvent(why="its keys are not those of its table")
        if spec is None:
            return ShownEvent(why="no rules: its table is none that is known here")
        try:
            return _Masking(self._rows, spec).event(content)
        except UnredactableError as error:
            return ShownEvent(why=str(error))

    def key(self, entity_type: str, entity_id: str) -> str:
        """`<table>:<id>` as events name a row. MASK if an id of this form cannot be one of the table."""
        spec, parts = self._rows.catalogue.named(entity_type), entity_id.split(":")
        if spec is None or len(parts) != len(spec.key):
            return MASK
        for column, part in zip(spec.key, parts, strict=True):
            text = part.replace("%3A", ":").replace("%25", "%")
            if not (_TOKEN.fullmatch(part) if column in spec.redact else _fits(spec.columns.get(column), text)):
                return MASK
        return f"{entity_type}:{entity_id}"


class _Masking:
    """Of one event. Raises UnredactableError."""

    def __init__(self, rows: RowView, spec: TableSpec) -> None:
        self._spec = spec
        self._catalogue = rows.catalogue
        self._table, self._rules = rows.rules_of(spec)
        self._owners = rows.owners_of(spec)
        self._images: dict[str, dict[str, Any]] = {}
        """What conditions are asked of: all that the event tells of the row before and after."""
        self._hidden: set[str] = set()
        self._wrong: dict[str, str] = {}

    def event(self, content: dict[str, Any]) -> ShownEvent:
        """`content`: an event by its contract."""
        former = content["keys"] | (content.get("previousKeys") or {})
        for side, image, keys in (("old", "before", former), ("new", "after", content["keys"])):
            told = {name: both[side] for name, both in content["changes"].items() if side in both}
            self._images[image] = _agreed(keys, told, content.get(image) or {})
        shown = content | {"keys": self._row(content["keys"], "after"), "changes": self._changes(content["changes"])}
        for name in ("previousKeys", *_SIDES.values()):
            if content.get(name) is not None:
                shown[name] = self._row(content[name], "after" if name == "after" else "before")
        shown["entityId"] = self._entity_id(content, shown["keys"])
        owner, rules = self._spec.owner or OwnerRule(), self._owners
        for name, cases, rule in (
            ("orgId", owner.org, rules.org_redactor),
            ("userId", owner.user, rules.user_redactor),
        ):
            if content.get(name) is not None:
                shown[name] = self._owner_id(content[name], cases, rule)
        shown["metadata"] = self._metadata(content["metadata"], {*content["changes"], *content["keys"]})
        if content["eventType"] not in map(self._spec.event_type, ALL_OPERATIONS):
            shown["eventType"] = MASK
        if "table" in content:
            shown["table"] = self._table_name(content["table"])
        members = ("eventType", "entityId", "orgId", "userId", "metadata", "table")
        self._hidden |= {name for name in members if shown.get(name) != content.get(name)}
        return ShownEvent(shown, tuple(sorted(self._hidden)), self._wrong)

    def _metadata(self, metadata: Mapping[str, Any], columns: set[str]) -> dict[str, Any]:
        shown = {name: label(told) if name in _LABELS else told for name, told in metadata.items()}
        shown["sourceTable"] = self._table_name(metadata["sourceTable"])
        for name in _NAMES:
            if metadata.get(name) is not None:
                shown[name] = [column for column in metadata[name] if column in columns or column in self._spec.known]
        aliases = metadata.get("aliases") or {}
        if not all(map(_TOKEN.fullmatch, (*aliases, *aliases.values()))):
            del shown["aliases"]
        return shown

    def _table_name(self, name: str) -> str:
        """A table that is configured may have any name."""
        return name if self._catalogue.named(name) is not None else label(name)

    def _row(self, row: Mapping[str, Any], image: str) -> dict[str, Any]:
        redacted, shown = self._rules.redact(row, self._images[image]).row, dict[str, Any]()
        for name, column in zip(row, spellings(self._spec, tuple(row)), strict=True):
            value, named = row[name], column or self._rules.guarded.find(name)
            rule = self._spec.redact.get(named) if named is not None else None
            if rule is not None and rule.linkable and isinstance(value, str) and _TOKEN.fullmatch(value):
                shown[name] = value
                continue
            if name in redacted:
                shown[name] = redacted[name]
                if rule is None and named is not None and not self._is_of_its_type(named, value):
                    shown[name], self._wrong[named] = MASK, self._spec.columns[named].value
            if name not in shown or shown[name] != value:
                self._hidden.add(name)
        return shown

    def _changes(self, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        sides = {
            side: self._row({name: both[side] for name, both in changes.items() if side in both}, image)
            for side, image in _SIDES.items()
        }
        return {
            name: {side: sides[side][name] for side in both}
            for name, both in changes.items()
            if all(name in sides[side] for side in both)
        }

    def _is_of_its_type(self, column: str, value: Any) -> bool:
        """What a table transforms has another type in events."""
        kind = self._spec.columns.get(column)
        if kind is None or value is None or column in self._spec.transform or _fits(kind, value):
            return True
        return not isinstance(self._table.read({column: value}, []), WrongType)

    def _entity_id(self, content: Mapping[str, Any], keys: Mapping[str, Any]) -> str:
        """That of the keys that are shown; MASK if the id is not made of the keys."""
        columns, whole = self._spec.key, content["keys"]
        if entity_id({name: whole[name] for name in columns}) != content["entityId"]:
            return MASK
        return entity_id({name: keys.get(name, MASK) for name in columns})

    def _owner_id(self, value: str, cases: Sequence[OwnerCase], rule: Redactor | None) -> str:
        """By the rule of the column that it comes from. Of a table whose rows have no such owner nothing is shown."""
        if rule is not None:
            return value if _TOKEN.fullmatch(value) else form_of(rule, value)
        columns = {case.column for case in cases if isinstance(case, FromColumn)}
        typed = len(columns) < len(cases) or any(_fits(self._spec.columns.get(column), value) for column in columns)
        return value if cases and typed and all(map(self._spares, columns & self._owners.spared_owners)) else MASK

    def _spares(self, column: str) -> bool:
        """Whether the event tells that the rule of a column leaves its row alone: as the row is now, if it says so."""
        rule, after = self._spec.redact[column], self._images["after"]
        return rule.spares(after if after.keys() >= rule.unless.keys() else self._images["before"])


def _agreed(*tellings: Mapping[str, Any]) -> dict[str, Any]:
    """What all of them say of a row; null where one contradicts another, which no condition spares."""
    found: dict[str, Any] = {}
    for telling in tellings:
        for name, value in telling.items():
            found[name] = value if found.get(name, value) == value else None
    return found


def _fits(kind: ColumnType | None, value: Any) -> bool:
    """Numbers travel as text where they have fractions, those of times too."""
    if kind is None or CHECKS[kind](value) is not WRONG:
        return True
    return kind is ColumnType.TIMESTAMP and CHECKS[ColumnType.DECIMAL](value) is not WRONG
