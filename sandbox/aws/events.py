"""EventBridge classic, JSON 1.1: buses and PutEvents, with delivery to queues in the order of arrival."""

import re
from collections.abc import Callable
from typing import Any

from sandbox.aws.bus import Bus, Buses, Deliver, Tally
from sandbox.aws.errors import AwsError, validation
from sandbox.aws.event import Event, entry_size, missing_fields, read_event
from sandbox.aws.event_archives import Archives
from sandbox.aws.event_ledger import EventLedger, Request
from sandbox.aws.event_replays import Replays
from sandbox.aws.event_rules import Rules
from sandbox.aws.fields import Body, entries, named, optional_text
from sandbox.aws.pages import Pages
from sandbox.aws.place import Clock, Place
from sandbox.aws.protocol import Operations
from sandbox.aws.quota import Quota, Throttle
from sandbox.aws.streams import Behaviour

BUS_NAME = re.compile(r"[/.\-_A-Za-z0-9]+")
MOST_ENTRIES = 10


class Events:
    """All of EventBridge. `max_request_bytes` limits one PutEvents by the entry size formula."""

    def __init__(
        self,
        place: Place,
        clock: Clock,
        deliver: Deliver,
        max_request_bytes: int,
        ledger: EventLedger,
        behaviour: Callable[[], Behaviour],
    ) -> None:
        self.ledger = ledger
        self.throttle: Throttle | None = None
        self.buses = Buses(place, clock)
        self.nowhere = Tally()  # events sent to buses that do not exist
        self._place = place
        self._clock = clock
        self._deliver = deliver
        self._max_request_bytes = max_request_bytes
        self._pages = Pages()
        self._rules = Rules(self.buses, self._pages)
        self._archives = Archives(self.buses, self._pages)
        self._replays = Replays(self.buses, self._archives, self._pages, deliver, behaviour)

    def reset(self) -> None:
        """Only the default bus, without rules."""
        self.buses.reset()
        self._archives.reset()
        self._replays.reset()
        self.ledger.clear()
        self.throttle = None
        self.nowhere = Tally()

    def close(self) -> None:
        """Stop what goes on by itself."""
        self._replays.reset()

    def limit(self, quota: Quota | None) -> None:
        """Throttle PutEvents, or no longer."""
        self.throttle = Throttle(quota, self._clock()) if quota is not None else None

    def operations(self) -> Operations:
        return {
            "CreateEventBus": self._create_event_bus,
            "DeleteEventBus": self._delete_event_bus,
            "DescribeEventBus": self._describe_event_bus,
            "ListEventBuses": self._list_event_buses,
            "PutEvents": self._put_events,
            **self._rules.operations(),
            **self._archives.operations(),
            **self._replays.operations(),
        }

    async def _create_event_bus(self, body: Body) -> dict[str, Any]:
        name = named(body, "Name", BUS_NAME, longest=256)
        if name in self.buses.by_name:
            raise AwsError("ResourceAlreadyExistsException", f"Event bus {name} already exists.")
        return {"EventBusArn": self.buses.open(name, optional_text(body, "Description", longest=512)).arn}

    async def _delete_event_bus(self, body: Body) -> None:
        name = named(body, "Name", BUS_NAME, longest=256)
        if name == "default":
            raise validation("Event bus default cannot be deleted.")
        if (bus := self.buses.find(name)) and bus.rules:
            raise validation(f"Event bus {name} has rules; delete them first.")
        self.buses.by_name.pop(name, None)

    async def _describe_event_bus(self, body: Body) -> dict[str, Any]:
        return _description(self.buses.named(body, "Name"))

    async def _list_event_buses(self, body: Body) -> dict[str, Any]:
        prefix = optional_text(body, "NamePrefix", longest=256) or ""
        listed = [_description(bus) for name, bus in sorted(self.buses.by_name.items()) if name.startswith(prefix)]
        return self._pages.of("EventBuses", listed, body)

    async def _put_events(self, body: Body) -> dict[str, Any]:
        """Per-entry results in the order of the entries. Raises ValidationException for the request as a whole."""
        now = self._clock()
        if self.throttle is not None:
            self.throttle.call(now)
        given = entries(body, "Entries", most=MOST_ENTRIES)
        if all(missing_fields(entry) for entry in given):
            raise validation("No entry has all of Source, DetailType and Detail.")
        size = sum(entry_size(entry) for entry in given)
        if size > self._max_request_bytes:
            raise validation(f"Entries of {size} bytes are above the limit of {self._max_request_bytes} per request.")
        request = self.ledger.current()
        results = [self._put_event(entry, now, request) for entry in given]
        return {"FailedEntryCount": sum("ErrorCode" in result for result in results), "Entries": results}

    def _put_event(self, entry: Body, now: float, request: Request) -> dict[str, str]:
        try:
            if self.throttle is not None:
                self.throttle.entry(now)
            event = read_event(entry, self._place, now)
            name = optional_text(entry, "EventBusName", longest=1600)
            bus = self.buses.find(name)
        except AwsError as refusal:
            self.ledger.refuse(request, refusal.code, entry.get("Detail"))
            return {"ErrorCode": refusal.code, "ErrorMessage": refusal.message}
        detail, text = event.fields["detail"], entry["Detail"]
        if bus is None:
            # As AWS does: an event for a bus that does not exist is accepted and goes nowhere.
            self.nowhere.accepted += 1
            self.nowhere.unmatched += 1
            self.ledger.accept(request, str(name), event.id, detail, text, now, nowhere=True)
        else:
            self.ledger.accept(request, bus.name, event.id, detail, text, now, nowhere=False)
            self._route(bus, event, now)
        return {"EventId": event.id}

    def _route(self, bus: Bus, event: Event, now: float) -> None:
        self._archives.keep(bus.arn, event, now)
        bus.tally.accepted += 1
        if bus.route(event.fields, event.text, self._deliver):
            bus.tally.matched += 1
        else:
            bus.tally.unmatched += 1


def _description(bus: Bus) -> dict[str, Any]:
    described: dict[str, Any] = {
        "Name": bus.name,
        "Arn": bus.arn,
        "CreationTime": bus.created_at,
        "LastModifiedTime": bus.created_at,
    }
    if bus.description is not None:
        described["Description"] = bus.description
    return described
