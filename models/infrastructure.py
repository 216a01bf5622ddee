"""The database behind the lookup tables: what it is asked, what its rows look like, and whether it is there."""

from dataclasses import dataclass
from enum import StrEnum

from models.retry import duration


class DatabaseInstanceStatus(StrEnum):
    """Whether the database answers."""

    AVAILABLE = "AVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A query for the rows of one lookup. Its one argument is the array of keys; its columns are the key, the
    organisation and, if there is a third one, the user."""

    lookup: str
    schema: str
    """Of the source, which may be part of `sql`."""
    sql: str


@dataclass(frozen=True, slots=True)
class GroupsMapLogGetOrgResponse:
    """A row of a query with two columns: whose group `key` is, which the entries of the log that name it need."""

    key: str
    org_id: str | None


@dataclass(frozen=True, slots=True)
class ChannelsGetOrgAndUserResponse:
    """A row of a query with three columns: whose user `key` is, and which one, for channels that name an owner."""

    key: str
    org_id: str | None
    user_id: str | None


LookupRow = GroupsMapLogGetOrgResponse | ChannelsGetOrgAndUserResponse


class CircuitState(StrEnum):
    """Of a circuit breaker."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class CircuitBreakerConfig:
    """Defaults of the contract for everything the worker depends on."""

    failure_threshold: int = 5
    """Failures in a row that open it."""
    recovery_seconds: float = 30.0
    """From the last failure to the next attempt."""
    half_open_requests: int = 3
    """Successes in a row that close it again; one failure opens it."""

    def __str__(self) -> str:
        """As settings have it: `5/30s/3`."""
        return f"{self.failure_threshold}/{duration(self.recovery_seconds)}/{self.half_open_requests}"
