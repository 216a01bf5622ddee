"""The eventId of a raw record, as the pipeline gives it, whether or not an event is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from enrichers.in_memory import InMemoryState
from enrichers.pipeline import Pipeline, PipelineOptions
from enrichers.trace import Trace
from models.catalogue import Catalogue
from models.change import Change, Control
from models.outcome import Dead, Drop
from models.raw import RawRecord


@dataclass(frozen=True, slots=True)
class Named:
    """One raw record. `change` and `event_id` are None and empty if it is no valid change of a known table."""

    change: Change | None
    event_id: str = ""
    control: str = ""
    """What a control record is about."""
    why: str = ""
    """If it has no name: what is wrong with it, in words without values, or the reason why it is dropped."""


@dataclass(slots=True)
class EventNames:
    """Names the events of raw records without making them: nothing is redacted, so it needs no key."""

    pipeline: Pipeline
    state: InMemoryState = field(default_factory=InMemoryState)

    @classmethod
    def of(cls, catalogue: Catalogue, options: PipelineOptions, pins: Mapping[str, str] | None = None) -> "EventNames":
        """`pins`: schema by table, where a worker has pinned one."""
        names = cls(Pipeline(catalogue, replace(options, validate="off")))
        names.state.pins.update(pins or {})
        return names

    def of_record(self, record: RawRecord) -> Named:
        """Never raises for data."""
        trace = Trace()
        result = self.pipeline.run(record, self.state, patient=False, owner_only=True, trace=trace)
        if trace.change is not None and trace.digest is not None:
            return Named(trace.change, f"evt_{trace.change.committed_ms}_{trace.digest}")
        control = trace.decoded.operation if isinstance(trace.decoded, Control) else ""
        outcome = result.outcome
        return Named(None, control=control, why=outcome.reason if isinstance(outcome, Dead | Drop) else "")
