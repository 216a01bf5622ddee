"""`cdc check` against the stand-in: what it says of a bus and its rules, through unmodified boto3."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from models.catalogue import TELEPHONY, Catalogue
from sandbox.aws.control_client import StandInControl
from sandbox.aws.server import StandIn
from tests.contract.standin import clock, control, events, stand_in
from workers.aws.client import Session
from workers.checks.bus import check_bus
from workers.checks.findings import Finding
from workers.eventbridge.bus_sight import look_at_bus
from workers.settings.worker import Settings

__all__ = ["clock", "control", "events", "stand_in"]

BUS = "cdc-events"
CATALOGUE = Catalogue(TELEPHONY)
Check = Callable[..., Any]


@pytest.fixture
def aws(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Settings for this stand-in, with credentials in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    def settings(**more: Any) -> Settings:
        named: dict[str, Any] = {
            "aws_endpoint_url": stand_in.url,
            "event_bus_name": BUS,
            "max_retry_attempts": 1,
        } | more
        return Settings(_env_file=None, **named)

    return settings


@pytest.fixture
def check(aws: Callable[..., Settings]) -> Check:
    async def found(**more: Any) -> list[Finding]:
        return await check_bus(aws(**more), CATALOGUE, 60.0)

    return found


def add_rule(events: Any, pattern: Any, *, target: bool = True, state: str = "ENABLED", name: str = "rule") -> None:
    events.put_rule(Name=name, EventBusName=BUS, EventPattern=json.dumps(pattern), State=state)
    if target:
        events.put_targets(Rule=name, EventBusName=BUS, Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:1:q"}])


def ids(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.id, finding.subject) for finding in found]


ALL = {"source": [{"prefix": "cdc-pipeline."}]}


async def test_a_bus_with_a_rule_for_everything_passes(check: Check, events: Any) -> None:
    events.create_event_bus(Name=BUS)
    add_rule(events, ALL)
    assert await check() == []


async def test_a_missing_bus_is_an_error(check: Check) -> None:
    [found] = await check()
    assert (found.id, found.severity) == ("bus.missing", "error")


async def test_a_bus_without_rules_is_a_warning(check: Check, events: Any) -> None:
    events.create_event_bus(Name=BUS)
    add_rule(events, ALL, target=False)
    [found] = await check()
    assert (found.id, found.severity, found.subject) == ("bus.no-rule", "warning", BUS)


async def test_event_types_that_go_nowhere_are_named_by_table(check: Check, events: Any) -> None:
    events.create_event_bus(Name=BUS)
    add_rule(events, {"detail-type": [{"anything-but": ["user.deleted", "org.created"]}]})
    found = {finding.subject: finding.message for finding in await check()}
    assert found.keys() == {"users", "orgs"}
    assert found["users"].endswith("user.deleted")


@pytest.mark.parametrize(
    ("operation", "code", "finding"),
    [
        ("DescribeEventBus", "AccessDeniedException", "bus.unseen"),
        ("DescribeEventBus", "ExpiredTokenException", "bus.credentials"),
        ("DescribeEventBus", "InternalException", "bus.unreachable"),
        ("ListRules", "AccessDeniedException", "bus.rules-unseen"),
        ("ListTargetsByRule", "AccessDeniedException", "bus.rules-unseen"),
    ],
)
async def test_what_aws_refuses_is_told_apart(
    check: Check, events: Any, control: StandInControl, operation: str, code: str, finding: str
) -> None:
    events.create_event_bus(Name=BUS)
    add_rule(events, ALL)
    status = 500 if code == "InternalException" else 400
    control.fault("error", operation, service="events", code=code, status=status)
    assert ids(await check()) == [(finding, BUS)]


async def test_an_endpoint_that_is_away_is_unreachable(check: Check) -> None:
    assert ids(await check(aws_endpoint_url="http://127.0.0.1:1")) == [("bus.unreachable", BUS)]


async def test_a_bus_of_another_account_is_an_error(check: Check, events: Any) -> None:
    events.create_event_bus(Name=BUS)
    add_rule(events, ALL)
    assert ids(await check(aws_account_id="999999999999")) == [("bus.account", BUS)]


async def test_entries_larger_than_every_target_takes_are_a_warning(check: Check, events: Any) -> None:
    events.create_event_bus(Name=BUS)
    add_rule(events, ALL)
    assert ids(await check(put_events_max_bytes=1_000_000)) == [("bus.max-bytes", "CDC_PUT_EVENTS_MAX_BYTES")]


async def test_a_bus_made_anew_has_another_time(aws: Callable[..., Settings], events: Any, clock: Any) -> None:
    session = Session(aws())
    events.create_event_bus(Name=BUS)
    first = await look_at_bus(session, BUS)
    events.delete_event_bus(Name=BUS)
    assert not (await look_at_bus(session, BUS)).exists
    clock.advance(60)
    events.create_event_bus(Name=BUS)
    again = await look_at_bus(session, BUS)
    assert (first.takes_events, again.takes_events, first.created_at == again.created_at) == (True, True, False)
