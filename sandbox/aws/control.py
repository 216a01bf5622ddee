"""The control API of the stand-in, `/_sandbox/…`: faults, limits, horizon, buses, behaviour, status, as JSON.

Mistakes are answered with 400 and `{"message": …}` that says what is allowed.
"""

from collections.abc import Callable
from typing import Any

from sandbox.aws.errors import AwsError
from sandbox.aws.event_ledger import Accepted, Deliveries
from sandbox.aws.events import Events
from sandbox.aws.eventsv2 import EventsV2
from sandbox.aws.faults import FaultReport, FaultRule, Faults
from sandbox.aws.kinesis_read import SEQUENCE_NUMBER
from sandbox.aws.orders import (
    AcceptedOrder,
    BusOrder,
    DeliveriesOrder,
    LimitOrder,
    ShardReport,
    Status,
    StreamReport,
    TrimOrder,
    read_order,
)
from sandbox.aws.quota import Quota
from sandbox.aws.rates import StreamRates
from sandbox.aws.shard import Shard
from sandbox.aws.stream import Stream
from sandbox.aws.streams import Behaviour, Streams

PREFIX = "/_sandbox/"


class NotThere(Exception):
    """404: the message says what there is instead."""


class Control:
    """Answers requests that are not AWS's. `reset` empties the whole stand-in."""

    def __init__(
        self,
        streams: Streams,
        events: Events,
        eventsv2: EventsV2,
        faults: Faults,
        ledger: Callable[[], dict[str, Any]],
        reset: Callable[[], None],
    ) -> None:
        self._streams = streams
        self._events = events
        self._eventsv2 = eventsv2
        self._faults = faults
        self._ledger = ledger
        self._routes: dict[tuple[str, str], Callable[[bytes], Any]] = {
            ("GET", "ledger"): lambda _: ledger(),
            ("GET", "status"): lambda _: self._status(),
            ("POST", "reset"): lambda _: reset(),
            ("GET", "faults"): lambda _: faults.reports(),
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): lambda _: faults.clear(),
            ("GET", "limits"): lambda _: self._limits(),
            ("POST", "limits"): self._limit,
            ("DELETE", "limits"): lambda _: self._unlimit(self._all()),
            ("POST", "horizon"): self._trim,
            ("GET", "quota"): lambda _: self._quota(),
            ("POST", "quota"): self._set_quota,
            ("DELETE", "quota"): lambda _: self._limit_events(None),
            ("POST", "accepted"): self._accepted,
            ("POST", "deliveries"): self._deliveries,
            ("POST", "buses"): self._move_bus,
            ("GET", "behaviour"): lambda _: self._streams.behaviour,
            ("POST", "behaviour"): self._behave,
        }

    def answer(self, method: str, path: str, raw: bytes) -> Any:
        """What to send as JSON. Raises ValueError for a bad order and NotThere for an address or thing that is not."""
        place, _, item = path.removeprefix(PREFIX).partition("/")
        if item and method in ("GET", "DELETE"):
            match place:
                case "faults":
                    return self._one_fault(method, item)
                case "limits":
                    stream = self._stream(item)
                    return self._unlimit([stream]) if method == "DELETE" else _limits_of(stream)
        act = self._routes.get((method, place)) if not item else None
        if act is None:
            offered = ", ".join(f"{verb} {PREFIX}{name}" for verb, name in sorted(self._routes))
            raise NotThere(f"{method} {path} is not offered; there are {offered}")
        return act(raw)

    def _add_fault(self, raw: bytes) -> FaultReport:
        return self._faults.add(read_order(raw, FaultRule))

    def _one_fault(self, method: str, fault_id: str) -> FaultReport:
        found = self._faults.remove(fault_id) if method == "DELETE" else self._faults.report(fault_id)
        if found is None:
            raise NotThere(f"There is no fault rule {fault_id}.")
        return found

    def _limit(self, raw: bytes) -> Any:
        order = read_order(raw, LimitOrder)
        stream = self._stream(order.stream)
        stream.rates = StreamRates(order.limits, self._streams.where(stream))
        return _limits_of(stream)

    def _unlimit(self, streams: list[Stream]) -> None:
        for stream in streams:
            stream.rates = None

    def _limits(self) -> dict[str, Any]:
        return {stream.name: _limits_of(stream) for stream in self._all()}

    def _trim(self, raw: bytes) -> dict[str, int]:
        """How many records went, by shard."""
        order = read_order(raw, TrimOrder)
        stream = self._stream(order.stream)
        if order.shard is None and order.up_to != "now":
            raise ValueError("up_to a sequence number needs the shard that it belongs to")
        if order.up_to != "now" and SEQUENCE_NUMBER.fullmatch(order.up_to) is None:
            raise ValueError('up_to is neither "now" nor a sequence number')
        chosen = stream.shards if order.shard is None else [self._shard(stream, order.shard)]
        trimmed = {shard.name: shard.trim(_number(shard, order.up_to)) for shard in chosen}
        stream.forget(self._streams.clock())
        return trimmed

    def _quota(self) -> Quota | None:
        throttle = self._events.throttle
        return throttle.quota if throttle is not None else None

    def _set_quota(self, raw: bytes) -> Quota | None:
        self._limit_events(read_order(raw, Quota))
        return self._quota()

    def _limit_events(self, quota: Quota | None) -> None:
        self._events.limit(quota)
        self._eventsv2.limit(quota)

    def _accepted(self, raw: bytes) -> list[Accepted]:
        order = read_order(raw, AcceptedOrder)
        return self._events.ledger.accepted(order.bus, order.after)[: order.most]

    def _deliveries(self, raw: bytes) -> Deliveries:
        order = read_order(raw, DeliveriesOrder)
        return self._events.ledger.deliveries(order.expected, order.bus)

    def _move_bus(self, raw: bytes) -> None:
        order = read_order(raw, BusOrder)
        buses = self._eventsv2 if ":event-busv2/" in order.bus else self._events.buses
        moved = buses.bring_back(order.bus) if order.exists else buses.lose(order.bus)
        if not moved:
            raise NotThere(f"There is no {'lost ' if order.exists else ''}bus {order.bus}.")

    def _behave(self, raw: bytes) -> Behaviour:
        self._streams.behaviour = read_order(raw, Behaviour)
        return self._streams.behaviour

    def _status(self) -> Status:
        ledger = self._ledger()
        return Status(
            streams=tuple(_report(stream) for stream in self._all()),
            faults=tuple(self._faults.reports()),
            behaviour=self._streams.behaviour,
            calls=ledger["operations"],
            errors=ledger["errors"],
        )

    def _all(self) -> list[Stream]:
        now = self._streams.clock()
        return [self._streams.named(name, now) for name in sorted(self._streams.by_name)]

    def _stream(self, name: str) -> Stream:
        try:
            return self._streams.named(name, self._streams.clock())
        except AwsError as reason:
            raise NotThere(reason.message) from None

    def _shard(self, stream: Stream, name: str) -> Shard:
        shard = stream.shard(name)
        if shard is None:
            raise NotThere(f"There is no shard {name} in {self._streams.where(stream)}.")
        return shard


def _number(shard: Shard, up_to: str) -> int:
    if up_to != "now":
        return int(up_to)
    return shard.ending if shard.ending is not None else shard.latest


def _limits_of(stream: Stream) -> Any:
    return stream.rates.limits if stream.rates is not None else None


def _report(stream: Stream) -> StreamReport:
    shards = (
        ShardReport(
            id=shard.name,
            open=shard.closed_at is None,
            parents=shard.parents,
            records=len(shard.sequences),
            horizon=str(shard.horizon),
            last=str(shard.sequences[-1]) if shard.sequences else None,
        )
        for shard in stream.shards
    )
    return StreamReport(stream.name, stream.status, _limits_of(stream), tuple(shards))
