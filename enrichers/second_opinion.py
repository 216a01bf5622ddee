"""Validate again, by pydantic: rows beside the compiled checks, events beside their builder (docs/decisions/0036)."""

from collections.abc import Mapping
from typing import Literal

from models.change import SourceRow
from models.normalized_record import NormalizedRecord
from models.outcome import Dead, Failure
from models.record_type import RecordType, TableRecord, refusal_of
from models.tables import TableSpec

Validation = Literal["all", "sample", "off"]
SAMPLE = 100
"""One of so many changes, told by its digest: the same ones whenever and wherever they are made."""


class SecondOpinion:
    """Asked for all changes, for one in a hundred, or for none."""

    def __init__(self, mode: Validation, records: Mapping[str, RecordType] | None = None) -> None:
        """`records`: by name of the table, instead of what the spec declares."""
        self.mode = mode
        self._records = dict(records or {})

    def wanted(self, digest: str) -> bool:
        """Whether the change of this digest is looked at twice."""
        return self.mode != "off" and (self.mode == "all" or int(digest, 16) % SAMPLE == 0)

    def on_row(self, source: SourceRow, spec: TableSpec) -> Dead | None:
        """What pydantic refuses, although the compiled checks let it through."""
        record = self._records.get(spec.name)
        if record is None:
            record = self._records[spec.name] = TableRecord(spec)
        refused = record.refusal(source)
        return None if refused is None else Dead(Failure.VALIDATION_ERROR, f"the row model refuses {refused}")

    def on_event(self, value: bytes) -> Dead | None:
        """What of an event is not in the contract."""
        refused = refusal_of(NormalizedRecord, value)
        return None if refused is None else Dead(Failure.VALIDATION_ERROR, f"the event contract refuses {refused}")
