"""PutEvents of a classic bus: entries, sizes, and what each code of an answer means.

Sources: EventBridge API reference, PutEvents; "Calculating PutEvents event entry size".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from models.bus_health import EventBridgeHC
from models.event import EventEnvelope, read_envelope
from models.outcome import Failure
from workers.aws.client import IRequester
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable

MAX_ENTRIES = 10
MAX_DETAIL_TYPE = 128
TIME_BYTES = 14
RETRYABLE = frozenset({"InternalFailure", "InternalException", "InternalError", "ThrottlingException", "Throttling"})
THROTTLES = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
CONFIGURATION = frozenset({
    "AccessDeniedException", "InvalidAccountIdException", "NotAuthorizedForSourceException",
    "NotAuthorizedForDetailTypeException", "ResourceNotFoundException",
})  # fmt: skip
CONFIGURATION_PAUSE = 10.0
"""Seconds. A wrong bus or a missing permission drains nothing into the dead letters: the window waits."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the bus answered for one event."""

    bus_event_id: str


@dataclass(frozen=True, slots=True)
class Bus:
    """The bus and how entries for it look. `source`: Source is `<source>.<table name>`."""

    name: str
    source: str
    max_bytes: int


class Entry(msgspec.Struct, rename="pascal"):
    """One entry of a request."""

    event_bus_name: str
    source: str
    detail_type: str
    detail: str
    time: float

    @property
    def size(self) -> int:
        """Bytes by AWS's formula."""
        texts = (self.source, self.detail_type, self.detail)
        return TIME_BYTES + sum(len(text.encode()) for text in texts)


class _Result(msgspec.Struct, rename="pascal"):
    event_id: str | None = None
    error_code: str | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    entries: list[_Result]


class ClassicBus:
    """Sends records of `cdc.events`. One record is always the same entry, byte for byte (P3)."""

    def __init__(self, client: IRequester, bus: Bus) -> None:
        self._client = client
        self._bus = bus
        self.health = EventBridgeHC.UNKNOWN
        self.trouble = ""
        """Code of what is wrong while the bus is IN_ALARM."""

    def entry(self, value: bytes) -> Entry | Undeliverable:
        """The entry of one record, or why the bus would never take it."""
        try:
            envelope = read_envelope(value)
            detail = value.decode()
        except ValueError:
            return Undeliverable(Failure.VALIDATION_ERROR, "the record is no event")
        return self._checked(envelope, detail)

    def _checked(self, envelope: EventEnvelope, detail: str) -> Entry | Undeliverable:
        detail_type = envelope.detail_type or envelope.event_type
        if len(detail_type) > MAX_DETAIL_TYPE:
            return Undeliverable(
                Failure.EVENTBRIDGE_ERROR, f"the event type has more than {MAX_DETAIL_TYPE} characters"
            )
        entry = Entry(
            event_bus_name=self._bus.name,
            source=f"{self._bus.source}.{envelope.entity_type}",
            detail_type=detail_type,
            detail=detail,
            time=envelope.time.timestamp(),
        )
        if entry.size > self._bus.max_bytes:
            return Undeliverable(
                Failure.EVENTBRIDGE_ERROR, f"the entry has {entry.size} bytes, {self._bus.max_bytes} fit a request"
            )
        return entry

    def fit(self, values: Sequence[bytes]) -> int:
        """How many of these records, from the first on, go into one request."""
        total = 0
        for count, value in enumerate(values):
            entry = self.entry(value)
            size = entry.size if isinstance(entry, Entry) else 0
            if count and (total + size > self._bus.max_bytes or count >= MAX_ENTRIES):
                return count
            total += size
        return len(values)

    async def put(self, values: Sequence[bytes]) -> list[Outcome]:
        """One request; outcomes aligned with `values`. The world's faults are outcomes too: nothing is raised."""
        checked = [self.entry(value) for value in values]
        entries = [entry for entry in checked if isinstance(entry, Entry)]
        answered = await self._put(entries) if entries else []
        self._judge(answered)
        answers = iter(answered)
        return [found if isinstance(found, Undeliverable) else next(answers) for found in checked]

    def _judge(self, outcomes: Sequence[Outcome]) -> None:
        """Health by what the bus said of one request. An entry it refuses for good is no trouble of the bus."""
        troubles = [outcome.reason for outcome in outcomes if isinstance(outcome, Retry)]
        if any(reason not in THROTTLES for reason in troubles):
            self.health = EventBridgeHC.IN_ALARM
            self.trouble = next(reason for reason in troubles if reason not in THROTTLES)
        elif len(troubles) < len(outcomes):
            self.health, self.trouble = EventBridgeHC.OK, ""

    async def _put(self, entries: list[Entry]) -> list[Outcome]:
        request = msgspec.json.encode({"Entries": entries})
        try:
            answer = msgspec.json.decode(await self._client.call("PutEvents", request), type=_Answer)
        except (AwsThrottled, AwsUnavailable) as error:
            return [Retry(error.code)] * len(entries)
        except AwsDenied as error:
            return [Retry(error.code, pause=CONFIGURATION_PAUSE)] * len(entries)
        except AwsError as error:
            return await self._refused(error, entries)
        except msgspec.MsgspecError:
            return [Retry("UnreadableAnswer")] * len(entries)
        if len(answer.entries) != len(entries):
            return [Retry("ShortAnswer")] * len(entries)  # unknown outcome: sent again with identical bytes
        return [_outcome(result) for result in answer.entries]

    async def _refused(self, error: AwsError, entries: list[Entry]) -> list[Outcome]:
        """The request as a whole was refused: find out which entry is to blame, one by one."""
        if error.code in CONFIGURATION:
            return [Retry(error.code, pause=CONFIGURATION_PAUSE)] * len(entries)
        if len(entries) == 1:
            return [Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the bus refused it: {error.code}")]
        return [(await self._put([entry]))[0] for entry in entries]


def _outcome(result: _Result) -> Outcome:
    code = result.error_code
    if code is None and result.event_id:
        return Delivered(Receipt(result.event_id))
    if code is None or code in RETRYABLE:
        return Retry(code or "NoAnswer")
    if code in CONFIGURATION:
        return Retry(code, pause=CONFIGURATION_PAUSE)
    return Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the bus refused it: {code}")
