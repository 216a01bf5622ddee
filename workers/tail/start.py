"""Where a look at topics begins and ends, as it is asked for."""

from dataclasses import dataclass

from models.letter_selection import moment


@dataclass(frozen=True, slots=True)
class Mark:
    """A time (Kafka's, milliseconds since the epoch) or an offset; exactly one of them."""

    time_ms: int | None = None
    offset: int | None = None

    @classmethod
    def parse(cls, text: str, now_ms: int) -> "Mark":
        """`-15m` or `15m` (ago), ISO 8601, or an offset. Raises ValueError."""
        asked = text.strip()
        if asked.isascii() and asked.isdecimal() and len(asked) < 20:
            return cls(offset=int(asked))
        try:
            return cls(time_ms=max(0, moment(asked.removeprefix("-"), now_ms)))
        except ValueError:
            raise ValueError(
                "neither a time like 2026-01-15T10:00:00Z, nor an age like -15m or 2h, nor an offset"
            ) from None
