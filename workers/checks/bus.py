"""Checks of the bus: there, reachable with these credentials, with rules behind it that take its events."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, TypeVar

from models.canary import is_canary
from models.catalogue import Catalogue
from models.event_address import mistakes_of
from models.tables import TableSpec
from workers.aws.client import Session
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.checks.findings import Finding
from workers.eventbridge.bus_sight import CUSTOM, NO_PERMISSION, Rules, Sight, look_at_bus
from workers.eventbridge.buses import Buses
from workers.eventbridge.unrouted import samples, unrouted
from workers.failures import ConfigurationError
from workers.schemas.events import EventType, event_types
from workers.settings.worker import Settings

SAFE_BYTES = 262_144
"""What every target takes; an SNS topic and a Step Functions execution take no more."""
MISSING_BUCKET = frozenset({"404", "NoSuchBucket"})
UNSEEN_BUCKET = frozenset({"403", "AccessDenied"})

Answer = TypeVar("Answer")


async def check_bus(settings: Settings, catalogue: Catalogue, seconds: float) -> list[Finding]:
    """Everything about the bus; each answer of AWS is waited for at most `seconds`. Nothing is sent."""
    found = [
        Finding.of("bus.address", name, text) for name, text in mistakes_of(settings.event_source, catalogue.specs)
    ]
    if settings.put_events_max_bytes > SAFE_BYTES:
        told = f"entries may have {settings.put_events_max_bytes} bytes, SNS and Step Functions take {SAFE_BYTES}"
        found.append(Finding.of("bus.max-bytes", "CDC_PUT_EVENTS_MAX_BYTES", told))
    try:
        buses = Buses(settings, catalogue.specs)
    except ConfigurationError as error:
        return [*found, Finding.of("bus.settings", "EVENT_BUS_NAME", f"{error}; {error.hint}")]
    for text, access in buses.by_address.items():
        specs = [spec for spec in access.specs if not is_canary(spec)]  # nobody has to want it
        found += await _check_one(access.session, settings, text, specs, seconds)
    if settings.claim_check_bucket is not None:
        found += await _check_bucket(Session(settings), settings.claim_check_bucket, seconds)
    return found


async def _check_one(
    session: Session, settings: Settings, bus: str, specs: Iterable[TableSpec], seconds: float
) -> list[Finding]:
    """One bus: `session` reaches it, the events of `specs` go there."""
    try:
        sight = await within(seconds, look_at_bus(session, bus))
    except AwsError as error:
        return [_not_seen(error, bus)]
    found = _check_sight(settings, bus, session.region, sight)
    if sight.takes_events and CUSTOM not in bus:
        found += await _check_rules(session, settings, bus, event_types(specs), sight.arn, seconds)
    return found


def _not_seen(error: AwsError, bus: str) -> Finding:
    match error:
        case AwsDenied() if error.code in NO_PERMISSION:
            return Finding.of("bus.unseen", bus, f"events:DescribeEventBus is not allowed ({error.code})")
        case AwsDenied():
            return Finding.of("bus.credentials", bus, f"AWS refuses the credentials ({error.code})")
        case AwsThrottled() | AwsUnavailable():
            return Finding.of("bus.unreachable", bus, f"EventBridge does not answer ({error.code})")
        case _:
            return Finding.of("bus.missing", bus, f"EventBridge does not know what this is ({error.code})")


def _check_sight(settings: Settings, bus: str, region: str, sight: Sight) -> list[Finding]:
    if not sight.exists:
        return [Finding.of("bus.missing", bus, f"there is no such bus in {region}")]
    if not sight.takes_events:
        return [Finding.of("bus.missing", bus, f"it takes no events: {sight.state}")]
    account = sight.arn.split(":")[4] if sight.arn.count(":") > 4 else ""
    own = settings.aws_account_id is not None and settings.event_bus_role is None
    if own and account and account != settings.aws_account_id:
        return [Finding.of("bus.account", bus, f"it belongs to account {account}, not to that of AWS_ACCOUNT_ID")]
    return []


async def _check_rules(
    session: Session, settings: Settings, bus: str, events: Sequence[EventType], arn: str, seconds: float
) -> list[Finding]:
    def sample(event: EventType) -> list[dict[str, Any]]:
        return samples(event, settings.event_source, settings.environment, arn)

    try:
        nowhere = await within(seconds * 3, unrouted(events, Rules(session, bus), sample))
    except AwsError as error:
        return [Finding.of("bus.rules-unseen", bus, f"its rules cannot be looked at ({error.code})")]
    if len(nowhere) == len({event.name for event in events}):
        return [Finding.of("bus.no-rule", bus, "no enabled rule with a target takes any event")] if nowhere else []
    found = []
    for table in dict.fromkeys(event.spec.name for event in events):
        names = [event.name for event in events if event.spec.name == table and event.name in nowhere]
        if names:
            told = f"no enabled rule with a target takes {', '.join(dict.fromkeys(names))}"
            found.append(Finding.of("bus.no-rule", table, told))
    return found


async def _check_bucket(session: Session, bucket: str, seconds: float) -> list[Finding]:
    try:
        await within(seconds, session.cold("s3", "head_bucket", Bucket=bucket))
    except AwsError as error:
        if error.code in MISSING_BUCKET:
            return [Finding.of("claim-check.bucket", bucket, "there is no such bucket")]
        return [Finding.of("claim-check.unseen", bucket, f"it cannot be looked at ({error.code})")]
    return []


async def within(seconds: float, answer: Awaitable[Answer]) -> Answer:
    """The answer of AWS, if it comes in time. Raises AwsError."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        raise AwsUnavailable("Timeout") from None
