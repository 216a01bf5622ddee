"""What both generations of bus have in common: how requests are filled, and what answers and refusals mean."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from models.bus_health import EventBridgeHC
from models.outcome import Failure
from workers.aws.client import IRequester
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable
from workers.eventbridge.bus import Prepared, Receipt
from workers.eventbridge.entry import Entry

THROTTLES = frozenset({"ThrottlingException", "Throttling", "TooManyRequestsException"})
RETRYABLE = THROTTLES | {
    "InternalFailure", "InternalException", "InternalError", "Internal", "ServiceUnavailable",
}  # fmt: skip
CONFIGURATION = frozenset({
    "AccessDeniedException", "AccessDenied", "InvalidAccountIdException", "InvalidStateException", "InvalidState",
    "NotAuthorizedForSourceException", "NotAuthorizedForDetailTypeException", "ResourceNotFoundException",
    "ResourceNotFound",
})  # fmt: skip
"""Nothing is wrong with the event: a bus that is missing or not ready, or a permission."""
CONFIGURATION_PAUSE = 10.0
"""Seconds. A wrong bus or a missing permission drains nothing into the dead letters: the window waits."""


class RemoteBus(ABC):
    """See IBus. `max_bytes`: of one request, by AWS's formula."""

    max_entries: int

    def __init__(self, client: IRequester, name: str, max_bytes: int) -> None:
        self.name = name
        self.health = EventBridgeHC.UNKNOWN
        self.trouble = ""
        self._client = client
        self._max_bytes = max_bytes

    @abstractmethod
    def prepare(self, entry: Entry) -> Prepared | Undeliverable:
        """See IBus."""

    @abstractmethod
    def request(self, prepared: Sequence[Prepared]) -> bytes:
        """The body of a request with these entries."""

    @abstractmethod
    def outcomes(self, answer: bytes) -> list[Outcome]:
        """One for each entry of the answer. Raises ValueError for an answer that cannot be read."""

    def fit(self, prepared: Sequence[Prepared]) -> int:
        """See IBus."""
        total = 0
        for count, one in enumerate(prepared):
            total += one.size
            if count and (total > self._max_bytes or count >= self.max_entries):
                return count
        return len(prepared)

    async def put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """See IBus."""
        outcomes = await self._put(prepared)
        self._judge(outcomes)
        return outcomes

    def _judge(self, outcomes: Sequence[Outcome]) -> None:
        """Health by what the bus said of one request. An entry it refuses for good is no trouble of the bus."""
        troubles = [outcome.reason for outcome in outcomes if isinstance(outcome, Retry)]
        if any(reason not in THROTTLES for reason in troubles):
            self.health = EventBridgeHC.IN_ALARM
            self.trouble = next(reason for reason in troubles if reason not in THROTTLES)
        elif len(troubles) < len(outcomes):
            self.health, self.trouble = EventBridgeHC.OK, ""

    async def _put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        try:
            found = self.outcomes(await self._client.call("PutEvents", self.request(prepared)))
        except (AwsThrottled, AwsUnavailable) as error:
            return [Retry(error.code)] * len(prepared)
        except AwsDenied as error:
            return [Retry(error.code, pause=CONFIGURATION_PAUSE)] * len(prepared)
        except AwsError as error:
            return await self._refused(error, prepared)
        except ValueError:
            return [Retry("UnreadableAnswer")] * len(prepared)
        if len(found) != len(prepared):
            return [Retry("ShortAnswer")] * len(prepared)  # unknown outcome: sent again with identical bytes
        return found

    async def _refused(self, error: AwsError, prepared: Sequence[Prepared]) -> list[Outcome]:
        """The request as a whole was refused: find out by halves which entry is to blame."""
        if error.code in CONFIGURATION:
            return [Retry(error.code, pause=CONFIGURATION_PAUSE)] * len(prepared)
        if len(prepared) == 1:
            return [Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the bus refused it: {error.code}")]
        middle = len(prepared) // 2
        return [*await self._put(prepared[:middle]), *await self._put(prepared[middle:])]


def outcome_of(receipt: Receipt | None, code: str | None) -> Outcome:
    """What became of one entry: the receipt of one that was taken, else its error code."""
    if code is None and receipt is not None:
        return Delivered(receipt)
    if code is None or code in RETRYABLE:
        return Retry(code or "NoAnswer")
    if code in CONFIGURATION:
        return Retry(code, pause=CONFIGURATION_PAUSE)
    return Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the bus refused it: {code}")
