"""SQS, JSON 1.0: standard queues. FIFO queues are refused: these keep arrival order, but know no groups."""

import re
from collections.abc import Callable
from typing import Any

from sandbox.aws.errors import AwsError, serialization
from sandbox.aws.fields import Body, entries, optional_text, structure, texts
from sandbox.aws.place import Clock, Place
from sandbox.aws.protocol import Operations
from sandbox.aws.queue import Message, Queue, md5_of, md5_of_attributes

QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
# XML, which the Query protocol answers in, has no others (API reference, SendMessage).
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MOST_BATCH = 10
LONGEST_VISIBILITY = 43_200  # seconds
LONGEST_BATCH = 1_048_576  # bytes of the bodies together
DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
}
# Kept and returned; nothing here acts on them.
REMEMBERED = frozenset(
    {"Policy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "RedriveAllowPolicy", "SqsManagedSseEnabled"}
)


class Sqs:
    """All queues of the account; `address` gives the server's own `http://host:port`."""

    def __init__(self, place: Place, clock: Clock, address: Callable[[], str]) -> None:
        self.queues: dict[str, Queue] = {}
        self._place = place
        self._clock = clock
        self._address = address

    def operations(self) -> Operations:
        return {
            "CreateQueue": self._create_queue,
            "GetQueueUrl": self._get_queue_url,
            "ListQueues": self._list_queues,
            "DeleteQueue": self._delete_queue,
            "PurgeQueue": self._purge_queue,
            "SendMessage": self._send_message,
            "SendMessageBatch": self._send_message_batch,
            "ReceiveMessage": self._receive_message,
            "DeleteMessage": self._delete_message,
            "DeleteMessageBatch": self._delete_message_batch,
            "ChangeMessageVisibility": self._change_message_visibility,
            "ChangeMessageVisibilityBatch": self._change_message_visibility_batch,
            "GetQueueAttributes": self._get_queue_attributes,
            "SetQueueAttributes": self._set_queue_attributes,
        }

    def deliver(self, arn: str, text: str) -> bool:
        """Put an event on the queue of that ARN; False if there is none or the text is too long for it."""
        queue = self.queues.get(arn.rpartition(":")[2])
        if queue is None or queue.arn != arn or len(text.encode()) > int(queue.settings["MaximumMessageSize"]):
            return False
        queue.send(text)
        return True

    def url(self, queue: Queue) -> str:
        return f"{self._address()}/{self._place.account}/{queue.name}"

    async def _create_queue(self, body: Body) -> dict[str, Any]:
        name = _required(body, "QueueName")
        if name.endswith(".fifo"):
            raise AwsError(
                "UnsupportedOperation",
                "This stand-in has no FIFO queues.",
                query_code="AWS.SimpleQueueService.UnsupportedOperation",
            )
        if QUEUE_NAME.fullmatch(name) is None:
            raise _invalid("QueueName must have 1 to 80 letters, digits, hyphens and underscores.")
        wanted = _settings(body)
        queue = self.queues.get(name)
        if queue is None:
            queue = Queue(name, self._place.arn("sqs", name), self._clock, DEFAULTS | wanted, self._clock())
            self.queues[name] = queue
        elif any(queue.settings.get(key) != value for key, value in wanted.items()):
            raise AwsError(
                "QueueNameExists", f"Queue {name} exists with other attributes.", query_code="QueueAlreadyExists"
            )
        return {"QueueUrl": self.url(queue)}

    async def _get_queue_url(self, body: Body) -> dict[str, Any]:
        return {"QueueUrl": self.url(self._queue(_required(body, "QueueName")))}

    async def _list_queues(self, body: Body) -> dict[str, Any]:
        prefix = optional_text(body, "QueueNamePrefix", shortest=0) or ""
        urls = [self.url(queue) for name, queue in sorted(self.queues.items()) if name.startswith(prefix)]
        return {"QueueUrls": urls} if urls else {}

    async def _delete_queue(self, body: Body) -> None:
        del self.queues[self._addressed(body).name]

    async def _purge_queue(self, body: Body) -> None:
        self._addressed(body).purge()

    async def _send_message(self, body: Body) -> dict[str, Any]:
        return _send(self._addressed(body), body)

    async def _send_message_batch(self, body: Body) -> dict[str, Any]:
        queue = self._addressed(body)
        batch = _batch(body)
        if sum(len(str(entry.get("MessageBody", "")).encode()) for entry in batch) > LONGEST_BATCH:
            raise AwsError("BatchRequestTooLong", f"The messages together are longer than {LONGEST_BATCH} bytes.")
        return _each(batch, lambda entry: _send(queue, entry))

    async def _receive_message(self, body: Body) -> dict[str, Any]:
        queue = self._addressed(body)
        most = _whole(body, "MaxNumberOfMessages", 1, 10, 1)
        visibility = _whole(body, "VisibilityTimeout", 0, LONGEST_VISIBILITY, int(queue.settings["VisibilityTimeout"]))
        wait = _whole(body, "WaitTimeSeconds", 0, 20, int(queue.settings["ReceiveMessageWaitTimeSeconds"]))
        messages = await queue.wait_and_take(most, visibility, wait)
        if not messages:
            return {}
        system = {*texts(body, "AttributeNames"), *texts(body, "MessageSystemAttributeNames")}
        wanted = texts(body, "MessageAttributeNames")
        return {"Messages": [self._received(message, system, wanted) for message in messages]}

    async def _delete_message(self, body: Body) -> None:
        self._addressed(body).delete(_required(body, "ReceiptHandle"))

    async def _delete_message_batch(self, body: Body) -> dict[str, Any]:
        queue = self._addressed(body)

        def delete(entry: Body) -> dict[str, Any]:
            queue.delete(_required(entry, "ReceiptHandle"))
            return {}

        return _each(_batch(body), delete)

    async def _change_message_visibility(self, body: Body) -> None:
        self._change_visibility(self._addressed(body), body)

    async def _change_message_visibility_batch(self, body: Body) -> dict[str, Any]:
        queue = self._addressed(body)
        return _each(_batch(body), lambda entry: self._change_visibility(queue, entry))

    def _change_visibility(self, queue: Queue, entry: Body) -> dict[str, Any]:
        seconds = _whole(entry, "VisibilityTimeout", 0, LONGEST_VISIBILITY, None)
        if not queue.change_visibility(_required(entry, "ReceiptHandle"), seconds):
            raise AwsError(
                "MessageNotInflight",
                "The message is not in flight.",
                query_code="AWS.SimpleQueueService.MessageNotInflight",
            )
        return {}

    async def _get_queue_attributes(self, body: Body) -> dict[str, Any]:
        queue = self._addressed(body)
        attributes = {
            **queue.settings,
            **queue.counts(),
            "QueueArn": queue.arn,
            "CreatedTimestamp": str(int(queue.created_at)),
            "LastModifiedTimestamp": str(int(queue.created_at)),
        }
        names = texts(body, "AttributeNames")
        chosen = attributes if "All" in names else {name: attributes[name] for name in names if name in attributes}
        return {"Attributes": chosen} if chosen else {}

    async def _set_queue_attributes(self, body: Body) -> None:
        self._addressed(body).settings.update(_settings(body))

    def _queue(self, name: str) -> Queue:
        queue = self.queues.get(name)
        if queue is None:
            raise AwsError(
                "QueueDoesNotExist",
                "The specified queue does not exist.",
                query_code="AWS.SimpleQueueService.NonExistentQueue",
            )
        return queue

    def _addressed(self, body: Body) -> Queue:
        """By the last part of the QueueUrl: the host may be another name of this server."""
        return self._queue(_required(body, "QueueUrl").rpartition("/")[2])

    def _received(self, message: Message, system: set[str], wanted: list[str]) -> dict[str, Any]:
        received: dict[str, Any] = {
            "MessageId": message.id,
            "ReceiptHandle": message.receipt,
            "MD5OfBody": md5_of(message.body),
            "Body": message.body,
        }
        facts = {
            "SenderId": self._place.account,
            "SentTimestamp": str(int(message.sent_at * 1000)),
            "ApproximateReceiveCount": str(message.received),
            "ApproximateFirstReceiveTimestamp": str(int((message.first_received_at or 0) * 1000)),
        }
        if chosen := {name: value for name, value in facts.items() if system & {"All", name}}:
            received["Attributes"] = chosen
        attributes = {
            name: value
            for name, value in message.attributes.items()
            if any(
                want in {"All", ".*", name} or (want.endswith(".*") and name.startswith(want[:-1])) for want in wanted
            )
        }
        if attributes:
            received["MessageAttributes"] = attributes
            received["MD5OfMessageAttributes"] = md5_of_attributes(attributes)
        return received


def _send(queue: Queue, entry: Body) -> dict[str, Any]:
    text = _required(entry, "MessageBody")
    longest = int(queue.settings["MaximumMessageSize"])
    if len(text.encode()) > longest:
        raise _invalid(f"The message is longer than {longest} bytes.")
    if _REFUSED.search(text):
        raise AwsError("InvalidMessageContents", "The message contains characters outside the allowed set.")
    attributes = structure(entry, "MessageAttributes") or {}
    delay = _whole(entry, "DelaySeconds", 0, 900, int(queue.settings["DelaySeconds"]))
    try:
        digest = md5_of_attributes(attributes)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise _invalid("A message attribute needs a DataType and a value of that type.") from None
    sent = {"MessageId": queue.send(text, attributes, delay).id, "MD5OfMessageBody": md5_of(text)}
    return sent | {"MD5OfMessageAttributes": digest} if attributes else sent


def _batch(body: Body) -> list[Body]:
    batch = entries(body, "Entries")
    code = "AWS.SimpleQueueService."
    if not batch:
        raise AwsError("EmptyBatchRequest", "The batch has no entries.", query_code=f"{code}EmptyBatchRequest")
    if len(batch) > MOST_BATCH:
        raise AwsError(
            "TooManyEntriesInBatchRequest",
            f"The batch has more than {MOST_BATCH} entries.",
            query_code=f"{code}TooManyEntriesInBatchRequest",
        )
    ids = [_required(entry, "Id") for entry in batch]
    if any(BATCH_ID.fullmatch(entry_id) is None for entry_id in ids):
        raise AwsError("InvalidBatchEntryId", "An Id is not valid.", query_code=f"{code}InvalidBatchEntryId")
    if len(set(ids)) < len(ids):
        raise AwsError("BatchEntryIdsNotDistinct", "Ids repeat.", query_code=f"{code}BatchEntryIdsNotDistinct")
    return batch


def _each(batch: list[Body], act: Callable[[Body], dict[str, Any]]) -> dict[str, Any]:
    successful: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for entry in batch:
        try:
            successful.append({"Id": entry["Id"], **act(entry)})
        except AwsError as refusal:
            failed.append({"Id": entry["Id"], "SenderFault": True, "Code": refusal.code, "Message": refusal.message})
    return {"Successful": successful, "Failed": failed}


def _settings(body: Body) -> dict[str, str]:
    given = structure(body, "Attributes") or {}
    for name, value in given.items():
        if not isinstance(value, str):
            raise serialization("Attribute values must be strings")
        if name not in DEFAULTS and name not in REMEMBERED:
            raise AwsError("InvalidAttributeName", f"Attribute {name} is not offered by this stand-in.")
        if name in DEFAULTS and not value.isdecimal():
            raise AwsError("InvalidAttributeValue", f"Attribute {name} must be a number.")
    return given


def _required(body: Body, name: str) -> str:
    value = optional_text(body, name, shortest=0, longest=1 << 30)
    if not value:
        raise AwsError("MissingParameter", f"The request must contain the parameter {name}.")
    return value


def _whole(body: Body, name: str, low: int, high: int, default: int | None) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _invalid(f"{name} must be an integer.")
    if not low <= value <= high:
        raise _invalid(f"Value {value} for parameter {name} is invalid: it must be between {low} and {high}.")
    return value


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)
