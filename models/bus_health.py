"""Whether the bus takes events."""

from enum import StrEnum


class EventBridgeHC(StrEnum):
    """As the last request told: UNKNOWN until there was one. Throttling is no alarm: the bus answers."""

    OK = "OK"
    IN_ALARM = "IN_ALARM"
    UNKNOWN = "UNKNOWN"
