"""A record that could not be published: the original bytes stay the Kafka value, its own headers stay as they were, and
everything else is headers beside them."""

from dataclasses import dataclass, fields
from typing import Any

from models.labels import label
from models.outcome import Dead, ErrorCategory, Failure
from models.raw import REDRIVE_PREFIX, Headers, RawRecord
from models.taxonomy import handling

PREFIX = "cdc-dead-"
IMPORT = f"{PREFIX}import"
"""Header of a record that came out of a queue as a letter: `<message id>:<number in the message>`. It stays with the
record, so that what is made of it is told from the record whose place it claims."""
GAP_PREFIX = "cdc-gap-"
"""Headers of a record that stands for offsets nobody could read: stage, topic, partition, start, end."""
MAX_MESSAGE = 1_000
"""Characters of a message; it names columns and rules only, so that more is never needed."""


@dataclass(frozen=True, slots=True)
class DLQMessage:
    """Why, where and how often a record failed. Times are milliseconds since the epoch; no payload in here (P6)."""

    stage: str
    code: Failure
    category: ErrorCategory
    message: str
    attempts: int
    first_failed_ms: int
    last_failed_ms: int
    stream: str
    shard: str
    sequence: str
    sub_sequence: int
    topic: str
    partition: int
    offset: int
    replay: int
    fingerprint: str
    table: str | None = None
    timestamp_ms: int | None = None
    """Kafka timestamp of the record; None in letters of before it was kept, which cannot be redriven."""
    redriven: int | None = None
    """Offset in `cdc.redrive.<stage>` of the attempt that failed; None: the first one, at `offset` of `topic`."""

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Headers of the record in `cdc.dead`; `from_headers` reads them back."""
        return [
            (PREFIX + name.replace("_", "-"), str(value).encode()) for name, value in self._items() if value is not None
        ]

    def to_json(self) -> dict[str, Any]:
        """The letter for people and commands: camelCase, without the payload."""
        found: dict[str, Any] = {}
        for name, value in self._items():
            if value is not None:
                head, *rest = name.split("_")
                found[head + "".join(part.title() for part in rest)] = value
        return found

    def _items(self) -> list[tuple[str, Any]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    @staticmethod
    def from_headers(headers: Headers) -> "DLQMessage":
        """Read a letter back. Raises ValueError if the headers are not those of a dead letter."""
        found = {name.removeprefix(PREFIX).replace("-", "_"): raw for name, raw in headers if name.startswith(PREFIX)}
        values: dict[str, Any] = {}
        for field in fields(DLQMessage):
            raw = found.get(field.name)
            if raw is None:
                if field.default is None:
                    continue
                raise ValueError(f"header {PREFIX}{field.name.replace('_', '-')} is missing")
            text = raw.decode("utf-8", "replace")
            values[field.name] = int(text) if field.type in (int, int | None) else text
        values["code"] = Failure(values["code"])
        values["category"] = ErrorCategory(values["category"])
        return DLQMessage(**values)


DeadLetter = DLQMessage
"""What the code calls it."""


def dead_letter(
    dead: Dead,
    record: RawRecord,
    *,
    stage: str,
    failed_ms: int,
    fingerprint: str,
    table: str | None = None,
    attempts: int = 1,
    first_failed_ms: int | None = None,
    redriven: int | None = None,
) -> DeadLetter:
    """The letter for a record of a raw topic that ended as `Dead`, at its first attempt or `redriven`."""
    return DeadLetter(
        stage=stage,
        code=dead.failure,
        category=handling(dead.failure).category,
        message=dead.reason[:MAX_MESSAGE],
        attempts=attempts,
        first_failed_ms=failed_ms if first_failed_ms is None else first_failed_ms,
        last_failed_ms=failed_ms,
        stream=label(record.origin.stream),
        shard=label(record.origin.shard),
        sequence=label(record.origin.sequence),
        sub_sequence=record.origin.sub_sequence,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        replay=record.replay,
        fingerprint=fingerprint,
        table=table,
        timestamp_ms=record.timestamp_ms,
        redriven=redriven,
    )


def dead_headers(letter: DeadLetter, headers: Headers) -> list[tuple[str, bytes]]:
    """Headers of the record in `cdc.dead`: the letter, and `headers` of the record it stands for, but those of an
    earlier letter or redrive. Kafka knows headers without a value; here they have an empty one."""
    return [
        *letter.to_headers(),
        *((name, value or b"") for name, value in headers if is_its_own(name)),
    ]


def is_its_own(name: str) -> bool:
    """Whether a header belongs to the record and stays with it, however often it fails and comes again."""
    return name == IMPORT or not name.startswith((PREFIX, REDRIVE_PREFIX))


def import_of(headers: Headers) -> bytes:
    """Which record of a queue it is; empty if it stood in a topic."""
    return next((value for name, value in headers if name == IMPORT), None) or b""
