"""A record of the stream as people look at it: where it was delivered, what it says, whose it is. Columns and kinds of
values only, never a value of the row (P6)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from models.change import Change, Control, Row, SourceRow
from models.column_types import KINDS
from models.enrichment import Enrichment, OwnerSource
from models.raw import Origin


class View(BaseModel):
    """Printed with camelCase names."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class KinesisRecordMetadata(View):
    """Where Kinesis delivered a record. The partition key is left out: it may hold the key of the row."""

    stream: str
    shard_id: str
    sequence_number: str
    sub_sequence_number: int
    approximate_arrival_timestamp: int
    """Milliseconds since the epoch; 0 = unknown, as in plain files."""


class ExtendedKinesisStreamRecord(KinesisRecordMetadata):
    """The same, with what joins the record to its event."""

    correlation_id: str | None
    """`metadata.correlationId` of the event; None if the record became none."""

    @staticmethod
    def of(origin: Origin, correlation_id: str | None) -> "ExtendedKinesisStreamRecord":
        """From the origin that every record carries."""
        return ExtendedKinesisStreamRecord(
            stream=origin.stream,
            shard_id=origin.shard,
            sequence_number=origin.sequence,
            sub_sequence_number=origin.sub_sequence,
            approximate_arrival_timestamp=origin.arrival_ms,
            correlation_id=correlation_id,
        )


class KinesisDecodedMetadata(View):
    """What a record says of itself, in one form for every adapter."""

    record_type: Literal["data", "control"]
    adapter: str | None
    operation: str
    schema_name: str
    table_name: str
    committed_at: str | None = None
    """As the source wrote it; of DDL, when it told it."""
    transaction_id: str | None = None
    snapshot: bool = False


class KinesisDecodedData(View):
    """The decoded payload: columns of the images, with the kind of each value."""

    metadata: KinesisDecodedMetadata
    data: dict[str, str] | None = None
    """The row; of a delete the last one."""
    before: dict[str, str] | None = None
    control: dict[str, str] | None = None
    """Columns that a record of DDL tells, with their types in the source's words."""

    @staticmethod
    def of(decoded: SourceRow | Control) -> "KinesisDecodedData":
        """View of what an adapter read."""
        if isinstance(decoded, Control):
            metadata = KinesisDecodedMetadata(
                record_type="control",
                adapter=decoded.adapter or None,
                operation=decoded.operation,
                schema_name=decoded.schema,
                table_name=decoded.table,
                committed_at=decoded.told_at,
            )
            columns = None if decoded.columns is None else dict(decoded.columns)
            return KinesisDecodedData(metadata=metadata, control=columns)
        metadata = KinesisDecodedMetadata(
            record_type="data", adapter=decoded.adapter, operation=decoded.operation.value, schema_name=decoded.schema,
            table_name=decoded.table, committed_at=decoded.committed_at, transaction_id=decoded.transaction_id,
            snapshot=decoded.snapshot,
        )  # fmt: skip
        return KinesisDecodedData(metadata=metadata, data=_kinds(decoded.row), before=_kinds(decoded.before))


class ExtendedKinesisDecodedData(KinesisDecodedData):
    """The decoded payload and where its owner was found."""

    owner_source: OwnerSource
    owner_stale: bool


class RecordData(View):
    """What is different between the two images: names of columns."""

    keys: list[str]
    before: list[str]
    after: list[str]
    changed: list[str]

    @staticmethod
    def of(change: Change, changed: list[str]) -> "RecordData":
        """`changed`: columns that the diff found."""
        return RecordData(
            keys=list(change.keys), before=list(change.before or ()), after=list(change.after or ()), changed=changed
        )


class KinesisRecordAttributes(View):
    """A record and what was read out of it, as far as it got."""

    record: ExtendedKinesisStreamRecord
    decoded: KinesisDecodedData | None = None
    """None: it could not be decoded."""


class ExtendedKinesisRecordAttributes(KinesisRecordAttributes):
    """A record that is a change of a known table: also who owns it, and what changed."""

    decoded: ExtendedKinesisDecodedData
    change: RecordData


def record_attributes(
    record: ExtendedKinesisStreamRecord,
    decoded: SourceRow | Control | None,
    change: Change | None,
    owner: Enrichment | None,
    changed: list[str],
) -> KinesisRecordAttributes:
    """The fullest view that the record allows."""
    if decoded is None:
        return KinesisRecordAttributes(record=record)
    read = KinesisDecodedData.of(decoded)
    if change is None or owner is None:
        return KinesisRecordAttributes(record=record, decoded=read)
    extended = ExtendedKinesisDecodedData(
        metadata=read.metadata, data=read.data, before=read.before, owner_source=owner.source, owner_stale=owner.stale
    )
    return ExtendedKinesisRecordAttributes(record=record, decoded=extended, change=RecordData.of(change, changed))


def _kinds(row: Row | None) -> dict[str, str] | None:
    return None if row is None else {name: KINDS.get(type(value), "null") for name, value in row.items()}
