"""Rules and targets of EventBridge buses, and TestEventPattern."""

import re
from typing import Any

import msgspec

from models.event_pattern import LONGEST_PATTERN, LONGEST_RAISED, Pattern, compile_pattern
from models.pattern_operators import InvalidPattern
from sandbox.aws.bus import Bus, Buses, Rule, Target
from sandbox.aws.errors import AwsError, not_found, validation
from sandbox.aws.fields import Body, choice, entries, named, optional_text, text, texts
from sandbox.aws.pages import Pages
from sandbox.aws.protocol import Operations

RULE_NAME = re.compile(r"[.\-_A-Za-z0-9]+")
STATES = frozenset({"ENABLED", "DISABLED"})
MOST_RULES = 300
MOST_TARGETS = 5
# Members of a Target that change what is delivered: taking them without doing it would deliver something else.
SHAPING = ("Input", "InputPath", "InputTransformer")
MANDATORY = ("id", "account", "source", "time", "region", "resources", "detail-type")
"""Fields that TestEventPattern asks of an event (API reference)."""


class Rules:
    """The rules of all buses."""

    def __init__(self, buses: Buses, pages: Pages) -> None:
        self._buses = buses
        self._pages = pages

    def operations(self) -> Operations:
        return {
            "PutRule": self._put_rule,
            "DescribeRule": self._describe_rule,
            "ListRules": self._list_rules,
            "EnableRule": self._enable_rule,
            "DisableRule": self._disable_rule,
            "DeleteRule": self._delete_rule,
            "PutTargets": self._put_targets,
            "ListTargetsByRule": self._list_targets_by_rule,
            "ListRuleNamesByTarget": self._list_rule_names_by_target,
            "RemoveTargets": self._remove_targets,
            "TestEventPattern": self._test_event_pattern,
        }

    async def _put_rule(self, body: Body) -> dict[str, Any]:
        name = named(body, "Name", RULE_NAME, longest=64)
        bus = self._buses.named(body)
        if body.get("ScheduleExpression") is not None:
            raise validation("This stand-in has no scheduled rules.")
        pattern_text = text(body, "EventPattern", longest=LONGEST_RAISED)
        pattern = compiled(pattern_text)
        enabled = choice(body, "State", STATES, "ENABLED") == "ENABLED"
        if name not in bus.rules and len(bus.rules) >= MOST_RULES:
            raise AwsError("LimitExceededException", f"An event bus has at most {MOST_RULES} rules.")
        path = name if bus.name == "default" else f"{bus.name}/{name}"
        rule = Rule(name, self._buses.place.arn("events", f"rule/{path}"), pattern_text, pattern, enabled)
        rule.description = optional_text(body, "Description", shortest=0, longest=512)
        if known := bus.rules.get(name):
            rule.targets = known.targets
        bus.rules[name] = rule
        return {"RuleArn": rule.arn}

    async def _describe_rule(self, body: Body) -> dict[str, Any]:
        bus = self._buses.named(body)
        return _description(bus, _rule(bus, body, "Name"))

    async def _list_rules(self, body: Body) -> dict[str, Any]:
        bus = self._buses.named(body)
        prefix = optional_text(body, "NamePrefix", longest=64) or ""
        listed = [_description(bus, bus.rules[name]) for name in sorted(bus.rules) if name.startswith(prefix)]
        return self._pages.of("Rules", listed, body)

    async def _enable_rule(self, body: Body) -> None:
        _rule(self._buses.named(body), body, "Name").enabled = True

    async def _disable_rule(self, body: Body) -> None:
        _rule(self._buses.named(body), body, "Name").enabled = False

    async def _delete_rule(self, body: Body) -> None:
        bus = self._buses.named(body)
        name = named(body, "Name", RULE_NAME, longest=64)
        if (rule := bus.rules.get(name)) and rule.targets:
            raise validation("A rule with targets cannot be deleted.")
        bus.rules.pop(name, None)

    async def _put_targets(self, body: Body) -> dict[str, Any]:
        rule = _rule(self._buses.named(body), body, "Rule")
        targets = dict(rule.targets)
        for given in entries(body, "Targets", most=100):
            target = Target(named(given, "Id", RULE_NAME, longest=64), text(given, "Arn", longest=1600), given)
            if shaping := [name for name in SHAPING if given.get(name) is not None]:
                raise validation(f"This stand-in delivers whole events; a target with {shaping[0]} is not offered.")
            targets[target.id] = target
        if len(targets) > MOST_TARGETS:
            raise AwsError("LimitExceededException", f"A rule has at most {MOST_TARGETS} targets.")
        rule.targets = targets
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def _list_targets_by_rule(self, body: Body) -> dict[str, Any]:
        rule = _rule(self._buses.named(body), body, "Rule")
        return self._pages.of("Targets", [target.given for target in rule.targets.values()], body)

    async def _list_rule_names_by_target(self, body: Body) -> dict[str, Any]:
        bus = self._buses.named(body)
        arn = text(body, "TargetArn", longest=1600)
        names = [
            name
            for name, rule in sorted(bus.rules.items())
            if any(target.arn == arn for target in rule.targets.values())
        ]
        return self._pages.of("RuleNames", names, body)

    async def _remove_targets(self, body: Body) -> dict[str, Any]:
        rule = _rule(self._buses.named(body), body, "Rule")
        for target_id in texts(body, "Ids"):
            rule.targets.pop(target_id, None)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    async def _test_event_pattern(self, body: Body) -> dict[str, Any]:
        pattern = compiled(text(body, "EventPattern", longest=LONGEST_RAISED))
        try:
            event = msgspec.json.decode(text(body, "Event"))
        except (msgspec.DecodeError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise validation("Parameter Event is not valid. Reason: it is not a JSON object.")
        if missing := [name for name in MANDATORY if name not in event]:
            raise validation(f"Parameter Event is not valid. Reason: {missing[0]} is required.")
        return {"Result": pattern.matches(event)}


def compiled(pattern_text: str) -> Pattern:
    """Raises InvalidEventPatternException, and LimitExceededException beyond the default quota of characters."""
    if len(pattern_text) > LONGEST_PATTERN:
        raise AwsError("LimitExceededException", f"An event pattern has at most {LONGEST_PATTERN} characters.")
    try:
        return compile_pattern(pattern_text)
    except InvalidPattern as reason:
        raise AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}") from None


def _rule(bus: Bus, body: Body, member: str) -> Rule:
    name = named(body, member, RULE_NAME, longest=64)
    rule = bus.rules.get(name)
    if rule is None:
        raise not_found(f"Rule {name} does not exist on EventBus {bus.name}.")
    return rule


def _description(bus: Bus, rule: Rule) -> dict[str, Any]:
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
