"""Event types that no rule can take are named; what a rule asks of a row is left to the row."""

import json
from typing import Any

import pytest

from models.catalogue import TELEPHONY, Catalogue
from workers.aws.errors import AwsError
from workers.eventbridge.bus_sight import BETWEEN_CALLS, Rules
from workers.eventbridge.unrouted import may_match, samples, unrouted
from workers.schemas.events import EventType, event_types

ARN = "arn:aws:events:eu-west-1:111122223333:event-bus/cdc-events"
EVENTS = event_types(Catalogue(TELEPHONY).specs)
UPDATED = next(event for event in EVENTS if event.name == "user.updated")


def sample(event: EventType) -> list[dict[str, Any]]:
    return samples(event, "cdc-pipeline", "PRD", ARN)


class Calls:
    """EventBridge with these rules: name -> (pattern, state, has a target, more)."""

    def __init__(self, *rules: dict[str, Any], page: int = 100) -> None:
        self.rules = list(rules)
        self.page = page
        self.calls: list[str] = []

    async def cold(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        assert service == "events"
        self.calls.append(operation)
        if operation == "list_targets_by_rule":
            rule = next(rule for rule in self.rules if rule["Name"] == arguments["Rule"])
            return {"Targets": rule.get("targets", [{"Id": "t", "Arn": "arn"}])}
        start = int(arguments.get("NextToken", 0))
        shown = self.rules[start : start + self.page]
        more = {"NextToken": str(start + self.page)} if start + self.page < len(self.rules) else {}
        return {"Rules": shown} | more


def rule(name: str, pattern: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    found = {"Name": name, "State": "ENABLED"} | more
    return found | ({"EventPattern": json.dumps(pattern)} if pattern is not None else {})


async def nowhere(*rules: dict[str, Any], page: int = 100) -> tuple[str, ...]:
    async def pause(seconds: float) -> None:
        assert seconds == BETWEEN_CALLS

    return await unrouted(EVENTS, Rules(Calls(*rules, page=page), "cdc-events", pause), sample)


EVERYTHING = {"source": [{"prefix": "cdc-pipeline."}]}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["cdc-pipeline.users"]}, True),
        ({"source": ["other.users"]}, False),
        ({"detail-type": ["user.updated"], "detail": {"operation": ["UPDATE"]}}, True),
        ({"detail": {"operation": ["DELETE"]}}, False),
        ({"detail": {"orgId": ["42"], "changedFields": ["Email"]}}, True),
        ({"detail": {"metadata": {"environment": ["QA"]}}}, False),
        ({"account": ["999999999999"]}, False),
        ({"region": ["eu-west-1"], "replay-name": [{"exists": False}]}, True),
        ({"$or": [{"source": ["other"]}, {"detail": {"orgId": ["42"]}}]}, True),
        ({"$or": [{"source": ["other"]}, {"detail-type": ["other"]}]}, False),
        ({"source": [{"an-operator-of-tomorrow": "x"}]}, True),
    ],
)
def test_a_pattern_is_asked_only_for_what_is_certain(pattern: dict[str, Any], *, expected: bool) -> None:
    (updated,) = sample(UPDATED)
    assert may_match(json.dumps(pattern), updated) is expected


async def test_a_rule_for_everything_leaves_nothing() -> None:
    assert await nowhere(rule("all", EVERYTHING)) == ()


async def test_event_types_that_no_rule_takes_are_named() -> None:
    found = await nowhere(rule("some", {"detail-type": [{"anything-but": ["user.updated"]}]}))
    assert found == ("user.updated",)


@pytest.mark.parametrize(
    "useless",
    [
        rule("off", EVERYTHING, State="DISABLED"), rule("blind", EVERYTHING, targets=[]),
        rule("archive", EVERYTHING, ManagedBy="events.amazonaws.com"), rule("clock", None),
    ],
)  # fmt: skip
async def test_a_rule_that_is_off_or_has_no_target_or_serves_an_archive_takes_nothing(useless: dict[str, Any]) -> None:
    assert "user.updated" in await nowhere(useless)


async def test_rules_are_read_to_the_last_page() -> None:
    others = [rule(f"r{number}", {"source": ["other"]}) for number in range(5)]
    assert await nowhere(*others, rule("all", EVERYTHING), page=2) == ()


async def test_targets_are_asked_for_only_where_they_decide_something() -> None:
    async def pause(_seconds: float) -> None: ...

    calls = Calls(rule("other", {"source": ["other"]}), rule("all", EVERYTHING), rule("again", EVERYTHING))
    await unrouted(EVENTS, Rules(calls, "cdc-events", pause), sample)
    assert calls.calls == ["list_rules", "list_targets_by_rule"]


async def test_a_refused_call_is_told() -> None:
    class Refused(Calls):
        async def cold(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
            raise AwsError("AccessDeniedException")

    with pytest.raises(AwsError):
        await unrouted(EVENTS, Rules(Refused(), "cdc-events"), sample)
