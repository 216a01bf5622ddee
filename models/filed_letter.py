"""A record of `cdc.dead` as it is told outside of Kafka: the object in the archive, and the pointer to it.

What a record becomes depends on the record alone, so that whoever files it twice writes the same thing twice.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import msgspec

from models.buried import Buried
from models.dead_letter import GAP_PREFIX, PREFIX, DeadLetter
from models.kinesis import KinesisDecodedData
from models.outcome import Dead
from models.raw import HEADER_ADAPTER
from models.redrive import DeadRecord
from models.sources import adapters
from models.strict_json import is_deeper, lenient

SCHEMA_VERSION = 1
FOLDER = "failed-events"
REDACTED_STAGES = frozenset({"publish"})
"""Their letters hold events, which are redacted before they come to `cdc.events` (P6)."""
MAX_LEVELS = 500
"""Of a JSON object that stands in the archive as it is."""
MAX_VIEW = 64 << 10
"""Bytes of a payload's view in a pointer; queues take 256 KiB by default."""
ID_BYTES = 8
FREE_TEXT = {"committed_at", "transaction_id"}
"""Of a record's own words those that may be anything."""

Kind = Literal["letter", "gap", "unreadable"]


@dataclass(frozen=True)
class FiledLetter:
    """One record of `cdc.dead`."""

    topic: str
    buried: Buried

    @staticmethod
    def of(record: Any) -> "FiledLetter":
        """From a record of any Kafka client. Never raises for data."""
        headers = [(name, value or b"") for name, value in record.headers or ()]
        dead = DeadRecord(record.partition, record.offset, record.timestamp, record.key, record.value, headers)
        return FiledLetter(record.topic, Buried.of(dead))

    @property
    def record(self) -> DeadRecord:
        """As it stands in Kafka."""
        return self.buried.record

    @property
    def letter(self) -> DeadLetter | None:
        """None for a record that tells of a gap, and for one nobody can read."""
        return self.buried.letter

    @property
    def kind(self) -> Kind:
        """What the record is."""
        if self.buried.gap:
            return "gap"
        return "letter" if self.letter is not None else "unreadable"

    @cached_property
    def id(self) -> str:
        """`<partition>-<offset>-<digest>`. A topic that was made anew has the same offsets, and other digests."""
        digest = hashlib.blake2b(digest_size=ID_BYTES)
        record = self.record
        for part in (self.topic.encode(), b"%d" % record.timestamp_ms, record.key or b"", record.value or b""):
            digest.update(b"%d:" % len(part) + part)
        for name, value in record.headers:
            digest.update(b"%d:" % len(value) + name.encode() + value)
        return f"{record.partition}-{record.offset}-{digest.hexdigest()}"

    @property
    def failed_ms(self) -> int:
        """When the record failed last; that of a gap, when it was written down."""
        return self.letter.last_failed_ms if self.letter is not None else self.buried.time_ms

    @property
    def object_key(self) -> str:
        """`failed-events/YYYY-MM-DD/<id>.json`, the day in UTC."""
        return f"{FOLDER}/{iso_time(self.failed_ms)[:10]}/{self.id}.json"

    def document(self) -> bytes:
        """The object in the archive: everything that Kafka holds of the record."""
        found = self._facts() | {
            "redacted": self.letter is not None and self.letter.stage in REDACTED_STAGES,
            "headers": {
                name: value.decode("utf-8", "replace")
                for name, value in self.record.headers
                if not name.startswith((PREFIX, GAP_PREFIX))
            },
        }
        if self.record.key is not None:
            found["keyB64"] = base64.b64encode(self.record.key).decode()
        if self.letter is not None:
            found["error"]["message"] = self.letter.message
        if self.record.value is not None:
            found |= _original(self.record.value)
        return msgspec.json.encode(found)

    def pointer(self, bucket: str | None) -> dict[str, Any]:
        """Where the letter is, and its object if there is an archive."""
        found = self._facts()
        if bucket is not None:
            found["archive"] = f"s3://{bucket}/{self.object_key}"
        return found

    def view(self, event_of: Callable[[bytes], Any]) -> Any:
        """The payload without a value of the source's row (P6): an event, columns with kinds, or size and digest.
        `event_of` gives what may be shown of a record of `cdc.events`, or None."""
        value = self.record.value or b""
        if self.letter is not None and self.letter.stage in REDACTED_STAGES:
            if len(value) <= MAX_VIEW and (event := event_of(value)) is not None:
                return event
        elif self.letter is not None:
            adapter = dict(self.record.headers).get(HEADER_ADAPTER, b"").decode("utf-8", "replace")
            decoded = _decoded(value, adapter or None)
            if decoded is not None and len(msgspec.json.encode(decoded)) <= MAX_VIEW:
                return decoded
        return {"bytes": len(value), "digest": hashlib.blake2b(value, digest_size=ID_BYTES).hexdigest()}

    def _facts(self) -> dict[str, Any]:
        place = {"topic": self.topic, "partition": self.record.partition, "offset": self.record.offset}
        found: dict[str, Any] = {
            "schemaVersion": SCHEMA_VERSION, "id": self.id, "kind": self.kind, "stage": self.buried.stage,
            "letter": place,
        }  # fmt: skip
        if self.buried.gap:
            found["gap"] = dict(self.buried.gap)
        letter = self.letter
        if letter is None:
            return found
        return found | {
            "error": {
                "code": str(letter.code), "category": str(letter.category),
                "name": "".join(word.title() for word in str(letter.code).split("_")),
            },
            "attempts": letter.attempts, "firstFailedAt": iso_time(letter.first_failed_ms),
            "lastAttempt": iso_time(letter.last_failed_ms), "replay": letter.replay, "table": letter.table,
            "fingerprint": letter.fingerprint,
            "source": {
                "stream": letter.stream, "shardId": letter.shard, "sequenceNumber": letter.sequence,
                "subSequenceNumber": letter.sub_sequence, "topic": letter.topic, "partition": letter.partition,
                "offset": letter.offset,
            },
        }  # fmt: skip


def _original(value: bytes) -> dict[str, Any]:
    """A JSON object as it stands, byte for byte; anything else in base64."""
    found = _json_object(value)
    return {"originalEvent": found} if found is not None else {"originalB64": base64.b64encode(value).decode()}


def _json_object(value: bytes) -> msgspec.Raw | None:
    if not (value.startswith(b"{") and value.endswith(b"}")):  # white space around it would not come back
        return None
    if is_deeper(value, MAX_LEVELS):  # the same on every Python
        return None
    try:
        msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return msgspec.Raw(value)


def _decoded(value: bytes, adapter: str | None) -> dict[str, Any] | None:
    """Columns and kinds of values of a source's record, never a value."""
    try:
        found = adapters.decode(lenient(value), adapter)
    except (ValueError, RecursionError, OverflowError):
        return None
    if isinstance(found, Dead):
        return None
    told = KinesisDecodedData.of(found)
    return told.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"metadata": FREE_TEXT})


def iso_time(milliseconds: int) -> str:
    """ISO 8601 in UTC. A number that is no time of this calendar, as somebody else may have written, is the epoch."""
    try:
        at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        at = datetime.fromtimestamp(0, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
