"""What checks of dependencies found, and what that means together. No clock, no network."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from models.bus_health import EventBridgeHC
from models.infrastructure import DatabaseInstanceStatus
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.failures import ExitCode

Check = Literal["kafka", "kinesis", "bus", "alarms", "rds", "postgres", "ssm", "archive", "canary"]
CHECKS: tuple[Check, ...] = ("kafka", "kinesis", "bus", "alarms", "rds", "postgres", "ssm", "archive", "canary")


class State(StrEnum):
    """From well to worst."""

    OK = "ok"
    UNKNOWN = "unknown"
    """Nobody can tell: it may not be looked at, or has not told yet."""
    DEGRADED = "degraded"
    """It serves, and something about it wants a look."""
    FAILED = "failed"

    @property
    def severity(self) -> int:
        """0 to 3, as metrics show it."""
        return list(State).index(self)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one thing: a topic, a stream, a bus. Names and error codes, never a value (P6)."""

    check: Check
    subject: str
    state: State
    reason: str
    action: str = ""
    """What to do; empty if nothing is."""
    denied: bool = False
    """Somebody knows us and says no."""
    word: str = ""
    """What the Lambda said of it: a value of EventBridgeHC or of DatabaseInstanceStatus."""
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "check": self.check, "subject": self.subject, "state": self.state, "reason": self.reason,
            "action": self.action or None, "seconds": round(self.seconds, 3),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class HealthReport:
    """One round of checks."""

    verdicts: tuple[Verdict, ...]
    at_ms: int
    """When it began, since 1970."""
    seconds: float

    @property
    def state(self) -> State:
        """The worst of all."""
        return worst(verdict.state for verdict in self.verdicts)

    @property
    def by_check(self) -> dict[Check, State]:
        """The worst of each check that was made."""
        made = [name for name in CHECKS if any(verdict.check == name for verdict in self.verdicts)]
        return {name: worst(v.state for v in self.verdicts if v.check == name) for name in made}

    @property
    def event_bridge(self) -> EventBridgeHC:
        """What the health-check Lambda said: IN_ALARM if a bus fails or an alarm rings, OK if all that were asked say
        so, else UNKNOWN."""
        asked = [v for v in self.verdicts if v.check in ("bus", "alarms")]
        if any(v.state is State.FAILED or v.word == EventBridgeHC.IN_ALARM for v in asked):
            return EventBridgeHC.IN_ALARM
        return EventBridgeHC.OK if asked and all(v.state is State.OK for v in asked) else EventBridgeHC.UNKNOWN

    @property
    def database(self) -> DatabaseInstanceStatus | None:
        """UNAVAILABLE if any database that was asked does not serve; None if none was asked, or none could tell."""
        told = [v.word for v in self.verdicts if v.check in ("rds", "postgres") and v.word]
        if not told:
            return None
        away = DatabaseInstanceStatus.UNAVAILABLE
        return away if away in told else DatabaseInstanceStatus.AVAILABLE

    @property
    def exit_code(self) -> ExitCode:
        """Of `cdc health`: 4 goes before 5 and 5 before 7, as in `cdc check`."""
        if any(verdict.denied for verdict in self.verdicts):
            return ExitCode.DENIED
        match self.state:
            case State.OK:
                return ExitCode.OK
            case State.FAILED:
                return ExitCode.UNREACHABLE
            case _:
                return ExitCode.PARTIAL

    def document(self) -> dict[str, Any]:
        """For JSON; docs/health.md says what each member means."""
        return {
            "state": self.state, "at": moment(self.at_ms), "seconds": round(self.seconds, 3),
            "eventBridge": self.event_bridge, "database": self.database,
            "checks": self.by_check,
            "verdicts": [verdict.document() for verdict in self.verdicts],
        }  # fmt: skip


def moment(at_ms: int) -> str:
    """ISO 8601, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def worst(states: Iterable[State]) -> State:
    """OK of none."""
    return max(states, key=lambda state: state.severity, default=State.OK)


def ok(check: Check, subject: str, reason: str, word: str = "") -> Verdict:
    """All is well."""
    return Verdict(check, subject, State.OK, reason, word=word)


def failed(check: Check, subject: str, reason: str, action: str, word: str = "") -> Verdict:
    """It does not serve."""
    return Verdict(check, subject, State.FAILED, reason, action, word=word)


def of_error(check: Check, subject: str, error: AwsError, permission: str, *, away: str = "") -> Verdict:
    """An AWS call that failed. `permission`: what the call needs; `away`: the word for what does not answer.

    A look that is denied says nothing about what was looked at: the pipeline may do with fewer rights."""
    match error:
        case AwsDenied() if error.code == "NoCredentials":
            action = "give boto3 credentials: environment, profile or role (it does not read .env)"
            return Verdict(check, subject, State.UNKNOWN, "boto3 found no AWS credentials", action, denied=True)
        case AwsDenied():
            told = f"it may not be looked at ({error.code})"
            return Verdict(check, subject, State.UNKNOWN, told, f"allow {permission}", denied=True)
        case AwsThrottled():
            told = f"too many calls ({error.code})"
            return Verdict(check, subject, State.UNKNOWN, told, "raise CDC_HEALTH_INTERVAL if it stays so")
        case AwsUnavailable():
            action = "check AWS_REGION, AWS_ENDPOINT_URL and the network; https://health.aws.amazon.com"
            return failed(check, subject, f"no answer ({error.code})", action, away)
        case _:
            told = f"there is none, or it cannot be used ({error.code})"
            return failed(check, subject, told, "is its name right, and the region?", away)


def timed(verdicts: Sequence[Verdict], seconds: float) -> tuple[Verdict, ...]:
    """With the time they took together."""
    return tuple(replace(verdict, seconds=seconds) for verdict in verdicts)
