"""What may be shown of a dead letter (P6): key and payload as the rules of its table leave them, never bytes."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from enrichers.event_view import EventView
from enrichers.redact import Secret, UnredactableError
from enrichers.row_view import MASK, RowView, printable
from models.buried import PUBLISH, Buried
from models.catalogue import Catalogue
from models.change import Control, Operation, SourceRow
from models.outcome import Dead
from models.raw import HEADER_ADAPTER
from models.sources import adapters
from models.sources.reading import PLAIN, Reading
from models.strict_json import JsonError, decode, wire
from models.tables import TableSpec

__all__ = ["MASK", "LetterView", "Masked", "printable"]


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
    hidden: tuple[str, ...] = ()
    """Columns and members of an event that stand in it otherwise than they are shown: another program wrote it, or the
    rules were others."""
    why: str = ""
    foreign: bool = False
    """It is no event, although it stands where events do."""

    def document(self) -> dict[str, Any]:
        """For programs."""
        found: dict[str, Any] = {"bytes": self.size, "sha256": self.digest}
        if self.content is not None:
            found["content"] = self.content
        if self.wrong_types:
            found["wrongTypes"] = dict(self.wrong_types)
        if self.hidden:
            found["shownByRulesOfNow"] = list(self.hidden)
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
        known = (readings or {}).values()
        self.rows = RowView(catalogue, secret=secret, other=other, zone=zone, readings=known)
        self._readings = readings or {}
        self._events = EventView(self.rows)

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
        if buried.stage == PUBLISH:
            entity_type, _, entity_id = raw.decode("utf-8", "replace").partition(":")
            return printable(self._events.key(entity_type, entity_id))
        return self.rows.row_key(raw, buried.table) if buried.table else MASK

    def payload(self, buried: Buried) -> Masked | None:
        """The payload of a letter; None if it was left out, or if there never was one."""
        value = buried.record.value
        if value is None:
            return None
        if buried.letter is None:
            return replace(_bare(value), why="it is no dead letter")
        if buried.stage == PUBLISH:
            return self.event(value)
        adapter = dict(buried.record.headers).get(HEADER_ADAPTER, b"").decode("utf-8", "replace")
        return self.change(value, adapter, buried.letter.topic)

    def event(self, value: bytes) -> Masked:
        """The value of a record of `cdc.events`."""
        shown = self._events.event(value)
        content = {"event": shown.content} if shown.content is not None else None
        return replace(
            _bare(value), content=content, wrong_types=shown.wrong_types, hidden=shown.hidden, why=shown.why,
            foreign=shown.foreign,
        )  # fmt: skip

    def change(self, value: bytes, adapter: str, topic: str) -> Masked:
        """The value of a raw record. `adapter`: as its headers have it, empty if they have none."""
        bare, reading = _bare(value), self._readings.get(topic, PLAIN)
        try:
            decoded = adapters.decode(decode(value), adapter or None, reading)
        except JsonError as error:
            return replace(bare, why=f"not acceptable JSON: {error}")
        match decoded:
            case Dead(reason=reason):
                return replace(bare, why=reason)
            case Control():
                return replace(bare, why="a control record has no row")
            case SourceRow():
                spec = self.rows.catalogue.match(decoded.adapter, decoded.schema, decoded.table)
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
                shown, strange = self.rows.redacted(spec, row, source.adapter)
            except UnredactableError as error:
                return replace(bare, why=str(error))
            content[side] = wire(shown)
            wrong |= strange
        return replace(bare, content=content, wrong_types=wrong)


def _bare(value: bytes) -> Masked:
    return Masked(len(value), hashlib.sha256(value).hexdigest())
