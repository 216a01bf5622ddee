"""How a record came out of the pipeline."""

import msgspec

from enrichers.state import Effect
from models.event import Event
from models.outcome import Dead, Drop, Miss, Ok

Outcome = Ok[Event] | Drop | Dead | Miss


class Enriched(msgspec.Struct, frozen=True, gc=False):
    """How a record ended, and what is to be remembered of it in the same transaction."""

    outcome: Outcome
    effects: tuple[Effect, ...] = ()
    table: str | None = None
    """Unique name of the table's spec, a metric label."""
    retyped: int = 0
    """Values that came as another kind than that of their column's type and were put right."""
