"""All streams of the account, and how requests name them."""

from typing import Annotated, Literal

import msgspec

from sandbox.aws.errors import AwsError, invalid_argument, not_found, validation
from sandbox.aws.fields import Body, optional_text, text
from sandbox.aws.place import Clock, Place
from sandbox.aws.shard import Shard
from sandbox.aws.stream import Step, Stream
from sandbox.aws.tokens import Tokens

ITERATOR_SECONDS = 300.0
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tests may choose where AWS leaves no choice.

    `update_seconds`: how long a stream is UPDATING. `iterator_seconds`: how long an iterator lives.
    `ending_sequence_numbers`: "real", or "sentinel" for 9223372036854775807 as EndingSequenceNumber. `replay_seconds`:
    how long EventBridge takes to replay a minute. `replay_seed`: of the dice that order the events of a minute.
    """

    update_seconds: Seconds = 0.0
    iterator_seconds: Seconds = ITERATOR_SECONDS
    ending_sequence_numbers: Literal["real", "sentinel"] = "real"
    replay_seconds: Seconds = 0.0
    replay_seed: int = 0


class Streams:
    """By name, up to date with the clock whenever they are asked for."""

    def __init__(self, place: Place, clock: Clock, behaviour: Behaviour) -> None:
        self.place = place
        self.clock = clock
        self.behaviour = behaviour
        self.tokens = Tokens()
        self.by_name: dict[str, Stream] = {}

    def named(self, name: str, now: float) -> Stream:
        """Raises ResourceNotFoundException."""
        stream = self.by_name.get(name)
        if stream is None:
            raise not_found(f"Stream {name} under account {self.place.account} not found.")
        if stream.due <= now:
            stream.settle(now)
        return stream

    def of(self, body: Body, now: float) -> Stream:
        """The stream a request names by StreamName, StreamARN or both. Raises ResourceNotFoundException too."""
        name = optional_text(body, "StreamName", longest=128)
        arn = optional_text(body, "StreamARN", longest=2048)
        if name is None and arn is None:
            raise invalid_argument("One of StreamName and StreamARN is required.")
        if arn is not None:
            named_by_arn = arn.rpartition(":stream/")[2]
            if arn != self.place.arn("kinesis", f"stream/{named_by_arn}"):
                raise not_found(f"Stream {arn} not found.")
            if name not in {None, named_by_arn}:
                raise invalid_argument("StreamName and StreamARN name different streams.")
            name = named_by_arn
        return self.named(name or "", now)

    def active(self, body: Body, now: float) -> Stream:
        """The same for a request that changes the stream. Raises ResourceInUseException while another change runs."""
        stream = self.of(body, now)
        self.refuse_busy(stream)
        return stream

    def refuse_busy(self, stream: Stream) -> None:
        """Raises ResourceInUseException while a change runs."""
        if stream.status != "ACTIVE":
            raise AwsError(
                "ResourceInUseException",
                f"Stream {stream.name} under account {self.place.account} not ACTIVE, instead in state {stream.status}",
            )

    def shard(self, stream: Stream, body: Body, member: str) -> Shard:
        """The shard of `stream` that a request names. Raises ResourceNotFoundException."""
        name = text(body, member, longest=128)
        shard = stream.shard(name)
        if shard is None:
            raise not_found(f"Could not find shard {name} in {self.where(stream)}.")
        return shard

    def begin(self, stream: Stream, now: float, *steps: Step) -> None:
        """Start a change that takes as long as the behaviour says."""
        stream.begin(steps, now, self.behaviour.update_seconds)

    def where(self, stream: Stream) -> str:
        """For messages."""
        return f"stream {stream.name} under account {self.place.account}"


def refuse_on_demand(stream: Stream, operation: str) -> None:
    """Raises ValidationException: these shards are the service's own to change."""
    if stream.mode == "ON_DEMAND":
        raise validation(f"{operation} is not offered for a stream in ON_DEMAND mode.")
