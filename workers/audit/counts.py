"""What the stages say they did: ledgers and checkpoints, whole or since an earlier look."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from models.checkpoint import Checkpoint
from models.position import stream_name
from workers.engine.ledger import DEAD, DROP, IN, OUT, REMADE, SKIPPED, Ledger
from workers.kafka.topics import Topics

Where = tuple[str, str, int]
"""(stage, topic it reads, partition)"""
ShardKey = tuple[str, str]
"""(ARN of the stream, shard): streams of one name in two regions have shards of the same names."""
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
    """ARN; a bare name where nobody has told it."""
    shard: str
    slot: int
    state: str
    place: Place | None
    """None: no record yet."""
    since: Place | None
    records: int
    arrival_ms: int
    covered_ms: int = 0
    """Everything that arrived before this is forwarded; an idle shard's goes on once a minute."""

    @classmethod
    def of(cls, checkpoint: Checkpoint, slot: int) -> "Forwarded":
        """From a checkpoint of that source slot."""
        position = checkpoint.position
        place = (position.sequence, position.sub_sequence) if position is not None else None
        return cls(
            checkpoint.stream, checkpoint.shard, slot, checkpoint.state.value, place, None, checkpoint.records,
            checkpoint.arrival_ms, max(checkpoint.arrival_ms, checkpoint.covered_ms),
        )  # fmt: skip

    @property
    def name(self) -> str:
        """Of the stream, as raw records tell it."""
        return stream_name(self.stream)

    @property
    def arn(self) -> str | None:
        """Of the stream."""
        return self.stream if self.stream != self.name else None

    def after(self, earlier: "Forwarded") -> "Forwarded":
        """What happened since then."""
        return replace(self, since=earlier.place, records=self.records - earlier.records)


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


class SourceNotTold(ValueError):
    """An audit of the only source there was, which it does not name; by now there are several."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """An earlier audit: the proof holds from there, whatever retention has deleted below it."""

    marks: Mapping[Where, Mark]
    shards: Mapping[ShardKey, Forwarded]
    """Of an audit that knew one source only, by the name of the stream in place of its ARN."""
    raw_edges: Mapping[tuple[str, int], Edge]
    """By raw topic and partition, for the records of all shards."""

    @classmethod
    def read(cls, document: Any, topics: Topics) -> "Baseline":
        """From the JSON of an earlier audit; one that names no topics is of the only source. Raises SourceNotTold if
        there are several, ValueError if it is no audit, without quoting it."""
        try:
            marks, shards = {}, {}
            for line in document["lines"]:
                match line:
                    case {"stage": "bridge", "sequence": str(sequence)}:
                        place = (int(sequence), int(line["subSequence"])) if sequence else None
                        stream, shard = str(line.get("arn") or line["stream"]), str(line["shard"])
                        shards[stream, shard] = Forwarded(
                            stream, shard, int(line["partition"]), line["state"], place, None, int(line["total"]),
                            int(line["arrival"]),
                        )  # fmt: skip
                    case {"stage": str(stage), "offset": int(offset)}:
                        counts = {str(name): int(n) for name, n in line["total"].items()}
                        topic = line.get("topic") or (topics.events if stage == "publish" else _only(topics))
                        marks[stage, str(topic), int(line["partition"])] = Mark(
                            Counted(offset, None, counts), Edge(*map(int, line["out"])), Edge(*map(int, line["dead"]))
                        )
            return cls(marks, shards, _raw_edges(document["rawEdges"], topics))
        except SourceNotTold:
            raise
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ValueError("not the JSON of an earlier audit") from None

    def forwarded(self, told: Forwarded) -> Forwarded | None:
        """What it says of that shard."""
        return self.shards.get((told.stream, told.shard)) or self.shards.get((told.name, told.shard))


def _raw_edges(found: Any, topics: Topics) -> dict[tuple[str, int], Edge]:
    if all(isinstance(edge, list) for edge in found.values()):
        found = {_only(topics): found} if found else {}
    return {
        (str(topic), int(partition)): Edge(*map(int, edge))
        for topic, of_topic in found.items()
        for partition, edge in of_topic.items()
    }


def _only(topics: Topics) -> str:
    if len(topics.raw) > 1:
        raise SourceNotTold
    return next(iter(topics.raw.values()))
