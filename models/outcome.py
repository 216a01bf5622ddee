"""How a step of the pipeline ends. Data never raises: what is wrong with a record is a value.

`Ok` carries the result, `Drop` is a decision not to publish (counted by reason), `Dead` is a record that can never
be published (kept in the dead letters), `Miss` asks the agent to wait for a lookup and to run the record again.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Failure(StrEnum):
    """Stable codes of everything that can go wrong with one record; published in dead letters and metrics."""

    PARSE_ERROR = "PARSE_ERROR"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    TRANSFORMATION_ERROR = "TRANSFORMATION_ERROR"
    ENRICHMENT_ERROR = "ENRICHMENT_ERROR"
    EVENTBRIDGE_ERROR = "EVENTBRIDGE_ERROR"
    STATE_ERROR = "STATE_ERROR"


class ErrorCategory(StrEnum):
    """What kind of handling a failure gets."""

    TRANSIENT = "TRANSIENT"
    PERMANENT = "PERMANENT"
    POISON_MESSAGE = "POISON_MESSAGE"
    THROTTLING = "THROTTLING"
    CONFIGURATION = "CONFIGURATION"


class Ok(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """The step succeeded."""

    value: T


@dataclass(frozen=True, slots=True)
class Drop:
    """The record is left out on purpose. `reason` is one of a small set of words, a metric label."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The record can never be published. `reason` names columns, types and rules, never a value of the row (P6)."""

    failure: Failure
    reason: str


@dataclass(frozen=True, slots=True)
class Miss:
    """An owner lookup has no entry yet: wait up to `wait_seconds` after the record's Kafka timestamp, then give up."""

    lookup: str
    key: str
    wait_seconds: float
    unasked: bool = False
    """The database has to be asked first; no deadline runs before it has answered."""
