"""Event types that no rule of a bus can match: they are accepted and go nowhere."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from models.event_pattern import OR, Pattern, compile_pattern
from models.pattern_operators import InvalidPattern
from workers.eventbridge.bus_sight import Rules
from workers.schemas.events import EventType


def samples(event: EventType, source: str, environment: str, arn: str) -> list[dict[str, Any]]:
    """What every event of a type has, whatever its row, as rules see it: one for each operation. `arn`: of the bus."""
    found = []
    for operation in event.operations:
        detail: dict[str, Any] = {
            "eventType": event.name, "entityType": event.spec.name, "operation": operation.wire,
            "metadata": {"service": source, "environment": environment},
        }  # fmt: skip
        if event.detail_type != event.name:
            detail["detailType"] = event.detail_type
        envelope: dict[str, Any] = {
            "version": "0", "source": f"{source}.{event.spec.name}", "detail-type": event.detail_type, "detail": detail,
        }  # fmt: skip
        parts = arn.split(":")
        if len(parts) > 5:
            envelope |= {"region": parts[3], "account": parts[4]}
        found.append(envelope)
    return found


def certain_part(pattern: Mapping[str, Any], sample: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a pattern that asks for nothing but what the sample has. What it leaves out, an event may fulfil."""
    found: dict[str, Any] = {}
    for name, asked in pattern.items():
        if name == OR and isinstance(asked, list) and all(isinstance(one, dict) for one in asked):
            choices = [certain_part(one, sample) for one in asked]
            if all(choices):
                found[name] = choices
            continue
        has = sample.get(name)
        if isinstance(asked, dict) and isinstance(has, dict):
            if inner := certain_part(asked, has):
                found[name] = inner
        elif isinstance(asked, list) and isinstance(has, str):
            found[name] = asked
    return found


def may_match(pattern: str, sample: Mapping[str, Any]) -> bool:
    """False only if no event of the sample's kind can match. A pattern that cannot be read may match everything."""
    try:
        given = json.loads(pattern)
        certain = certain_part(given, sample) if isinstance(given, dict) else {}
        return not certain or _compiled(certain).matches(sample)
    except (ValueError, InvalidPattern, RecursionError):
        return True


def _compiled(pattern: Mapping[str, Any]) -> Pattern:
    return compile_pattern(json.dumps(pattern))


async def unrouted(
    events: Sequence[EventType], rules: Rules, sample: Callable[[EventType], Iterable[Mapping[str, Any]]]
) -> tuple[str, ...]:
    """Detail types of events that no enabled rule with a target can match, in order. Targets are asked for only where
    they decide something. Raises AwsError."""
    enabled = await rules.enabled()
    left = list(events)
    for rule in enabled:
        matched = [event for event in left if any(may_match(rule.pattern, one) for one in sample(event))]
        if matched and await rules.has_target(rule):
            left = [event for event in left if event not in matched]
        if not left:
            break
    return tuple(dict.fromkeys(event.name for event in left))
