"""What can be seen of a bus without sending anything: whether it is there, and which rules stand behind it.

Sources: EventBridge API reference, DescribeEventBus, ListRules, ListTargetsByRule; that of Custom Event Buses.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from workers.aws.errors import AwsError

MISSING = frozenset({"ResourceNotFoundException", "ResourceNotFound"})
NO_PERMISSION = frozenset({"AccessDeniedException", "AccessDenied"})
"""Whoever is told so has credentials that work."""
CUSTOM = ":event-busv2/"
"""In the ARN of a Custom Event Bus."""
ON = frozenset({"ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"})
READY = frozenset({"ACTIVE", "UPDATING", "UPDATE_FAILED"})
"""States of a Custom Event Bus that takes events; a bus of the first generation has none."""
BETWEEN_CALLS = 0.1
"""Seconds between two calls for rules: they share their quota with whoever deploys."""
PER_PAGE = 100


class Cold(Protocol):
    """Cold AWS calls, as of a Session."""

    async def cold(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        """Raises AwsError."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at a bus."""

    exists: bool
    created_at: datetime | None = None
    arn: str = ""
    state: str = ""
    """Of a Custom Event Bus; empty for the first generation."""

    @property
    def takes_events(self) -> bool:
        """Whether what is sent to it gets anywhere."""
        return self.exists and (not self.state or self.state in READY)


@dataclass(frozen=True, slots=True)
class BusRule:
    """An enabled rule that was not made by AWS itself, as an archive's is."""

    name: str
    pattern: str
    """JSON."""


async def look_at_bus(aws: Cold, name: str) -> Sight:
    """`name`: name or ARN. Raises AwsError, but not for a bus that is missing."""
    try:
        if CUSTOM in name:
            found = await aws.cold("eventbridgev2", "describe_event_bus", EventBusArn=name)
        else:
            found = await aws.cold("events", "describe_event_bus", Name=name)
    except AwsError as error:
        if error.code in MISSING:
            return Sight(exists=False)
        raise
    arn = found.get("Arn") or found.get("EventBusArn") or ""
    return Sight(True, found.get("CreationTime"), arn, found.get("State") or "")


class Rules:
    """Rules of one bus of the first generation. `pause` waits between two calls."""

    def __init__(self, aws: Cold, bus: str, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._aws = aws
        self._bus = bus
        self._pause = pause

    async def enabled(self) -> list[BusRule]:
        """All of them with a pattern. Raises AwsError."""
        found = await self._pages("list_rules", "Rules", EventBusName=self._bus)
        return [
            BusRule(rule["Name"], rule["EventPattern"])
            for rule in found
            if rule.get("EventPattern") and rule.get("State") in ON and not rule.get("ManagedBy")
        ]

    async def has_target(self, rule: BusRule) -> bool:
        """Whether what it matches goes anywhere. Raises AwsError."""
        await self._pause(BETWEEN_CALLS)
        answer = await self._aws.cold(
            "events", "list_targets_by_rule", Rule=rule.name, EventBusName=self._bus, Limit=PER_PAGE
        )
        return bool(answer["Targets"])

    async def _pages(self, operation: str, member: str, **arguments: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            answer = await self._aws.cold("events", operation, Limit=PER_PAGE, **arguments, **more)
            found += answer[member]
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}
            await self._pause(BETWEEN_CALLS)
