"""Where a stream begins that was never read before."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class StartAt:
    """TRIM_HORIZON: the oldest record there is. LATEST: what comes from the first boot on. AT_TIMESTAMP: what has come
    since `timestamp_ms` (milliseconds since the epoch)."""

    kind: Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"] = "TRIM_HORIZON"
    timestamp_ms: int = 0

    @classmethod
    def parse(cls, text: str) -> "StartAt":
        """`TRIM_HORIZON`, `LATEST` or a moment in ISO 8601 (without a zone: UTC). Raises ValueError."""
        match text.strip().upper():
            case "TRIM_HORIZON":
                return cls("TRIM_HORIZON")
            case "LATEST":
                return cls("LATEST")
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ValueError("neither TRIM_HORIZON nor LATEST nor a time like 2026-01-15T10:00:00Z") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return cls("AT_TIMESTAMP", int(moment.timestamp() * 1000))
