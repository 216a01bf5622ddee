"""Settings of what is delivered and waited for: order, pace and window of the publisher, retries, circuit breakers."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from models.infrastructure import CircuitBreakerConfig
from models.retry import RETRY_OF, Component, RetryConfig
from workers.settings.field_types import blank_is_unset, env

MEBIBYTE = 1 << 20
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s)")


def _seconds(text: str) -> float:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError("a time is a number with ms or s, such as 200ms")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def retries(value: Any) -> Any:
    """`3/200ms/2s`: quick tries, the wait after the first one, the longest wait."""
    if not isinstance(value, str):
        return value
    parts = value.split("/")
    if len(parts) != 3 or not parts[0].strip().isdecimal():
        raise ValueError("write TRIES/FIRST WAIT/LONGEST WAIT, such as 3/200ms/2s")
    found = RetryConfig(_seconds(parts[1]), _seconds(parts[2]), attempts=int(parts[0]))
    if not 0 < found.first <= found.longest or found.attempts < 1:
        raise ValueError("at least one try, and a first wait above 0 that is no longer than the longest")
    return found


def circuit(value: Any) -> Any:
    """`5/30s/3`: failures in a row that open it, the time until it is tried again, successes that close it."""
    if not isinstance(value, str):
        return value
    parts = value.split("/")
    if len(parts) != 3 or not (parts[0].strip().isdecimal() and parts[2].strip().isdecimal()):
        raise ValueError("write FAILURES/TIME/TRIALS, such as 5/30s/3")
    found = CircuitBreakerConfig(int(parts[0]), _seconds(parts[1]), int(parts[2]))
    if found.failure_threshold < 1 or found.half_open_requests < 1 or found.recovery_seconds <= 0:
        raise ValueError("everything must be above 0")
    return found


Retries = Annotated[RetryConfig, NoDecode, BeforeValidator(retries)]
Circuit = Annotated[CircuitBreakerConfig, NoDecode, BeforeValidator(circuit)]
OptionalRate = Annotated[float | None, BeforeValidator(blank_is_unset)]


class PublishSettings(BaseSettings):
    """Bounds of the publisher, and how long the worker waits for what."""

    publish_order: Literal["strict", "batch", "none"] = Field(
        "strict", validation_alias=env("CDC_PUBLISH_ORDER"),
        description="of the events of one entity: strict (one in a request, one request at a time), batch (several in "
        "a request: cheaper, and one that fails alone is overtaken) or none",
    )  # fmt: skip
    put_events_quota: OptionalRate = Field(
        None, gt=0, validation_alias=env("CDC_PUT_EVENTS_QUOTA"),
        description="PutEvents requests per second of each bus, shared by all workers. AWS counts by account and "
        "region: divide its quota among the buses there. Unset: as fast as AWS takes it, slower after throttles",
    )  # fmt: skip
    put_events_entry_quota: OptionalRate = Field(
        None, gt=0, validation_alias=env("CDC_PUT_EVENTS_ENTRY_QUOTA"),
        description="the same in entries per second",
    )  # fmt: skip
    put_events_max_bytes: int = Field(
        262_144, ge=1_024, le=1_000_000, validation_alias=env("CDC_PUT_EVENTS_MAX_BYTES"),
        description="bytes per PutEvents request by the AWS size formula",
    )  # fmt: skip
    put_events_in_flight: int = Field(
        32, ge=1, le=512, validation_alias=env("CDC_PUT_EVENTS_IN_FLIGHT"),
        description="requests to one bus at a time, at most; fewer while it answers slowly",
    )  # fmt: skip
    put_events_timeout: float = Field(
        10.0, gt=0, le=60, validation_alias=env("CDC_PUT_EVENTS_TIMEOUT"),
        description="seconds until a request without an answer is sent again",
    )  # fmt: skip
    put_events_fill: float = Field(
        0.005, ge=0, le=1, validation_alias=env("CDC_PUT_EVENTS_FILL"),
        description="seconds a request that is not full waits for more events while others are on their way",
    )  # fmt: skip
    publish_window_records: int = Field(
        2_000, ge=10, le=1_000_000, validation_alias=env("CDC_PUBLISH_WINDOW_RECORDS"),
        description="events of one partition that are sent and not committed, at most",
    )  # fmt: skip
    publish_window_bytes: int = Field(
        8 * MEBIBYTE, ge=MEBIBYTE, validation_alias=env("CDC_PUBLISH_WINDOW_BYTES"), description="the same in bytes"
    )
    retry_put_events: Retries = Field(
        RETRY_OF[Component.PUT_EVENTS], validation_alias=env("CDC_RETRY_PUT_EVENTS"),
        description="quick tries, first wait and longest wait of an event that is not accepted, such as 3/200ms/2s; "
        "then it is tried at the longest wait, without an end",
    )  # fmt: skip
    retry_kinesis: Retries = Field(
        RETRY_OF[Component.KINESIS], validation_alias=env("CDC_RETRY_KINESIS"), description="the same of a Kinesis read"
    )
    retry_database: Retries = Field(
        RETRY_OF[Component.DATABASE], validation_alias=env("CDC_RETRY_DATABASE"),
        description="the same of a query for a row that a lookup lacks",
    )  # fmt: skip
    retry_state: Retries = Field(
        RETRY_OF[Component.STATE], validation_alias=env("CDC_RETRY_STATE"),
        description="the same of a slot whose producer has to be opened again",
    )  # fmt: skip
    circuit: Circuit = Field(
        CircuitBreakerConfig(), validation_alias=env("CDC_CIRCUIT"),
        description="failures in a row after which a bus or the database is left alone, for how long, and successes "
        "that end it, such as 5/30s/3",
    )  # fmt: skip
