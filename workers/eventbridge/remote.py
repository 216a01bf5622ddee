"""What both generations of bus have in common: how requests are filled, and what answers and refusals mean."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from models.bus_health import EventBridgeHC
from models.outcome import ErrorCategory
from workers.aws.client import IRequester
from workers.aws.errors import AwsError
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable
from workers.eventbridge.answers import of_entry, of_request, unreadable
from workers.eventbridge.bus import Prepared, Receipt
from workers.eventbridge.entry import Entry

MOST_HALVES = 14
"""Requests that look for what is to blame for a refused one: enough for one entry of 100. Whatever is not known by then
is sent again with the next call, for one that took longer than a call may take would find nothing out."""


class Result(msgspec.Struct, rename="pascal", gc=False):
    """What an answer says of one entry; a classic bus says less."""

    event_id: str | None = None
    sequence_number: str | None = None
    success_code: str | None = None
    error_code: str | None = None


class Answer(msgspec.Struct, rename="pascal"):
    """Of PutEvents."""

    entries: list[Result]


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
    def results(self, answer: bytes) -> list[Result]:
        """Those of the answer. Raises ValueError for an answer that cannot be read."""

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
        again = [outcome for outcome in outcomes if isinstance(outcome, Retry)]
        troubles = [outcome.reason for outcome in again if outcome.category is not ErrorCategory.THROTTLING]
        if troubles:
            self.health, self.trouble = EventBridgeHC.IN_ALARM, troubles[0]
        elif len(again) < len(outcomes):
            self.health, self.trouble = EventBridgeHC.OK, ""

    async def _put(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """What is refused as a whole is halved, until the entries to blame are alone."""
        outcomes: list[Outcome] = []
        left, code = [prepared], ""
        for _ in range(1 + MOST_HALVES):
            part = left.pop()
            try:
                outcomes += await self._request(part)
            except AwsError as error:
                code, middle = error.code, len(part) // 2
                if middle:
                    left += [part[middle:], part[:middle]]
                else:
                    outcomes.append(of_entry(code))
            if not left:
                return outcomes
        return outcomes + [Retry(code)] * (len(prepared) - len(outcomes))

    async def _request(self, prepared: Sequence[Prepared]) -> list[Outcome]:
        """Raises AwsError if AWS refuses what is in it."""
        try:
            results = self.results(await self._client.call("PutEvents", self.request(prepared)))
        except AwsError as error:
            failed = of_request(error)
            if failed is None:
                raise
            return [failed] * len(prepared)
        except ValueError:
            return [unreadable("UnreadableAnswer")] * len(prepared)
        if len(results) != len(prepared):
            return [unreadable("ShortAnswer")] * len(prepared)
        return [
            Delivered(
                Receipt(one.entry.event_id, told.event_id, told.sequence_number, told.success_code or "PUBLISHED")
            )
            if told.event_id and told.error_code is None
            else _failed(told.error_code)
            for one, told in zip(prepared, results, strict=True)
        ]


def _failed(code: str | None) -> Outcome:
    return of_entry(code) if code else Retry("NoAnswer")
