"""An event bus: its rules, their targets, and what became of the events it took."""

from dataclasses import dataclass, field

from models.event_pattern import Pattern


@dataclass(frozen=True, slots=True)
class Target:
    """Where matching events go; `arn` of an SQS queue is delivered to, anything else is only remembered."""

    id: str
    arn: str


@dataclass(slots=True)
class Rule:
    """`pattern_text` is what the client wrote, `pattern` its compiled form."""

    name: str
    arn: str
    pattern_text: str
    pattern: Pattern
    enabled: bool
    description: str | None = None
    targets: dict[str, Target] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """Events: accepted = matched + unmatched; one matched event is delivered once per target."""

    accepted: int = 0
    matched: int = 0
    unmatched: int = 0
    delivered: int = 0
    undelivered: int = 0


@dataclass(slots=True)
class Bus:
    """`created_at` in seconds since 1970."""

    name: str
    arn: str
    created_at: float
    description: str | None = None
    rules: dict[str, Rule] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
