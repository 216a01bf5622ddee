"""What may be shown of a dead letter (P6): key and payload as the rules of its table leave them, never bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from enrichers.compiled import CompiledTable, WrongType
from enrichers.redact import REMOVED, RowRedactor, Secret, UnredactableError
from enrichers.transform import BadValueError
from models.buried import Buried
from models.catalogue import Catalogue
from models.change import Control, Operation, Row, SourceRow
from models.event import read_envelope
from models.outcome import Dead
from models.raw import HEADER_ADAPTER
from models.routing import id_text
from models.sources import adapters
from models.sources.reading import PLAIN, Reading
from models.strict_json import JsonError, decode, wire
from models.tables import Redaction, RedactionAction, TableSpec, spellings

MASK = "***"
"""Stands for a key or a value of which nothing may be shown."""
PUBLISH = "publish"


@dataclass(frozen=True, slots=True)
class Masked:
    """The payload of a letter for people. `content` is None if nothing of it can be shown; `why` says the reason."""

    size: int
    """Bytes of the original."""
    digest: str
    """SHA-256 of the original, hexadecimal: two letters with one payload can be told."""
    content: dict[str, Any] | None = None
    wrong_types: Mapping[str, str] = field(default_factory=dict)
    """Columns whose values are not of their type or have not the form they are transformed to, with that type or form:
    of such a value nothing is shown."""
    why: str = ""

    def document(self) -> dict[str, Any]:
        """For programs."""
        found: dict[str, Any] = {"bytes": self.size, "sha256": self.digest}
        if self.content is not None:
            found["content"] = self.content
        if self.wrong_types:
            found["wrongTypes"] = dict(self.wrong_types)
        if self.why:
            found["notShown"] = self.why
        return found


class LetterView:
    """Masks letters by the tables of a catalogue. Without the redaction key, hashes and tokens become full masks."""

    def __init__(
        self, catalogue: Catalogue, *, secret: Secret | None = None, other: Secret | None = None, zone: str = "UTC",
        readings: Mapping[str, Reading] | None = None,
    ) -> None:  # fmt: skip
        """`readings`: what is known of the records of a source, by its raw topic."""
        self._catalogue = catalogue
        self._secret, self._other, self._zone = secret, other, zone
        self._readings = readings or {}
        self._rules: dict[str, tuple[CompiledTable, RowRedactor]] = {}

    def keys(self, buried: Buried) -> frozenset[str]:
        """The names under which its key can be asked for: as it is shown, and as it stands in Kafka."""
        names = {self.key(buried)} - {MASK, ""}
        if buried.record.key is not None:
            names.add(buried.record.key.decode("utf-8", "replace"))
        return frozenset(names)

    def key(self, buried: Buried) -> str:
        """`<table>:<id>` as in the events of the row, MASK if it is not known how to redact it, empty without a key."""
        raw = buried.record.key
        if raw is None:
            return ""
        if buried.stage == PUBLISH:  # of an event, redacted when that was made
            return printable(raw.decode("utf-8", "replace"))
        try:
            parts = decode(raw)
        except JsonError:
            return MASK
        if not isinstance(parts, list) or len(parts) < 3 or not isinstance(parts[1], str):
            return MASK
        spec = self._catalogue.named(buried.table) if buried.table else None
        if spec is None or len(spec.key) != len(parts) - 2:
            return MASK
        row = self._redacted(spec, dict(zip(spec.key, parts[2:], strict=True)))[0]
        values = [row.get(column, MASK) for column in spec.key]
        return f"{spec.name}:" + ":".join(id_text(value) for value in values)

    def payload(self, buried: Buried) -> Masked | None:
        """The payload of a letter; None if it was left out, or if there never was one."""
        value = buried.record.value
        if value is None:
            return None
        bare = Masked(len(value), hashlib.sha256(value).hexdigest())
        if buried.letter is None:
            return replace(bare, why="it is no dead letter")
        if buried.stage == PUBLISH:
            return self._event(value, bare)
        return self._change(buried, value, bare)

    def _event(self, value: bytes, bare: Masked) -> Masked:
        """An event of `cdc.events` was redacted before it was written."""
        try:
            read_envelope(value)
            return replace(bare, content={"event": wire(decode(value))})
        except (ValueError, JsonError):
            return replace(bare, why="it is no event of cdc.events")

    def _change(self, buried: Buried, value: bytes, bare: Masked) -> Masked:
        adapter = dict(buried.record.headers).get(HEADER_ADAPTER, b"").decode("utf-8", "replace") or None
        reading = self._readings.get(buried.letter.topic, PLAIN) if buried.letter is not None else PLAIN
        try:
            decoded = adapters.decode(decode(value), adapter, reading)
        except JsonError as error:
            return replace(bare, why=f"not acceptable JSON: {error}")
        match decoded:
            case Dead(reason=reason):
                return replace(bare, why=reason)
            case Control():
                return replace(bare, why="a control record has no row")
            case SourceRow():
                spec = self._catalogue.match(decoded.adapter, decoded.schema, decoded.table)
                if spec is None:
                    return replace(bare, why=f"no rules: {decoded.place} is no table that is known")
                return self._row(decoded, spec, bare)
            case _:
                assert_never(decoded)

    def _row(self, source: SourceRow, spec: TableSpec, bare: Masked) -> Masked:
        content: dict[str, Any] = {"table": spec.name, "operation": source.operation.value}
        wrong: dict[str, str] = {}
        last = "before" if source.operation is Operation.DELETE and not source.before else "after"
        for side, row in (("before", source.before), (last, source.row)):
            if not row:
                continue
            try:
                shown, strange = self._redacted(spec, row, source.adapter)
            except UnredactableError as error:
                return replace(bare, why=str(error))
            content[side] = wire(shown)
            wrong |= strange
        return replace(bare, content=content, wrong_types=wrong)

    def _redacted(self, spec: TableSpec, row: Row, adapter: str = "") -> tuple[dict[str, Any], dict[str, str]]:
        """A row as events would show it, and the types of columns that hold something else. Raises
        UnredactableError."""
        table, redactor = self._of(spec)
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
        shown = redactor.redact(formed, read).row
        shown |= {column: MASK for column in wrong if column in shown}
        return {name: value for name, value in shown.items() if value is not REMOVED}, wrong

    def _of(self, spec: TableSpec) -> tuple[CompiledTable, RowRedactor]:
        if spec.name not in self._rules:
            compiled = CompiledTable(spec, self._catalogue, secret=None, redact=False, zone=self._zone)
            rules = {name: rule if self._secret else _keyless(rule) for name, rule in spec.redact.items()}
            self._rules[spec.name] = (
                compiled, RowRedactor(replace(spec, redact=rules), secret=self._secret, other=self._other)
            )  # fmt: skip
        return self._rules[spec.name]


def _keyless(rule: Redaction) -> Redaction:
    """What can be shown where the redaction key is not at hand."""
    return replace(rule, action=RedactionAction.FULL_MASK, patterns=()) if rule.action.keyed else rule


def printable(text: str) -> str:
    """One line, without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
