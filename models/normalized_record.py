"""The event contract as pydantic models: what stands in `cdc.events` and in the detail of EventBridge.

`enrichers/normalize.py` builds events without them, for speed; `CDC_VALIDATE` and the contract tests hold each event to
them.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from models.enrichment import OwnerSource
from models.source_spec import Adapter
from models.strict_json import INT64_MAX, INT64_MIN

Moment = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}([0-9]{3})?Z$")]
"""UTC: `2026-01-15T10:31:00.000000Z`, `processedAt` in milliseconds."""
Name = Annotated[str, Field(min_length=1)]


class Contract(BaseModel):
    """Strict: no field but those that are named, no value of another type."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, alias_generator=to_camel,
        validate_by_name=False, validate_by_alias=True,
    )  # fmt: skip


class FoundOwner(Contract):
    """Where the owner was found; `stale`: in a table entry that is younger than the change."""

    source: OwnerSource
    stale: bool


class ChangedValue(Contract):
    """Old and new value of a column, redacted; a side that is unknown or does not exist is absent."""

    old: Any = None
    new: Any = None

    @model_validator(mode="after")
    def _one_side(self) -> "ChangedValue":
        if not self.model_fields_set:
            raise ValueError("neither old nor new")
        return self


class RecordMetadata(Contract):
    """Where an event comes from. Nothing here depends on the clock or on the run."""

    service: Name
    """`EVENT_SOURCE`."""
    environment: Name
    version: Literal["1.0"]
    source: Adapter
    source_schema: str
    source_table: Name
    sequence_number: str
    """Of the Kinesis record; a number of up to 129 digits, or the place in a plain file."""
    shard_id: Name | None = None
    sequence: Annotated[str, Field(pattern=r"^[0-9]{4,}-[0-9]{20}$")]
    """Generation and offset of the raw record: of one entity the greater text is the later event."""
    transaction_id: str | None = None
    correlation_id: Name
    processed_at: Moment
    """Kafka timestamp of the raw record."""
    snapshot: bool
    redacted_fields: list[str]
    """Columns that a redaction rule applies to."""
    aliases: dict[str, str] | None = None
    """Hash or token of an event -> the same value under the other redaction key, while there are two."""
    truncated_fields: list[str] | None = None
    """Columns whose texts are cut: by the source, most likely, or because the event was too large for its bus."""
    omitted_fields: list[str] | None = None
    """Members that were left out of an event that was too large for its bus: before, after, changes, changedFields."""
    precision_loss: list[str] | None = None
    """Columns whose integer came as a double too large to be exact."""
    enrichment: FoundOwner
    diff: Literal["none"] | None = None
    """`none`: there was no before image, so all columns are listed with their new value."""
    replay: Annotated[int, Field(ge=1)] | None = None
    """How often the raw record was redriven or replayed."""


class NormalizedRecord(Contract):
    """One event. `changes` holds what changed, `keys` the primary key; all of it redacted."""

    event_id: Annotated[str, Field(pattern=r"^evt_[0-9]+_[0-9a-f]{20}$")]
    """The same for every delivery of a change."""
    event_type: Annotated[str, Field(min_length=1, max_length=128)]
    """`<entity>.created`, `.updated` or `.deleted`, unless the table says otherwise."""
    entity_type: Name
    """Name of the table."""
    entity_id: str
    """Values of the key joined by `:`; the key may be one empty text."""
    operation: Literal["INSERT", "UPDATE", "DELETE"]
    timestamp: Moment
    """Commit time."""
    org_id: str | None = None
    user_id: str | None = None
    keys: dict[str, Any]
    previous_keys: dict[str, Any] | None = None
    """The key before the change, if it is another one."""
    changes: dict[str, ChangedValue]
    changed_fields: list[str]
    before: dict[str, Any] | None = None
    """Whole image, if the table asks for it."""
    after: dict[str, Any] | None = None
    payload_ref: Annotated[str, Field(pattern=r"^s3://[^/]+/.+$")] | None = None
    """Where the whole event stands, if it was too large for its bus; `changes` is empty then."""
    metadata: RecordMetadata
    detail_type: Literal["CDC.TableChange"] | None = None
    """Instead of the event type, for tables with `detail_type_style: table-change`; those have `table`, too."""
    table: Name | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "NormalizedRecord":
        if self.payload_ref is None and self.changed_fields != sorted(self.changes):
            raise ValueError("changedFields are not the sorted columns of changes")
        documents = [self.keys, self.previous_keys, self.before, self.after]
        documents += [{"old": change.old, "new": change.new} for change in self.changes.values()]
        if any(not INT64_MIN <= number <= INT64_MAX for number in _integers(documents)):
            raise ValueError("an integer beyond int64")
        return self


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _integers(item)
    elif isinstance(value, int):
        yield value
