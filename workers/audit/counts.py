"""What the stages say they did: ledgers and checkpoints, whole or since an earlier look."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.checkpoint import Checkpoint
from models.position import stream_name
from workers.engine.ledger import DEAD, DROP, IN, OUT, REMADE, SKIPPED, Ledger

Place = tuple[int, int]
"""(sequence number, sub-sequence) of a source record: the order within one shard."""
OTHER = f"{DROP}other"
"""Reasons that did not fit into the metadata, counted together."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of the offsets `since` .. `offset - 1` of one source partition, by the stage's own ledger."""

    offset: int
    since: int | None
    """None: the offset was set by hand, and nobody knows where counting began."""
    counts: Mapping[str, int]

    @classmethod
    def of(cls, offset: int, metadata: str) -> "Counted":
        """From a committed offset and its metadata."""
        ledger = Ledger.decode(metadata)
        return cls(offset, ledger.since, ledger.counts)

    @property
    def inputs(self) -> int:
        """Records that were read."""
        return self.counts.get(IN, 0)

    @property
    def out(self) -> int:
        """Those that became an output."""
        return self.counts.get(OUT, 0)

    @property
    def dead(self) -> int:
        """Those that became a dead letter."""
        return self.counts.get(DEAD, 0)

    @property
    def drops(self) -> dict[str, int]:
        """Those left out on purpose, by reason."""
        return {name.removeprefix(DROP): n for name, n in sorted(self.counts.items()) if name.startswith(DROP)}

    @property
    def dropped(self) -> int:
        """All of these together."""
        return sum(self.drops.values())

    @property
    def skipped(self) -> int:
        """Offsets, not records, that a gap swallowed."""
        return self.counts.get(SKIPPED, 0)

    @property
    def remade(self) -> bool:
        """The source was made anew under the stage: its offsets began again, and say nothing about outputs."""
        return self.counts.get(REMADE, 0) > 0

    def after(self, earlier: "Counted") -> "Counted":
        """What happened since then. A count that went back is negative here."""
        names = self.counts.keys() | earlier.counts.keys()
        return Counted(
            self.offset,
            earlier.offset,
            {name: self.counts.get(name, 0) - earlier.counts.get(name, 0) for name in names},
        )


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What the bridge says of one shard: `records` of them, behind `since` and up to `place`, stand in raw."""

    stream: str
    shard: str
    slot: int
    state: str
    place: Place | None
    """None: no record yet."""
    since: Place | None
    records: int
    arrival_ms: int

    @classmethod
    def of(cls, checkpoint: Checkpoint, slot: int) -> "Forwarded":
        """From a checkpoint of that source slot."""
        position = checkpoint.position
        place = (position.sequence, position.sub_sequence) if position is not None else None
        return cls(
            stream_name(checkpoint.stream), checkpoint.shard, slot, checkpoint.state.value, place, None,
            checkpoint.records, checkpoint.arrival_ms,
        )  # fmt: skip

    def after(self, earlier: "Forwarded") -> "Forwarded":
        """What happened since then."""
        return Forwarded(
            self.stream, self.shard, self.slot, self.state, self.place, earlier.place,
            self.records - earlier.records, self.arrival_ms,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """What an earlier audit left about one source partition."""

    counted: Counted
    """Everything up to there, not only what that audit looked at."""
    out: "Edge"
    dead: "Edge"


@dataclass(frozen=True, slots=True)
class Edge:
    """Where an earlier audit stood in a log of outputs."""

    later: int = 0
    """Outputs of later inputs stand at this offset or above it."""
    end: int | None = None
    """Outputs of the inputs before stand below this offset: what stands above it has come again."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An earlier audit: the proof holds from there, whatever retention has deleted below it."""

    marks: Mapping[tuple[str, int], Mark]
    """By stage and partition."""
    shards: Mapping[tuple[str, str], Forwarded]
    """By stream and shard."""
    raw_edges: Mapping[int, Edge]
    """By partition of raw, for the records of all shards."""

    @classmethod
    def read(cls, document: Any) -> "Baseline":
        """From the JSON of an earlier audit. Raises ValueError if it is none, without quoting it."""
        try:
            marks, shards = {}, {}
            for line in document["lines"]:
                match line:
                    case {"stage": "bridge", "sequence": str(sequence)}:
                        place = (int(sequence), int(line["subSequence"])) if sequence else None
                        shards[line["stream"], line["shard"]] = Forwarded(
                            line["stream"], line["shard"], int(line["partition"]), line["state"], place, None,
                            int(line["total"]), int(line["arrival"]),
                        )  # fmt: skip
                    case {"offset": int(offset)}:
                        counts = {str(name): int(n) for name, n in line["total"].items()}
                        marks[line["stage"], int(line["partition"])] = Mark(
                            Counted(offset, None, counts), Edge(*map(int, line["out"])), Edge(*map(int, line["dead"]))
                        )
            edges = {int(partition): Edge(*map(int, edge)) for partition, edge in document["rawEdges"].items()}
            return cls(marks, shards, edges)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError("not the JSON of an earlier audit") from None
