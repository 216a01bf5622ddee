"""Builders of source records and runs of the pipeline, for tests of what happens to a change."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from enrichers.enriched import Enriched
from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.routing import route
from models.catalogue import Catalogue, load_catalogue
from models.outcome import Dead, Drop, Ok
from models.raw import Origin, RawRecord

COMMIT = "2026-01-15T10:31:00.000000Z"
KEY = b"a redaction key for tests"
TELEPHONY = load_catalogue("telephony", None)


def dms(
    operation: str,
    data: dict[str, Any] | None,
    *,
    table: str = "users",
    schema: str = "core",
    before: dict[str, Any] | None = None,
    transaction: int | None = None,
    metadata: dict[str, Any] | None = None,
) -> bytes:
    """A DMS record. With `transaction` it has the identity DMS gives with IncludeTransactionDetails."""
    document: dict[str, Any] = {}
    if data is not None:
        document["data"] = data
    if before is not None:
        document["before-image"] = before
    document["metadata"] = {
        "timestamp": "2026-01-15T10:31:00.500000Z",
        "commit-timestamp": COMMIT,
        "record-type": "data",
        "operation": operation,
        "partition-key-type": "schema-table",
        "schema-name": schema,
        "table-name": table,
    }
    if transaction is not None:
        document["metadata"] |= {
            "transaction-id": transaction,
            "transaction-record-id": 1,
            "stream-position": f"mysql-bin-changelog.000042.{transaction}",
        }
    document["metadata"] |= metadata or {}
    return json.dumps(document).encode()


@dataclass
class Worker:
    """A pipeline with its state, fed record by record as the enrich stage would."""

    catalogue: Catalogue = TELEPHONY
    options: PipelineOptions = field(default_factory=lambda: PipelineOptions(redaction_key=KEY))
    state: InMemoryState = field(default_factory=InMemoryState)
    patient: bool = False
    offset: int = 0
    source: str = "core"

    def __post_init__(self) -> None:
        self.pipeline = Pipeline(self.catalogue, self.options)

    def feed(self, value: bytes, *, replay: int = 0, sequence: str | None = None, trace: str | None = None) -> Enriched:
        """Route and run one record, then apply its effects."""
        routed = route(value, "source-key", self.catalogue)
        self.offset += 1
        record = RawRecord(
            value=value,
            key=routed.key,
            origin=Origin("stream", "shardId-000000000002", sequence or str(4966 + self.offset), 0, 1768473060400),
            topic="cdc.raw.core",
            partition=1,
            offset=self.offset,
            timestamp_ms=1768473060412,
            source=self.source,
            adapter=routed.adapter,
            table=routed.table,
            trace=trace,
            replay=replay,
        )
        enriched = self.pipeline.run(record, self.state, patient=self.patient)
        self.state.apply(enriched.effects)
        return enriched

    def retire(self, key: bytes) -> Enriched:
        """Feed the marker the bridge writes for the former key of a row."""
        record = RawRecord(
            None, key, Origin("stream", "s", "1"), "cdc.raw.core", 0, 0, 0, self.source, table="users", retired=True
        )
        enriched = self.pipeline.run(record, self.state)
        self.state.apply(enriched.effects)
        return enriched

    def event(self, value: bytes, **options: Any) -> dict[str, Any]:
        """The detail of the event a record becomes."""
        outcome = self.feed(value, **options).outcome
        assert isinstance(outcome, Ok), outcome
        detail: dict[str, Any] = json.loads(outcome.value.value)
        return detail

    def drop(self, value: bytes, **options: Any) -> str:
        """The reason a record is dropped for."""
        outcome = self.feed(value, **options).outcome
        assert isinstance(outcome, Drop), outcome
        return outcome.reason

    def dead(self, value: bytes, **options: Any) -> Dead:
        """Why a record is dead."""
        outcome = self.feed(value, **options).outcome
        assert isinstance(outcome, Dead), outcome
        return outcome


def catalogue_of(directory: Path, tables: str, *, builtin: Any = "none") -> Catalogue:
    """The catalogue of a tables.yaml with these entries."""
    path = directory / "tables.yaml"
    path.write_text("version: 1\ntables:\n" + tables, encoding="utf-8")
    return load_catalogue(builtin, path)


USER = {"ID": 7, "HomeOrgID": 3, "UserName": "jdoe", "Status": "ACTIVE", "Email": "a@x.test"}
