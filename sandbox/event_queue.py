"""An SQS queue behind a rule or a subscriber of a bus: what a consumer of the events sees. Plain boto3."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from models.event_bus import event_bus
from workers.failures import UnreachableError

NAME = "cdc-demo"
WAIT_SECONDS = 1
MOST_MESSAGES = 10

OnMessage = Callable[[str, float], None]
"""(body, monotonic seconds of its receipt)"""


class EventQueue:
    """Receives every event of a bus whose source begins with `source`, in a thread of its own. `bus` is a name, or the
    ARN of a Custom Event Bus; `events` is a client for its generation."""

    def __init__(
        self, events: Any, sqs: Any, *, bus: str, source: str, on_message: OnMessage, name: str = NAME
    ) -> None:
        """`name` is that of queue, rule and subscriber."""
        self._name = name
        self._events, self._sqs, self._bus, self._source = events, sqs, bus, source
        self._on_message = on_message
        self._url = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-queue", daemon=True)
        self.error: Exception | None = None

    def start(self) -> None:
        """Make the queue and the way there, and begin to receive."""
        self._url = self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]
        pattern = json.dumps({"source": [{"prefix": self._source}]})
        if event_bus(self._bus).custom:
            self._subscribe(pattern, attributes["QueueArn"])
        else:
            self._put_rule(pattern, attributes["QueueArn"])
        self._thread.start()

    def _put_rule(self, pattern: str, target: str) -> None:
        self._events.put_rule(Name=self._name, EventBusName=self._bus, EventPattern=pattern)
        answer = self._events.put_targets(
            Rule=self._name, EventBusName=self._bus, Targets=[{"Id": self._name, "Arn": target}]
        )
        if answer["FailedEntryCount"]:
            raise UnreachableError(f"the bus {self._bus} does not take the queue as a target")

    def _subscribe(self, pattern: str, target: str) -> None:
        self._events.create_subscriber(
            Name=self._name, EventBusArn=self._bus, Type="FIFO",
            FilterConfiguration={"Filters": [{"Pattern": pattern, "Scope": "DATA"}]},
            InvokeConfiguration={"TargetArn": target, "RoleArn": f"arn:aws:iam::000000000000:role/{self._name}"},
        )  # fmt: skip

    def stop(self, seconds: float = 2.0) -> None:
        """Ask it to end, and wait at most so long until it has."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def remove(self) -> None:
        """Take the way to the queue and the queue away: for a bus that stays. Of a classic bus only."""
        with contextlib.suppress(ClientError, BotoCoreError):
            self._events.remove_targets(Rule=self._name, EventBusName=self._bus, Ids=[self._name])
            self._events.delete_rule(Name=self._name, EventBusName=self._bus)
            self._sqs.delete_queue(QueueUrl=self._url)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._receive()
        except Exception as error:  # noqa: BLE001 - whatever ends the thread is for the owner to report
            if not self._stopping.is_set():
                self.error = error

    def _receive(self) -> None:
        answer = self._sqs.receive_message(
            QueueUrl=self._url, MaxNumberOfMessages=MOST_MESSAGES, WaitTimeSeconds=WAIT_SECONDS
        )
        at = time.monotonic()
        messages = answer.get("Messages", [])
        for message in messages:
            self._on_message(message["Body"], at)
        if messages:
            entries = [{"Id": str(n), "ReceiptHandle": found["ReceiptHandle"]} for n, found in enumerate(messages)]
            with contextlib.suppress(KeyError):
                self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
