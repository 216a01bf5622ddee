"""Position of one Kinesis shard, as it stands in `cdc.checkpoints` (key `<stream>|<shard>`, partition = source
slot)."""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

VERSION = 1


class ShardState(StrEnum):
    """ACTIVE: more may come. SHARD_END: closed and read to its end; never changes back."""

    ACTIVE = "ACTIVE"
    SHARD_END = "SHARD_END"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything up to and including (`sequence`, `sub_sequence`) stands in the raw topic."""

    stream: str
    shard: str
    state: ShardState
    sequence: str
    """Kinesis sequence number in decimal; "" if the shard ended without a record."""
    sub_sequence: int
    arrival_ms: int
    """Arrival of the last record at the stream, milliseconds since the epoch."""
    records: int
    """Records forwarded from this shard so far: the bridge's ledger (P5)."""
    parents: tuple[str, ...] = ()

    @property
    def key(self) -> bytes:
        """Key of the compacted topic."""
        return checkpoint_key(self.stream, self.shard)

    def encode(self) -> bytes:
        """JSON with sorted keys and a format version."""
        fields = {
            "v": VERSION, "stream": self.stream, "shard": self.shard, "state": self.state.value,
            "sequence": self.sequence, "subSequence": self.sub_sequence, "arrival": self.arrival_ms,
            "records": self.records, "parents": self.parents,
        }  # fmt: skip
        return msgspec.json.encode(fields, order="sorted")

    @classmethod
    def decode(cls, value: bytes) -> "Checkpoint":
        """Raises ValueError for anything but a checkpoint of this format version: a position is never guessed."""
        try:
            found = msgspec.json.decode(value, type=_Wire)
        except msgspec.MsgspecError:
            raise ValueError("not a checkpoint") from None
        if found.v != VERSION:
            raise ValueError(f"checkpoint format {found.v}, this release reads {VERSION}")
        return cls(
            stream=found.stream, shard=found.shard, state=found.state, sequence=found.sequence,
            sub_sequence=found.subSequence, arrival_ms=found.arrival, records=found.records, parents=found.parents,
        )  # fmt: skip


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


def checkpoint_key(stream: str, shard: str) -> bytes:
    """Key of a shard's checkpoint."""
    return f"{stream}|{shard}".encode()
