"""What stands in `cdc.checkpoints`: the position of every shard, and one record per stream about its first boot.

Partition = source slot, written by that slot's producer alone. Keys: `<stream arn>|<shard>`, and `<stream arn>|` in
partition 0 for the boot.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import msgspec

from models.position import Position
from models.shard import Shard

VERSION = 1
BOOT_SLOT = 0
"""Its owner writes the boot record, so that all workers begin at one moment."""
UNKNOWN_COVER_MS = 1
"""Covers nothing: a position from elsewhere, whose record has to be there to prove that nothing is missing."""


class ShardState(StrEnum):
    """ACTIVE: more may come. SHARD_END: closed and read to its end; never changes back."""

    ACTIVE = "ACTIVE"
    SHARD_END = "SHARD_END"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to and including (`sequence`, `sub_sequence`) stands in the raw topic."""

    stream: str
    """ARN."""
    shard: str
    state: ShardState
    sequence: str
    """Kinesis sequence number in decimal; "" as long as no record has come."""
    sub_sequence: int
    arrival_ms: int
    """Arrival of the last record at the stream, milliseconds since the epoch."""
    records: int
    """User records forwarded from this shard so far: the bridge's ledger (P5)."""
    parents: tuple[str, ...] = ()
    covered_ms: int = 0
    """Everything that arrived before this is forwarded, milliseconds since the epoch: an idle shard's goes on."""
    children: tuple[Shard, ...] = ()
    """Told by the last page of a closed shard: other workers need not wait for their next listing."""
    gaps: int = 0
    """How often records of this shard were lost before they were read, and the bridge went on (`on_gap=continue`)."""
    gap_ms: int = 0
    """When the loss behind this position was put on record, milliseconds since the epoch: whoever goes on here finds
    the same gap and does not tell it again. 0: none is known."""
    source: str = ""
    """Name of the source whose raw topic has the records; "": an older release wrote this."""

    @property
    def key(self) -> bytes:
        """Key of the compacted topic."""
        return checkpoint_key(self.stream, self.shard)

    @property
    def position(self) -> Position | None:
        """Of the last record; None as long as none has come."""
        return Position(int(self.sequence), self.sub_sequence) if self.sequence else None

    @property
    def ended(self) -> bool:
        """Nothing more comes from this shard."""
        return self.state is ShardState.SHARD_END

    @classmethod
    def first(cls, stream: str, shard: Shard, covered_ms: int = 0) -> "Checkpoint":
        """Of a shard that has brought nothing yet. `stream`: ARN."""
        return cls(stream, shard.id, ShardState.ACTIVE, "", 0, 0, 0, shard.parents, covered_ms)

    def covering(self, covered_ms: int) -> "Checkpoint":
        """The same position, at a later moment."""
        return replace(self, covered_ms=covered_ms)

    def encode(self) -> bytes:
        """JSON with sorted keys and a format version."""
        fields = {
            "v": VERSION, "stream": self.stream, "shard": self.shard, "state": self.state.value,
            "sequence": self.sequence, "subSequence": self.sub_sequence, "arrival": self.arrival_ms,
            "records": self.records, "parents": self.parents, "covered": self.covered_ms, "gaps": self.gaps,
            "gapAt": self.gap_ms, "source": self.source,
            "children": [_child(child) for child in self.children],
        }  # fmt: skip
        return msgspec.json.encode(fields, order="sorted")

    @classmethod
    def decode(cls, value: bytes) -> "Checkpoint":
        """Raises ValueError for anything but a checkpoint of this format version: a position is never guessed."""
        found = _decoded(value, _Wire, "a checkpoint")
        if found.sequence and not found.sequence.isdecimal():
            raise ValueError("the sequence number of a checkpoint is not a number")
        return cls(
            stream=found.stream, shard=found.shard, state=found.state, sequence=found.sequence,
            sub_sequence=found.subSequence, arrival_ms=found.arrival, records=found.records, parents=found.parents,
            covered_ms=found.covered or found.arrival, gaps=found.gaps, gap_ms=found.gapAt, source=found.source,
            children=tuple(map(_shard, found.children)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Start:
    """Where the shards of the first boot begin. LATEST is pinned to the moment of the boot: an iterator LATEST that
    expires before its first record would skip everything until it is rebuilt."""

    kind: Literal["TRIM_HORIZON", "AT_TIMESTAMP"]
    timestamp_ms: int = 0
    """Milliseconds since the epoch, for AT_TIMESTAMP."""


@dataclass(frozen=True)
class Boot:
    """The first boot of a stream. `shards` begin at `start`; all that come later are somebody's children and begin at
    TRIM_HORIZON. Parents outside of `shards` had been trimmed before: nobody waits for them."""

    stream: str
    """ARN."""
    start: Start
    shards: tuple[Shard, ...]
    created_ms: int
    """Of the stream: one that was deleted and made anew has the same ARN, and other positions."""
    at_ms: int
    """Of the boot. Both milliseconds since the epoch."""
    source: str = ""
    """Name of the source that booted it; "": an older release did."""
    unfinished: str = ""
    """The command that is changing the checkpoints, or was cut off while it did: nobody may read them. "": none."""

    @cached_property
    def names(self) -> frozenset[str]:
        """Ids of the shards."""
        return frozenset(shard.id for shard in self.shards)

    @property
    def key(self) -> bytes:
        """Key of the compacted topic."""
        return checkpoint_key(self.stream, "")

    def encode(self) -> bytes:
        """JSON with sorted keys and a format version."""
        fields = {
            "v": VERSION, "stream": self.stream, "start": self.start.kind, "timestamp": self.start.timestamp_ms,
            "shards": [_child(shard) for shard in self.shards], "created": self.created_ms, "at": self.at_ms,
            "unfinished": self.unfinished, "source": self.source,
        }  # fmt: skip
        return msgspec.json.encode(fields, order="sorted")

    @classmethod
    def decode(cls, value: bytes) -> "Boot":
        """Raises ValueError for anything but a boot record of this format version."""
        found = _decoded(value, _BootWire, "a boot record")
        start, shards = Start(found.start, found.timestamp), tuple(map(_shard, found.shards))
        return cls(found.stream, start, shards, found.created, found.at, found.source, found.unfinished)


def unfinished_change(boot: Boot) -> str:
    """Why nobody may read now."""
    return (
        f"the checkpoints of {boot.stream} are being changed, or `cdc checkpoint {boot.unfinished}` was cut off: "
        "nothing is read until it is run again, to its end"
    )


class _Child(msgspec.Struct):
    shard: str
    hashes: tuple[str, str]
    parents: tuple[str, ...] = ()


def _child(shard: Shard) -> dict[str, Any]:
    return {"shard": shard.id, "parents": shard.parents, "hashes": [str(shard.first_hash), str(shard.last_hash)]}


def _shard(child: _Child) -> Shard:
    return Shard(child.shard, int(child.hashes[0]), int(child.hashes[1]), child.parents)


class _Wire(msgspec.Struct):
    v: int
    stream: str
    shard: str
    state: ShardState
    sequence: str
    subSequence: int  # noqa: N815  the wire's name
    arrival: int
    records: int
    parents: tuple[str, ...] = ()
    covered: int = 0
    gaps: int = 0
    gapAt: int = 0  # noqa: N815  the wire's name
    source: str = ""
    children: tuple[_Child, ...] = ()


class _BootWire(msgspec.Struct):
    v: int
    stream: str
    start: Literal["TRIM_HORIZON", "AT_TIMESTAMP"]
    shards: tuple[_Child, ...]
    created: int
    at: int
    timestamp: int = 0
    source: str = ""
    unfinished: str = ""


def _decoded(value: bytes, kind: type[Any], what: str) -> Any:
    try:
        version = msgspec.json.decode(value, type=_Version).v
        if version != VERSION:
            raise ValueError(f"{what} of format {version}, this release reads {VERSION}")
        return msgspec.json.decode(value, type=kind)
    except msgspec.MsgspecError:
        raise ValueError(f"not {what}") from None


class _Version(msgspec.Struct):
    v: int


def checkpoint_key(stream: str, shard: str) -> bytes:
    """Key of a shard's checkpoint; with an empty shard that of the stream's boot record."""
    return f"{stream}|{shard}".encode()


def decode_entry(key: bytes, value: bytes) -> Checkpoint | Boot:
    """A record of the topic. Raises ValueError."""
    return Boot.decode(value) if key.endswith(b"|") else Checkpoint.decode(value)
