"""Event buses: their rules, their targets, and what became of the events they took."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from models.event_pattern import Pattern
from sandbox.aws.errors import not_found
from sandbox.aws.fields import Body, optional_text
from sandbox.aws.place import Clock, Place

Deliver = Callable[[str, str], bool]  # target ARN, event text; False if nothing took it


@dataclass(frozen=True, slots=True)
class Target:
    """Where matching events go; `arn` of an SQS queue is delivered to, anything else is only remembered.

    `given` is all the client said of it, to be listed again.
    """

    id: str
    arn: str
    given: Body


@dataclass(slots=True)
class Rule:
    """`pattern_text` is what the client wrote, `pattern` its compiled form."""

    name: str
    arn: str
    pattern_text: str
    pattern: Pattern
    enabled: bool
    description: str | None = None
    targets: dict[str, Target] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """Events: accepted = matched + unmatched; one matched event is delivered once per target.

    `replayed` are those that came back from an archive; they count as delivered or not, and nowhere else.
    """

    accepted: int = 0
    matched: int = 0
    unmatched: int = 0
    delivered: int = 0
    undelivered: int = 0
    replayed: int = 0


@dataclass(slots=True)
class Bus:
    """`created_at` in seconds since 1970."""

    name: str
    arn: str
    created_at: float
    description: str | None = None
    rules: dict[str, Rule] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def route(self, fields: Mapping[str, Any], text: str, deliver: Deliver, only: Collection[str] = ()) -> bool:
        """Deliver to the targets of every rule that matches (`only`: of the rules with these ARNs); False: none did."""
        matching = [
            rule
            for rule in self.rules.values()
            if rule.enabled and (not only or rule.arn in only) and rule.pattern.matches(fields)
        ]
        for rule in matching:
            for target in rule.targets.values():
                if deliver(target.arn, text):
                    self.tally.delivered += 1
                else:
                    self.tally.undelivered += 1
        return bool(matching)


class Buses:
    """All buses of the account, by name; the default one is always there."""

    def __init__(self, place: Place, clock: Clock) -> None:
        self.place = place
        self.clock = clock
        self.by_name: dict[str, Bus] = {}
        self._lost: dict[str, Bus] = {}
        self.reset()

    def reset(self) -> None:
        """Only the default bus, without rules."""
        self.by_name.clear()
        self._lost.clear()
        self.open("default", None)

    def open(self, name: str, description: str | None) -> Bus:
        """A new bus without rules, in place of one that has the name."""
        bus = Bus(name, self.place.arn("events", f"event-bus/{name}"), self.clock(), description)
        self.by_name[name] = bus
        return bus

    def find(self, name_or_arn: str | None) -> Bus | None:
        """None names the default bus."""
        if name_or_arn is None:
            return self.by_name["default"]
        if name_or_arn.startswith("arn:"):
            bus = self.by_name.get(name_or_arn.partition(":event-bus/")[2])
            return bus if bus is not None and bus.arn == name_or_arn else None
        return self.by_name.get(name_or_arn)

    def named(self, body: Body, member: str = "EventBusName") -> Bus:
        """The bus a request names. Raises ResourceNotFoundException."""
        name = optional_text(body, member, longest=1600)
        bus = self.find(name)
        if bus is None:
            raise not_found(f"Event bus {name} does not exist.")
        return bus

    def lose(self, name: str) -> bool:
        """Take a bus away, whatever rules it has; False if there is none, or it is the default one."""
        bus = self.by_name.pop(name, None) if name != "default" else None
        if bus is not None:
            self._lost[name] = bus
        return bus is not None

    def bring_back(self, name: str) -> bool:
        """Put a lost bus back as it was, in place of one made meanwhile; False if none was lost."""
        bus = self._lost.pop(name, None)
        if bus is not None:
            self.by_name[name] = bus
        return bus is not None
