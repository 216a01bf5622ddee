"""Where dead letters go outside of Kafka. A sink may be asked for the same letter again: S3 keeps one object, and
messages carry the id by which whoever reads them drops repeats."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from enrichers.event_view import EventView
from enrichers.row_view import RowView
from models.alerts import plain
from models.filed_letter import FiledLetter
from workers.aws.client import Reach, Session
from workers.aws.errors import AwsError, AwsUnavailable
from workers.contract import read_catalogue
from workers.settings.archive import region_of_queue
from workers.settings.worker import Settings

EXISTS = "PreconditionFailed"
CONFLICT = "ConditionalRequestConflict"
"""Somebody else writes the same object at the moment."""
_REFUSED = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}
"""Of what may stand in JSON, the characters for which SQS refuses a message (InvalidMessageContents), so that one
letter would hold up all (P7); escaped they are the same text. Source: SQS API reference, SendMessage."""


class LetterSink(Protocol):
    """One place that gets every letter."""

    name: str
    """s3, sqs or sns."""

    async def take(self, letter: FiledLetter) -> None:
        """Return when the place has it. Raises AwsError."""


class Bucket:
    """One object for each letter, written if it is not there yet."""

    name = "s3"

    def __init__(
        self, session: Session, bucket: str, encryption: Literal["aws:kms", "AES256", "bucket"], kms_key: str | None
    ) -> None:
        self._session = session
        self._bucket = bucket
        self._encryption: dict[str, str] = {} if encryption == "bucket" else {"ServerSideEncryption": encryption}
        if kms_key is not None:
            self._encryption["SSEKMSKeyId"] = kms_key

    async def take(self, letter: FiledLetter) -> None:
        """See LetterSink."""
        try:
            await self._session.cold(
                "s3", "put_object", Bucket=self._bucket, Key=letter.object_key, Body=letter.document(),
                ContentType="application/json", IfNoneMatch="*", Metadata=_metadata(letter), **self._encryption,
            )  # fmt: skip
        except AwsError as error:
            if error.code == CONFLICT:
                raise AwsUnavailable(error.code) from None
            if error.code != EXISTS:
                raise


def _metadata(letter: FiledLetter) -> dict[str, str]:
    """To be looked at without opening the object; ASCII."""
    attempts = str(letter.letter.attempts) if letter.letter is not None else ""
    found = {"kind": letter.kind, "stage": letter.buried.stage, "code": letter.buried.code, "attempts": attempts}
    return {name: plain(text) for name, text in found.items() if plain(text)}


class QueueCopy:
    """A message for each letter: where it is, and a view of it without values (P6)."""

    name = "sqs"

    def __init__(self, session: Session, url: str, bucket: str | None, event_of: Callable[[bytes], Any]) -> None:
        """`event_of`: see FiledLetter.view."""
        self._session = session
        self._url = url
        self._bucket = bucket
        self._event_of = event_of

    async def take(self, letter: FiledLetter) -> None:
        """See LetterSink."""
        found = letter.pointer(self._bucket)
        if letter.record.value is not None:
            found["payload"] = letter.view(self._event_of)
        body = msgspec.json.encode(found)
        more: dict[str, Any] = {}
        if self._url.endswith(".fifo"):
            more = {
                "MessageGroupId": message_group(letter.buried.stage, letter.kind),
                "MessageDeduplicationId": letter.id,
            }
        await self._session.cold(
            "sqs", "send_message", QueueUrl=self._url, MessageBody=body.decode().translate(_REFUSED),
            MessageAttributes=attributes(
                id=letter.id, kind=letter.kind, stage=letter.buried.stage, code=letter.buried.code
            ),
            **more,
        )  # fmt: skip


def attributes(**texts: str) -> dict[str, dict[str, str]]:
    """Message attributes, for filters and for dropping repeats; empty ones are left out."""
    return {name: {"DataType": "String", "StringValue": plain(text)} for name, text in texts.items() if plain(text)}


def message_group(stage: str, kind: str) -> str:
    """The message group of a FIFO queue or topic: what stands in a header may be more than a group's name takes."""
    return plain(stage).replace(" ", "-") or kind


SessionOf = Callable[[Reach], Session]


def letter_sinks(settings: Settings, session_of: SessionOf) -> list[LetterSink]:
    """Those that the settings switch on, but alerts. Raises ConfigurationError if tables.yaml is wrong."""
    found: list[LetterSink] = []
    if settings.archive_bucket is not None:
        session = session_of(Reach(settings.aws_region))
        found.append(Bucket(session, settings.archive_bucket, settings.archive_encryption, settings.archive_kms_key))
    if settings.dlq_queue_url is not None:
        region = region_of_queue(settings.dlq_queue_url) or settings.aws_region
        session = session_of(Reach(region))
        shown = EventView(RowView(read_catalogue(settings)))
        found.append(
            QueueCopy(session, settings.dlq_queue_url, settings.archive_bucket, lambda raw: shown.event(raw).content)
        )
    return found
