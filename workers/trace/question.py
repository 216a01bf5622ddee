"""What somebody has pasted, taken for what it is."""

import re
from dataclasses import dataclass
from enum import StrEnum

from models.handled import LetterId
from models.written import Place

MAX_TEXT = 20_000
"""Characters; a whole event may be pasted."""
EVENT_ID = re.compile(r"evt_([0-9]{1,15})_[0-9a-f]{20}", re.ASCII)
SEQUENCE = re.compile(r"[0-9]{4}-([0-9]{20})", re.ASCII)
KINESIS = re.compile(r"([0-9]{21,129})(?:/([0-9]{1,9}))?", re.ASCII)
BUS_EVENT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
CORRELATION = re.compile(r"[0-9a-f]{20}|1-[0-9a-f]{8}-[0-9a-f]{24}", re.ASCII)
ROW = re.compile(r"[^\s:/\[\]{}\"]{1,200}:\S.*", re.DOTALL)
EXAMPLES = "an eventId, TABLE:KEY like users:7, a place like cdc.events/3:1841, a sequence, or the id the bus gave"


class Kind(StrEnum):
    """What it is, in words for people."""

    EVENT = "event id"
    ROW = "row"
    PLACE = "place in Kafka"
    LETTER = "dead letter"
    SEQUENCE = "metadata.sequence of an event"
    KINESIS = "sequence number of the stream"
    BUS_EVENT = "id that the bus gave an event"
    CORRELATION = "correlation id"


@dataclass(frozen=True, slots=True)
class Question:
    """`text` is what is searched for; of an eventId it carries the commit time."""

    kind: Kind
    text: str
    place: Place | None = None
    """Of a place; of a dead letter without its topic."""
    offset: int = 0
    """Of a SEQUENCE: that of the raw record."""
    commit_ms: int = 0
    sub_sequence: int | None = None
    partition: int | None = None
    """Of a SEQUENCE, if it is known."""

    def __str__(self) -> str:
        """Without its text, which may be the key of a row (P6)."""
        return self.kind.value


def question(text: str, table: str | None = None, partition: int | None = None) -> Question:
    """`table`: then the text is the primary key of a row of it. Raises ValueError if it is nothing that can be looked
    for; the message does not repeat it."""
    asked = text.strip()
    if not asked or len(asked) > MAX_TEXT:
        raise ValueError(f"paste {EXAMPLES}")
    if table is not None:
        return Question(Kind.ROW, f"{table}:{asked}")
    if (found := EVENT_ID.search(asked)) is not None:  # also out of an event, or a line of a log
        return Question(Kind.EVENT, found[0], commit_ms=int(found[1]))
    if (found := SEQUENCE.fullmatch(asked)) is not None:
        return Question(Kind.SEQUENCE, asked, offset=int(found[1]), partition=partition)
    if (found := KINESIS.fullmatch(asked)) is not None:
        return Question(Kind.KINESIS, found[1], sub_sequence=None if found[2] is None else int(found[2]))
    if BUS_EVENT.fullmatch(asked.lower()):
        return Question(Kind.BUS_EVENT, asked.lower())
    if CORRELATION.fullmatch(asked):
        return Question(Kind.CORRELATION, asked)
    return _placed(asked)


def _placed(asked: str) -> Question:
    try:
        letter = LetterId.parse(asked)
        return Question(Kind.LETTER, asked, Place("", letter.partition, letter.offset))
    except ValueError:
        pass
    try:
        return Question(Kind.PLACE, asked, Place.parse(asked))
    except ValueError:
        pass
    if asked.startswith("[") or ROW.fullmatch(asked):
        return Question(Kind.ROW, asked)
    raise ValueError(f"it is none of these: {EXAMPLES}")
