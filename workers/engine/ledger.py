"""The ledger of a partition: how many inputs ended how, kept in the metadata of the committed offset (P5).

The counts move in the same request of the same transaction as the offset, cost no topic and no second commit, and
every worker that takes the partition over goes on from them. Beside them stands how far the slot had written its own
changelogs, so that a truncated or re-created one is noticed. Kafka bounds the metadata at 4,096 bytes.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OUT = "out"
DEAD = "dead"
DROP = "drop."
IN = "in"
SKIPPED = "skipped"
"""Offsets, not records, that a gap swallowed with `on_gap=continue`: nobody knows what was in them."""
REMADE = "remade"
"""Gaps beyond the end of a log: it was made anew under the stage, and its offsets mean other records now."""
MAX_BYTES = 4_096
_SINCE = "since"
_CHANGELOGS = "changelogs"
EXTENT = 2
UNFINISHED = 2**62
"""As the last offset of a changelog: somebody is rebuilding the table, or was."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a slot knows of its own partition of a changelog: the offset it begins at, and the last one written."""

    begin: int
    last: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Counts since the offset `since` (None: unknown, offsets were set by hand): `in`, `out`, `dead`, one
    `drop.<reason>` each, `skipped` and `remade`."""

    counts: dict[str, int] = field(default_factory=dict)
    since: int | None = None
    changelogs: dict[str, Extent] = field(default_factory=dict)
    """By table."""

    @classmethod
    def decode(cls, metadata: str) -> "Ledger":
        """Read offset metadata; whatever is no ledger (a reset by hand) starts at zero."""
        try:
            found = json.loads(metadata)
        except ValueError:
            return cls()
        if not isinstance(found, dict):
            return cls()
        since, changelogs = found.pop(_SINCE, None), found.pop(_CHANGELOGS, {})
        return cls(
            {name: n for name, n in found.items() if _is_count(n)},
            since if _is_count(since) else None,
            _extents(changelogs),
        )

    def plus(self, counts: Mapping[str, int], changelogs: Mapping[str, Extent] | None = None) -> "Ledger":
        """The ledger after a unit with these counts; `changelogs` replaces the extents, if given."""
        extents = self.changelogs if changelogs is None else dict(changelogs)
        return Ledger(dict(Counter(self.counts) + Counter(counts)), self.since, extents)

    def encode(self) -> str:
        """Compact JSON for the offset metadata; reasons that do not fit are counted together."""
        text = self._json(self.counts)
        if len(text) <= MAX_BYTES:
            return text
        kept = {name: n for name, n in self.counts.items() if not name.startswith(DROP)}
        other = sum(n for name, n in self.counts.items() if name.startswith(DROP))
        return self._json({**kept, f"{DROP}other": other})

    def _json(self, counts: Mapping[str, int]) -> str:
        document: dict[str, Any] = dict(counts)
        if self.since is not None:
            document[_SINCE] = self.since
        if self.changelogs:
            document[_CHANGELOGS] = {table: [extent.begin, extent.last] for table, extent in self.changelogs.items()}
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @property
    def balanced(self) -> bool:
        """Whether every input ended in exactly one of output, drop and dead letter."""
        ended = sum(n for name, n in self.counts.items() if name not in (IN, SKIPPED, REMADE))
        return self.counts.get(IN, 0) == ended


def last_written(ledgers: list[Ledger]) -> dict[str, Extent]:
    """The furthest extent of each table over the ledgers of a slot's sources."""
    found: dict[str, Extent] = {}
    for ledger in ledgers:
        for table, extent in ledger.changelogs.items():
            known = found.get(table)
            if known is None or extent.last > known.last:
                found[table] = extent
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _extents(found: Any) -> dict[str, Extent]:
    if not isinstance(found, dict):
        return {}
    return {
        table: Extent(*pair)
        for table, pair in found.items()
        if isinstance(pair, list) and len(pair) == EXTENT and all(_is_count(offset) for offset in pair)
    }
