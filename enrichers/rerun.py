"""What the pipeline makes of one raw record now, without the tables of a worker: for people who ask what became of it.

Lookups, the memory of the row and the last changes are not at hand. So a change that a worker left out because it knew
it, or published with an owner that it looked up, is explained as if it came alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline
from enrichers.redact import MissingKeyError
from enrichers.trace import Step, Trace
from models.outcome import Dead, Drop, Ok
from models.raw import RawRecord

REASONS = {
    "control": "a control record: it says something of the table, not of a row",
    "filtered_where": "`where` of its table does not let it through",
    "key_moved": "the marker of a row that got another key: it ends what is remembered of the old one",
    "late": "an older change of its row, which came after a later one",
    "operation_not_listed": "its operation is not in `operations` of its table",
    "resent": "the source sent a change again that was known",
    "snapshot": "a row of a full load: it feeds lookups, and `publish_snapshots` of its table is off",
    "tombstone": "it has no value",
    "unknown_table": "no table of the catalogue or of tables.yaml is this one",
}
"""Of what is dropped, in words."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """`outcome`: `event`, `dropped` or `dead`. Nothing in it is a value of the row (P6)."""

    outcome: str
    reason: str
    """Of what is dropped: one of REASONS; of what is dead: its code."""
    text: str
    steps: tuple[Step, ...]


def rerun(pipeline: Pipeline, record: RawRecord, pins: Mapping[str, str] | None = None) -> Rerun:
    """`pins`: schema by table, where a worker has pinned one. Never raises for data."""
    trace, state = Trace(), InMemoryState()
    state.pins.update(pins or {})
    try:
        outcome = pipeline.run(record, state, patient=False, trace=trace).outcome
    except MissingKeyError:
        return Rerun("event", "", "an event, as far as that can be seen without the redaction key", _of(trace))
    match outcome:
        case Ok(event):
            return Rerun("event", "", event.event_type, _of(trace))
        case Drop(reason):
            return Rerun("dropped", reason, REASONS.get(reason, reason), _of(trace))
        case Dead(failure=failure, reason=why):
            return Rerun("dead", failure.value, f"{failure.value}: {why}", _of(trace))
        case _:
            return Rerun("event", "", "an event, once its owner is known", _of(trace))


def _of(trace: Trace) -> tuple[Step, ...]:
    return tuple(trace.steps)
