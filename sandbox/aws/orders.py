"""What travels over the control API of the stand-in, both ways. `sandbox/aws/control_client.py` sends and reads it."""

from typing import Annotated, Any, TypeVar

import msgspec

from sandbox.aws.faults import FaultReport
from sandbox.aws.rates import Limits
from sandbox.aws.streams import Behaviour

T = TypeVar("T", bound=msgspec.Struct)


class LimitOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limit every shard of a stream; without `limits`, as AWS does."""

    stream: str
    limits: Limits = msgspec.field(default_factory=Limits)


class TrimOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move the trim horizon of a shard, or of all shards of the stream.

    `up_to` is the sequence number of the last record to go, or "now" for all there are. A closed shard that is trimmed
    to "now" or to its EndingSequenceNumber is gone, as after its retention.
    """

    stream: str
    shard: str | None = None
    up_to: str = "now"


class BusOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a bus (the name of a classic one, the ARN of a custom one) away with its rules and targets, or subscribers,
    or bring it back with them."""

    bus: str
    exists: bool


class AcceptedOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for accepted entries of one bus or all: those with numbers above `after`, at most `most`."""

    bus: str | None = None
    after: int = 0
    most: Annotated[int, msgspec.Meta(ge=1)] = 10_000


class DeliveriesOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask what became of events; `expected` are eventIds that must have been accepted."""

    bus: str | None = None
    expected: tuple[str, ...] = ()


class ShardReport(msgspec.Struct, frozen=True):
    """`records` are those held; numbers as on the wire, None where there is none."""

    id: str
    open: bool
    parents: tuple[str, ...]
    records: int
    horizon: str
    last: str | None


class StreamReport(msgspec.Struct, frozen=True):
    name: str
    status: str
    limits: Limits | None
    shards: tuple[ShardReport, ...]

    def shard(self, shard_id: str) -> ShardReport:
        """Raises KeyError for one that is not there, or no longer."""
        for shard in self.shards:
            if shard.id == shard_id:
                return shard
        raise KeyError(shard_id)


class Status(msgspec.Struct, frozen=True):
    """The whole stand-in. `calls` and `errors` count by `service.Operation` and `service.Operation:Code`."""

    streams: tuple[StreamReport, ...]
    faults: tuple[FaultReport, ...]
    behaviour: Behaviour
    calls: dict[str, int]
    errors: dict[str, int]

    def stream(self, name: str) -> StreamReport:
        """Raises KeyError."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)


def read_order(raw: bytes, kind: type[T]) -> T:
    """Raises ValueError for what is no order of that kind; the message says which fields there are."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as reason:  # a ValidationError is one, too
        raise ValueError(f"{reason}; allowed are {_fields(kind)}") from None


def _fields(kind: Any) -> str:
    named = []
    for field in msgspec.structs.fields(kind):
        inner = f" ({_fields(field.type)})" if isinstance(field.type, type(msgspec.Struct)) else ""
        named.append(field.name + inner)
    return ", ".join(named)
