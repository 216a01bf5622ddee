"""One SQS queue that hands out messages in the order they arrived, whatever their visibility did in between."""

import asyncio
import hashlib
import secrets
import struct
import uuid
from base64 import b64decode
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from sandbox.aws.place import Clock


@dataclass(slots=True)
class Message:
    """`receipt` is that of the latest receive, None before; `visible_at` in seconds since 1970."""

    index: int
    id: str
    body: str
    attributes: dict[str, Any]
    sent_at: float
    visible_at: float
    receipt: str | None = None
    first_received_at: float | None = None
    received: int = 0


@dataclass(slots=True)
class Queue:
    """`settings` are the queue's attributes as SQS names them, values as text."""

    name: str
    arn: str
    clock: Clock
    settings: dict[str, str]
    created_at: float
    _messages: dict[int, Message] = field(default_factory=dict)
    _hidden: dict[int, Message] = field(default_factory=dict)
    _ready: list[int] = field(default_factory=list)  # heap of arrival indexes
    _waking: list[tuple[float, int]] = field(default_factory=list)  # heap of (visible_at, index)
    _receipts: dict[str, int] = field(default_factory=dict)
    _arrived: int = 0
    _waiters: set[asyncio.Event] = field(default_factory=set)

    def send(self, body: str, attributes: dict[str, Any] | None = None, delay: float = 0) -> Message:
        """Append a message that becomes visible after `delay` seconds."""
        now = self.clock()
        self._arrived += 1
        message_id = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        message = Message(self._arrived, message_id, body, attributes or {}, now, now + delay)
        self._messages[message.index] = message
        if delay > 0:
            self._hide(message)
        else:
            heappush(self._ready, message.index)
        self._wake_waiters()
        return message

    def take(self, most: int, visibility: float) -> list[Message]:
        """Receive up to `most` visible messages and hide them for `visibility` seconds."""
        now = self.clock()
        self._surface(now)
        taken: list[Message] = []
        while self._ready and len(taken) < most:
            message = self._messages.get(heappop(self._ready))
            if message is None:
                continue  # deleted or purged since
            message.received += 1
            message.first_received_at = message.first_received_at or now
            if message.receipt is not None:
                self._receipts.pop(message.receipt, None)
            message.receipt = secrets.token_urlsafe(24)
            self._receipts[message.receipt] = message.index
            message.visible_at = now + visibility
            self._hide(message)
            taken.append(message)
        return taken

    async def wait_and_take(self, most: int, visibility: float, seconds: float) -> list[Message]:
        """Like `take`, but waits up to `seconds` (of real time) for the first message."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        woken = asyncio.Event()
        self._waiters.add(woken)
        try:
            while not (taken := self.take(most, visibility)):
                rest = deadline - loop.time()
                if rest <= 0:
                    break
                if self._waking:
                    rest = min(rest, max(0.01, self._waking[0][0] - self.clock()))
                woken.clear()
                try:
                    await asyncio.wait_for(woken.wait(), rest)
                except TimeoutError:
                    continue
            return taken
        finally:
            self._waiters.discard(woken)

    def delete(self, receipt: str) -> None:
        """Unknown and outdated receipts are ignored, as SQS does for messages that are gone."""
        index = self._receipts.pop(receipt, None)
        if index is not None:
            self._messages.pop(index, None)
            self._hidden.pop(index, None)

    def change_visibility(self, receipt: str, seconds: float) -> bool:
        """Hide a received message for `seconds` from now; False if it is not in flight."""
        self._surface(self.clock())
        message = self._hidden.get(self._receipts.get(receipt, 0))
        if message is None:
            return False
        message.visible_at = self.clock() + seconds
        self._hide(message)
        self._wake_waiters()
        return True

    def purge(self) -> None:
        for held in (self._messages, self._hidden, self._ready, self._waking, self._receipts):
            held.clear()

    def counts(self) -> dict[str, str]:
        """The three ApproximateNumberOf… attributes, exact here."""
        self._surface(self.clock())
        in_flight = sum(1 for message in self._hidden.values() if message.received)
        return {
            "ApproximateNumberOfMessages": str(len(self._messages) - len(self._hidden)),
            "ApproximateNumberOfMessagesNotVisible": str(in_flight),
            "ApproximateNumberOfMessagesDelayed": str(len(self._hidden) - in_flight),
        }

    def _hide(self, message: Message) -> None:
        self._hidden[message.index] = message
        heappush(self._waking, (message.visible_at, message.index))

    def _surface(self, now: float) -> None:
        while self._waking and self._waking[0][0] <= now:
            visible_at, index = heappop(self._waking)
            message = self._hidden.get(index)
            # A change of visibility leaves the older wake-up time behind; only the message's own one counts.
            if message is not None and message.visible_at == visible_at:
                del self._hidden[index]
                heappush(self._ready, index)

    def _wake_waiters(self) -> None:
        for woken in self._waiters:
            woken.set()


def md5_of(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: dict[str, Any]) -> str:
    """Over name, type and value of each attribute in name order, each preceded by its length (SQS developer guide)."""
    digest = hashlib.md5(usedforsecurity=False)
    for name, attribute in sorted(attributes.items()):
        kind = attribute["DataType"]
        binary = kind.startswith("Binary")
        value = b64decode(attribute["BinaryValue"]) if binary else attribute["StringValue"].encode()
        for part in (name.encode(), kind.encode()):
            digest.update(struct.pack(">I", len(part)) + part)
        digest.update((b"\x02" if binary else b"\x01") + struct.pack(">I", len(value)) + value)
    return digest.hexdigest()
