"""PutEvents of a classic bus: requests, and what each code of an answer means.

Sources: EventBridge API reference, PutEvents.
"""

from collections.abc import Sequence

import msgspec

from models.bus_health import EventBridgeHC
from models.outcome import ErrorCategory, Failure
from workers.aws.client import IRequester
from workers.aws.errors import AwsError
from workers.engine.delivery import Delivered, Outcome, Retry, Undeliverable
from workers.eventbridge.answers import of_entry, of_request, unreadable
from workers.eventbridge.bus import Prepared, Receipt
from workers.eventbridge.entry import Entry

MAX_ENTRIES = 10


class _Entry(msgspec.Struct, rename="pascal"):
    event_bus_name: str
    source: str
    detail_type: str
    detail: str
    time: float


class _Result(msgspec.Struct, rename="pascal"):
    event_id: str | None = None
    error_code: str | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    entries: list[_Result]


class ClassicBus:
    """See IBus. `max_bytes`: of one request, by AWS's formula."""

    max_entries = MAX_ENTRIES

    def __init__(self, client: IRequester, name: str, max_bytes: int) -> None:
        self.name = name
        self.health = EventBridgeHC.UNKNOWN
        self.trouble = ""
        self._client = client
        self._max_bytes = max_bytes

    def prepare(self, entry: Entry) -> Prepared:
        """See IBus."""
        wire = msgspec.json.encode(_Entry(self.name, entry.source, entry.detail_type, entry.detail, entry.time))
        return Prepared(entry, self.name, entry.size, wire)

    def fit(self, prepared: Sequence[Prepared]) -> int:
        """See IBus."""
        total = 0
        for count, one in enumerate(prepared):
            total += one.size
            if count and (total > self._max_bytes or count >= MAX_ENTRIES):
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
        request = b'{"Entries":[' + b",".join(one.wire for one in prepared) + b"]}"
        try:
            answer = msgspec.json.decode(await self._client.call("PutEvents", request), type=_Answer)
        except AwsError as error:
            failed = of_request(error)
            return await self._refused(error, prepared) if failed is None else [failed] * len(prepared)
        except msgspec.MsgspecError:
            return [unreadable("UnreadableAnswer")] * len(prepared)
        if len(answer.entries) != len(prepared):
            return [unreadable("ShortAnswer")] * len(prepared)
        return [_outcome(result) for result in answer.entries]

    async def _refused(self, error: AwsError, prepared: Sequence[Prepared]) -> list[Outcome]:
        """The request as a whole was refused: find out which entry is to blame, one by one."""
        if len(prepared) == 1:
            return [Undeliverable(Failure.EVENTBRIDGE_ERROR, f"the bus refused it: {error.code}")]
        return [(await self._put([one]))[0] for one in prepared]


def _outcome(result: _Result) -> Outcome:
    if result.error_code is None and result.event_id:
        return Delivered(Receipt(result.event_id))
    return of_entry(result.error_code) if result.error_code else Retry("NoAnswer")
