"""A record of `cdc.receipts`: what the bus answered to one event (docs/decisions/0046)."""

import msgspec
from msgspec import UNSET, UnsetType


class ReceiptRecord(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """Members in the order of their names."""

    attempts: int = 0
    bus_event_id: str
    code: str = "PUBLISHED"
    event_id: str
    offset: int
    """Of the event in its topic, also of one that came again."""
    redriven: int | UnsetType = UNSET
    """Offset in the redrive topic, of what came again (docs/decisions/0039)."""
    replay: int | UnsetType = UNSET
    """How often it came again."""
    sequence_number: str | UnsetType = UNSET
    """In its group, from a Custom Event Bus."""
    time: int = 0
    """Milliseconds since the epoch."""

    @property
    def redriven_at(self) -> int | None:
        """Offset in the redrive topic; None for what came for the first time."""
        return None if self.redriven is UNSET else self.redriven


_decoder = msgspec.json.Decoder(ReceiptRecord)


def receipt_record(value: bytes | None) -> ReceiptRecord | None:
    """None if it is no receipt. Never raises for data."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.MsgspecError, RecursionError):
        return None
