"""An SQS queue as a command reads it: messages nobody else sees meanwhile, and that stay until they are deleted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workers.aws.client import Reach, Session
from workers.aws.errors import AwsDenied, AwsError, AwsThrottled, AwsUnavailable
from workers.failures import CommandError, DeniedError, NotFoundError, UnreachableError
from workers.settings.archive import region_of_queue
from workers.settings.worker import Settings

AT_ONCE = 10
"""Messages of one call."""
HIDDEN_SECONDS = 600
"""So long a message that was read is nobody else's; it is back before if it is released."""
WAIT_SECONDS = 1
"""An empty queue is waited for: SQS does not ask all of its servers otherwise."""
MISSING = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "InvalidAddress"})


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `sent_ms`: milliseconds since the epoch; `received`: how often it was, with this time."""

    id: str
    receipt: str
    body: str
    sent_ms: int
    received: int


class LetterQueue:
    """The queue at `url`. Every method raises DeniedError, UnreachableError, NotFoundError, CommandError."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._session = Session(settings, Reach(region_of_queue(url) or settings.aws_region))
        self._url = url

    async def take(self, most: int) -> list[Message]:
        """Up to `most` messages; fewer if the queue is empty, or others have what is in it."""
        taken: list[Message] = []
        while len(taken) < most:
            answer = await self._call(
                "receive_message", MaxNumberOfMessages=min(AT_ONCE, most - len(taken)),
                VisibilityTimeout=HIDDEN_SECONDS, WaitTimeSeconds=WAIT_SECONDS,
                AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )  # fmt: skip
            found = [_message(one) for one in answer.get("Messages", ())]
            taken += found
            if not found:
                break
        return taken

    async def hidden(self) -> int:
        """About how many messages somebody reads now, or has read and not deleted: they come back."""
        answer = await self._call("get_queue_attributes", AttributeNames=["ApproximateNumberOfMessagesNotVisible"])
        return int(answer.get("Attributes", {}).get("ApproximateNumberOfMessagesNotVisible", 0))

    async def delete(self, messages: Sequence[Message]) -> int:
        """How many are deleted; SQS may keep some."""
        return await self._each("delete_message_batch", messages)

    async def release(self, messages: Sequence[Message]) -> int:
        """Everybody sees them again; how many that worked for."""
        return await self._each("change_message_visibility_batch", messages, VisibilityTimeout=0)

    async def _each(self, operation: str, messages: Sequence[Message], **more: Any) -> int:
        done = 0
        for start in range(0, len(messages), AT_ONCE):
            batch = messages[start : start + AT_ONCE]
            entries = [
                {"Id": str(index), "ReceiptHandle": message.receipt, **more} for index, message in enumerate(batch)
            ]
            answer = await self._call(operation, Entries=entries)
            done += len(answer.get("Successful", ()))
        return done

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            return await self._session.cold("sqs", operation, QueueUrl=self._url, **arguments)
        except AwsError as error:
            raise _told(error) from None


def without_repeats(messages: Iterable[Message], seen: set[str]) -> list[Message]:
    """Those that were not seen yet; adds them to `seen`. A standard queue may give one message out twice."""
    found = []
    for message in messages:
        if message.id not in seen:
            seen.add(message.id)
            found.append(message)
    return found


def _message(found: dict[str, Any]) -> Message:
    attributes = found.get("Attributes", {})
    return Message(
        found["MessageId"], found["ReceiptHandle"], found.get("Body", ""), int(attributes.get("SentTimestamp", 0)),
        int(attributes.get("ApproximateReceiveCount", 1)),
    )  # fmt: skip


def _told(error: AwsError) -> CommandError:
    if error.code in MISSING:
        return NotFoundError("there is no such queue", hint="is the URL right, and AWS_REGION or AWS_ENDPOINT_URL?")
    match error:
        case AwsDenied():
            return DeniedError(
                f"SQS denies it ({error.code})",
                hint="allow sqs:ReceiveMessage, sqs:ChangeMessageVisibility and sqs:DeleteMessage on the queue",
            )
        case AwsThrottled() | AwsUnavailable():
            return UnreachableError(f"SQS does not answer ({error.code})", hint="try again in a minute")
        case _:
            return CommandError(f"SQS refuses it ({error.code})", hint="is this the URL of a queue?")
