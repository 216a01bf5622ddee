"""What is told of dead letters to programs, by commands and by the page (P6: masked by `LetterView`)."""

from datetime import UTC, datetime
from typing import Any

from enrichers.letter_view import LetterView, printable
from models.buried import Buried
from models.labels import label
from models.raw import (
    HEADER_ADAPTER,
    HEADER_ARRIVAL,
    HEADER_REPLAY,
    HEADER_SEQUENCE,
    HEADER_SHARD,
    HEADER_SOURCE,
    HEADER_STREAM,
    HEADER_SUB_SEQUENCE,
    HEADER_TABLE,
    HEADER_TRACE,
)
from models.redrive import NotRedrivable, redrive_of
from models.remedies import remedy_of

BY = ("stage", "code", "category", "table", "hour", "message")
"""What letters are counted by."""
HOUR_MS = 3_600_000
TOLD = frozenset((
    HEADER_ADAPTER, HEADER_ARRIVAL, HEADER_REPLAY, HEADER_SEQUENCE, HEADER_SHARD, HEADER_SOURCE, HEADER_STREAM,
    HEADER_SUB_SEQUENCE, HEADER_TABLE, HEADER_TRACE,
))  # fmt: skip
"""Headers of the original whose values the bridge wrote; of any other only name and size are shown."""


def list_document(letter: Buried, view: LetterView) -> dict[str, Any]:
    """A letter as `list` tells programs of it."""
    return {**letter.document(), "key": view.key(letter) or None}


def show_document(letter: Buried, view: LetterView) -> dict[str, Any]:
    """Everything that may be shown of a letter, for programs."""
    payload = view.payload(letter)
    why_not = _why_not_redrivable(letter)
    return {
        **letter.document(),
        "key": view.key(letter) or None,
        "headers": {
            printable(name): label(value.decode("utf-8", "replace")) if name in TOLD else f"({len(value)} bytes)"
            for name, value in letter.record.headers
            if not name.startswith(("cdc-dead-", "cdc-gap-"))
        },
        "payload": payload.document() if payload is not None else None,
        "redrivable": not why_not,
        **({"notRedrivable": why_not} if why_not else {}),
        "whatToDo": _what_to_do(letter),
    }


def _why_not_redrivable(letter: Buried) -> str:
    """Empty if it can be redriven now."""
    if letter.handled is not None:
        return f"it was {letter.handled.action} already"
    again = redrive_of(letter.record)
    return again.reason if isinstance(again, NotRedrivable) else ""


def _what_to_do(letter: Buried) -> str:
    match letter.handled.action if letter.handled is not None else None:
        case "redriven":
            return f"nothing: `cdc trace {letter.id}` says what became of it"
        case "dropped":
            return f"nothing; if it has to be published after all: `cdc dlq drop {letter.id} --undo`, then redrive"
        case _:
            return remedy_of(letter)


class LetterCount:
    """Letters of one kind."""

    def __init__(self) -> None:
        self.letters = self.bytes = self.newest_ms = 0
        self.oldest_ms = 1 << 62

    def add(self, letter: Buried) -> None:
        """One more."""
        self.letters += 1
        self.bytes += letter.size or 0
        self.oldest_ms = min(self.oldest_ms, letter.time_ms)
        self.newest_ms = max(self.newest_ms, letter.time_ms)

    def document(self) -> dict[str, int]:
        """For programs."""
        return {
            "letters": self.letters, "bytes": self.bytes, "oldestMs": self.oldest_ms, "newestMs": self.newest_ms
        }  # fmt: skip


def in_order_of(
    rows: dict[tuple[str, ...], LetterCount], names: tuple[str, ...]
) -> list[tuple[tuple[str, ...], LetterCount]]:
    """Hours in their order, else the largest count first."""
    if "hour" in names:
        place = names.index("hour")
        return sorted(rows.items(), key=lambda item: (item[0][place], item[0]))
    return sorted(rows.items(), key=lambda item: (-item[1].letters, item[0]))


def part_of(letter: Buried, name: str) -> str:
    """What a letter is counted by: one of BY."""
    if name == "hour":
        return _hour(letter.time_ms)
    return letter.kind[-1] if name == "message" else str(getattr(letter, name))


def _hour(milliseconds: int) -> str:
    try:
        at = datetime.fromtimestamp(milliseconds // HOUR_MS * HOUR_MS // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return "-"
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
