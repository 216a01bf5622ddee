"""What `cdc invoke` prints: events as lines or a table, steps for people and as JSON. Steps hold no values (P6)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from enrichers.trace import Trace
from models.kinesis import ExtendedKinesisStreamRecord, record_attributes
from models.raw import RawRecord
from workers.cli.columns import columns


def step_lines(where: str, trace: Trace) -> Iterator[str]:
    """The record's place, and a line per step below it."""
    yield where
    yield from (f"    {step.name:<9} {step.text}" for step in trace.steps)


def steps_document(where: str, record: RawRecord, trace: Trace) -> dict[str, Any]:
    """The same for programs: where the record is from, what was read out of it, the steps with their rules."""
    correlation = record.trace or trace.digest
    attributes = record_attributes(
        ExtendedKinesisStreamRecord.of(record.origin, correlation), trace.decoded, trace.change, trace.owner,
        trace.changed,
    )  # fmt: skip
    shown = attributes.model_dump(by_alias=True, exclude_none=True)
    return {
        "where": where,
        **shown,
        "steps": [{"step": step.name, "text": step.text, **step.details} for step in trace.steps],
    }


def line(document: Mapping[str, Any]) -> str:
    """A document as one line of JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def event_table(documents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a table: a header, then one line per event or dead letter."""
    rows = [("EVENT", "ENTITY", "ORG", "USER", "CHANGED")]
    for document in documents:
        letter = document.get("deadLetter")
        if letter is not None:
            rows.append(("dead letter", letter["code"], "", "", letter["message"]))
            continue
        names = ",".join(document["changedFields"])
        entity = f"{document['entityType']}:{document['entityId']}"
        rows.append((document["eventType"], entity, document.get("orgId", ""), document.get("userId", ""), names))
    return columns(rows, left=rows[0])
