"""Custom Event Buses, EventBridge's second generation: buses, subscribers, PutEvents with groups and deduplication.

Names, limits and errors are those of botocore's model `eventbridgev2`. What the model leaves open is decided here: a
new bus is ACTIVE at once, an entry whose Detail is no JSON fails alone, and a repeat is answered with the event id and
the sequence number of the event it repeats.
"""

import re
import secrets
import string
from collections.abc import Callable
from typing import Any

from models.event_pattern import Pattern, compile_pattern
from models.pattern_operators import InvalidPattern
from sandbox.aws.custom_bus import CustomBus, Published, Subscriber
from sandbox.aws.errors import AwsError
from sandbox.aws.event import Event, read_event
from sandbox.aws.event_ledger import EventLedger, Request
from sandbox.aws.fields import Body, choice, entries, named, optional_text, structure, text, texts, whole
from sandbox.aws.place import Clock, Place
from sandbox.aws.protocol import Operation, Operations
from sandbox.aws.quota import Quota, Throttle
from sandbox.aws.wire import time_of

Deliver = Callable[[str, str], bool]  # target ARN, event text; False if nothing took it

NAME = re.compile(r"[A-Za-z0-9][.\-_A-Za-z0-9]*")
ARN = re.compile(r"arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:(event-busv2|subscriber)/[^/]{1,256}/[a-z0-9]{25}")
ORDERINGS = frozenset({"FIFO", "UNORDERED"})
ID_LETTERS = string.ascii_lowercase + string.digits
MOST_ENTRIES = 100
MOST_FILTERS = 50
TOO_MANY_REQUESTS = 429
"""HTTP status of ThrottlingException."""
# Members of a subscriber that change what is delivered, or when: taking them without doing it would be another thing.
NOT_OFFERED = ("BatchConfiguration", "OnFailureConfiguration", "PointInTimeConfiguration", "Transformer")
MODEL_ERRORS = frozenset({"ValidationException", "SerializationException", "InvalidArgument"})


class EventsV2:
    """All Custom Event Buses of the account, by ARN. `ledger` is told what they took, repeats left out."""

    def __init__(self, place: Place, clock: Clock, deliver: Deliver, ledger: EventLedger) -> None:
        self._ledger = ledger
        self._place = place
        self._clock = clock
        self._deliver = deliver
        self._throttle: Throttle | None = None
        self.buses: dict[str, CustomBus] = {}
        self._lost: dict[str, CustomBus] = {}

    def reset(self) -> None:
        """No bus."""
        self.buses.clear()
        self._lost.clear()
        self._throttle = None

    def limit(self, quota: Quota | None) -> None:
        """Throttle PutEvents, or no longer; what classic buses take counts by itself."""
        self._throttle = Throttle(quota, self._clock(), TOO_MANY_REQUESTS) if quota is not None else None

    def lose(self, arn: str) -> bool:
        """Take a bus away, whatever subscribers it has; False if there is none."""
        bus = self.buses.pop(arn, None)
        if bus is not None:
            self._lost[arn] = bus
        return bus is not None

    def bring_back(self, arn: str) -> bool:
        """Put a lost bus back as it was, in place of one that has its name now; False if none was lost."""
        bus = self._lost.pop(arn, None)
        if bus is not None:
            for other in [other.arn for other in self.buses.values() if other.name == bus.name]:
                del self.buses[other]
            self.buses[arn] = bus
        return bus is not None

    def operations(self) -> Operations:
        offered: dict[str, Operation] = {
            "CreateEventBus": self._create_event_bus,
            "DescribeEventBus": self._describe_event_bus,
            "ListEventBuses": self._list_event_buses,
            "DeleteEventBus": self._delete_event_bus,
            "CreateSubscriber": self._create_subscriber,
            "DescribeSubscriber": self._describe_subscriber,
            "ListSubscribers": self._list_subscribers,
            "DeleteSubscriber": self._delete_subscriber,
            "PutEvents": self._put_events,
        }
        return {name: _worded(operation) for name, operation in offered.items()}

    async def _create_event_bus(self, body: Body) -> dict[str, Any]:
        name = named(body, "Name", NAME, longest=256)
        if any(bus.name == name for bus in self.buses.values()):
            raise AwsError("ResourceAlreadyExistsException", f"Event bus {name} already exists.", status=409)
        arn = self._new_arn("event-busv2", name)
        bus = CustomBus(name, arn, self._clock(), optional_text(body, "Description", shortest=0, longest=512))
        self.buses[arn] = bus
        return _bus_description(bus)

    async def _describe_event_bus(self, body: Body) -> dict[str, Any]:
        return _bus_description(self._bus(body))

    async def _list_event_buses(self, body: Body) -> dict[str, Any]:
        """On one page: there are few."""
        prefix = optional_text(body, "NamePrefix", longest=256) or ""
        whole(body, "MaxResults", 1, 100, 100)
        found = sorted(self.buses.values(), key=lambda bus: bus.name)
        return {"EventBuses": [_bus_description(bus) for bus in found if bus.name.startswith(prefix)]}

    async def _delete_event_bus(self, body: Body) -> dict[str, Any]:
        bus = self._bus(body)
        if bus.subscribers:
            raise AwsError("ResourceInUseException", f"Event bus {bus.name} has subscribers.", status=409)
        del self.buses[bus.arn]
        return {}

    async def _create_subscriber(self, body: Body) -> dict[str, Any]:
        name = named(body, "Name", NAME, longest=256)
        bus = self._bus(body)
        if any(subscriber.name == name for subscriber in bus.subscribers.values()):
            raise AwsError("ResourceAlreadyExistsException", f"Subscriber {name} already exists.", status=409)
        if missing := [member for member in NOT_OFFERED if body.get(member) is not None]:
            raise _invalid(f"This stand-in delivers whole events as they come; {missing[0]} is not offered.")
        if choice(body, "StartingPosition", frozenset({"LATEST", "POINT_IN_TIME"}), "LATEST") != "LATEST":
            raise _invalid("This stand-in stores no events; StartingPosition is LATEST.")
        invoke = structure(body, "InvokeConfiguration")
        if invoke is None:
            raise _invalid("InvokeConfiguration must not be null.")
        text(invoke, "RoleArn", longest=2048)
        subscriber = Subscriber(
            name, self._new_arn("subscriber", name), text(invoke, "TargetArn", longest=1600), _filters(body),
            self._clock(), choice(body, "Type", ORDERINGS, "UNORDERED"), body,
        )  # fmt: skip
        bus.subscribers[subscriber.arn] = subscriber
        return _subscriber_summary(bus, subscriber) | {"StartingPosition": "LATEST"}

    async def _describe_subscriber(self, body: Body) -> dict[str, Any]:
        bus, subscriber = self._subscriber(body)
        told = {name: subscriber.wanted[name] for name in ("InvokeConfiguration", "FilterConfiguration", "Description")
                if name in subscriber.wanted}  # fmt: skip
        return _subscriber_summary(bus, subscriber) | told

    async def _list_subscribers(self, body: Body) -> dict[str, Any]:
        arn = optional_text(body, "EventBusArn", longest=1011)
        prefix = optional_text(body, "NamePrefix", longest=256) or ""
        buses = self.buses.values() if arn is None else [self._bus(body)]
        return {
            "Subscribers": [
                _subscriber_summary(bus, subscriber) | {"TargetArn": subscriber.target}
                for bus in buses
                for subscriber in bus.subscribers.values()
                if subscriber.name.startswith(prefix)
            ]
        }

    async def _delete_subscriber(self, body: Body) -> dict[str, Any]:
        bus, subscriber = self._subscriber(body)
        del bus.subscribers[subscriber.arn]
        return {}

    async def _put_events(self, body: Body) -> dict[str, Any]:
        now = self._clock()
        if self._throttle is not None:
            self._throttle.call(now)
        bus = self._bus(body)
        given = entries(body, "Entries", most=MOST_ENTRIES)
        if body.get("DeduplicationConfiguration") is not None:
            raise _invalid("This stand-in knows repeats by their DeduplicationId only.")
        for entry in given:
            _check(entry)
        request = self._ledger.current()
        results = [self._put_event(bus, entry, now, request) for entry in given]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put_event(self, bus: CustomBus, entry: Body, now: float, request: Request) -> dict[str, str]:
        detail = entry.get("Detail", "{}")
        try:
            if self._throttle is not None:
                self._throttle.entry(now)
        except AwsError as refusal:
            self._ledger.refuse(request, refusal.code, detail)
            return {"ErrorCode": refusal.code, "ErrorMessage": refusal.message}
        try:
            event = read_event({**entry, "Detail": detail}, self._place, now)
        except AwsError as refusal:
            self._ledger.refuse(request, "InvalidInputException", detail)
            return {"ErrorCode": "InvalidInputException", "ErrorMessage": refusal.message}
        system = structure(entry, "SystemMetadata") or {}
        published = bus.take(event.id, system.get("EventGroupId"), system.get("DeduplicationId"), detail, now)
        if not published.repeat:
            self._ledger.accept(request, bus.arn, event.id, event.fields["detail"], detail, now, nowhere=False)
            self._route(bus, event)
        return _result(published)

    def _route(self, bus: CustomBus, event: Event) -> None:
        for subscriber in bus.subscribers.values():
            if subscriber.matches(event.fields):
                if self._deliver(subscriber.target, event.text):
                    bus.tally.delivered += 1
                else:
                    bus.tally.undelivered += 1

    def _new_arn(self, kind: str, name: str) -> str:
        made = "".join(secrets.choice(ID_LETTERS) for _ in range(25))
        return self._place.arn("events", f"{kind}/{name}/{made}")

    def _bus(self, body: Body) -> CustomBus:
        arn = named(body, "EventBusArn", ARN, longest=1011)
        bus = self.buses.get(arn)
        if bus is None:
            raise AwsError("ResourceNotFoundException", f"Event bus {arn} does not exist.", status=404)
        return bus

    def _subscriber(self, body: Body) -> tuple[CustomBus, Subscriber]:
        arn = named(body, "SubscriberArn", ARN, longest=1011)
        for bus in self.buses.values():
            if arn in bus.subscribers:
                return bus, bus.subscribers[arn]
        raise AwsError("ResourceNotFoundException", f"Subscriber {arn} does not exist.", status=404)


def _worded(operation: Operation) -> Operation:
    """The operation with what breaks the model told as this service tells it."""

    async def act(body: Body) -> Any:
        try:
            return await operation(body)
        except AwsError as refusal:
            if refusal.code in MODEL_ERRORS:
                raise _invalid(refusal.message) from None
            raise

    return act


def _check(entry: Body) -> None:
    """Raises AwsError where the model is broken: then no entry of the request is taken."""
    text(entry, "Source", longest=256)
    text(entry, "DetailType", longest=128)
    if len(texts(entry, "Resources")) > 100:
        raise _invalid("Resources must have length less than or equal to 100")
    system = structure(entry, "SystemMetadata") or {}
    optional_text(system, "EventGroupId", longest=128)
    given = optional_text(system, "DeduplicationId", longest=128)
    if given is not None and not given.strip():
        raise _invalid("DeduplicationId must have a character that is no white space")


def _filters(body: Body) -> tuple[Pattern, ...]:
    """All of them must match. Without any the subscriber gets every event."""
    configuration = structure(body, "FilterConfiguration")
    if configuration is None:
        return ()
    choice(configuration, "Language", frozenset({"EVENT_BRIDGE_PATTERN"}), "EVENT_BRIDGE_PATTERN")
    found = []
    for one in entries(configuration, "Filters", most=MOST_FILTERS):
        if choice(one, "Scope", frozenset({"DATA", "METADATA", "SYSTEM_METADATA"})) != "DATA":
            raise _invalid("This stand-in filters by what is in the event; Scope is DATA.")
        try:
            found.append(compile_pattern(text(one, "Pattern", longest=4096)))
        except InvalidPattern as reason:
            raise _invalid(f"Event pattern is not valid. Reason: {reason}") from None
    return tuple(found)


def _result(published: Published) -> dict[str, str]:
    result = {"EventId": published.event_id, "SuccessCode": "DEDUPLICATED" if published.repeat else "PUBLISHED"}
    if published.sequence_number is not None:
        result["SequenceNumber"] = published.sequence_number
    return result


def _bus_description(bus: CustomBus) -> dict[str, Any]:
    described = {"EventBusArn": bus.arn, "Name": bus.name, "State": "ACTIVE", "CreationTime": time_of(bus.created_at)}
    return described if bus.description is None else described | {"Description": bus.description}


def _subscriber_summary(bus: CustomBus, subscriber: Subscriber) -> dict[str, Any]:
    return {
        "SubscriberArn": subscriber.arn, "Name": subscriber.name, "EventBusArn": bus.arn, "Type": subscriber.ordering,
        "State": "RUNNING", "CreationTime": time_of(subscriber.created_at),
    }  # fmt: skip


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", message)
