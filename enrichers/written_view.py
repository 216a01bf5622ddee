"""What may be shown of the records of every topic (P6): raw records and dead letters as the rules of their table leave
them, events as they are, of what nobody can read its size."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

import msgspec

from enrichers.event_names import EventNames
from enrichers.letter_view import LetterView
from enrichers.row_view import MASK, printable
from models.buried import Buried
from models.change import Operation
from models.labels import label
from models.raw import HEADER_REDRIVEN, HEADER_SOURCE, HEADER_TABLE, RawRecord, raw_record_of
from models.receipt import receipt_record
from models.redrive import DeadRecord
from models.written import Place, Writer, Written

NO_RECEIPT = "it is no receipt of this pipeline"
MOST_NAMED = 6
"""Changed columns that a line names."""


class _Event(msgspec.Struct, rename="camel"):
    event_id: str = ""
    event_type: str = ""
    entity_type: str = ""
    entity_id: str = ""
    operation: str = ""
    changed_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WrittenView:
    """Of records of any Kafka client. `sources`: name of the source by raw topic."""

    letters: LetterView
    names: EventNames
    sources: Mapping[str, str]

    def written(self, record: Any, writer: Writer) -> Written:
        """What may be shown. Never raises for data."""
        place = Place(record.topic, record.partition, record.offset)
        bare = Written(writer, place, record.timestamp, len(record.value or b""))
        match writer:
            case Writer.BRIDGE:
                return self._raw(record, bare)
            case Writer.ENRICH:
                return self._event(record, bare)
            case Writer.PUBLISH:
                return _of_receipt(record, bare)
            case Writer.DEAD:
                return self._letter(record, bare)
            case _:
                assert_never(writer)

    def keys(self, record: Any, writer: Writer) -> Collection[str]:
        """Names under which its row can be asked for: as it is shown, and as it stands in Kafka. Not to be shown."""
        found = {(record.key or b"").decode("utf-8", "replace")}
        if writer is Writer.BRIDGE:
            found.add(self._row_name(record))
        elif writer is Writer.DEAD:
            found.update(self.letters.keys(buried_of(record)))
        return found - {MASK, ""}

    def raw_record(self, record: Any) -> RawRecord:
        """As the enrich stage reads it."""
        return raw_record_of(record, self.sources.get(record.topic, ""))

    def _row_name(self, record: Any) -> str:
        named = _header(record, HEADER_TABLE)
        if record.key is None:
            return ""
        return self.letters.rows.row_key(record.key, named) if named else MASK

    def _raw(self, record: Any, bare: Written) -> Written:
        raw = self.raw_record(record)
        table, entity = printable(raw.table or ""), self._row_name(record)
        origin = raw.origin
        source = {
            "source": raw.source or None, "stream": label(origin.stream) or None,
            "shard": label(origin.shard) or None, "sequence": label(origin.sequence) or None,
            "subSequence": origin.sub_sequence, "arrivalMs": origin.arrival_ms or None,
            "adapter": label(raw.adapter or "") or None,
        }  # fmt: skip
        if not raw.value:
            said = "the row got another key" if raw.retired else "tombstone: it has no value"
            return _with(bare, table=table, entity=entity, said=said, body={"origin": source})
        shown = self.letters.change(raw.value, raw.adapter or "", raw.topic)
        named = self.names.of_record(raw)
        body: dict[str, Any] = {"origin": source, "change": shown.document()}
        operation = said = broken = ""
        if named.change is not None:
            change = named.change
            operation, table = change.operation.wire, change.name
            said = "snapshot" if change.snapshot else ""
            body["committedMs"] = change.committed_ms
        elif named.control:
            operation, said = printable(named.control), "control record"
        elif named.why in ("unknown_table", "tombstone"):
            said = shown.why or named.why
        else:
            broken = named.why or shown.why or "it is no change"
        return _with(
            bare, table=table, operation=operation, entity=entity, event_id=named.event_id, said=printable(said),
            broken=printable(broken), body=body,
        )  # fmt: skip

    def _event(self, record: Any, bare: Written) -> Written:
        if record.value is None:
            return _with(bare, entity=MASK, broken="it has no value")
        shown = self.letters.event(record.value)
        if shown.content is None:
            told = {"broken": shown.why} if shown.foreign else {"said": shown.why}
            return _with(bare, entity=MASK, body={"event": shown.document()}, **told)
        event = msgspec.convert(shown.content["event"], _Event)
        redriven = _header(record, HEADER_REDRIVEN)
        origin = {"source": label(_header(record, HEADER_SOURCE)) or None}
        origin |= {"redriven": redriven} if redriven.isdigit() else {}
        return _with(
            bare, table=printable(event.entity_type), operation=printable(event.operation),
            entity=printable(f"{event.entity_type}:{event.entity_id}"),
            event_id=printable(event.event_id),
            said=_changed(event.changed_fields) + (" (again)" if redriven else ""),
            body={"origin": origin, **shown.content},
        )  # fmt: skip

    def _letter(self, record: Any, bare: Written) -> Written:
        buried = buried_of(record)
        payload = self.letters.payload(buried)
        document = buried.document()
        if payload is not None:
            document["payload"] = payload.document()
        told = str((payload.content or {}).get("operation", "")) if payload is not None else ""
        operation = Operation(told).wire if told else ""
        return _with(
            bare, table=printable(buried.table), operation=operation, entity=self.letters.key(buried),
            said=printable(f"{buried.stage or '?'}: {buried.code}: {buried.message}"),
            broken="" if buried.letter is not None or buried.gap else buried.message, body={"letter": document},
        )  # fmt: skip


def _of_receipt(record: Any, bare: Written) -> Written:
    told = receipt_record(record.value)
    if told is None:
        return _with(bare, broken=NO_RECEIPT)
    tries = "" if told.attempts <= 1 else f", {told.attempts} attempts"
    return _with(
        bare, event_id=printable(told.event_id), said=printable(f"{told.code} {told.bus_event_id}{tries}"),
        body={"receipt": msgspec.to_builtins(told)},
    )  # fmt: skip


def buried_of(record: Any) -> Buried:
    letter = DeadRecord(record.partition, record.offset, record.timestamp, record.key, record.value, record.headers)
    return Buried.of(letter, None)


def _header(record: Any, name: str) -> str:
    return (dict(record.headers).get(name) or b"").decode("utf-8", "replace")


def _changed(names: Collection[str]) -> str:
    shown = [printable(name) for name in list(names)[:MOST_NAMED]]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(shown) + more


def _with(written: Written, **fields: Any) -> Written:
    known = {name: getattr(written, name) for name in ("writer", "place", "time_ms", "size")}
    return Written(**known, **fields)
