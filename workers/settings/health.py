"""Settings of the checks of what the pipeline depends on, of what CloudWatch hears of it, and of the canary."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from workers.settings.field_types import OptionalText, env
from workers.settings.kafka import KafkaSettings

MOST_ALARMS = 100
"""Names in one DescribeAlarms call."""
RDS_NAME = re.compile(
    r"(?:(?P<kind>cluster|instance):|arn:aws[a-z-]*:rds:(?P<region>[a-z0-9-]+):[0-9]{12}:(?P<what>cluster|db):)?"
    r"(?P<id>[A-Za-z][A-Za-z0-9-]{0,62})",
    re.ASCII,
)
"""`core`, `instance:core`, `cluster:core`, or an ARN."""
NAMESPACE = re.compile(r"(?!AWS/)[A-Za-z0-9_.\-/#:]{1,255}", re.ASCII)
"""As PutMetricData takes it; those of `AWS/` are AWS's own."""


def _listed(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _alarms(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MOST_ALARMS:
        raise ValueError(f"more than {MOST_ALARMS} names; a composite alarm stands for several")
    return names


def _databases(names: tuple[str, ...]) -> tuple[str, ...]:
    if any(RDS_NAME.fullmatch(name) is None for name in names):
        raise ValueError("neither the name of an instance, nor cluster:<name>, nor an ARN")
    return names


def _namespace(name: str) -> str:
    if NAMESPACE.fullmatch(name) is None:
        raise ValueError("no namespace that CloudWatch takes; those that begin with AWS/ are AWS's own")
    return name


Alarms = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_alarms)]
Databases = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_databases)]
Namespace = Annotated[str, AfterValidator(_namespace)]


class HealthSettings(KafkaSettings):
    """Whether they fit together: `health_mistakes`."""

    health_interval: float = Field(
        60, ge=0, le=3_600, validation_alias=env("CDC_HEALTH_INTERVAL"),
        description="seconds between rounds of checks, and between messages to CloudWatch; 0: neither",
    )  # fmt: skip
    health_timeout: float = Field(
        10, ge=1, le=60, validation_alias=env("CDC_HEALTH_TIMEOUT"), description="seconds that one check may take"
    )
    health_alarms: Alarms = Field(
        (), validation_alias=env("CDC_HEALTH_ALARMS"),
        description="CloudWatch alarms that say whether the bus is well: names with commas between",
    )  # fmt: skip
    health_rds: Databases = Field(
        (), validation_alias=env("CDC_HEALTH_RDS"),
        description="RDS instances to look at, or cluster:<name>, or ARNs, with commas between",
    )  # fmt: skip
    health_cloudwatch: bool = Field(
        False, validation_alias=env("CDC_HEALTH_CLOUDWATCH"),
        description="send errors, seconds behind, dead letters and health to CloudWatch; costs what metrics cost",
    )  # fmt: skip
    health_namespace: Namespace = Field(
        "CdcWorker", validation_alias=env("CDC_HEALTH_NAMESPACE"), description="namespace of these metrics"
    )
    canary: bool = Field(
        False, validation_alias=env("CDC_CANARY"),
        description="put a record of our own on every stream, and measure when its event arrives; for all workers",
    )  # fmt: skip
    canary_interval: float = Field(
        60, ge=1, le=3_600, validation_alias=env("CDC_CANARY_INTERVAL"), description="seconds between two canaries"
    )
    canary_limit: float = Field(
        60, gt=0, le=3_600, validation_alias=env("CDC_CANARY_LIMIT"),
        description="seconds after which a canary is late",
    )  # fmt: skip
    canary_bus: OptionalText = Field(
        None, validation_alias=env("CDC_CANARY_BUS"),
        description="bus of the canary's events; without it that of EVENT_BUS_NAME",
    )  # fmt: skip


def health_mistakes(settings: HealthSettings) -> list[str]:
    """Settings that contradict each other, in words without values."""
    found = []
    if settings.health_cloudwatch and not settings.health_interval:
        found.append("CDC_HEALTH_CLOUDWATCH needs a CDC_HEALTH_INTERVAL above 0")
    if settings.canary_bus is not None and not settings.canary:
        found.append("CDC_CANARY_BUS goes with CDC_CANARY=true")
    return found
