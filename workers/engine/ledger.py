"""The ledger of a partition: how many inputs ended how, kept in the metadata of the committed offset (P5).

The counts move in the same request of the same transaction as the offset, cost no topic and no second commit, and
every worker that takes the partition over goes on from them. Beside them stands how far the slot had written its own
changelogs, so that a truncated or re-created one is noticed. Kafka bounds the metadata at 4,096 bytes: what does not
fit as JSON throughout has its changelogs in a denser form, and how many tables a stage may have follows from that.
"""

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping
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
MOST = 10**13 - 1
"""More than a partition gets in 30 years at 10,000 records a second: no offset and no count is larger."""
_NO_END = "-"


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
        """Compact JSON for the offset metadata. Where that does not fit, changelogs are written as `_dense` does, and
        where that does not, reasons of drops are counted together."""
        listed = {table: [extent.begin, extent.last] for table, extent in self.changelogs.items()}
        text = self._json(self.counts, listed)
        if len(text) <= MAX_BYTES:
            return text
        text = self._json(self.counts, _dense(self.changelogs))
        if len(text) <= MAX_BYTES:
            return text
        kept = {name: n for name, n in self.counts.items() if not name.startswith(DROP)}
        other = sum(n for name, n in self.counts.items() if name.startswith(DROP))
        return self._json({**kept, f"{DROP}other": other}, _dense(self.changelogs))

    def _json(self, counts: Mapping[str, int], changelogs: Any) -> str:
        document: dict[str, Any] = dict(counts)
        if self.since is not None:
            document[_SINCE] = self.since
        if changelogs:
            document[_CHANGELOGS] = changelogs
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @property
    def balanced(self) -> bool:
        """Whether every input ended in exactly one of output, drop and dead letter."""
        ended = sum(n for name, n in self.counts.items() if name not in (IN, SKIPPED, REMADE))
        return self.counts.get(IN, 0) == ended


def last_written(ledgers: list[Ledger], tables: Container[str]) -> dict[str, Extent]:
    """The furthest extent of each of the stage's `tables` over the ledgers of a slot's sources. What they tell of
    tables that the stage has given up since is nobody's any more: it is neither missed nor written again."""
    found: dict[str, Extent] = {}
    for ledger in ledgers:
        for table, extent in ledger.changelogs.items():
            known = found.get(table)
            if table in tables and (known is None or extent.last > known.last):
                found[table] = extent
    return found


def most_bytes(tables: Iterable[str]) -> int:
    """How large the ledger of a stage with these tables can become, in bytes: every offset and count at its largest."""
    counts = dict.fromkeys((IN, OUT, DEAD, SKIPPED, REMADE, f"{DROP}other"), MOST)
    changelogs = {table: Extent(MOST, MOST) for table in tables}
    return len(Ledger(counts, MOST)._json(counts, _dense(changelogs)))


def too_many(tables: Iterable[str]) -> str:
    """Why a stage with these tables cannot be started; empty if it can. It would work until its offsets have grown, and
    then every commit would be refused."""
    names = list(tables)
    needed = most_bytes(names)
    if needed <= MAX_BYTES:
        return ""
    written = f"how far each was written may take {needed:,} bytes beside every position"
    return f"{len(names)} tables are too many: {written}, and Kafka takes {MAX_BYTES:,}"


def _dense(changelogs: Mapping[str, Extent]) -> str:
    """`<table> <last>` or `<table> <last> <begin>`, split by commas; offsets are hexadecimal, a begin of 0 is left out.
    Names of tables are parts of names of topics: they hold neither blanks nor commas."""
    return ",".join(
        " ".join((
            table,
            _NO_END if extent.last == UNFINISHED else f"{extent.last:x}",
            *([f"{extent.begin:x}"] if extent.begin else []),
        ))
        for table, extent in sorted(changelogs.items())
    )  # fmt: skip


def _undense(text: str) -> dict[str, Extent]:
    found: dict[str, Extent] = {}
    for entry in text.split(","):
        table, *numbers = entry.split(" ")
        try:
            last, begin = [UNFINISHED if number == _NO_END else int(number, 16) for number in [*numbers, "0"][:2]]
        except ValueError:
            continue
        found[table] = Extent(begin, last)
    return found


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _extents(found: Any) -> dict[str, Extent]:
    if isinstance(found, str):
        return _undense(found)
    if not isinstance(found, dict):
        return {}
    return {
        table: Extent(*pair)
        for table, pair in found.items()
        if isinstance(pair, list) and len(pair) == EXTENT and all(_is_count(offset) for offset in pair)
    }
