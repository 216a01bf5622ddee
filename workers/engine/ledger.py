"""The ledger of a partition: how many inputs ended how, kept in the metadata of the committed offset (P5).

The counts move in the same request of the same transaction as the offset, cost no topic and no second commit, and
every worker that takes the partition over goes on from them. Kafka bounds the metadata at 4,096 bytes.
"""

import json
from collections import Counter
from dataclasses import dataclass, field

OUT = "out"
DEAD = "dead"
DROP = "drop."
IN = "in"
MAX_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts since the first boot of the partition: `in`, `out`, `dead` and one `drop.<reason>` each."""

    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def decode(cls, metadata: str) -> "Ledger":
        """Read offset metadata; whatever is no ledger (the boot commit, a reset by hand) starts at zero."""
        try:
            found = json.loads(metadata)
        except ValueError:
            return cls()
        if not isinstance(found, dict):
            return cls()
        return cls({name: n for name, n in found.items() if isinstance(n, int)})

    def plus(self, counts: Counter[str]) -> "Ledger":
        """The ledger after a unit with these counts."""
        return Ledger(dict(Counter(self.counts) + counts))

    def encode(self) -> str:
        """Compact JSON for the offset metadata; reasons that do not fit are counted together."""
        text = json.dumps(self.counts, separators=(",", ":"), sort_keys=True)
        if len(text) <= MAX_BYTES:
            return text
        kept = {name: n for name, n in self.counts.items() if not name.startswith(DROP)}
        other = sum(n for name, n in self.counts.items() if name.startswith(DROP))
        return Ledger({**kept, f"{DROP}other": other}).encode()

    @property
    def balanced(self) -> bool:
        """Whether every input ended in exactly one of output, drop and dead letter."""
        ended = sum(n for name, n in self.counts.items() if name != IN)
        return self.counts.get(IN, 0) == ended
