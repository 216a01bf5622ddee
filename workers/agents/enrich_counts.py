"""What the enrich stage counts of its records: tables, actions, codes and places, nothing of a row (P6)."""

from collections import Counter
from collections.abc import Iterator, Mapping

from enrichers.enriched import Enriched
from models.catalogue import Catalogue
from models.event import Event
from models.outcome import Dead, Drop, Miss, Ok
from workers import metrics
from workers.engine.ledger import DEAD, DROP, OUT
from workers.engine.stats import LETTER, RECORD

RETYPED = "retyped"
"""Note: values of a table that came as another kind than that of their column, and were put right."""
REDACTED = "redacted"
"""Note: redacted columns of events by action."""
UNKNOWN = "unknown_column"
"""What stands for the policy for columns that nobody named."""

Notes = Counter[tuple[str, ...]]


class EnrichCounts:
    """Adds to the notes of the unit that a record belongs to, and reads the sums back."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._actions: Mapping[str, Mapping[str, str]] = {
            spec.name: {column: rule.action.value.lower() for column, rule in spec.redact.items()}
            for spec in catalogue.specs
        }

    def add(self, notes: Notes, result: Enriched) -> None:
        """A record that has ended. A dead letter tells its code with `letter`: the engine writes some by itself."""
        table = result.table or metrics.OTHER_TABLES
        match result.outcome:
            case Ok(event):
                notes[RECORD, table, OUT, event.owner] += 1  # one sum for both: it is done for every record
                if event.redacted:
                    self._redacted(notes, table, event)
            case Drop(reason):
                notes[RECORD, table, DROP + reason] += 1
            case Dead() | Miss():
                pass
        if result.retyped:
            notes[RETYPED, result.table or ""] += result.retyped

    def _redacted(self, notes: Notes, table: str, event: Event) -> None:
        actions = self._actions.get(table, {})
        for column in event.redacted:
            notes[REDACTED, actions.get(column, UNKNOWN)] += 1

    @staticmethod
    def letter(notes: Notes, table: str | None, dead: Dead) -> None:
        """A record that has become a dead letter."""
        notes[RECORD, table or metrics.OTHER_TABLES, DEAD] += 1
        notes[LETTER, dead.failure] += 1

    @staticmethod
    def measure(notes: Notes) -> Iterator[metrics.Sample]:
        """Samples for a scrape; records and letters are told with those of the other stages."""
        for (name, *labels), count in sorted(notes.items()):
            match name, *labels:
                case "record", table, _, owner:
                    yield metrics.LOOKUP.of(count, table, owner)
                case "retyped", *_:
                    yield metrics.RETYPED_VALUES.of(count, *labels)
                case "redacted", *_:
                    yield metrics.REDACTIONS.of(count, *labels)
                case _:
                    pass
