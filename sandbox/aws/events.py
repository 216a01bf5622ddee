"""EventBridge classic, JSON 1.1: buses, rules, targets, PutEvents, and delivery to queues in the order of arrival."""

import re
from collections.abc import Callable
from typing import Any

from models.event_pattern import Pattern, compile_pattern
from models.pattern_operators import InvalidPattern
from sandbox.aws.bus import Bus, Rule, Tally, Target
from sandbox.aws.errors import AwsError, not_found, validation
from sandbox.aws.event import Event, entry_size, missing_fields, read_event
from sandbox.aws.event_ledger import EventLedger, Request
from sandbox.aws.fields import Body, choice, entries, named, optional_text, text, texts
from sandbox.aws.place import Clock, Place
from sandbox.aws.protocol import Operations
from sandbox.aws.quota import Quota, Throttle

Deliver = Callable[[str, str], bool]  # target ARN, event text; False if nothing took it

BUS_NAME = re.compile(r"[/.\-_A-Za-z0-9]+")
RULE_NAME = re.compile(r"[.\-_A-Za-z0-9]+")
STATES = frozenset({"ENABLED", "DISABLED"})
MOST_ENTRIES = 10
MOST_TARGETS = 5
# Members of a Target that change what is delivered: taking them without doing it would deliver something else.
SHAPING = ("Input", "InputPath", "InputTransformer")


class Events:
    """All buses of the account. `max_request_bytes` limits one PutEvents by the entry size formula."""

    def __init__(
        self, place: Place, clock: Clock, deliver: Deliver, max_request_bytes: int, ledger: EventLedger
    ) -> None:
        self.ledger = ledger
        self.throttle: Throttle | None = None
        self._place = place
        self._clock = clock
        self._deliver = deliver
        self._max_request_bytes = max_request_bytes
        self.buses: dict[str, Bus] = {}
        self._lost: dict[str, Bus] = {}
        self.nowhere = Tally()  # events sent to buses that do not exist
        self.reset()

    def reset(self) -> None:
        """Only the default bus, without rules."""
        self.buses.clear()
        self._lost.clear()
        self.ledger.clear()
        self.throttle = None
        self.nowhere = Tally()
        self._open_bus("default", None)

    def limit(self, quota: Quota | None) -> None:
        """Throttle PutEvents, or no longer."""
        self.throttle = Throttle(quota, self._clock()) if quota is not None else None

    def lose(self, name: str) -> bool:
        """Take a bus away, whatever rules it has; False if there is none."""
        bus = self.buses.pop(name, None)
        if bus is not None:
            self._lost[name] = bus
        return bus is not None

    def bring_back(self, name: str) -> bool:
        """Put a lost bus back as it was, in place of one made meanwhile; False if none was lost."""
        bus = self._lost.pop(name, None)
        if bus is not None:
            self.buses[name] = bus
        return bus is not None

    def operations(self) -> Operations:
        return {
            "CreateEventBus": self._create_event_bus,
            "DeleteEventBus": self._delete_event_bus,
            "DescribeEventBus": self._describe_event_bus,
            "ListEventBuses": self._list_event_buses,
            "PutRule": self._put_rule,
            "DescribeRule": self._describe_rule,
            "ListRules": self._list_rules,
            "DeleteRule": self._delete_rule,
            "PutTargets": self._put_targets,
            "ListTargetsByRule": self._list_targets_by_rule,
            "RemoveTargets": self._remove_targets,
            "PutEvents": self._put_events,
        }

    async def _create_event_bus(self, body: Body) -> dict[str, Any]:
        name = named(body, "Name", BUS_NAME, longest=256)
        if name in self.buses:
            raise AwsError("ResourceAlreadyExistsException", f"Event bus {name} already exists.")
        return {"EventBusArn": self._open_bus(name, optional_text(body, "Description", longest=512)).arn}

    async def _delete_event_bus(self, body: Body) -> None:
        name = named(body, "Name", BUS_NAME, longest=256)
        if name == "default":
            raise validation("Event bus default cannot be deleted.")
        if (bus := self.buses.get(name)) and bus.rules:
            raise validation(f"Event bus {name} has rules; delete them first.")
        self.buses.pop(name, None)

    async def _describe_event_bus(self, body: Body) -> dict[str, Any]:
        return _bus_description(self._bus(body, "Name"))

    async def _list_event_buses(self, body: Body) -> dict[str, Any]:
        prefix = optional_text(body, "NamePrefix", longest=256) or ""
        return {
            "EventBuses": [_bus_description(bus) for name, bus in sorted(self.buses.items()) if name.startswith(prefix)]
        }

    async def _put_rule(self, body: Body) -> dict[str, Any]:
        name = named(body, "Name", RULE_NAME, longest=64)
        bus = self._bus(body)
        if body.get("ScheduleExpression") is not None:
            raise validation("This stand-in has no scheduled rules.")
        pattern_text = text(body, "EventPattern", longest=4096)
        pattern = _compiled(pattern_text)
        enabled = choice(body, "State", STATES, "ENABLED") == "ENABLED"
        path = name if bus.name == "default" else f"{bus.name}/{name}"
        rule = Rule(name, self._place.arn("events", f"rule/{path}"), pattern_text, pattern, enabled)
        rule.description = optional_text(body, "Description", shortest=0, longest=512)
        if known := bus.rules.get(name):
            rule.targets = known.targets
        bus.rules[name] = rule
        return {"RuleArn": rule.arn}

    async def _describe_rule(self, body: Body) -> dict[str, Any]:
        bus = self._bus(body)
        return _rule_description(bus, self._rule(bus, body, "Name"))

    async def _list_rules(self, body: Body) -> dict[str, Any]:
        bus = self._bus(body)
        prefix = optional_text(body, "NamePrefix", longest=64) or ""
        return {"Rules": [_rule_description(bus, bus.rules[n]) for n in sorted(bus.rules) if n.startswith(prefix)]}

    async def _delete_rule(self, body: Body) -> None:
        bus = self._bus(body)
        name = named(body, "Name", RULE_NAME, longest=64)
        if (rule := bus.rules.get(name)) and rule.targets:
            raise validation("A rule with targets cannot be deleted.")
        bus.rules.pop(name, None)

    async def _put_targets(self, body: Body) -> dict[str, Any]:
        rule = self._rule(self._bus(body), body, "Rule")
        targets = dict(rule.targets)
        for given in entries(body, "Targets", most=100):
            target = Target(named(given, "Id", RULE_NAME, longest=64), text(given, "Arn", longest=1600))
            if shaping := [name for name in SHAPING if given.get(name) is not None]:
                raise validation(f"This stand-in delivers whole events; a target with {shaping[0]} is not offered.")
            targets[target.id] = target
        if len(targets) > MOST_TARGETS:
            raise AwsError("LimitExceededException", f"A rule has at most {MOST_TARGETS} targets.")
        rule.targets = targets
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def _list_targets_by_rule(self, body: Body) -> dict[str, Any]:
        rule = self._rule(self._bus(body), body, "Rule")
        return {"Targets": [{"Id": target.id, "Arn": target.arn} for target in rule.targets.values()]}

    async def _remove_targets(self, body: Body) -> dict[str, Any]:
        rule = self._rule(self._bus(body), body, "Rule")
        for target_id in texts(body, "Ids"):
            rule.targets.pop(target_id, None)
        return {"FailedEntryCount": 0, "FailedEntries": []}

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
            bus = self._find_bus(name)
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
            self._route(bus, event)
        return {"EventId": event.id}

    def _route(self, bus: Bus, event: Event) -> None:
        matching = [rule for rule in bus.rules.values() if rule.enabled and rule.pattern.matches(event.fields)]
        tally = bus.tally
        tally.accepted += 1
        if matching:
            tally.matched += 1
        else:
            tally.unmatched += 1
        for rule in matching:
            for target in rule.targets.values():
                if self._deliver(target.arn, event.text):
                    tally.delivered += 1
                else:
                    tally.undelivered += 1

    def _open_bus(self, name: str, description: str | None) -> Bus:
        bus = Bus(name, self._place.arn("events", f"event-bus/{name}"), self._clock(), description)
        self.buses[name] = bus
        return bus

    def _find_bus(self, name_or_arn: str | None) -> Bus | None:
        if name_or_arn is None:
            return self.buses["default"]
        if name_or_arn.startswith("arn:"):
            bus = self.buses.get(name_or_arn.partition(":event-bus/")[2])
            return bus if bus is not None and bus.arn == name_or_arn else None
        return self.buses.get(name_or_arn)

    def _bus(self, body: Body, member: str = "EventBusName") -> Bus:
        name = optional_text(body, member, longest=1600)
        bus = self._find_bus(name)
        if bus is None:
            raise not_found(f"Event bus {name} does not exist.")
        return bus

    def _rule(self, bus: Bus, body: Body, member: str) -> Rule:
        name = named(body, member, RULE_NAME, longest=64)
        rule = bus.rules.get(name)
        if rule is None:
            raise not_found(f"Rule {name} does not exist on event bus {bus.name}.")
        return rule


def _compiled(pattern_text: str) -> Pattern:
    try:
        return compile_pattern(pattern_text)
    except InvalidPattern as reason:
        raise AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}") from None


def _bus_description(bus: Bus) -> dict[str, Any]:
    described: dict[str, Any] = {"Name": bus.name, "Arn": bus.arn, "CreationTime": bus.created_at}
    if bus.description is not None:
        described["Description"] = bus.description
    return described


def _rule_description(bus: Bus, rule: Rule) -> dict[str, Any]:
    described = {
        "Name": rule.name,
        "Arn": rule.arn,
        "EventPattern": rule.pattern_text,
        "State": "ENABLED" if rule.enabled else "DISABLED",
        "EventBusName": bus.name,
    }
    if rule.description is not None:
        described["Description"] = rule.description
    return described
