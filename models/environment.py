"""Where a worker runs."""

from enum import StrEnum


class Environment(StrEnum):
    """Part of every event. LOCAL alone creates topics and may switch redaction off; unset means the rules of PRD."""

    LOCAL = "LOCAL"
    DEV = "DEV"
    QA = "QA"
    PRD = "PRD"
