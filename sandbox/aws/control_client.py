"""A client for the control API of the stand-in: no boto3, no asyncio; its methods block."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from sandbox.aws.event_ledger import Accepted, Deliveries
from sandbox.aws.faults import FaultReport, FaultRule
from sandbox.aws.orders import AcceptedOrder, BusOrder, DeliveriesOrder, LimitOrder, Status, TrimOrder
from sandbox.aws.quota import Quota
from sandbox.aws.rates import Limits
from sandbox.aws.streams import Behaviour

SECONDS = 10.0

T = TypeVar("T")


class ControlError(Exception):
    """The stand-in refused an order; the message is its own and says what is allowed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class StandInControl:
    """Faults, limits, trimming, buses, behaviour and status of the stand-in at `url`.

    All methods raise ControlError for an order it refuses, and OSError if it does not answer.
    """

    def __init__(self, url: str, *, seconds: float = SECONDS) -> None:
        self.url = url.rstrip("/")
        self._seconds = seconds

    def add_fault(self, rule: FaultRule) -> FaultReport:
        """Put a rule in force, after those there are."""
        return self._ask("POST", "faults", FaultReport, rule)

    def fault(self, kind: str, operation: str | None = None, **more: Any) -> FaultReport:
        """`add_fault` in short: `fault("throttle", "GetRecords", shard=…, times=3)`; the fields are FaultRule's."""
        return self.add_fault(FaultRule(kind=kind, operation=operation, **more))

    def faults(self) -> list[FaultReport]:
        """All rules with their counts, in the order in which they were added."""
        return self._ask("GET", "faults", list[FaultReport])

    def counts(self, fault: FaultReport) -> FaultReport:
        """The same rule with its counts of now."""
        return self._ask("GET", f"faults/{fault.id}", FaultReport)

    def remove_fault(self, fault: FaultReport) -> FaultReport:
        """Returns its last counts."""
        return self._ask("DELETE", f"faults/{fault.id}", FaultReport)

    def clear_faults(self) -> list[FaultReport]:
        """Returns the last counts of all."""
        return self._ask("DELETE", "faults", list[FaultReport])

    def limit(self, stream: str, limits: Limits | None = None) -> Limits:
        """Limit every shard of a stream; without `limits`, as AWS does. Counting begins anew."""
        return self._ask("POST", "limits", Limits, LimitOrder(stream=stream, limits=limits or Limits()))

    def limits(self) -> dict[str, Limits | None]:
        """Of every stream."""
        return self._ask("GET", "limits", dict[str, Limits | None])

    def unlimit(self, stream: str | None = None) -> None:
        """Lift the limits of a stream, or of all."""
        self._ask("DELETE", f"limits/{urllib.parse.quote(stream)}" if stream else "limits", None)

    def trim(self, stream: str, shard: str | None = None, up_to: str = "now") -> dict[str, int]:
        """Move the trim horizon (see TrimOrder). Returns how many records went, by shard."""
        return self._ask("POST", "horizon", dict[str, int], TrimOrder(stream=stream, shard=shard, up_to=up_to))

    def set_quota(self, **fields: Any) -> Quota:
        """Throttle PutEvents: `calls` and `entries` per second (see Quota). Buckets are full again."""
        return self._ask("POST", "quota", Quota, Quota(**fields))

    def quota(self) -> Quota | None:
        return self._ask("GET", "quota", Quota | None)

    def lift_quota(self) -> None:
        """Take as much as comes."""
        self._ask("DELETE", "quota", None)

    def accepted(self, bus: str | None = None) -> list[Accepted]:
        """Every remembered entry that a bus took (None: any bus), in order of acceptance."""
        found: list[Accepted] = []
        while True:
            after = found[-1].number if found else 0
            page = self._ask("POST", "accepted", list[Accepted], AcceptedOrder(bus=bus, after=after))
            if not page:
                return found
            found.extend(page)

    def deliveries(self, expected: Iterable[str] = (), bus: str | None = None) -> Deliveries:
        """What became of events: lost ones among the `expected` eventIds, repeats, disorder, concurrency."""
        return self._ask("POST", "deliveries", Deliveries, DeliveriesOrder(bus=bus, expected=tuple(expected)))

    def lose_bus(self, bus: str) -> None:
        """As if somebody had deleted it. For a classic bus, by name, PutEvents still answers with ids, and the events
        go nowhere; for a custom one, by ARN, there is ResourceNotFoundException."""
        self._ask("POST", "buses", None, BusOrder(bus=bus, exists=False))

    def bring_back_bus(self, bus: str) -> None:
        """As if somebody had made it again, with the rules and targets, or subscribers, it had."""
        self._ask("POST", "buses", None, BusOrder(bus=bus, exists=True))

    def behave(self, **fields: Any) -> Behaviour:
        """Set fields of Behaviour; the others go back to their defaults."""
        return self._ask("POST", "behaviour", Behaviour, Behaviour(**fields))

    def behaviour(self) -> Behaviour:
        return self._ask("GET", "behaviour", Behaviour)

    def status(self) -> Status:
        return self._ask("GET", "status", Status)

    def ledger(self) -> dict[str, Any]:
        """Calls and errors per operation, events per bus, what streams and queues hold."""
        return self._ask("GET", "ledger", dict[str, Any])

    def reset(self) -> None:
        """Empty it: no streams, buses and queues, no faults and limits, all counts 0, behaviour as at its start."""
        self._ask("POST", "reset", None)

    def _ask(self, method: str, path: str, kind: type[T] | Any, order: Any = None) -> T | Any:
        body = msgspec.json.encode(order) if order is not None else None
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", data=body, method=method)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=self._seconds) as answer:  # noqa: S310
                return msgspec.json.decode(answer.read(), type=kind)
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise ControlError(refusal.code, _message(refusal.read())) from None


def _message(raw: bytes) -> str:
    try:
        return str(json.loads(raw)["message"])
    except (ValueError, KeyError, TypeError):
        return "no message"
